//! What the URL says: one server, sentinels and the name of what they watch, or nodes of a cluster. An address of several
//! hosts is taken apart here and each read by the client as the URL of one server, so that all forms encode a user, a
//! password and a database alike.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use super::open::RedisOpenError;

/// Where sessions are kept.
pub(super) enum Address {
    /// One server.
    One(ConnectionInfo),
    /// The primary that the sentinels name.
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        /// How to speak to the primary; the host in it is a sentinel's.
        primary: ConnectionInfo,
    },
    /// The cluster that these are nodes of.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    pub(super) fn read(url: &str) -> Result<Self, RedisOpenError> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisOpenError::Url)?;
        // An unencoded `/`, `?` or `#` in a password ends the address early, and part of the password is taken for the host.
        let ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(ends);
        if path.contains('@') {
            return Err(RedisOpenError::Url);
        }
        let Some((base, kind @ ("sentinel" | "cluster"))) = scheme.split_once('+') else {
            return Ok(Self::One(one(url)?));
        };
        if !["redis", "rediss"].contains(&base) {
            return Err(RedisOpenError::Url);
        }
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let hosts = hosts.split(',');
        if kind == "cluster" {
            // A cluster has one database, and the client would not complain before it is asked for another.
            if !["", "0"].contains(&path) {
                return Err(RedisOpenError::Url);
            }
            let nodes = hosts.map(|host| one(&format!("{base}://{user}{host}")));
            return Ok(Self::Cluster(nodes.collect::<Result<_, _>>()?));
        }
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        let service = percent_encoding::percent_decode_str(service)
            .decode_utf8()
            .map_err(|_| RedisOpenError::Url)?
            .into_owned();
        if service.is_empty() {
            return Err(RedisOpenError::Url);
        }
        let primary = one(&format!("{base}://{user}localhost/{database}"))?;
        let sentinels = hosts.map(|host| {
            let named = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.ends_with(']'));
            let port = if named { "" } else { ":26379" };
            one(&format!("{base}://{host}{port}"))
        });
        Ok(Self::Sentinel {
            sentinels: sentinels.collect::<Result<_, _>>()?,
            service,
            primary,
        })
    }
}

/// The same server's settings, at another place.
pub(super) fn at(info: &ConnectionInfo, host: &str, port: u16) -> ConnectionInfo {
    let host = host.to_owned();
    let place = match info.addr() {
        ConnectionAddr::TcpTls { .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    info.clone().set_addr(place)
}

/// Host and port of what a server calls another: the last colon parts them, also where the host is an IPv6 address.
pub(super) fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host, port.parse().ok()?))
}

fn one(url: &str) -> Result<ConnectionInfo, RedisOpenError> {
    let info = url.into_connection_info().map_err(|error| {
        if error.is_io_error() {
            RedisOpenError::Unsupported
        } else {
            RedisOpenError::Url
        }
    })?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => return Err(RedisOpenError::Insecure),
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } if host.is_empty() => {
            return Err(RedisOpenError::Url);
        }
        ConnectionAddr::Unix(path) if path.as_os_str().is_empty() => {
            return Err(RedisOpenError::Url);
        }
        _ => {}
    }
    let settings = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(infos: &[ConnectionInfo]) -> Vec<String> {
        infos.iter().map(|info| info.addr().to_string()).collect()
    }

    #[test]
    fn a_password_with_unencoded_characters_is_refused_before_part_of_it_is_taken_for_a_host() {
        for url in [
            "redis://user:123#tail@cache.example:6379",
            "redis://user:1/secret@cache.example",
            "redis://user:1?x@cache.example/0",
            "redis+cluster://user:1/secret@a:1,b:2",
            "not a url",
            "redis://:6379",
            "rediss://:6379",
            "unix://",
            "",
        ] {
            let error = Address::read(url).err();
            assert!(
                matches!(error, Some(RedisOpenError::Url)),
                "{url}: {error:?}"
            );
        }
        for url in [
            "redis://user:p%23%2Fss@cache.example:6379/2",
            "unix:///run/redis.sock",
        ] {
            assert!(Address::read(url).is_ok(), "{url}");
        }
    }

    // Proves: J11
    #[test]
    fn a_certificate_that_nobody_verifies_cannot_be_asked_for() {
        for url in [
            "rediss://cache.example/#insecure",
            "rediss://cache.example:6380/0#insecure",
        ] {
            let error = Address::read(url).err();
            assert!(
                matches!(error, Some(RedisOpenError::Insecure)),
                "{url}: {error:?}"
            );
        }
        for url in [
            "rediss+cluster://cache.example/#insecure",
            "rediss+sentinel://cache.example/sessions#insecure",
        ] {
            match Address::read(url) {
                Err(_) => {}
                Ok(Address::Sentinel { service, .. }) => assert_eq!(service, "sessions#insecure"),
                Ok(_) => panic!("{url}"),
            }
        }
    }

    #[test]
    fn sentinels_are_asked_for_a_service_and_the_rest_of_the_url_is_about_the_primary() {
        let url = "rediss+sentinel://web:p%2Cw@a.example,b.example:7,[::1]:8/our%20sessions/3";
        let Ok(Address::Sentinel {
            sentinels,
            service,
            primary,
        }) = Address::read(url)
        else {
            panic!("not read");
        };
        assert_eq!(service, "our sessions");
        assert_eq!(
            places(&sentinels),
            ["a.example:26379", "b.example:7", "::1:8"]
        );
        let settings = primary.redis_settings();
        assert_eq!(
            (settings.username(), settings.password(), settings.db()),
            (Some("web"), Some("p,w"), 3)
        );
        for sentinel in &sentinels {
            assert_eq!(sentinel.redis_settings().password(), None);
            assert!(matches!(sentinel.addr(), ConnectionAddr::TcpTls { .. }));
        }
        for url in [
            "redis+sentinel://a,b",
            "redis+sentinel://a/",
            "redis+sentinel:///x",
        ] {
            assert!(
                matches!(Address::read(url), Err(RedisOpenError::Url)),
                "{url}"
            );
        }
    }

    #[test]
    fn every_node_of_a_cluster_takes_the_same_user() {
        let Ok(Address::Cluster(nodes)) = Address::read("redis+cluster://web:pw@a:7000,b,c:7002/0")
        else {
            panic!("not read");
        };
        assert_eq!(places(&nodes), ["a:7000", "b:6379", "c:7002"]);
        for node in &nodes {
            assert_eq!(node.redis_settings().password(), Some("pw"));
        }
        for url in [
            "redis+cluster://a,b/1",
            "redis+cluster://",
            "redis+cluster://a,,b",
            "http+cluster://a",
        ] {
            assert!(
                matches!(Address::read(url), Err(RedisOpenError::Url)),
                "{url}"
            );
        }
    }
}
