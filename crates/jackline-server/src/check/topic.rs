//! What is looked at, by the numbers that the documentation and the tests use. The order is that of the report.

/// One thing that is right, wrong, or could not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic {
    /// Its number.
    pub(super) number: &'static str,
    /// What holds if it is right.
    pub(super) title: &'static str,
}

macro_rules! topics {
    ($($name:ident = $number:literal, $title:literal;)*) => {
        impl Topic {
            $(pub(super) const $name: Topic = Topic { number: $number, title: $title };)*

            pub(super) const ALL: &'static [Topic] = &[$(Topic::$name),*];
        }
    };
}

topics! {
    SETTINGS = "J11", "the settings make sense";
    SERVER = "T3.1", "the server answers";
    FIXATION = "P1", "a login gives a new id";
    MEMORY = "P2", "sessions outlive the process";
    PLAIN_HTTP = "P3", "no Secure cookie over plain http";
    PROXY_TRUST = "P4", "the proxy in front is believed";
    SECRET = "P5", "the signing secret is strong and unknown";
    LOGOUT = "P6", "a logout ends the session";
    ENDLESS = "P7", "every session ends one day";
    RESETS = "D1", "the session lasts from request to request";
    NO_COOKIE = "D2", "a visitor gets the cookie";
    NOT_SENT_BACK = "D3", "a browser sends the cookie back";
    BEHIND_PROXY = "D4", "it works behind the proxy";
    DOUBLE = "D5", "an answer sets the cookie once";
    DEPLOY = "D6", "a restart logs nobody out";
    STORE = "D7", "the store takes sessions";
    CSRF = "D8", "CSRF tokens are asked for and accepted";
    NO_EXPIRY = "D9", "sessions run out in the store";
    FLAGS = "T4.1", "the cookie has its flags";
    PREFIX = "A1", "browsers guard the cookie's name";
    HEADERS = "T10.2", "the security headers are there";
}

impl Topic {
    /// What only a running server can show.
    pub(super) const LIVE: &'static [Topic] = &[
        Topic::SERVER,
        Topic::FIXATION,
        Topic::PLAIN_HTTP,
        Topic::PROXY_TRUST,
        Topic::LOGOUT,
        Topic::RESETS,
        Topic::NO_COOKIE,
        Topic::NOT_SENT_BACK,
        Topic::BEHIND_PROXY,
        Topic::DOUBLE,
        Topic::CSRF,
        Topic::FLAGS,
        Topic::PREFIX,
        Topic::HEADERS,
    ];
}
