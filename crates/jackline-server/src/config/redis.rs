//! Where Redis is, whom TLS trusts there, and as whom sentinels are asked. A connection URL holds a password, so
//! [`RedisUrl`] never prints itself; keys and certificates are named by their files, which are read when the store is opened.

use std::fmt;
use std::path::PathBuf;

use jackline::store::redis::{RedisOpenError, RedisStore};
use zeroize::Zeroizing;

use super::names::Setting;
use super::source::Reader;

/// Redis as configured.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where it is.
    pub url: RedisUrl,
    /// The file of the authority that the servers' certificates are signed by. Without one, those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// The files of the certificate that is shown to the servers, and of its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// As whom sentinels are asked.
    pub sentinel_user: Option<SentinelUser>,
}

/// A user of the sentinels. The password is wiped when dropped.
#[derive(Clone)]
pub struct SentinelUser {
    /// Its name.
    pub name: String,
    /// Its password, for the client and nothing else.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for SentinelUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentinelUser({})", self.name)
    }
}

/// A connection URL that makes sense. Holds a password, so it is wiped when dropped.
#[derive(Clone)]
pub struct RedisUrl(Zeroizing<String>);

impl RedisUrl {
    /// The URL with its password, for the client and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it leads to a Redis Cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        self.scheme().ends_with("+cluster")
    }

    /// Where it leads, without user, password, database or options: `redis://cache.example:6380`.
    pub fn place(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return "redis".to_owned();
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        if scheme.ends_with("unix") {
            return format!("{scheme}://{rest}");
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let hosts = authority.rsplit('@').next().unwrap_or_default();
        format!("{scheme}://{hosts}")
    }

    /// The kind of place it leads to, and whether by TLS.
    fn scheme(&self) -> &str {
        self.0.split("://").next().unwrap_or_default()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({})", self.place())
    }
}

pub(crate) fn read(reader: &mut Reader) -> Option<RedisSettings> {
    let url = read_url(reader);
    let file = |setting: Setting| reader.one(setting).map(PathBuf::from);
    let ca_file = file(Setting::REDIS_CA_FILE);
    let (cert, key) = (
        file(Setting::REDIS_CERT_FILE),
        file(Setting::REDIS_KEY_FILE),
    );
    let user = reader
        .one(Setting::REDIS_SENTINEL_USERNAME)
        .map(str::to_owned);
    let password = reader
        .one(Setting::REDIS_SENTINEL_PASSWORD)
        .map(|password| Zeroizing::new(password.to_owned()));

    let halves = [
        (Setting::REDIS_CERT_FILE, Setting::REDIS_KEY_FILE),
        (Setting::REDIS_KEY_FILE, Setting::REDIS_CERT_FILE),
        (
            Setting::REDIS_SENTINEL_USERNAME,
            Setting::REDIS_SENTINEL_PASSWORD,
        ),
    ];
    for (one, other) in halves {
        reader.refuse_one_without(one, other);
    }
    if let Some(url) = &url {
        refuse_what_the_url_does_not_use(reader, url);
    }
    Some(RedisSettings {
        url: url?,
        ca_file,
        certificate: cert.zip(key),
        sentinel_user: password.map(|password| SentinelUser {
            // As Redis has it: a password alone is the default user's.
            name: user.unwrap_or_else(|| "default".to_owned()),
            password,
        }),
    })
}

/// Whoever sets a certificate believes that TLS is on.
fn refuse_what_the_url_does_not_use(reader: &mut Reader, url: &RedisUrl) {
    let tls = url.scheme().starts_with("rediss") || url.scheme().starts_with("valkeys");
    let sentinel = url.scheme().ends_with("+sentinel");
    let certificates = [
        Setting::REDIS_CA_FILE,
        Setting::REDIS_CERT_FILE,
        Setting::REDIS_KEY_FILE,
    ];
    for setting in certificates {
        if !tls && reader.is_given(setting) {
            reader.report(
                setting,
                "it is set, and REDIS_URL says no TLS",
                "the connection would be open to whoever is on the network, while it looks protected",
                "write rediss:// for redis:// in REDIS_URL, or unset it",
            );
        }
    }
    for setting in [
        Setting::REDIS_SENTINEL_USERNAME,
        Setting::REDIS_SENTINEL_PASSWORD,
    ] {
        if !sentinel && reader.is_given(setting) {
            reader.report(
                setting,
                "it is set, and REDIS_URL leads to no sentinels",
                "nobody would be shown it",
                "write redis+sentinel:// in REDIS_URL, or unset it",
            );
        }
    }
}

fn read_url(reader: &mut Reader) -> Option<RedisUrl> {
    let text = Zeroizing::new(reader.one(Setting::REDIS_URL)?.to_owned());
    let (what, why, fix) = match RedisStore::check_url(&text) {
        Ok(()) => return Some(RedisUrl(text)),
        Err(RedisOpenError::Insecure) => (
            "it turns off the check of the server's certificate",
            "anybody on the way could pose as Redis, and read and make sessions",
            "take #insecure away, and name the authority's certificate in REDIS_CA_FILE",
        ),
        Err(_) => (
            "it is not the URL of a Redis",
            "without its store the server could only answer 503 (D7)",
            "write redis://user:password@host:6379/0, with special characters of the password percent-encoded; \
             rediss:// for TLS, unix:///path/to/socket, redis+sentinel://host:26379,host:26379/service or \
             redis+cluster://host:6379,host:6379",
        ),
    };
    reader.report(Setting::REDIS_URL, what, why, fix);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J6, A6
    #[test]
    fn a_redis_url_shows_its_place_and_not_its_password() {
        for (url, shown) in [
            (
                "redis://:zqzqzqzq@cache:6379/2",
                "RedisUrl(redis://cache:6379)",
            ),
            ("rediss://app:zqzqzqzq@cache", "RedisUrl(rediss://cache)"),
            (
                "unix:///run/redis.sock?pass=zqzqzqzq",
                "RedisUrl(unix:///run/redis.sock)",
            ),
            (
                "rediss+sentinel://app:zqzqzqzq@a:1,b:2/service/0",
                "RedisUrl(rediss+sentinel://a:1,b:2)",
            ),
            (
                "redis+cluster://app:zqzqzqzq@a,[::1]:2",
                "RedisUrl(redis+cluster://a,[::1]:2)",
            ),
        ] {
            let url = RedisUrl(Zeroizing::new(url.to_owned()));
            assert_eq!(format!("{url:?}"), shown);
        }
    }
}
