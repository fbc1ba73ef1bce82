//! What a store keeps of a session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::data::Data;
use super::delta::{Delta, DeltaError};
use super::policy::Policy;
use super::time::UnixMs;
use crate::origin::Origin;
use crate::token::{Bucket, SessionKey};

/// The stable identifier of the person or service that a session belongs to, as the application names it
/// (`user-1001`). Not a login name that can change hands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnerId(Box<str>);

impl OwnerId {
    /// The longest identifier accepted, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Takes an identifier.
    ///
    /// # Errors
    /// If it is empty, longer than [`OwnerId::MAX_BYTES`], or holds a control character.
    pub fn new(id: impl Into<String>) -> Result<Self, OwnerIdError> {
        let id = id.into();
        if id.is_empty() || id.len() > Self::MAX_BYTES || id.chars().any(char::is_control) {
            return Err(OwnerIdError);
        }
        Ok(Self(id.into_boxed_str()))
    }

    /// The identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OwnerId {
    type Error = OwnerIdError;
    fn try_from(id: String) -> Result<Self, OwnerIdError> {
        Self::new(id)
    }
}

impl From<OwnerId> for String {
    fn from(id: OwnerId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An owner's identifier was empty, too long or held a control character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an owner's identifier must have 1 to 256 bytes and no control characters")]
pub struct OwnerIdError;

/// What the owner of a session is, for limits that depend on it: `user`, `admin`, or a name of the application's own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Role(Box<str>);

impl Role {
    /// A role by name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The ordinary role, `user`.
    #[must_use]
    pub fn user() -> Self {
        Self::new("user")
    }

    /// The role `admin`, whose sessions are short by default.
    #[must_use]
    pub fn admin() -> Self {
        Self::new("admin")
    }

    /// The role's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Whose session this is.
    #[serde(rename = "owner")]
    pub id: OwnerId,
    /// The name to show, as it was at login: at most [`Identity::MAX_NAME_BYTES`].
    pub name: String,
    /// The role, as it was at login.
    pub role: Role,
}

impl Identity {
    /// The longest name that is kept, in bytes.
    pub const MAX_NAME_BYTES: usize = 512;

    /// An identity. A longer name is cut.
    #[must_use]
    pub fn new(id: OwnerId, name: impl Into<String>, role: Role) -> Self {
        let mut name = name.into();
        name.truncate(name.floor_char_boundary(Self::MAX_NAME_BYTES));
        Self { id, name, role }
    }
}

/// A login whose first factor was right and whose second is awaited. It is no identity: the session that remembers it is nobody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedLogin {
    /// Who is logging in.
    pub owner: OwnerId,
    /// Their [revocation epoch](crate::store::Epoch) from before the first factor was checked.
    pub epoch: u64,
    /// When the login began.
    pub began: UnixMs,
}

/// What is known about a session besides its clocks and its data. Changes as a whole, and only by rotation or by a
/// risk event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Who is logged in; `None` for a visitor. Shared, since whoever looks at a session looks at this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Arc<Identity>>,
    /// When the session was first stored.
    pub created: UnixMs,
    /// When its absolute limit began to run: at creation, or at login.
    pub started: UnixMs,
    /// When its owner last proved who they are: at login, or at the last step-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<UnixMs>,
    /// Where it came from at the last authentication (at creation, for a visitor).
    #[serde(default)]
    pub origin: Origin,
    /// A risk event has happened; sensitive actions wait for a fresh authentication, however recent the last one is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub step_up_due: bool,
    /// The login that waits for its owner's second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<AwaitedLogin>,
    /// The dead session whose cookie its browser presented when it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_in_for: Option<Box<SessionKey>>,
    /// This is no session but a [signpost](Record::signpost) to one: in this bucket, under the same digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lies_in: Option<Bucket>,
}

/// A session's clocks, as they were granted. Only `seen` and `version` ever move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The last activity that was written down. Activity within a renewal step of it is not.
    pub seen: UnixMs,
    /// How long the session outlives `seen`.
    pub idle: Duration,
    /// When it ends, however active.
    pub ends: UnixMs,
    /// How often the record was written.
    pub version: u64,
}

impl Clocks {
    /// When the session ends if nothing more is heard of it.
    #[must_use]
    pub fn idle_deadline(&self) -> UnixMs {
        self.seen.after(self.idle)
    }

    /// Whether the idle limit has run out. A store treats such a record as expired, whatever else it knows.
    #[must_use]
    pub fn idle_expired(&self, now: UnixMs) -> bool {
        now >= self.idle_deadline()
    }

    /// Whether the absolute limit has run out.
    #[must_use]
    pub fn absolute_expired(&self, now: UnixMs) -> bool {
        now >= self.ends
    }

    /// Whether a use at `now` is to be written down: the session lives and at least `step` has passed since `seen`.
    #[must_use]
    pub fn renewal_due(&self, now: UnixMs, step: Duration) -> bool {
        !self.idle_expired(now) && !self.absolute_expired(now) && now.since(self.seen) >= step
    }
}

/// A session as a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its clocks.
    pub clocks: Clocks,
    /// What is known about it.
    pub meta: Meta,
    /// What the application keeps in it.
    pub data: Data,
}

