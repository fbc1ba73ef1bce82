//! Who is at the other end, when proxies stand between: the client's address, its scheme and the host it asked for. Forwarded headers
//! are believed only from peers inside the configured networks, and only what such a peer itself can have written. Whatever a
//! stranger sends, the answer is at worst the stranger's own address, and finding it takes bounded work.
//!
//! The rules:
//!
//! 1. From a peer outside the networks all `X-Forwarded-*` headers are ignored.
//! 2. `X-Forwarded-For` is read from the right, over all its lines, since each proxy appends the address it saw. Trusted addresses are
//!    skipped; the first other one is the client. Nothing to the left of that is looked at: the client wrote it.
//! 3. An entry that is no address (`unknown`, an empty one, garbage) ends the walk at the last good address, and so do 32 hops.
//! 4. Of `X-Forwarded-Proto` and `X-Forwarded-Host` the rightmost value counts, on the last line: the only one which the peer itself wrote.
//! 5. IPv4 addresses written as IPv6 (`::ffff:192.0.2.1`) are IPv4, in headers, peers and networks.
//!
//! Why rule 4 does not count hops as rule 2 does: in a list such as `https, http` the left value was written by the outer proxy if
//! that one overwrites the header, and by the client if it merely passes it on, and the list does not tell which. The rightmost value
//! can be wrong only towards `http`, which fails closed (no cookie is set, rather than a cookie sent in the clear).
//!
//! `Forwarded` (RFC 7239) and `X-Forwarded-Port` are not read: a proxy that does not know a header passes a client's on.
//!
//! # Example
//!
//! ```
//! use http::HeaderMap;
//! use jackline::proxy::{Scheme, TrustedProxies};
//!
//! let proxies: TrustedProxies = "10.0.0.0/8, fd00::/8".parse()?;
//! let mut headers = HeaderMap::new();
//! headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2".parse()?);
//! headers.insert("x-forwarded-proto", "https".parse()?);
//!
//! let client = proxies.resolve("10.0.0.1".parse()?, Scheme::Http, &headers);
//! assert_eq!(client.ip.to_string(), "203.0.113.9");
//! assert_eq!(client.scheme, Scheme::Https);
//!
//! // A stranger who sends the same headers has gained nothing.
//! let client = proxies.resolve("198.51.100.7".parse()?, Scheme::Http, &headers);
//! assert_eq!(client.ip.to_string(), "198.51.100.7");
//! assert_eq!(client.scheme, Scheme::Http);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Deployment
//!
//! List the addresses from which proxies connect, and every proxy of a chain. The outermost must *set* `X-Forwarded-Proto` and
//! `X-Forwarded-Host` (nginx: `proxy_set_header X-Forwarded-Proto $scheme`, `proxy_set_header X-Forwarded-Host $http_host`; `$host` would
//! lose the port) and the inner ones pass them on. A network that also holds clients lets those clients choose their address.
//! Without the list, everybody behind the proxy shares its address and `Secure` cookies are not set.
//!
//! Sources: OWASP CSRF Prevention Cheat Sheet ("Identifying the target origin"), MDN `X-Forwarded-For` ("Selecting an IP address"),
//! RFC 7239 §8, RFC 9112 §3.2.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use http::{HeaderMap, HeaderValue, Uri, header};
use ipnet::{IpNet, Ipv4Net};

/// The scheme by which a client talks to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that goes without saying: 80 or 443.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Whether it is [`Scheme::Https`].
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Https)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who sent a request, as far as it can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The client's address; the nearest address we can vouch for where the client's own is unknown. Never an IPv4 address in IPv6 clothes.
    pub ip: IpAddr,
    /// How the client talks to us, or to the proxy in front of us.
    pub scheme: Scheme,
    /// The host, with a port if one was named, that the client asked for. Its characters are those of a host; its case is the
    /// client's. `None` if it was not said, said twice, or malformed.
    pub host: Option<String>,
}

