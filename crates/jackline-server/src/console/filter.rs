//! Which events somebody wants to see: of one kind, of one user, from one network.

use std::net::IpAddr;

use ipnet::IpNet;
use jackline::events::EventKind;
use serde::Deserialize;

use super::Happened;

/// What was asked for, as text. What is empty asks for nothing.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Asked {
    /// A kind of event, by its name.
    #[serde(default)]
    pub kind: String,
    /// A user, by id.
    #[serde(default)]
    pub user: String,
    /// An address, or a network in CIDR notation.
    #[serde(default)]
    pub network: String,
}

impl Asked {
    /// Where events of this kind are streamed after the one with this number.
    pub(crate) fn stream(&self, after: u64) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("kind", &self.kind)
            .append_pair("user", &self.user)
            .append_pair("network", &self.network)
            .append_pair("after", &after.to_string())
            .finish();
        format!("/admin/events/stream?{query}")
    }
}

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    kind: Option<EventKind>,
    user: Option<String>,
    network: Option<IpNet>,
}

/// What was asked for cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclear {
    /// There is no such kind of event.
    pub kind: bool,
    /// It is neither an address nor a network.
    pub network: bool,
}

impl Filter {
    /// What was asked for.
    ///
    /// # Errors
    /// [`Unclear`] says which part makes no sense.
    pub fn parse(asked: &Asked) -> Result<Self, Unclear> {
        let kind = match asked.kind.trim() {
            "" => Some(None),
            name => {
                let mut all = EventKind::ALL.iter().copied();
                all.find(|kind| kind.name() == name).map(Some)
            }
        };
        let network = match asked.network.trim() {
            "" => Some(None),
            text => {
                let address = text
                    .parse::<IpAddr>()
                    .map(|ip| IpNet::from(ip.to_canonical()));
                address.or_else(|_| text.parse::<IpNet>()).ok().map(Some)
            }
        };
        match (kind, network) {
            (Some(kind), Some(network)) => Ok(Self {
                kind,
                user: Some(asked.user.trim().to_owned()).filter(|user| !user.is_empty()),
                network: network.map(|network| network.trunc()),
            }),
            (kind, network) => Err(Unclear {
                kind: kind.is_none(),
                network: network.is_none(),
            }),
        }
    }

    /// Whether an event is one of those.
    pub(crate) fn passes(&self, event: &Happened) -> bool {
        let of_user = |user: &String| {
            event.user_id.as_ref() == Some(user) || event.target.as_ref() == Some(user)
        };
        self.kind.is_none_or(|kind| event.kind == kind)
            && self.user.as_ref().is_none_or(of_user)
            && self
                .network
                .is_none_or(|network| event.ip.is_some_and(|ip| network.contains(&ip)))
    }
}

#[cfg(test)]
mod tests {
    use jackline::lifecycle::UnixMs;

    use super::*;

    fn filter(kind: &str, user: &str, network: &str) -> Result<Filter, Unclear> {
        Filter::parse(&Asked {
            kind: kind.to_owned(),
            user: user.to_owned(),
            network: network.to_owned(),
        })
    }

    #[test]
    fn events_pass_by_kind_user_and_network() {
        let event = Happened {
            id: 1,
            at: UnixMs::from_millis(1),
            kind: EventKind::AdminAction,
            user_id: Some("user-root".to_owned()),
            target: Some("user-bob".to_owned()),
            ip: Some([192, 0, 2, 7].into()),
            session: None,
            reason: None,
            path: None,
            count: None,
        };
        for (kind, user, network) in [
            ("", "", ""),
            (" admin_action ", "", ""),
            ("", "user-root", ""),
            ("", " user-bob", ""),
            ("", "", "192.0.2.7"),
            ("", "", "::ffff:192.0.2.7"),
            ("", "", "192.0.2.0/24"),
            ("admin_action", "user-bob", "192.0.0.1/16"),
        ] {
            let passes = filter(kind, user, network).unwrap().passes(&event);
            assert!(passes, "{kind} {user} {network}");
        }
        for (kind, user, network) in [
            ("logout", "", ""),
            ("", "user-bo", ""),
            ("", "", "192.0.2.8"),
            ("", "", "2001:db8::/32"),
            ("admin_action", "user-bob", "198.51.100.0/24"),
        ] {
            let passes = filter(kind, user, network).unwrap().passes(&event);
            assert!(!passes, "{kind} {user} {network}");
        }
        let unclear = |kind, network| Err(Unclear { kind, network });
        assert_eq!(filter("login", "", ""), unclear(true, false));
        assert_eq!(filter("", "", "192.0.2"), unclear(false, true));
        assert_eq!(filter("x", "", "192.0.2.0/33"), unclear(true, true));
    }
}
