//! Where a session came from, coarsely: which browser family on which platform, and which large network. Enough to notice that a
//! session has moved to another machine, too little to notice a browser update or a walk between two cell towers, and harmless to
//! store. A change is a reason to ask for the password again, never to end a session: addresses and user agents change honestly, and a
//! thief can copy both.
//!
//! # Example
//!
//! ```
//! use http::HeaderMap;
//! use jackline::origin::Origin;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".parse()?);
//! let then = Origin::observe(&headers, Some("203.0.113.9".parse()?));
//! assert_eq!(then.agent.display_name(), "Firefox on Linux");
//!
//! // The browser was updated, and the provider gave out another address: the same origin.
//! headers.insert("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0".parse()?);
//! assert_eq!(then.differs(&Origin::observe(&headers, Some("203.0.7.7".parse()?))), None);
//!
//! headers.insert("user-agent", "curl/8.5.0".parse()?);
//! let change = then.differs(&Origin::observe(&headers, Some("198.51.100.1".parse()?))).ok_or("it moved")?;
//! assert!(change.agent && change.network);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Deployment
//!
//! Hand in the client's address as [`proxy`](crate::proxy) finds it; a load balancer's own address would make all networks one. A site
//! with both A and AAAA records sees some clients alternate between IPv4 and IPv6, which counts as a change of network, since nothing
//! ties the two together.
//!
//! Why a table of substrings and not a crate: those carry thousands of patterns to tell versions and models apart, and their data moves
//! with every release, which would make stored families change under a running session. Telling eight families apart takes a page.
//!
//! Source: OWASP Session Management Cheat Sheet, "Binding the Session ID to Other User Properties".

use std::{fmt, net::IpAddr, str::FromStr};

use http::{HeaderMap, header};
use ipnet::IpNet;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is remembered about the place a session was made at, or used from.
///
/// Stored as `{"agent":"firefox/linux","network":"203.0.0.0/16"}`. Strings which this version does not know are read, not refused, so that an
/// older server can run beside a newer one; they never count as a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Browser and platform.
    #[serde(default = "AgentFamily::unrecognised")]
    pub agent: AgentFamily,
    /// The network, if the address is known.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "network_if_known"
    )]
    pub network: Option<CoarseNetwork>,
}

impl Default for Origin {
    /// Nowhere in particular: differs from nothing.
    fn default() -> Self {
        Self {
            agent: AgentFamily::unrecognised(),
            network: None,
        }
    }
}

impl Origin {
    /// Looks at a request: its `User-Agent`, and the client's address.
    pub fn observe(headers: &HeaderMap, client: Option<IpAddr>) -> Self {
        let user_agent = headers
            .get(header::USER_AGENT)
            .map(|value| value.as_bytes());
        Self {
            agent: AgentFamily::from_user_agent(user_agent.unwrap_or_default()),
            network: client.map(CoarseNetwork::of),
        }
    }

    /// What has changed from here to `now`, or `None` if nothing has. An unknown network on either side is no change.
    pub fn differs(&self, now: &Self) -> Option<OriginChange> {
        let change = OriginChange {
            agent: self.agent.differs(now.agent),
            network: self
                .network
                .zip(now.network)
                .is_some_and(|(then, now)| then != now),
        };
        (change.agent || change.network).then_some(change)
    }
}

/// What differs between two origins. At least one member is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginChange {
    /// Another browser or platform.
    pub agent: bool,
    /// Another network.
    pub network: bool,
}

/// A browser family on a platform: what stays of a `User-Agent` when everything is taken away that changes by itself.
///
/// Written and stored as `firefox/linux`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AgentFamily {
    /// The browser's family.
    pub browser: Browser,
    /// What it runs on.
    pub platform: Platform,
}