/// The networks from which forwarded headers are believed. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Without host bits, and IPv4 wherever it can be written so. None is the whole of an address family.
    networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Nobody's forwarded headers are believed.
    pub const fn none() -> Self {
        Self {
            networks: Vec::new(),
        }
    }

    /// Believes peers inside these networks.
    ///
    /// # Errors
    ///
    /// [`TrustedProxiesError::Everyone`] for `0.0.0.0/0` or `::/0`: then every client could choose its own address.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Result<Self, TrustedProxiesError> {
        let checked = networks
            .into_iter()
            .enumerate()
            .map(|(index, network)| checked(index + 1, network));
        Ok(Self {
            networks: checked.collect::<Result<_, _>>()?,
        })
    }

    /// Believes peers inside these networks, each written as in `10.0.0.0/8`, or as a single address.
    ///
    /// ```
    /// use jackline::proxy::TrustedProxies;
    ///
    /// let proxies = TrustedProxies::parse(["10.0.0.0/8", "fd00::/8", "192.0.2.7"])?;
    /// assert!(proxies.trusts("10.1.2.3".parse()?));
    /// assert!(!proxies.trusts("192.0.2.8".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrustedProxiesError`], for the first entry that is no network, or is all of them.
    pub fn parse<S: AsRef<str>>(
        entries: impl IntoIterator<Item = S>,
    ) -> Result<Self, TrustedProxiesError> {
        let parsed = entries.into_iter().enumerate().map(|(index, entry)| {
            let (entry, position) = (entry.as_ref().trim(), index + 1);
            let network = entry
                .parse::<IpNet>()
                .or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            checked(
                position,
                network.map_err(|_| TrustedProxiesError::NotANetwork { position })?,
            )
        });
        Ok(Self {
            networks: parsed.collect::<Result<_, _>>()?,
        })
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether forwarded headers of this peer are believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// Finds out who sent a request. `peer` is the other end of the connection and `connection` its scheme.
    ///
    /// Total: no header makes it fail. The host is that of `X-Forwarded-Host` from a trusted peer, else of `Host`; with HTTP/2, where
    /// there may be no `Host`, use [`resolve_request`](Self::resolve_request).
    pub fn resolve(&self, peer: IpAddr, connection: Scheme, headers: &HeaderMap) -> Client {
        self.resolve_request(peer, connection, &Uri::default(), headers)
    }

    /// Like [`resolve`](Self::resolve), but prefers the authority in the request's target to `Host`. HTTP/2 has it in `:authority`, and an
    /// absolute target overrides the header (RFC 9112 §3.2.2).
    pub fn resolve_request(
        &self,
        peer: IpAddr,
        connection: Scheme,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Client {
        let (ip, scheme) = self.resolve_address(peer, connection, headers);
        let asked_for = || match target.authority() {
            Some(authority) => acceptable_host(authority.as_str().as_bytes()),
            None => only(headers, header::HOST).and_then(|host| acceptable_host(host.as_bytes())),
        };
        let forwarded = || rightmost(headers, X_FORWARDED_HOST);
        let host = match self.trusts(peer).then(forwarded).flatten() {
            // One that is malformed must not fall back on the inner one, which may be an unsuspecting `localhost`.
            Some(forwarded) => acceptable_host(forwarded),
            None => asked_for(),
        };
        Client { ip, scheme, host }
    }

    /// Address and scheme alone: what [`resolve_request`](Self::resolve_request) says of them, without a look at the host.
    pub(crate) fn resolve_address(
        &self,
        peer: IpAddr,
        connection: Scheme,
        headers: &HeaderMap,
    ) -> (IpAddr, Scheme) {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return (peer, connection);
        }
        let scheme = rightmost(headers, X_FORWARDED_PROTO).map_or(connection, forwarded_scheme);
        (self.walk(peer, headers), scheme)
    }

    /// From the trusted peer towards the client, as far as trust and the header reach.
    fn walk(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut nearest = peer;
        for hop in hops.take(MAX_HOPS) {
            let Some(address) = hop_address(hop) else {
                break;
            };
            nearest = address;
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

/// A comma-separated list, as in an environment variable. Blank means nobody.
impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    fn from_str(list: &str) -> Result<Self, TrustedProxiesError> {
        match list.trim() {
            "" => Ok(Self::none()),
            list => Self::parse(list.split(',')),
        }
    }
}

/// Why a list of trusted proxies was refused. Entries are named by their position (from 1), not quoted: a secret pasted into the wrong
/// variable must not be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedProxiesError {
    /// Neither an address nor a network.
    #[error("trusted proxy {position} is not a network such as 10.0.0.0/8 or an address")]
    NotANetwork {
        /// Which entry, counted from 1.
        position: usize,
    },
    /// A network that holds every address.
    #[error(
        "trusted proxy {position} is the whole internet: name the networks from which your proxies connect"
    )]
    Everyone {
        /// Which entry, counted from 1.
        position: usize,
    },
}

