//! Metadata as text. What every session has is read by its place, since every use of a session reads it; what few have stands by
//! its name in a JSON object at the end, to which a later version may add.
//!
//! ```text
//! <created> <started> <authenticated> <agent> <network> <bytes of the owner> <of the name> <of the role> <owner><name><role><object>
//! 1700000000000 1700000000000 1700000000000 firefox/linux 203.0.0.0/16 9 4 4 user-1001Zoëuser{}
//! 1700000000000 1700000000000 - other/other - 0 0 0 {"step_up_due":true}
//! ```
//!
//! In nobody's session the owner has no bytes. So it is where a name or a role holds control characters, which PostgreSQL does not take
//! in every text: then the identity stands in the object. Records that are older than this form have the whole of [`Meta`] as a JSON
//! object, which is still read.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lifecycle::{AwaitedLogin, Identity, Meta, OwnerId, Role, UnixMs};
use crate::origin::{AgentFamily, Origin};
use crate::token::{Bucket, SessionKey};

/// Writes metadata.
pub(crate) fn encode(meta: &Meta) -> String {
    let (owner, name, role) = match meta.identity.as_deref() {
        Some(identity) if is_plain(identity) => {
            let Identity { id, name, role } = identity;
            (id.as_str(), name.as_str(), role.as_str())
        }
        _ => ("", "", ""),
    };
    let or_dash = |place: Option<String>| place.unwrap_or_else(|| "-".to_owned());
    format!(
        "{} {} {} {} {} {} {} {} {owner}{name}{role}{}",
        meta.created.as_millis(),
        meta.started.as_millis(),
        or_dash(meta.authenticated.map(|at| at.as_millis().to_string())),
        meta.origin.agent,
        or_dash(meta.origin.network.map(|network| network.to_string())),
        owner.len(),
        name.len(),
        role.len(),
        Seldom::of(meta).encode(),
    )
}

/// Reads metadata; `None` if it is not readable.
pub(super) fn decode(text: &str) -> Option<Meta> {
    if text.starts_with('{') {
        return serde_json::from_str(text).ok();
    }
    let mut places = Places(text);
    let created = UnixMs::from_millis(places.number()?);
    let started = UnixMs::from_millis(places.number()?);
    let authenticated = match places.next()? {
        "-" => None,
        at => Some(UnixMs::from_millis(at.parse().ok()?)),
    };
    let origin = Origin {
        agent: AgentFamily::from_stored(places.next()?),
        // Of a version that knows other networks, if it is not readable: it differs from nothing.
        network: places.next()?.parse().ok(),
    };
    let plain = match (places.number()?, places.number()?, places.number()?) {
        (0, 0, 0) => None,
        (owner, name, role) => Some(Arc::new(Identity {
            id: OwnerId::new(places.bytes(owner)?).ok()?,
            name: places.bytes(name)?.to_owned(),
            role: Role::new(places.bytes(role)?),
        })),
    };
    let Seldom {
        identity,
        step_up_due,
        awaits,
        stands_in_for,
        lies_in,
    } = Seldom::decode(places.0)?;
    Some(Meta {
        identity: plain.or(identity),
        created,
        started,
        authenticated,
        origin,
        step_up_due,
        awaits,
        stands_in_for,
        lies_in,
    })
}

/// Whether it can stand as it is in any store's text.
fn is_plain(identity: &Identity) -> bool {
    let Identity { id: _, name, role } = identity;
    !name
        .chars()
        .chain(role.as_str().chars())
        .any(char::is_control)
}

/// What is left to read.
struct Places<'a>(&'a str);

impl<'a> Places<'a> {
    /// What stands before the next blank.
    fn next(&mut self) -> Option<&'a str> {
        // Not `split_once`: places are too short for its search to be worth its preparation.
        let end = self.0.bytes().position(|byte| byte == b' ')?;
        let (next, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        Some(next)
    }

    fn number<T: FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn bytes(&mut self, len: usize) -> Option<&'a str> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// What few sessions have.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Seldom {
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<Arc<Identity>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    step_up_due: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<AwaitedLogin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stands_in_for: Option<Box<SessionKey>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lies_in: Option<Bucket>,
}