impl AgentFamily {
    /// Reads a `User-Agent`. Only its first 512 bytes are looked at, and any bytes will do; an empty one is [`Browser::Other`].
    ///
    /// ```
    /// use jackline::origin::AgentFamily;
    ///
    /// let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0";
    /// assert_eq!(AgentFamily::from_user_agent(edge.as_bytes()).to_string(), "edge/windows");
    /// ```
    pub fn from_user_agent(user_agent: &[u8]) -> Self {
        let looked_at = &user_agent[..user_agent.len().min(MAX_USER_AGENT_BYTES)];
        // One pass, since every use of a session reads a user agent. Of both kinds the uppermost mark so far.
        let (mut browser, mut platform) = (BROWSER_MARKS.len(), PLATFORM_MARKS.len());
        for (at, opening) in looked_at.iter().enumerate() {
            let (browsers, platforms) = OPENINGS[usize::from(*opening)];
            if browsers | platforms != 0 {
                let rest = &looked_at[at..];
                browser = mark_at(rest, browsers, &BROWSER_MARKS[..browser]).unwrap_or(browser);
                platform =
                    mark_at(rest, platforms, &PLATFORM_MARKS[..platform]).unwrap_or(platform);
            }
        }
        let browser = BROWSER_MARKS.get(browser);
        let browser = browser.map_or(Browser::Other, |(_, browser)| *browser);
        let platform = PLATFORM_MARKS.get(platform);
        let platform = platform.map_or(Platform::Other, |(_, platform)| *platform);
        Self { browser, platform }
    }

    /// For people, in lists of devices: `Firefox on Linux`.
    pub fn display_name(self) -> String {
        match (self.browser.display_name(), self.platform.display_name()) {
            (Some(browser), Some(platform)) => format!("{browser} on {platform}"),
            (Some(browser), None) => browser.to_owned(),
            (None, Some(platform)) => format!("Unknown browser on {platform}"),
            (None, None) => "Unknown device".to_owned(),
        }
    }

    /// Symmetric, but not transitive: the unrecognised differs from nothing.
    fn differs(self, other: Self) -> bool {
        let browser = self.browser != other.browser
            && !matches!(
                (self.browser, other.browser),
                (Browser::Unrecognised, _) | (_, Browser::Unrecognised)
            );
        let platform = self.platform != other.platform
            && !matches!(
                (self.platform, other.platform),
                (Platform::Unrecognised, _)
                    | (_, Platform::Unrecognised)
                    // An iPad says Macintosh or iPad as its owner switches between desktop and mobile pages.
                    | (Platform::IPadOs, Platform::MacOs)
                    | (Platform::MacOs, Platform::IPadOs)
            );
        browser || platform
    }

    /// Reads what [`Display`](fmt::Display) writes. Names which this version does not know become `Unrecognised`.
    pub(crate) fn from_stored(text: &str) -> Self {
        let (browser, platform) = text.split_once('/').unwrap_or((text, ""));
        Self {
            browser: Browser::from_stored(browser),
            platform: Platform::from_stored(platform),
        }
    }

    const fn unrecognised() -> Self {
        Self {
            browser: Browser::Unrecognised,
            platform: Platform::Unrecognised,
        }
    }
}

impl fmt::Display for AgentFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.browser.as_str(), self.platform.as_str())
    }
}

impl Serialize for AgentFamily {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AgentFamily {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(Self::from_stored))
    }
}

/// Defines an enum of names: what it is called in storage and, unless it is nothing to show, before people.
macro_rules! families {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $stored:literal, $shown:expr;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// Stored by a version that knew more names than this one. Never made from a request.
            Unrecognised,
        }

        impl $name {
            /// The short, stable name under which it is stored.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $stored,)*
                    Self::Unrecognised => "unrecognised",
                }
            }

            const fn display_name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => $shown,)*
                    Self::Unrecognised => None,
                }
            }

            fn from_stored(name: &str) -> Self {
                match name {
                    $($stored => Self::$variant,)*
                    _ => Self::Unrecognised,
                }
            }
        }
    };
}