fn checked(position: usize, network: IpNet) -> Result<IpNet, TrustedProxiesError> {
    let network = match network {
        IpNet::V6(v6) => match (v6.prefix_len().checked_sub(96), v6.addr().to_ipv4_mapped()) {
            (Some(prefix_len), Some(addr)) => {
                Ipv4Net::new(addr, prefix_len).map_or(network, IpNet::V4)
            }
            _ => network,
        },
        IpNet::V4(_) => network,
    };
    match network.prefix_len() {
        0 => Err(TrustedProxiesError::Everyone { position }),
        _ => Ok(network.trunc()),
    }
}

/// An address, as proxies write it: bare, with a port, or in brackets with or without a port.
fn hop_address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let address = match entry.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']')?;
            if !(rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)) {
                return None;
            }
            IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
        }
        None => match entry.split_once(':') {
            // One colon: an IPv4 address and a port. More: an IPv6 address.
            Some((address, port)) if !port.contains(':') => {
                IpAddr::V4(is_port(port).then_some(address)?.parse().ok()?)
            }
            _ => entry.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    // Checked digit by digit, since `u16::from_str` also takes a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// What the nearest proxy wrote: the last value on the last line.
fn rightmost<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<&'a [u8]> {
    let line = headers.get_all(name).iter().next_back()?;
    line.as_bytes()
        .rsplit(|byte| *byte == b',')
        .next()
        .map(<[u8]>::trim_ascii)
}

/// Anything but `https` is taken for the worse.
fn forwarded_scheme(value: &[u8]) -> Scheme {
    match value.eq_ignore_ascii_case(b"https") {
        true => Scheme::Https,
        false => Scheme::Http,
    }
}

fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

