//! The worlds that are checked. Each is small enough to be searched whole, and large enough for every race between three
//! requests; together they have every operation race with every other that it can touch.

use crate::promises as p;
use crate::protocol::Protocol;
use crate::request::Script;
use crate::world::{Beginning, World};

/// Data under change: J2 and J3.
pub const CHANGES: World = World {
    name: "changes",
    protocol: Protocol::SOUND,
    beginnings: &[Beginning::Visitor, Beginning::Alice],
    scripts: &[
        Script::Write,
        Script::Count,
        Script::Rotate,
        Script::LogInCarrying,
        Script::LogOut,
    ],
    requests: 3,
    expiries: 1,
    crashes: 1,
    minutes: 0,
    sights: &[p::WRITE_TOO_LATE, p::LOGIN_CARRIES, p::LOGOUT_TOO_LATE],
};

/// What browsers are told: J10.
pub const COOKIES: World = World {
    name: "cookies",
    protocol: Protocol::SOUND,
    beginnings: &[Beginning::Visitor, Beginning::Alice, Beginning::Dead],
    scripts: &[
        Script::Read,
        Script::Write,
        Script::Rotate,
        Script::LogIn,
        Script::LogOut,
    ],
    requests: 3,
    expiries: 1,
    crashes: 1,
    minutes: 1,
    sights: &[
        p::LOGIN,
        p::RENEWAL_WITHHELD,
        p::EXPIRED_REMOVED,
        p::VISITOR_WITHHELD,
    ],
};

/// An owner's sessions: J4.
pub const REVOCATION: World = World {
    name: "revocation",
    protocol: Protocol::SOUND,
    beginnings: &[Beginning::AliceTwice],
    scripts: &[
        Script::Read,
        Script::Rotate,
        Script::LogIn,
        Script::LogOut,
        Script::EndOthers,
        Script::EndAll,
    ],
    requests: 3,
    expiries: 1,
    crashes: 1,
    minutes: 0,
    sights: &[p::LOGIN, p::LOGIN_REVOKED, p::CAP_ENDS],
};

/// The same on Redis Cluster, where a login that replaces a visitor's session takes two steps.
pub const CLUSTER: World = World {
    name: "cluster",
    protocol: Protocol::CLUSTER,
    beginnings: &[Beginning::Visitor, Beginning::Dead],
    scripts: &[
        Script::Read,
        Script::Write,
        Script::LogIn,
        Script::LogInCarrying,
        Script::EndAll,
    ],
    requests: 3,
    expiries: 1,
    crashes: 1,
    minutes: 1,
    sights: &[
        p::LOGIN,
        p::LOGIN_CARRIES,
        p::LOGIN_REVOKED,
        p::LOGIN_HALVED,
    ],
};
