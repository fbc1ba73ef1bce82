//! Records of Express as text: what we write, and what we make of what Express wrote.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::super::keys::owner_tag;
use super::ExpressOptions;
use super::mapping::{COOKIE, ExpressMapping, IdForm, OURS};
use crate::lifecycle::{
    AwaitedLogin, Clocks, Data, Identity, Meta, OwnerId, Policy, Record, Role, UnixMs,
};
use crate::origin::Origin;
use crate::store::CorruptRecord;
use crate::token::SessionKey;

/// What Express has no place for. Stands in the record's member `jackline`, beside what only the scripts use: `of`, the
/// identity that it is about, and `seen` and `till`, the last use and the end of the TTL that was set for it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Book {
    #[serde(flatten)]
    pub(super) meta: BookMeta,
    pub(super) owner: Option<OwnerId>,
    pub(super) role: Option<Role>,
    pub(super) ends: UnixMs,
    pub(super) version: u64,
    /// How the name of its owner's index ends.
    pub(super) index: Option<String>,
    /// The owner's epoch that it has lived through.
    pub(super) epoch: u64,
}

/// The part of it that a delta may replace.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BookMeta {
    created: UnixMs,
    pub(super) started: UnixMs,
    authenticated: Option<UnixMs>,
    origin: Origin,
    step_up_due: bool,
    awaits: Option<AwaitedLogin>,
    stands_in_for: Option<Box<SessionKey>>,
}

impl BookMeta {
    pub(super) fn of(meta: &Meta) -> Self {
        Self {
            created: meta.created,
            started: meta.started,
            authenticated: meta.authenticated,
            origin: meta.origin,
            step_up_due: meta.step_up_due,
            awaits: meta.awaits.clone(),
            stands_in_for: meta.stands_in_for.clone(),
        }
    }
}

impl Book {
    pub(super) fn of(record: &Record, epoch: u64) -> Self {
        let identity = record.meta.identity.as_ref();
        Self {
            meta: BookMeta::of(&record.meta),
            owner: identity.map(|identity| identity.id.clone()),
            role: identity.map(|identity| identity.role.clone()),
            ends: record.clocks.ends,
            version: record.clocks.version,
            index: identity.map(|identity| owner_tag(&identity.id)),
            epoch,
        }
    }

    pub(super) fn to_json(&self) -> String {
        json(self)
    }
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers always serialise")
}

fn raw(value: &(impl Serialize + ?Sized)) -> Box<RawValue> {
    to_raw_value(value).expect("strings and numbers always serialise")
}

/// The `cookie` of a record, in the order in which express-session writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cookie<'a> {
    original_max_age: u64,
    expires: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secure: bool,
    http_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a str>,
    path: &'a str,
    same_site: &'static str,
}