families! {
    /// A family of browsers. Those built on Chromium and not named here are [`Browser::Chrome`].
    Browser {
        /// Microsoft Edge.
        Edge = "edge", Some("Edge");
        /// Opera, under any of its names.
        Opera = "opera", Some("Opera");
        /// Samsung Internet.
        SamsungInternet = "samsung", Some("Samsung Internet");
        /// Firefox, also on iOS.
        Firefox = "firefox", Some("Firefox");
        /// Chrome, Chromium and their kin, also on iOS.
        Chrome = "chrome", Some("Chrome");
        /// Safari.
        Safari = "safari", Some("Safari");
        /// The command line.
        Curl = "curl", Some("curl");
        /// Anything else, or nothing at all.
        Other = "other", None;
    }
}

families! {
    /// What a browser runs on.
    Platform {
        /// Windows.
        Windows = "windows", Some("Windows");
        /// macOS; also an iPad that asks for desktop pages.
        MacOs = "macos", Some("macOS");
        /// iPhone and iPod.
        Ios = "ios", Some("iOS");
        /// An iPad that says so.
        IPadOs = "ipados", Some("iPadOS");
        /// Android.
        Android = "android", Some("Android");
        /// ChromeOS.
        ChromeOs = "chromeos", Some("ChromeOS");
        /// Linux, but neither Android nor ChromeOS.
        Linux = "linux", Some("Linux");
        /// Anything else, or nothing at all.
        Other = "other", None;
    }
}

/// The network an address belongs to, as large as a provider's: a /16 of IPv4, a /32 of IPv6 (what registries hand to providers).
///
/// ```
/// use jackline::origin::CoarseNetwork;
///
/// assert_eq!(CoarseNetwork::of("203.0.113.9".parse()?).to_string(), "203.0.0.0/16");
/// assert_eq!(CoarseNetwork::of("::ffff:203.0.113.9".parse()?).to_string(), "203.0.0.0/16");
/// assert_eq!(CoarseNetwork::of("2001:db8:1:2::3".parse()?).to_string(), "2001:db8::/32");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CoarseNetwork(
    /// Without host bits, and never an IPv4 network in IPv6 clothes.
    IpNet,
);

impl CoarseNetwork {
    /// The network of this address.
    pub fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let prefix_len = prefix_len_of(&address);
        // Both lengths are within their families' (16 of 32, 32 of 128), so the fall-back on the single address is never taken.
        Self(
            IpNet::new(address, prefix_len)
                .unwrap_or_else(|_| IpNet::from(address))
                .trunc(),
        )
    }
}

impl fmt::Display for CoarseNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads what [`Display`](fmt::Display) writes. A smaller network is widened; a larger one is an error, since it names none of ours.
impl FromStr for CoarseNetwork {
    type Err = CoarseNetworkError;

    fn from_str(text: &str) -> Result<Self, CoarseNetworkError> {
        // In two parts, since every use of a session reads one, and the parser of whole networks allocates.
        let (address, len) = text.split_once('/').ok_or(CoarseNetworkError)?;
        let address = address.parse().map_err(|_| CoarseNetworkError)?;
        let len = len.parse().map_err(|_| CoarseNetworkError)?;
        let network = IpNet::new(address, len).map_err(|_| CoarseNetworkError)?;
        match network.prefix_len() >= prefix_len_of(&network.addr()) {
            true => Ok(Self::of(network.addr())),
            false => Err(CoarseNetworkError),
        }
    }
}

/// Not a network of the size this module deals in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network such as 203.0.0.0/16 or 2001:db8::/32")]
pub struct CoarseNetworkError;

impl Serialize for CoarseNetwork {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn network_if_known<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<CoarseNetwork>, D::Error> {
    struct IfKnown(Option<CoarseNetwork>);

    impl<'de> Deserialize<'de> for IfKnown {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(Text(|text: &str| Self(text.parse().ok())))
        }
    }

    let network = Option::<IfKnown>::deserialize(deserializer)?;
    Ok(network.and_then(|IfKnown(network)| network))
}

/// Reads a string where it stands, by a function that takes any: every use of a session reads its origin.
struct Text<F>(F);

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

const fn prefix_len_of(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 16,
        IpAddr::V6(_) => 32,
    }
}