fn acceptable_host(host: &[u8]) -> Option<String> {
    let acceptable = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    if host.is_empty() || host.len() > MAX_HOST_BYTES || !host.iter().all(acceptable) {
        return None;
    }
    String::from_utf8(host.to_vec()).ok()
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Chains of more than a handful of proxies do not occur; headers of thousands of commas do.
const MAX_HOPS: usize = 32;

/// A DNS name of 253 octets, a dot, a colon and a port.
const MAX_HOST_BYTES: usize = 260;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    HeaderValue::from_bytes(value).expect("a value"),
                )
            })
            .collect()
    }

    fn resolve(peer: &str, lines: &[(&'static str, &[u8])]) -> Client {
        let proxies: TrustedProxies = "10.0.0.0/8, 2001:db8:ff::/48".parse().expect("networks");
        proxies.resolve(ip(peer), Scheme::Http, &headers(lines))
    }

    // Proves: S54, P4, D4
    #[test]
    fn the_first_untrusted_address_from_the_right_is_the_client() {
        let cases: &[(&[&[u8]], &str)] = &[
            (&[], PEER),
            (&[b"203.0.113.9"], "203.0.113.9"),
            (&[b"6.6.6.6, 203.0.113.9"], "203.0.113.9"),
            (&[b"6.6.6.6,203.0.113.9 ,\t10.0.0.3"], "203.0.113.9"),
            (
                &[b"10.9.9.9, 203.0.113.9, 10.0.0.3, 10.0.0.2"],
                "203.0.113.9",
            ),
            // Over several lines, the last nearest to us.
            (
                &[b"6.6.6.6, 203.0.113.9", b"10.0.0.3", b"10.0.0.2"],
                "203.0.113.9",
            ),
            // All trusted: the outermost of them.
            (&[b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            // Ports and brackets.
            (&[b"203.0.113.9:5"], "203.0.113.9"),
            (&[b"2001:db8::9"], "2001:db8::9"),
            (&[b"[2001:db8::9]"], "2001:db8::9"),
            (&[b"[2001:db8::9]:65535, 10.0.0.2:1"], "2001:db8::9"),
            (
                &[b"203.0.113.9, 2001:db8:ff::1, [2001:db8:ff::2]:443"],
                "203.0.113.9",
            ),
            // IPv4 in IPv6 clothes, trusted or not.
            (
                &[b"::ffff:203.0.113.9, ::ffff:10.0.0.2, [::ffff:10.0.0.3]:80"],
                "203.0.113.9",
            ),
        ];
        for (lines, expected) in cases {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| ("x-forwarded-for", *line))
                .collect();
            assert_eq!(resolve(PEER, &lines).ip, ip(expected), "{lines:?}");
        }
    }

    // Proves: S54
    #[test]
    fn a_malformed_entry_ends_the_walk_at_the_last_good_address() {
        let malformed: &[&[u8]] = &[
            b"",
            b"unknown",
            b"_hidden",
            b"203.0.113.9:",
            b"203.0.113.9:65536",
            b"203.0.113.9:+5",
            b"203.0.113.9:5:5",
            b"203.0.113",
            b"203.0.113.09",
            b"[203.0.113.9]",
            b"[2001:db8::9",
            b"2001:db8::9]",
            b"[2001:db8::9]:",
            b"[2001:db8::9]x",
            b"[fe80::1%1]",
            b"\"203.0.113.9\"",
            b"203.0.113.9 203.0.113.8",
            b"\xff\xfe",
        ];
        for entry in malformed {
            let line = [b"203.0.113.7, ".as_slice(), entry, b", 10.0.0.2"].concat();
            assert_eq!(
                resolve(PEER, &[("x-forwarded-for", &line)]).ip,
                ip("10.0.0.2"),
                "{}",
                entry.escape_ascii()
            );
            assert_eq!(
                resolve(PEER, &[("x-forwarded-for", entry)]).ip,
                ip(PEER),
                "{}",
                entry.escape_ascii()
            );
        }
    }

    #[test]
    fn the_walk_ends_after_32_hops() {
        let mut line = b"203.0.113.9".to_vec();
        for hop in (1..=32).rev() {
            line.extend(format!(", 10.0.1.{hop}").bytes());
        }
        assert_eq!(
            resolve(PEER, &[("x-forwarded-for", &line)]).ip,
            ip("10.0.1.32")
        );
        let commas = vec![b','; 1_000_000];
        assert_eq!(resolve(PEER, &[("x-forwarded-for", &commas)]).ip, ip(PEER));
    }

    // Proves: S54, T4.4
    #[test]
    fn from_an_untrusted_peer_every_forwarded_header_is_ignored() {
        let lines: &[(&str, &[u8])] = &[
            ("x-forwarded-for", b"10.0.0.1"),
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-host", b"evil.example"),
            ("host", b"app.example:8080"),
        ];
        for peer in ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1"] {
            let client = resolve(peer, lines);
            assert_eq!(
                client,
                Client {
                    ip: ip(peer).to_canonical(),
                    scheme: Scheme::Http,
                    host: Some("app.example:8080".into())
                }
            );
        }
        let client = TrustedProxies::none().resolve(ip("127.0.0.1"), Scheme::Http, &headers(lines));
        assert_eq!(client.ip, ip("127.0.0.1"));
    }

    // Proves: S54, T4.4
    #[test]
    fn only_what_the_peer_itself_wrote_decides_scheme_and_host() {
        let scheme = |lines: &[&[u8]]| {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| ("x-forwarded-proto", *line))
                .collect();
            resolve("::ffff:10.0.0.1", &lines).scheme
        };
        assert_eq!(scheme(&[]), Scheme::Http);
        assert_eq!(scheme(&[b"https"]), Scheme::Https);
        assert_eq!(scheme(&[b"HTTPS"]), Scheme::Https);
        assert_eq!(scheme(&[b"http, https"]), Scheme::Https);
        assert_eq!(scheme(&[b"https, http"]), Scheme::Http);
        assert_eq!(scheme(&[b"https", b"http"]), Scheme::Http);
        assert_eq!(scheme(&[b"https,"]), Scheme::Http);
        assert_eq!(scheme(&[b"wss"]), Scheme::Http);

        let host = |value: &'static [u8]| {
            resolve(
                PEER,
                &[("host", b"inner:3000"), ("x-forwarded-host", value)],
            )
            .host
        };
        assert_eq!(host(b"app.example").as_deref(), Some("app.example"));
        assert_eq!(
            host(b"evil.example, app.example:8443").as_deref(),
            Some("app.example:8443")
        );
        assert_eq!(
            host(b"[2001:db8::1]:8443").as_deref(),
            Some("[2001:db8::1]:8443")
        );
        for malformed in [
            b"".as_slice(),
            b"app.example,",
            b"a b",
            b"user@app.example",
            b"app.example/x",
            b"\xfcber.example",
        ] {
            assert_eq!(host(malformed), None, "{}", malformed.escape_ascii());
        }
        assert_eq!(
            resolve(PEER, &[("host", b"inner:3000")]).host.as_deref(),
            Some("inner:3000")
        );
    }

    #[test]
    fn a_garbled_scheme_from_a_trusted_peer_is_taken_for_the_worse() {
        let proxies: TrustedProxies = "10.0.0.0/8".parse().expect("a network");
        let over_tls = |lines: &[(&'static str, &[u8])]| {
            proxies
                .resolve(ip(PEER), Scheme::Https, &headers(lines))
                .scheme
        };
        assert_eq!(over_tls(&[]), Scheme::Https);
        assert_eq!(over_tls(&[("x-forwarded-proto", b"")]), Scheme::Http);
        assert_eq!(over_tls(&[("x-forwarded-proto", b"http")]), Scheme::Http);
    }

    #[test]
    fn the_target_comes_before_host_and_two_hosts_are_none() {
        let host = |target: &'static str, lines: &[(&'static str, &[u8])]| {
            TrustedProxies::none()
                .resolve_request(
                    ip(PEER),
                    Scheme::Http,
                    &Uri::from_static(target),
                    &headers(lines),
                )
                .host
        };
        assert_eq!(
            host("http://a.example:81/x", &[("host", b"b.example")]).as_deref(),
            Some("a.example:81")
        );
        assert_eq!(
            host("http://user@a.example/", &[("host", b"b.example")]),
            None
        );
        assert_eq!(
            host("/x", &[("host", b"b.example")]).as_deref(),
            Some("b.example")
        );
        assert_eq!(
            host("/x", &[("host", b"b.example"), ("host", b"b.example")]),
            None
        );
        assert_eq!(host("/x", &[]), None);
    }

    #[test]
    fn networks_are_read_in_every_spelling() {
        let proxies: TrustedProxies = " 10.1.2.3/8,192.0.2.7 ,::ffff:172.16.0.0/108, fd00::1/8,::1"
            .parse()
            .expect("networks");
        for inside in [
            "10.255.0.1",
            "::ffff:10.0.0.1",
            "192.0.2.7",
            "172.16.9.9",
            "172.31.9.9",
            "fdff::1",
            "::1",
        ] {
            assert!(proxies.trusts(ip(inside)), "{inside}");
        }
        for outside in [
            "11.0.0.1",
            "192.0.2.8",
            "172.32.0.1",
            "fc00::1",
            "::2",
            "::10.0.0.1",
        ] {
            assert!(!proxies.trusts(ip(outside)), "{outside}");
        }
        assert!("  ".parse::<TrustedProxies>().expect("nobody").is_empty());
    }

    // Proves: J11
    #[test]
    fn lists_that_cannot_be_meant_are_refused_without_being_quoted() {
        use TrustedProxiesError::{Everyone, NotANetwork};
        let cases = [
            ("10.0.0.0/33", NotANetwork { position: 1 }),
            ("10.0.0.0/8,,::1", NotANetwork { position: 2 }),
            ("10.0.0.1,hunter2", NotANetwork { position: 2 }),
            ("true", NotANetwork { position: 1 }),
            ("0.0.0.0/0", Everyone { position: 1 }),
            ("::1,::/0", Everyone { position: 2 }),
            ("::ffff:0:0/96", Everyone { position: 1 }),
        ];
        for (list, expected) in cases {
            let error = list.parse::<TrustedProxies>().expect_err(list);
            assert_eq!(error, expected, "{list}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(
            TrustedProxies::new(["0.0.0.0/0".parse().expect("a network")]),
            Err(Everyone { position: 1 })
        );
    }

    proptest! {
        // Proves: S54
        #[test]
        fn whatever_is_forwarded_a_stranger_remains_who_they_are(lines in prop::collection::vec("[ -~]{0,40}", 0..4), last in any::<u8>()) {
            let peer = IpAddr::from([203, 0, 113, last]);
            let mut map = HeaderMap::new();
            for line in &lines {
                for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST] {
                    map.append(name, line.parse().expect("printable"));
                }
            }
            let proxies: TrustedProxies = "10.0.0.0/8".parse().expect("a network");
            prop_assert_eq!(proxies.resolve(peer, Scheme::Http, &map), Client { ip: peer, scheme: Scheme::Http, host: None });
        }

        // Proves: S54
        #[test]
        fn nothing_left_of_the_client_counts(prefix in "[ -~]{0,60}") {
            let line = format!("{prefix}, 203.0.113.9, 10.0.0.2");
            prop_assert_eq!(resolve(PEER, &[("x-forwarded-for", line.as_bytes())]).ip, ip("203.0.113.9"));
        }
    }
}