impl Seldom {
    fn of(meta: &Meta) -> Self {
        let identity = meta.identity.as_ref();
        Self {
            identity: identity.filter(|identity| !is_plain(identity)).cloned(),
            step_up_due: meta.step_up_due,
            awaits: meta.awaits.clone(),
            stands_in_for: meta.stands_in_for.clone(),
            lies_in: meta.lies_in,
        }
    }

    fn encode(&self) -> String {
        serde_json::to_string(self).expect("flags, numbers and texts always serialise")
    }

    fn decode(text: &str) -> Option<Self> {
        match text {
            // Not worth a parser.
            "{}" => Some(Self::default()),
            text => serde_json::from_str(text).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody() -> Meta {
        let identity = Identity {
            id: OwnerId::new("user-1001").unwrap(),
            name: "Zoë {\"x\":1} 7".to_owned(),
            role: Role::new("team lead"),
        };
        Meta {
            identity: Some(Arc::new(identity)),
            created: UnixMs::from_millis(1),
            started: UnixMs::from_millis(20),
            authenticated: Some(UnixMs::from_millis(300)),
            origin: Origin {
                agent: AgentFamily::from_stored("firefox/linux"),
                network: Some("203.0.0.0/16".parse().unwrap()),
            },
            step_up_due: false,
            awaits: None,
            stands_in_for: None,
            lies_in: None,
        }
    }

    fn somebody_odd() -> Meta {
        let identity = Identity {
            id: OwnerId::new("user-1001").unwrap(),
            name: "\0 Zoë \n".to_owned(),
            role: Role::new("\t"),
        };
        Meta {
            identity: Some(Arc::new(identity)),
            ..somebody()
        }
    }

    fn nobody() -> Meta {
        let awaits = AwaitedLogin {
            owner: OwnerId::new("user-1001").unwrap(),
            epoch: 7,
            began: UnixMs::from_millis(9),
        };
        Meta {
            identity: None,
            authenticated: None,
            origin: Origin::default(),
            step_up_due: true,
            awaits: Some(awaits),
            stands_in_for: Some(Box::new(SessionKey::from_parts(
                Bucket::from_number(8),
                [9; 32],
            ))),
            lies_in: Some(Bucket::from_number(10)),
            ..somebody()
        }
    }

    #[test]
    fn metadata_is_read_as_it_was_written_now_and_before_this_form() {
        assert_eq!(
            encode(&somebody()),
            "1 20 300 firefox/linux 203.0.0.0/16 9 14 9 user-1001Zoë {\"x\":1} 7team lead{}"
        );
        for meta in [somebody(), somebody_odd(), nobody()] {
            let text = encode(&meta);
            assert!(!text.contains(|char| char < ' '), "{text:?}");
            assert_eq!(decode(&text).unwrap(), meta);
            let before = serde_json::to_string(&meta).unwrap();
            assert_eq!(decode(&before).unwrap(), meta);
        }
    }

    // Proves: J7
    #[test]
    fn metadata_that_is_cut_short_or_longer_than_it_says_is_not_read() {
        for meta in [somebody(), somebody_odd(), nobody()] {
            let text = encode(&meta);
            for (end, _) in text.char_indices() {
                assert_eq!(decode(&text[..end]), None, "{}", &text[..end]);
            }
            assert_eq!(decode(&format!("{text}x")), None);
        }
        for wrong in [
            // In the middle of a character.
            "1 20 300 firefox/linux - 1 1 1 aëb{}",
            "1 20 300 firefox/linux - 1 9 1 abc{}",
            "1 20 300 firefox/linux - 0 1 0 a{}",
            "1 20 300 firefox/linux - 1 99999999999999999999 1 abc{}",
            "1 -20 300 firefox/linux - 1 1 1 abc{}",
        ] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let text = "1 20 300 lynx/plan9 fd00::/8 9 5 4 user-1001aliceuser{\"step_up_due\":true,\"later\":[1]}";
        let meta = decode(text).unwrap();
        assert!(meta.step_up_due);
        assert_eq!(meta.origin, Origin::default());
        assert_eq!(meta.identity.unwrap().name, "alice");
    }
}