/// Real user agents are shorter; hostile ones are not worth reading.
const MAX_USER_AGENT_BYTES: usize = 512;

/// Searched from the top: browsers name those whom they want to be taken for, so the pretender stands above the original.
const BROWSER_MARKS: &[(&str, Browser)] = &[
    ("Edg/", Browser::Edge),
    ("EdgA/", Browser::Edge),
    ("EdgiOS/", Browser::Edge),
    ("Edge/", Browser::Edge),
    ("OPR/", Browser::Opera),
    ("OPT/", Browser::Opera),
    ("OPX/", Browser::Opera),
    ("OPiOS/", Browser::Opera),
    ("Opera", Browser::Opera),
    ("SamsungBrowser/", Browser::SamsungInternet),
    ("FxiOS/", Browser::Firefox),
    ("Firefox/", Browser::Firefox),
    ("CriOS/", Browser::Chrome),
    ("Chrome/", Browser::Chrome),
    ("Chromium/", Browser::Chrome),
    ("Safari/", Browser::Safari),
    ("curl/", Browser::Curl),
];

/// Searched from the top: Android also says Linux, ChromeOS also says X11, and an iPhone says "like Mac OS X".
const PLATFORM_MARKS: &[(&str, Platform)] = &[
    ("iPad", Platform::IPadOs),
    ("iPhone", Platform::Ios),
    ("iPod", Platform::Ios),
    ("Android", Platform::Android),
    ("CrOS", Platform::ChromeOs),
    ("Windows", Platform::Windows),
    ("Macintosh", Platform::MacOs),
    ("Linux", Platform::Linux),
];

/// For each byte the marks that it begins, of browsers and of platforms: a bit for each, the uppermost mark's the lowest. Most of a
/// user agent is passed by at a glance.
const OPENINGS: [(u32, u32); 256] = {
    let mut openings = [(0, 0); 256];
    let mut mark = 0;
    while mark < BROWSER_MARKS.len() {
        openings[BROWSER_MARKS[mark].0.as_bytes()[0] as usize].0 |= 1 << mark;
        mark += 1;
    }
    mark = 0;
    while mark < PLATFORM_MARKS.len() {
        openings[PLATFORM_MARKS[mark].0.as_bytes()[0] as usize].1 |= 1 << mark;
        mark += 1;
    }
    openings
};