impl Record {
    /// A visitor's session, created now.
    #[must_use]
    pub fn visitor(policy: &Policy, origin: Origin, now: UnixMs) -> Self {
        Self {
            clocks: Clocks {
                seen: now,
                idle: policy.idle().get(),
                ends: now.after(policy.absolute(None).get()),
                version: 0,
            },
            meta: Meta {
                identity: None,
                created: now,
                started: now,
                authenticated: None,
                origin,
                step_up_due: false,
                awaits: None,
                stands_in_for: None,
                lies_in: None,
            },
            data: Data::new(),
        }
    }

    /// The same, begun in the place of a session that is dead.
    #[must_use]
    pub fn standing_in_for(mut self, dead: SessionKey) -> Self {
        self.meta.stands_in_for = Some(Box::new(dead));
        self
    }

    /// A session for `identity`, who has just proved who they are: a new one in every respect, absolute limit included.
    #[must_use]
    pub fn logged_in(identity: Identity, policy: &Policy, origin: Origin, now: UnixMs) -> Self {
        let mut record = Self::visitor(policy, origin, now);
        record.clocks.ends = now.after(policy.absolute(Some(&identity.role)).get());
        record.meta.authenticated = Some(now);
        record.meta.identity = Some(Arc::new(identity));
        record
    }

    /// What lies under the key of a session that was shared with Express, once the session has moved to its owner's bucket: the cookie
    /// in the browser still names this key. It holds nothing, is nobody's, is never renewed, and outlasts the session.
    #[must_use]
    pub fn signpost(to: Bucket, session: &Self, now: UnixMs) -> Self {
        let mut signpost = Self::blank();
        let Clocks { idle, ends, .. } = session.clocks;
        signpost.clocks = Clocks {
            seen: now,
            idle: ends.since(now) + idle,
            ends: now,
            version: 0,
        };
        signpost.meta.created = now;
        signpost.meta.lies_in = Some(to);
        signpost
    }

    /// This record after a commit at `now`: the delta is applied, the use is written down, and the version counts up. Returns
    /// the new value of each incremented member. What stores that compute in Rust do.
    ///
    /// # Errors
    /// If the delta cannot be applied, or was made for another version; then nothing has changed.
    pub fn commit(&mut self, delta: &Delta, now: UnixMs) -> Result<Vec<i64>, DeltaError> {
        delta.check_version(Some(self.clocks.version))?;
        debug_assert!(
            !delta.misremembers(self.clocks.version, &self.data),
            "what a delta is said to be based on is what was loaded"
        );
        let applied = delta.apply(&mut self.data)?;
        if let Some(meta) = delta.meta() {
            self.meta = meta.clone();
        }
        self.clocks.seen = self.clocks.seen.max(now);
        self.clocks.version += 1;
        Ok(applied.counters)
    }

    /// A place to put a record before there is one: expired, and nobody's.
    pub(crate) fn blank() -> Self {
        let never = UnixMs::default();
        Self {
            clocks: Clocks {
                seen: never,
                idle: Duration::ZERO,
                ends: never,
                version: 0,
            },
            meta: Meta {
                identity: None,
                created: never,
                started: never,
                authenticated: None,
                origin: Origin::default(),
                step_up_due: false,
                awaits: None,
                stands_in_for: None,
                lies_in: None,
            },
            data: Data::new(),
        }
    }

    /// The owner, if somebody is logged in.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerId> {
        self.meta.identity.as_ref().map(|identity| &identity.id)
    }
}

impl Meta {
    /// This session after its owner has proved again, `now` and from `origin`, who they are. Recency is renewed and the
    /// risk is settled. The absolute limit is not touched: only a login starts a new one.
    #[must_use]
    pub fn stepped_up(mut self, origin: Origin, now: UnixMs) -> Self {
        self.authenticated = Some(now);
        self.origin = origin;
        self.step_up_due = false;
        self
    }

    /// This visitor's session after the first factor of a login was right.
    #[must_use]
    pub fn awaiting(mut self, login: AwaitedLogin) -> Self {
        self.awaits = Some(login);
        self
    }

    /// This session after a risk event.
    #[must_use]
    pub fn at_risk(mut self) -> Self {
        self.step_up_due = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_written_and_read_as_the_identifier_that_it_is() {
        let owner = OwnerId::new("user-1001").unwrap();
        assert_eq!(owner.to_string(), "user-1001");
        assert_eq!(format!("{owner:?}"), r#""user-1001""#);
        assert_eq!(String::from(owner.clone()), "user-1001");
        let json = serde_json::to_string(&owner).unwrap();
        assert_eq!(json, r#""user-1001""#);
        assert_eq!(serde_json::from_str::<OwnerId>(&json).unwrap(), owner);
        for bad in ["", "a\nb", &"x".repeat(OwnerId::MAX_BYTES + 1)] {
            assert_eq!(OwnerId::new(bad), Err(OwnerIdError));
            let json = serde_json::to_string(bad).unwrap();
            assert!(serde_json::from_str::<OwnerId>(&json).is_err());
        }
    }
}
