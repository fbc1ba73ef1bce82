//! Who stands before the server, and under which origins the world sees it. Without a certificate of its own the server speaks plain
//! http, so a `Secure` cookie needs a proxy that ends TLS, and that proxy must be named: only addresses listed here may say how a
//! request arrived.

use ipnet::IpNet;
use std::net::IpAddr;
use url::Url;

use super::cookie::CookieSettings;
use super::deployment::Deployment;
use super::names::Setting;
use super::source::Reader;

/// The way from a browser to this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    trusted_proxies: Vec<IpNet>,
    public_origins: Vec<PublicOrigin>,
}

impl Front {
    /// Networks whose `Forwarded` and `X-Forwarded-*` headers count. Default: none.
    pub fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// The origins that browsers see, when they cannot be told from the request. Default: none.
    pub fn public_origins(&self) -> &[PublicOrigin] {
        &self.public_origins
    }
}

/// An origin as browsers write it: scheme, host, and the port unless it is the scheme's own. `https://app.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicOrigin(String);

impl PublicOrigin {
    /// The origin as a browser sends it in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const HOW_TO_GET_HTTPS: &str = "put a proxy that serves https in front, have it send X-Forwarded-Proto, and list its address: \
     JACKLINE_TRUSTED_PROXIES=127.0.0.1/32 if it runs on this machine; or name a certificate in JACKLINE_TLS_CERT_FILE and its key in \
     JACKLINE_TLS_KEY_FILE, and nothing need stand in front";

/// Reads `JACKLINE_TRUSTED_PROXIES` and `JACKLINE_PUBLIC_ORIGIN`. With `own_tls` nobody has to stand in front.
pub(crate) fn read(
    reader: &mut Reader,
    deployment: Deployment,
    cookie: &CookieSettings,
    own_tls: bool,
) -> Front {
    let texts: Vec<String> = owned(reader.list(Setting::TRUSTED_PROXIES));
    let trusted_proxies = texts
        .iter()
        .filter_map(|text| read_network(reader, text, deployment))
        .collect();
    if texts.is_empty() && !own_tls {
        refuse_secure_without_proxy(reader, deployment, cookie);
    }

    let texts: Vec<String> = owned(reader.list(Setting::PUBLIC_ORIGIN));
    let public_origins = texts
        .iter()
        .filter_map(|text| read_origin(reader, text, deployment))
        .collect();
    Front {
        trusted_proxies,
        public_origins,
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn refuse_secure_without_proxy(
    reader: &mut Reader,
    deployment: Deployment,
    cookie: &CookieSettings,
) {
    match deployment {
        Deployment::Production => reader.report(
            Setting::TRUSTED_PROXIES,
            "no proxy is named, in production, and no certificate",
            "jackline speaks plain http then, so every request would look insecure, and browsers send the Secure cookie over https only: \
             nobody could log in (P4)",
            HOW_TO_GET_HTTPS,
        ),
        Deployment::Development if cookie.secure() => reader.report(
            Setting::COOKIE_SECURE,
            "it is `true`, and JACKLINE_TRUSTED_PROXIES names no proxy, nor JACKLINE_TLS_CERT_FILE a certificate",
            "jackline speaks plain http then, over which browsers do not send a Secure cookie: every request would look logged out (P3)",
            format!("leave it out in development; or {HOW_TO_GET_HTTPS}"),
        ),
        Deployment::Development => {}
    }
}

fn read_network(reader: &mut Reader, text: &str, deployment: Deployment) -> Option<IpNet> {
    let parsed = text
        .parse::<IpNet>()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(network) = parsed else {
        let what = format!("{} is not an address or network", reader.quote(text));
        reader.report(
            Setting::TRUSTED_PROXIES,
            what,
            "whose headers to believe must not be guessed",
            "write addresses or CIDR networks, separated by commas: 127.0.0.1/32, 10.0.0.0/8, ::1/128",
        );
        return None;
    };
    if network.trunc() != network {
        reader.report(
            Setting::TRUSTED_PROXIES,
            format!("{network} is neither one address nor a whole network"),
            "it trusts more addresses than it seems to",
            format!(
                "write {} for the network, or {} for the one address",
                network.trunc(),
                IpNet::from(network.addr())
            ),
        );
        return None;
    }
    if let IpAddr::V6(address) = network.addr()
        && let Some(mapped) = address.to_ipv4_mapped()
    {
        reader.report(
            Setting::TRUSTED_PROXIES,
            format!("{network} is IPv4 in IPv6's clothes"),
            "it may or may not match, depending on how the proxy connects",
            format!(
                "write it as IPv4: {mapped}/{}",
                network.prefix_len().saturating_sub(96)
            ),
        );
        return None;
    }
    // The widest private networks are 10.0.0.0/8 and fc00::/7. Anything wider is the internet, also in two halves.
    let narrowest = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 7,
    };
    if deployment.is_production() && network.prefix_len() < narrowest {
        reader.report(
            Setting::TRUSTED_PROXIES,
            format!("{network} is most of the internet"),
            "anyone could claim any address and any scheme, and pass for https or for somebody else",
            "list the addresses of your own proxies only",
        );
        return None;
    }
    Some(network)
}

fn read_origin(reader: &mut Reader, text: &str, deployment: Deployment) -> Option<PublicOrigin> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some());
    let origin = url.map(|url| url.origin().ascii_serialization());
    let (what, fix) = match origin {
        Some(origin) if origin == text => {
            if deployment.is_production() && text.starts_with("http:") {
                let what = format!("{} is plain http, in production", reader.quote(text));
                reader.report(
                    Setting::PUBLIC_ORIGIN,
                    what,
                    "a session over plain http is anyone's who is on the way",
                    "write the https origin",
                );
                return None;
            }
            return Some(PublicOrigin(origin));
        }
        // A URL with more than an origin in it can hold a password: only its origin is shown.
        Some(origin) => (
            "a value is more than an origin".to_owned(),
            format!("write {}", reader.quote(&origin)),
        ),
        None => (
            format!("{} is not an origin", reader.quote(text)),
            "write scheme, host and port only, such as https://app.example.com".to_owned(),
        ),
    };
    reader.report(
        Setting::PUBLIC_ORIGIN,
        what,
        "it is compared with what browsers send, letter by letter; anything else never matches",
        fix,
    );
    None
}
