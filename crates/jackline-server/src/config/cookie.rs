//! The session cookie's name and whether it is `Secure`. What comes out can be sent: the name is a token, and a name whose prefix makes
//! browsers demand `Secure` (RFC 6265bis, section 4.1.3) always has it. Browsers match prefixes without regard to case, so a look-alike
//! such as `__hOsT-sid` is refused rather than half-protected.

use super::deployment::Deployment;
use super::keyspace::Keyspace;
use super::names::Setting;
use super::source::Reader;

/// The session cookie as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    name: String,
    secure: bool,
    express: Option<String>,
}

impl CookieSettings {
    /// The cookie's name. Default `sid` in development and `__Host-sid` in production; `connect.sid` in the Express keyspace.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the cookie that sessions come with that were shared with Express. Default: there are none.
    pub fn express(&self) -> Option<&str> {
        self.express.as_deref()
    }

    /// Whether the cookie travels over https only. Default: in production yes, in development no.
    pub fn secure(&self) -> bool {
        self.secure
    }
}

/// The prefixes that browsers know; all of them demand `Secure`. `__Host-Http-` is covered by `__Host-`.
const PREFIXES: [&str; 3] = ["__Host-", "__Secure-", "__Http-"];

/// Leaves most of the 4096 bytes that browsers keep for the value (RFC 6265bis, section 5.6).
const LONGEST_NAME: usize = 64;

pub(crate) fn read(
    reader: &mut Reader,
    deployment: Deployment,
    keyspace: &Keyspace,
) -> CookieSettings {
    let secure = read_secure(reader, deployment);
    let default = match (keyspace, deployment) {
        (Keyspace::Express(_), _) => "connect.sid",
        (_, Deployment::Production) => "__Host-sid",
        (_, Deployment::Development) => "sid",
    };
    let name =
        read_name(reader, Setting::COOKIE_NAME, secure).unwrap_or_else(|| default.to_owned());
    let express = read_name(reader, Setting::EXPRESS_COOKIE, secure);
    if express.as_ref() == Some(&name) {
        reader.report(
            Setting::EXPRESS_COOKIE,
            "it is also the name of the cookie that new sessions get",
            "it could not be told which of the two a browser has sent",
            "set JACKLINE_COOKIE_NAME to another name, or leave it out",
        );
    }
    CookieSettings {
        name,
        secure,
        express,
    }
}

fn read_secure(reader: &mut Reader, deployment: Deployment) -> bool {
    let default = deployment.is_production();
    match reader.one(Setting::COOKIE_SECURE) {
        None => default,
        Some("true") => true,
        Some("false") if deployment.is_production() => {
            reader.report(
                Setting::COOKIE_SECURE,
                "it is `false` in production",
                "the cookie would travel over plain http, where anyone on the way can take it and be the user",
                "leave it out, and serve https",
            );
            false
        }
        Some("false") => false,
        Some(other) => {
            let what = format!("it is {}", reader.quote(other));
            reader.report(
                Setting::COOKIE_SECURE,
                what,
                "whether the cookie is protected must not be guessed",
                "write `true` or `false`, or leave it out",
            );
            default
        }
    }
}

fn read_name(reader: &mut Reader, setting: Setting, secure: bool) -> Option<String> {
    let name = reader.one(setting)?;
    let quoted = reader.quote(name);
    let name = name.to_owned();

    if name.len() > LONGEST_NAME || !name.bytes().all(is_token_byte) {
        reader.report(
            setting,
            format!("{quoted} cannot be a cookie's name"),
            "browsers would drop the cookie or read another name (RFC 6265bis, section 4.1.1)",
            format!("write up to {LONGEST_NAME} letters, digits, `-` or `_`, such as `sid`"),
        );
        return None;
    }
    let Some(prefix) = PREFIXES.into_iter().find(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }) else {
        return Some(name);
    };
    if !name.starts_with(prefix) {
        reader.report(
            setting,
            format!("{quoted} looks like the prefix `{prefix}` in other letters"),
            "some browsers treat it as the prefix and some do not, so that a planted cookie can pass for ours",
            format!("write `{prefix}` exactly, or another name"),
        );
        return None;
    }
    if name.len() == prefix.len() {
        reader.report(
            setting,
            format!("{quoted} is a prefix without a name"),
            "a cookie of this name is hard to tell from a mistake",
            format!("write `{prefix}sid`"),
        );
        return None;
    }
    if !secure {
        reader.report(
            setting,
            format!("{quoted} starts with `{prefix}`, and the cookie is not Secure"),
            "browsers drop such a cookie without a word, and nobody stays logged in",
            "serve https and set JACKLINE_COOKIE_SECURE=true, or choose a name without the prefix, such as `sid`",
        );
        return None;
    }
    Some(name)
}

/// The characters of a token (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