/// A record of ours as Express would write it, without our bookkeeping.
pub(super) fn of(record: &Record, options: &ExpressOptions) -> String {
    let mapping = &options.mapping;
    let mut members = Data::new();
    let (secure, domain, path, same_site) = options.cookie.parts();
    let cookie = Cookie {
        original_max_age: millis(record.clocks.idle),
        expires: iso(record.clocks.idle_deadline()),
        secure,
        http_only: true,
        domain,
        path,
        same_site,
    };
    members.set(COOKIE, raw(&cookie));
    if let Some(identity) = &record.meta.identity {
        let id = identity.id.as_str();
        members.set(
            &mapping.user_id,
            match number(id) {
                Some(number) if mapping.id_form == IdForm::Number => raw(&number),
                _ => raw(id),
            },
        );
        members.set(&mapping.name, raw(&identity.name));
        members.set(&mapping.login_time, raw(&iso(record.meta.started)));
        members.set(&mapping.role, raw(identity.role.as_str()));
    }
    for (name, value) in record.data.iter() {
        members.set(name, value.to_owned());
    }
    members.to_json()
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// An identifier that is a number, and the only spelling of it.
fn number(id: &str) -> Option<u64> {
    let number = id
        .parse()
        .ok()
        .filter(|n: &u64| (1..1_000_000_000_000_000).contains(n))?;
    (number.to_string() == id).then_some(number)
}

/// As JavaScript writes a moment.
fn iso(at: UnixMs) -> String {
    let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    // The latest moment that a record holds lies past the year 9999; Express only looks whether it has come.
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
    format!("{at:.3}")
}

/// Reads a record that is in our books: the last use, the idle limit, and its text.
pub(super) fn read(line: &[u8], mapping: &ExpressMapping) -> Result<Record, CorruptRecord> {
    let line = std::str::from_utf8(line).map_err(|_| CorruptRecord::new("it is not UTF-8"))?;
    let mut parts = line.splitn(3, ' ');
    let mut number = || {
        let number = parts.next().and_then(|digits| digits.parse().ok());
        number.ok_or(CorruptRecord::new("a clock of the record is not readable"))
    };
    let (seen, idle) = (number()?, number()?);
    let members = members(parts.next().unwrap_or_default())?;
    let book: Book = members
        .get(OURS)
        .ok()
        .flatten()
        .ok_or(CorruptRecord::new("its member `jackline` is not readable"))?;
    let identity = book.owner.map(|id| {
        let name = members.get::<String>(&mapping.name).ok().flatten();
        let name = name.unwrap_or_else(|| id.as_str().to_owned());
        Identity::new(id, name, book.role.unwrap_or_else(Role::user))
    });
    Ok(Record {
        clocks: Clocks {
            seen: UnixMs::from_millis(seen),
            idle: std::time::Duration::from_millis(idle),
            ends: book.ends,
            version: book.version,
        },
        meta: Meta {
            identity: identity.map(Arc::new),
            created: book.meta.created,
            started: book.meta.started,
            authenticated: book.meta.authenticated,
            origin: book.meta.origin,
            step_up_due: book.meta.step_up_due,
            awaits: book.meta.awaits,
            stands_in_for: book.meta.stands_in_for,
            lies_in: None,
        },
        data: mapping.data(&members),
    })
}

fn members(text: &str) -> Result<Data, CorruptRecord> {
    Data::from_json(text).map_err(|_| CorruptRecord::new("it is not a JSON object"))
}

/// Our bookkeeping for a session that Express has begun, or has logged somebody in to, or out of.
///
/// A login is bounded from the time that Express notes for it, and from now if it notes none. Neither a time in the future nor
/// a change that is no login makes a session live longer.
pub(super) fn entered(
    text: &[u8],
    mapping: &ExpressMapping,
    policy: &Policy,
    now: UnixMs,
) -> Result<Book, CorruptRecord> {
    let text = std::str::from_utf8(text).map_err(|_| CorruptRecord::new("it is not UTF-8"))?;
    let members = members(text)?;
    let owner = owner(members.raw(&mapping.user_id))?;
    let login = login_time(members.raw(&mapping.login_time))?.map(|at| at.min(now));
    let role = owner.as_ref().map(|_| {
        let role = members.get::<String>(&mapping.role).ok().flatten();
        role.map_or_else(Role::user, |role| Role::new(&role))
    });
    let before: Option<Book> = members.get(OURS).ok().flatten();
    let same_login = before.filter(|before| {
        before.owner == owner && login.is_none_or(|login| login == before.meta.started)
    });
    let index = owner.as_ref().map(owner_tag);
    let limit = policy.absolute(role.as_ref()).get();
    Ok(match same_login {
        // Another role, for one: what is stricter holds.
        Some(before) => Book {
            ends: before.ends.min(before.meta.started.after(limit)),
            version: before.version + 1,
            role,
            index,
            ..before
        },
        None => {
            let started = login.filter(|_| owner.is_some()).unwrap_or(now);
            Book {
                meta: BookMeta {
                    created: started,
                    started,
                    authenticated: owner.as_ref().map(|_| started),
                    origin: Origin::default(),
                    step_up_due: false,
                    awaits: None,
                    stands_in_for: None,
                },
                ends: started.after(limit),
                version: 0,
                epoch: 0,
                owner,
                role,
                index,
            }
        }
    })
}

/// Whom Express has logged in. What JavaScript takes for false is nobody.
fn owner(value: Option<&RawValue>) -> Result<Option<OwnerId>, CorruptRecord> {
    let text = value.map_or("null", RawValue::get);
    if ["null", "false", "0", "\"\""].contains(&text) {
        return Ok(None);
    }
    let corrupt = || CorruptRecord::new("the user's identifier is none");
    let id = match text.as_bytes()[0] {
        b'"' => serde_json::from_str(text).map_err(|_| corrupt())?,
        b'-' | b'0'..=b'9' => text.to_owned(),
        _ => return Err(corrupt()),
    };
    OwnerId::new(id).map(Some).map_err(|_| corrupt())
}

/// When Express has logged them in: milliseconds, or as text.
fn login_time(value: Option<&RawValue>) -> Result<Option<UnixMs>, CorruptRecord> {
    let corrupt = || CorruptRecord::new("the time of the login is none");
    let text = value.map_or("null", RawValue::get);
    let millis = match text.as_bytes()[0] {
        b'n' => return Ok(None),
        b'"' => {
            let text: String = serde_json::from_str(text).map_err(|_| corrupt())?;
            text.parse::<Timestamp>()
                .map_err(|_| corrupt())?
                .as_millisecond() as f64
        }
        _ => serde_json::from_str::<f64>(text).map_err(|_| corrupt())?,
    };
    if millis < 0.0 {
        return Err(corrupt());
    }
    Ok(Some(UnixMs::from_millis(millis as u64)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cookie::CookieSpec;
    use crate::lifecycle::{AbsoluteLimit, IdleLimit};
    use crate::store::redis::RedisOptions;

    const HOUR: Duration = Duration::from_secs(3600);

    fn options(id_form: IdForm) -> ExpressOptions {
        let absolute = AbsoluteLimit::new(8 * HOUR).unwrap();
        let policy = Policy::builder(IdleLimit::new(HOUR / 2).unwrap(), absolute)
            .role_absolute(Role::admin(), AbsoluteLimit::new(HOUR).unwrap());
        ExpressOptions {
            redis: RedisOptions::default(),
            mapping: ExpressMapping {
                id_form,
                ..ExpressMapping::default()
            },
            policy: policy.build().unwrap(),
            cookie: CookieSpec::express(true),
        }
    }

    fn login(id: &str, now: UnixMs) -> Record {
        let identity = Identity::new(OwnerId::new(id).unwrap(), "alice", Role::user());
        let policy = options(IdForm::Text).policy;
        Record::logged_in(identity, &policy, Origin::default(), now)
    }

    fn now() -> UnixMs {
        UnixMs::from_millis(1_800_000_000_000)
    }

    #[test]
    fn an_identifier_is_written_in_the_form_that_was_asked_for() {
        for (form, id, written) in [
            (IdForm::Text, "7", "\"7\""),
            (IdForm::Number, "7", "7"),
            (IdForm::Number, "alice", "\"alice\""),
        ] {
            let text = of(&login(id, now()), &options(form));
            assert!(text.contains(&format!(r#""userId":{written},"#)), "{text}");
        }
    }

    // Proves: J5
    #[test]
    fn another_role_within_one_login_is_noted_and_what_is_stricter_holds() {
        let ExpressOptions {
            mapping, policy, ..
        } = options(IdForm::Text);
        let mut before = Book::of(&login("alice", now()), 5);
        before.version = 3;
        let later = now().after(HOUR / 2);
        let seen = |role: &str, before: &Book| {
            let text = format!(
                r#"{{"cookie":{{}},"userId":"alice","role":"{role}","loginAt":{},"jackline":{}}}"#,
                now().as_millis(),
                before.to_json()
            );
            entered(text.as_bytes(), &mapping, &policy, later).unwrap()
        };
        let admin = seen("admin", &before);
        assert_eq!(admin.role, Some(Role::admin()));
        assert_eq!(admin.ends, now().after(HOUR));
        assert_eq!((admin.version, admin.epoch), (4, 5));
        let user = seen("user", &admin);
        assert_eq!(user.role, Some(Role::user()));
        assert_eq!(user.ends, now().after(HOUR), "it never gets longer");
        assert_eq!(user.version, 5);
    }

    #[test]
    fn the_first_moment_of_1970_is_one_and_none_before_it_is() {
        let time = |text: &str| login_time(Some(&RawValue::from_string(text.to_owned()).unwrap()));
        assert_eq!(time("0").unwrap(), Some(UnixMs::from_millis(0)));
        assert!(time("-1").is_err());
    }
}
