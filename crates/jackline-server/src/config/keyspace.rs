//! How records and cookies are laid out: our own way, or as an Express application that shares them has it. What only the one of
//! them can do is refused with the other.

use jackline::store::redis::express::{ExpressMapping, IdForm};

use super::names::Setting;
use super::source::Reader;
use super::store::StoreEngine;

/// How records are laid out in the store, and cookies in the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyspace {
    /// Jackline's own: the store sees hashes of tokens only.
    Native,
    /// Jackline's own, with sessions that were shared with an Express application and have been re-keyed, or are about to be.
    Rekeyed(ExpressMapping),
    /// That of express-session with connect-redis: sessions are shared with an Express application.
    Express(ExpressMapping),
}

impl Keyspace {
    /// Whether sessions are shared with Express.
    pub fn is_express(&self) -> bool {
        matches!(self, Self::Express(_))
    }
}

/// What means something with Express only.
const MAPPING: [Setting; 5] = [
    Setting::EXPRESS_USER_ID,
    Setting::EXPRESS_USER_ID_FORM,
    Setting::EXPRESS_USERNAME,
    Setting::EXPRESS_LOGIN_AT,
    Setting::EXPRESS_ROLE,
];

pub(crate) fn read(reader: &mut Reader) -> Keyspace {
    match reader.one(Setting::KEYSPACE) {
        Some("express") => return Keyspace::Express(read_mapping(reader)),
        None | Some("native") if reader.is_given(Setting::EXPRESS_COOKIE) => {
            demand_secret(
                reader,
                Setting::EXPRESS_COOKIE,
                "it is set, and SESSION_SECRET is not",
                "the cookies that Express signed could not be verified",
            );
            return Keyspace::Rekeyed(read_mapping(reader));
        }
        None | Some("native") => {}
        Some(other) => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::KEYSPACE,
                what,
                "there is no such layout, and records written in a wrong one are lost",
                "write `native` or `express`, or leave it out",
            );
            return Keyspace::Native;
        }
    }
    for setting in MAPPING {
        if reader.is_given(setting) {
            reader.report(
                setting,
                "it is set, and JACKLINE_KEYSPACE is not `express`",
                "sessions would not be shared with Express, while it looks as if they were",
                "set JACKLINE_KEYSPACE=express; or JACKLINE_EXPRESS_COOKIE, if they were shared once; or unset it",
            );
        }
    }
    Keyspace::Native
}

fn read_mapping(reader: &mut Reader) -> ExpressMapping {
    let usual = ExpressMapping::default();
    let name = |setting, usual: String| reader.one(setting).map_or(usual, str::to_owned);
    let mapping = ExpressMapping {
        user_id: name(Setting::EXPRESS_USER_ID, usual.user_id),
        id_form: usual.id_form,
        name: name(Setting::EXPRESS_USERNAME, usual.name),
        login_time: name(Setting::EXPRESS_LOGIN_AT, usual.login_time),
        role: name(Setting::EXPRESS_ROLE, usual.role),
    };
    if !mapping.is_possible() {
        let given = MAPPING
            .into_iter()
            .find(|setting| reader.is_given(*setting));
        reader.report(
            given.unwrap_or(Setting::KEYSPACE),
            "two of the members that say who is logged in have one name, or one has a name that Express uses itself",
            "it could not be told whose a session is",
            "give the members four different names, as your Express application has them",
        );
    }
    ExpressMapping {
        id_form: read_id_form(reader),
        ..mapping
    }
}

fn read_id_form(reader: &mut Reader) -> IdForm {
    match reader.one(Setting::EXPRESS_USER_ID_FORM) {
        None | Some("text") => IdForm::Text,
        Some("number") => IdForm::Number,
        Some(other) => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::EXPRESS_USER_ID_FORM,
                what,
                "Express tells 7 from \"7\", and would not know the users that log in here",
                "write `text` or `number`, or leave it out",
            );
            IdForm::Text
        }
    }
}

/// Refuses what cannot be had together with Express.
pub(super) fn check(reader: &mut Reader, engine: &StoreEngine) {
    let StoreEngine::Redis(redis) = engine else {
        reader.report(
            Setting::KEYSPACE,
            "it is `express`, and sessions are not kept in Redis",
            "Express keeps its sessions in Redis, and would see none of these",
            "set REDIS_URL to the Redis of your Express application",
        );
        return;
    };
    if redis.url.is_cluster() {
        reader.report(
            Setting::KEYSPACE,
            "it is `express`, and REDIS_URL leads to a cluster",
            "Express's names scatter over a cluster, so that no step could reach all that belongs together (J4)",
            "use one Redis server, or Sentinel",
        );
    }
    if reader.is_given(Setting::ENCRYPTION_KEY) {
        reader.report(
            Setting::ENCRYPTION_KEY,
            "it is set, and JACKLINE_KEYSPACE is `express`",
            "Express could not read what is encrypted",
            "unset it as long as sessions are shared",
        );
    }
    if reader.is_given(Setting::EXPRESS_COOKIE) {
        reader.report(
            Setting::EXPRESS_COOKIE,
            "it is set, and JACKLINE_KEYSPACE is `express`",
            "as long as sessions are shared there is one cookie, and JACKLINE_COOKIE_NAME is its name",
            "unset it until the sessions are to be re-keyed",
        );
    }
    demand_secret(
        reader,
        Setting::SESSION_SECRET,
        "it is not set, and JACKLINE_KEYSPACE is `express`",
        "neither side could verify the other's cookies",
    );
}

/// Where Express has signed cookies, a secret of our own making verifies none.
fn demand_secret(reader: &mut Reader, subject: Setting, what: &str, why: &str) {
    if !reader.is_given(Setting::SESSION_SECRET) {
        reader.report(
            subject,
            what,
            why,
            "set SESSION_SECRET to the first secret of your Express application, and SESSION_SECRET_PREVIOUS to the others",
        );
    }
}