/// Which of `marks` stands at the beginning of `text`: the uppermost. Looks at those in the `opened` set alone.
fn mark_at<T>(text: &[u8], mut opened: u32, marks: &[(&str, T)]) -> Option<usize> {
    while opened != 0 {
        let place = opened.trailing_zeros() as usize;
        let (mark, _) = marks.get(place)?;
        if text.starts_with(mark.as_bytes()) {
            return Some(place);
        }
        opened &= opened - 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn family(user_agent: &str) -> String {
        AgentFamily::from_user_agent(user_agent.as_bytes()).to_string()
    }

    fn origin(agent: &str, network: Option<&str>) -> Origin {
        let agent =
            serde_json::from_value(serde_json::Value::from(agent)).expect("any string will do");
        Origin {
            agent,
            network: network.map(|network| network.parse().expect("a network")),
        }
    }

    // Proves: A4
    #[test]
    fn browsers_of_the_day_are_told_apart() {
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let ios = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        let cases = [
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0"), "edge/windows"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} Chrome/143.0.0.0 Mobile Safari/537.36 EdgA/143.0.0.0"), "edge/android"),
            (format!("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {ios} Version/18.0 EdgiOS/143.0 Mobile/15E148 Safari/604.1"), "edge/ios"),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} Chrome/142.0.0.0 Safari/537.36 OPR/126.0.0.0"), "opera/linux"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {webkit} SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36"), "samsung/android"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".into(), "firefox/linux"),
            ("Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0".into(), "firefox/android"),
            (format!("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {ios} FxiOS/145.0 Mobile/15E148 Safari/605.1.15"), "firefox/ios"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0".into(), "firefox/macos"),
            (format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Chrome/143.0.0.0 Safari/537.36"), "chrome/macos"),
            (format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {webkit} Chrome/143.0.0.0 Safari/537.36"), "chrome/chromeos"),
            (format!("Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) {ios} CriOS/143.0.0.0 Mobile/15E148 Safari/604.1"), "chrome/ipados"),
            (format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {ios} Version/26.0 Safari/605.1.15"), "safari/macos"),
            (format!("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) {ios} Version/26.0 Mobile/15E148 Safari/604.1"), "safari/ios"),
            ("curl/8.5.0".into(), "curl/other"),
            ("python-requests/2.32".into(), "other/other"),
            (String::new(), "other/other"),
        ];
        for (user_agent, expected) in cases {
            assert_eq!(family(&user_agent), expected, "{user_agent}");
        }
    }

    // Proves: A4
    #[test]
    fn a_browser_update_is_no_change() {
        let version = |n: u32| {
            format!("Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0")
        };
        assert_eq!(family(&version(9)), family(&version(145)));
    }

    // Proves: A4
    #[test]
    fn a_change_says_what_changed() {
        let then = origin("firefox/linux", Some("203.0.0.0/16"));
        let cases = [
            (then, None),
            (
                origin("chrome/linux", Some("203.0.0.0/16")),
                Some((true, false)),
            ),
            (
                origin("firefox/windows", Some("203.0.0.0/16")),
                Some((true, false)),
            ),
            (
                origin("firefox/linux", Some("198.51.0.0/16")),
                Some((false, true)),
            ),
            (
                origin("firefox/linux", Some("2001:db8::/32")),
                Some((false, true)),
            ),
            (
                origin("curl/other", Some("198.51.0.0/16")),
                Some((true, true)),
            ),
            // Hiding one's user agent is a change; an address nobody knows is none.
            (
                origin("other/other", Some("203.0.0.0/16")),
                Some((true, false)),
            ),
            (origin("firefox/linux", None), None),
        ];
        for (now, expected) in cases {
            let expected = expected.map(|(agent, network)| OriginChange { agent, network });
            assert_eq!(then.differs(&now), expected, "{now:?}");
            assert_eq!(now.differs(&then), expected, "{now:?}");
        }
        let differs = |then, now| origin(then, None).differs(&origin(now, None)).is_some();
        assert!(!differs("safari/ipados", "safari/macos"));
        assert!(differs("safari/ios", "safari/macos"));
    }

    #[test]
    fn names_of_newer_versions_are_read_and_count_as_no_change() {
        let newer: Origin =
            serde_json::from_str(r#"{"agent":"ladybird/haiku","network":"vpn:17","tls":"ja4"}"#)
                .expect("unknown strings are read");
        assert_eq!(
            newer,
            Origin {
                agent: AgentFamily::unrecognised(),
                network: None
            }
        );
        assert_eq!(
            newer.differs(&origin("firefox/linux", Some("203.0.0.0/16"))),
            None
        );
        assert_eq!(
            origin("firefox/haiku", None).differs(&origin("firefox/linux", None)),
            None
        );
        assert!(
            origin("firefox/haiku", None)
                .differs(&origin("chrome/linux", None))
                .is_some()
        );
        for stored in [
            "{}",
            r#"{"agent":""}"#,
            r#"{"agent":"///","network":null}"#,
            r#"{"agent":"x","network":"203.0.0.0/8"}"#,
        ] {
            assert_eq!(serde_json::from_str::<Origin>(stored).expect(stored), newer);
        }
        assert_eq!(
            serde_json::from_str::<AgentFamily>("\"unrecognised/unrecognised\"").expect("itself"),
            AgentFamily::unrecognised()
        );
    }

    #[test]
    fn origins_are_stored_as_short_strings_and_come_back() {
        let here = origin("firefox/linux", Some("203.0.0.0/16"));
        let stored = serde_json::to_string(&here).expect("it serializes");
        assert_eq!(
            stored,
            r#"{"agent":"firefox/linux","network":"203.0.0.0/16"}"#
        );
        assert_eq!(
            serde_json::from_str::<Origin>(&stored).expect("it comes back"),
            here
        );
        assert_eq!(
            serde_json::to_string(&origin("curl/other", None)).expect("it serializes"),
            r#"{"agent":"curl/other"}"#
        );
    }

    #[test]
    fn people_are_shown_names_they_know() {
        let shown = |stored| origin(stored, None).agent.display_name();
        assert_eq!(shown("firefox/linux"), "Firefox on Linux");
        assert_eq!(shown("samsung/android"), "Samsung Internet on Android");
        assert_eq!(shown("safari/ipados"), "Safari on iPadOS");
        assert_eq!(shown("curl/other"), "curl");
        assert_eq!(shown("other/windows"), "Unknown browser on Windows");
        assert_eq!(shown("other/other"), "Unknown device");
        assert_eq!(shown("ladybird/haiku"), "Unknown device");
    }

    #[test]
    fn networks_are_coarse_and_folded() {
        let network = |text: &str| {
            text.parse::<CoarseNetwork>()
                .map(|network| network.to_string())
        };
        assert_eq!(network("203.0.113.9/32").as_deref(), Ok("203.0.0.0/16"));
        assert_eq!(
            network("::ffff:203.0.113.9/128").as_deref(),
            Ok("203.0.0.0/16")
        );
        assert_eq!(
            network("2001:db8:ffff::/48").as_deref(),
            Ok("2001:db8::/32")
        );
        for wrong in ["203.0.0.0/15", "2001:db8::/31", "203.0.113.9", "", "x"] {
            assert_eq!(network(wrong), Err(CoarseNetworkError), "{wrong}");
        }
    }

    // Proves: S76
    #[test]
    fn a_hostile_user_agent_is_harmless() {
        let mut huge = vec![b'x'; 4_000_000];
        huge.extend(b" Firefox/1");
        assert_eq!(
            AgentFamily::from_user_agent(&huge).to_string(),
            "other/other"
        );
        let crafted =
            AgentFamily::from_user_agent(b"curl/8\r\n\x1b[31m{\"event\":\"x\"}\xff\xfe Windows");
        assert_eq!(crafted.to_string(), "curl/windows");
        assert_eq!(crafted.display_name(), "curl on Windows");
    }

    proptest! {
        // Proves: A4
        #[test]
        fn a_mark_counts_wherever_it_stands_and_the_uppermost_wins(
            words in proptest::collection::vec((0..BROWSER_MARKS.len() + PLATFORM_MARKS.len(), "[ a-zA-Z/]{0,3}"), 0..6),
        ) {
            fn uppermost<T: Copy>(marks: &[(&str, T)], text: &str, none: T) -> T {
                let found = marks.iter().find(|(mark, _)| text.contains(mark));
                found.map_or(none, |(_, family)| *family)
            }
            let browsers = BROWSER_MARKS.iter().map(|(mark, _)| *mark);
            let marks: Vec<_> = browsers.chain(PLATFORM_MARKS.iter().map(|(mark, _)| *mark)).collect();
            let text: String = words.iter().map(|(mark, gap)| format!("{gap}{}", marks[*mark])).collect();
            let expected = AgentFamily {
                browser: uppermost(BROWSER_MARKS, &text, Browser::Other),
                platform: uppermost(PLATFORM_MARKS, &text, Platform::Other),
            };
            prop_assert_eq!(AgentFamily::from_user_agent(text.as_bytes()), expected);
        }

        #[test]
        fn any_bytes_give_a_family_that_survives_storage(bytes in prop::collection::vec(any::<u8>(), 0..700), address in any::<IpAddr>()) {
            let seen = Origin { agent: AgentFamily::from_user_agent(&bytes), network: Some(CoarseNetwork::of(address)) };
            let stored = serde_json::to_string(&seen).expect("it serializes");
            prop_assert_eq!(serde_json::from_str::<Origin>(&stored).expect("it comes back"), seen);
            prop_assert_eq!(seen.differs(&seen), None);
        }
    }
}
