//! The address of the server to look at, as somebody typed it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use url::{Host, Url};

use crate::config::Config;

/// An http or https address without user, password, query or fragment. Its path, if it has one, ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

/// Why an address will not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// It is something else.
    #[error(
        "write an address that starts with http:// or https://, such as https://app.example.com"
    )]
    NotHttp,
    /// It names a user.
    #[error(
        "leave the user and password out of the address: it stays in the shell's history; see --username"
    )]
    WithUser,
}

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let mut url = Url::parse(text).map_err(|_| BadTarget::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadTarget::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadTarget::WithUser);
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }
}

impl Target {
    /// The server with these settings, as this machine reaches it; `None` for a port that the system chooses.
    pub(super) fn of_server(config: &Config) -> Option<Self> {
        let scheme = match config.tls {
            Some(_) => "https",
            None => "http",
        };
        Self::of_listener(scheme, config.listen)
    }

    fn of_listener(scheme: &str, listen: SocketAddr) -> Option<Self> {
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, listen.port());
        let listens = listen.port() != 0;
        listens.then(|| format!("{scheme}://{address}").parse().ok())?
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it leads back to this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// Whether a server that listens at `listen` is the one that this leads to, as far as the address shows.
    pub(super) fn leads_to(&self, listen: SocketAddr) -> bool {
        self.is_loopback() && self.0.port_or_known_default() == Some(listen.port())
    }

    /// The host, as cookies compare it.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The origin, as a browser that saw it under `scheme` would send it.
    pub(super) fn origin(&self, scheme: &str) -> String {
        let mut url = self.0.clone();
        // Keeps a port only if it is not the scheme's own, as browsers do.
        let _ = url.set_scheme(scheme);
        url.origin().ascii_serialization()
    }

    /// Its own origin.
    pub(super) fn own_origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The address of one route.
    pub(super) fn route(&self, path: &str) -> String {
        format!("{}{}", self.0, path.trim_start_matches('/'))
    }

    /// The path that a route has there.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{}", self.0.path(), path.trim_start_matches('/'))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_http_and_holds_no_password() {
        for text in [
            "localhost:3000",
            "app.example.com",
            "ftp://a",
            "",
            "https://",
        ] {
            assert_eq!(text.parse::<Target>(), Err(BadTarget::NotHttp), "{text}");
        }
        for text in ["http://alice@app", "https://:p@app"] {
            assert_eq!(text.parse::<Target>(), Err(BadTarget::WithUser), "{text}");
        }
        assert_eq!(target("https://app/x?y#z").to_string(), "https://app/x");
    }

    #[test]
    fn routes_are_below_the_path() {
        assert_eq!(target("http://app").route("/views"), "http://app/views");
        assert_eq!(target("http://app/x").route("/views"), "http://app/x/views");
        assert_eq!(target("http://app/x").path("/views"), "/x/views");
    }

    #[test]
    fn a_listener_is_reached_from_its_own_machine() {
        for (listen, reached) in [
            ("0.0.0.0:3000", "http://127.0.0.1:3000"),
            ("[::]:3000", "http://[::1]:3000"),
            ("10.0.0.5:80", "http://10.0.0.5"),
        ] {
            let found = Target::of_listener("http", listen.parse().unwrap()).unwrap();
            assert_eq!(found.to_string(), reached);
        }
        assert!(Target::of_listener("https", "127.0.0.1:0".parse().unwrap()).is_none());
        assert!(target("http://localhost:3000").leads_to("127.0.0.1:3000".parse().unwrap()));
        assert!(!target("https://app").leads_to("127.0.0.1:443".parse().unwrap()));
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        assert_eq!(
            target("https://App.example:443/x").origin("https"),
            "https://app.example"
        );
        assert_eq!(
            target("http://localhost:3000").origin("https"),
            "https://localhost:3000"
        );
    }
}
