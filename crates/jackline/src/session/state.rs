//! Which session a request has, and what it has changed so far: everything behind one lock.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::SessionError;
use crate::lifecycle::{
    AwaitedLogin, Data, Delta, EndReason, Identity, OwnerId, Record, UnixMs, integer,
};
use crate::store::{Epoch, Trace};
use crate::token::{Handle, SessionKey, SessionToken};

/// How far a request has got with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has asked for it.
    Unloaded,
    /// It is here.
    Loaded,
    /// The store did not say. Nothing may be concluded, and nothing is written.
    Failed,
    /// The response is on its way. Nothing changes any more.
    Finished,
}

/// What is to happen to the session when the response is ready.
pub(super) enum Staged {
    /// The record goes.
    LogOut,
    /// The record moves to a new token. `step_up`: because its owner has proved again who they are.
    Rotate { new: SessionToken, step_up: bool },
    /// The session waits for the second factor of a login, under a new token. `afresh`: a new one does, and the one that the request
    /// came with ends. Else that one moves, if it is in the store.
    Await { new: SessionToken, afresh: bool },
    /// A new session begins, and the one that the request came with ends. `carry`: its data moves along, with the delta applied.
    LogIn { epoch: Epoch, carry: bool },
}

/// When the store last answered for the presented session, and what this process had ended by then.
#[derive(Clone, Copy, Default)]
pub(super) struct Sighting {
    pub(super) at: UnixMs,
    pub(super) endings: u64,
}

/// The stored session that a request came with.
#[derive(Clone)]
pub(super) struct CameWith {
    pub(super) key: SessionKey,
    pub(super) identity: Option<Arc<Identity>>,
    /// The dead session in whose place it was begun.
    pub(super) stands_in_for: Option<Box<SessionKey>>,
    pub(super) created: UnixMs,
}

impl CameWith {
    pub(super) fn owner(&self) -> Option<&OwnerId> {
        self.identity.as_ref().map(|identity| &identity.id)
    }
}

/// One request's view of its session.
pub(super) struct State {
    pub(super) phase: Phase,
    /// The session as this request sees it, its own changes included.
    pub(super) record: Record,
    /// The token of `record`, once there is one. Of a stored session it is the presented one; of a new one it is fresh.
    pub(super) token: Option<SessionToken>,
    /// The stored session that the request came with. Unless a login is staged, `record` is that session.
    pub(super) came_with: Option<CameWith>,
    /// The version and the data of the stored record as they were loaded, until this request has written.
    pub(super) loaded: Option<(u64, Data)>,
    /// What this request changes of the stored record, or of its data on the way to the session that a login begins. Empty while
    /// `record` is written whole.
    pub(super) delta: Delta,
    /// A session that is not stored is to be.
    pub(super) wanted: bool,
    pub(super) staged: Option<Staged>,
    /// The use of the session has been written down, when it was loaded or with a change, so the cookie is to be renewed too.
    pub(super) renewed: bool,
    pub(super) sighting: Sighting,
    /// What had become of the presented session already, so that the browser has another cookie by now, or none.
    pub(super) superseded: Option<Trace>,
    /// Which limit ended the session that the request came with.
    pub(super) expired: Option<EndReason>,
    /// Whether that session had an owner.
    pub(super) expired_owner: bool,
    /// The presented cookie names a session that this request has ended.
    pub(super) forget_cookie: bool,
    /// The last authentication was found recent enough for a sensitive action.
    pub(super) recent: bool,
    /// The response holds a CSRF token.
    pub(super) shows_csrf_token: bool,
    /// The login that is staged comes from a device that its account is not known on.
    pub(super) new_device: bool,
    /// The session ended elsewhere while this request was under way, and what it wrote is lost.
    pub(super) lost: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Unloaded,
            record: Record::blank(),
            token: None,
            came_with: None,
            loaded: None,
            delta: Delta::default(),
            wanted: false,
            staged: None,
            renewed: false,
            sighting: Sighting::default(),
            superseded: None,
            expired: None,
            expired_owner: false,
            forget_cookie: false,
            recent: false,
            shows_csrf_token: false,
            new_device: false,
            lost: false,
        }
    }

    /// What is seen once the response is on its way: nothing.
    pub(super) fn finished() -> Self {
        Self {
            phase: Phase::Finished,
            ..Self::new()
        }
    }

    /// Says whether it became one: if the response has left while the store was asked, it is too late to.
    pub(super) fn become_visitor(&mut self, record: Record, delta: Delta) -> bool {
        if self.phase == Phase::Finished {
            return false;
        }
        self.phase = Phase::Loaded;
        self.record = record;
        self.delta = delta;
        true
    }

    /// Says whether it became one, as above.
    pub(super) fn become_stored(
        &mut self,
        token: SessionToken,
        key: SessionKey,
        record: Record,
        renewed: bool,
        delta: Delta,
    ) -> bool {
        if self.phase == Phase::Finished {
            return false;
        }
        self.phase = Phase::Loaded;
        self.came_with = Some(CameWith {
            key,
            identity: record.meta.identity.clone(),
            stands_in_for: record.meta.stands_in_for.clone(),
            created: record.meta.created,
        });
        self.loaded = Some((record.clocks.version, record.data.clone()));
        self.record = record;
        self.token = Some(token);
        self.renewed = renewed;
        self.delta = delta;
        true
    }

    /// Tells a delta that is about to be written what was loaded, if nothing has been written since.
    pub(super) fn base(&mut self, delta: &mut Delta) {
        if let Some((version, data)) = self.loaded.take() {
            delta.based_on(version, data);
        }
    }

    /// The key under which `record` is stored.
    pub(super) fn stored_key(&self) -> Option<SessionKey> {
        match self.staged {
            Some(Staged::LogIn { .. } | Staged::Await { afresh: true, .. }) => None,
            _ => self.came_with.as_ref().map(|came_with| came_with.key),
        }
    }

    /// The public name of what is stored, or will be.
    pub(super) fn handle(&self) -> Option<Handle> {
        self.token.as_ref().map(|token| token.key().handle())
    }

    /// The token that the session will have after the response, which is `fresh` if it has none yet.
    pub(super) fn next_token(&mut self, fresh: SessionToken) -> &SessionToken {
        match &self.staged {
            Some(Staged::Rotate { new, .. } | Staged::Await { new, .. }) => new,
            _ => self.token.get_or_insert(fresh),
        }
    }

    /// Whether changes are written as a delta. Else `record` is written whole.
    fn keeps_delta(&self) -> bool {
        match &self.staged {
            Some(Staged::LogIn { carry, .. }) => *carry,
            Some(Staged::Await { afresh: true, .. }) => false,
            _ => self.came_with.is_some(),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: Box<RawValue>) {
        if self.keeps_delta() {
            self.delta.set(name, value.clone());
        }
        self.wanted = true;
        self.record.data.set(name, value);
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        // Written even if this request did not see the member: another may have set it meanwhile, and a removal is a
        // removal (J3).
        if self.keeps_delta() {
            self.delta.remove(name);
        }
        self.record.data.remove(name)
    }

    pub(super) fn remove_all(&mut self, names: &HashSet<&str>) {
        if self.keeps_delta() {
            for name in names {
                self.delta.remove(*name);
            }
        }
        self.record.data.remove_all(names);
    }

    pub(super) fn clear(&mut self) {
        if self.keeps_delta() {
            self.delta.clear();
        }
        self.record.data.clear();
    }

    pub(super) fn increment_locally(&mut self, name: &str, by: i64) -> Result<i64, SessionError> {
        let mut delta = Delta::new(self.delta.max_data_bytes());
        delta.increment(name, by);
        let applied = delta
            .apply(&mut self.record.data)
            .map_err(SessionError::Refused)?;
        // One increment was asked for, so one sum came back.
        let sum = applied.counters[0];
        if self.keeps_delta() && !self.delta.increment(name, by) {
            self.delta.set(name, integer(sum));
        }
        self.wanted = true;
        Ok(sum)
    }

    /// Whether the value of `name` follows from what this request has changed, whatever is stored.
    pub(super) fn decides(&self, name: &str) -> bool {
        self.delta.clears() || self.delta.ops().any(|(changed, _)| changed == name)
    }

    /// Stages a login: from here on this request's session is `record`.
    pub(super) fn stage_login(
        &mut self,
        epoch: Epoch,
        token: SessionToken,
        record: Record,
        carry: bool,
        fresh: Delta,
    ) {
        // What is not stored, as after another login of this request that carried nothing, moves along in the record itself.
        let stored = self.keeps_delta();
        let data = if carry {
            std::mem::take(&mut self.record.data)
        } else {
            self.delta = fresh;
            Data::new()
        };
        self.record = Record { data, ..record };
        self.token = Some(token);
        self.wanted = true;
        self.staged = Some(Staged::LogIn {
            epoch,
            carry: carry && stored,
        });
    }

    /// Whether the session that waits for a second factor must be a new one: what is here is somebody's, or is about to be.
    pub(super) fn awaits_afresh(&self) -> bool {
        matches!(
            self.staged,
            Some(Staged::LogIn { .. } | Staged::Await { afresh: true, .. })
        ) || self
            .came_with
            .as_ref()
            .is_some_and(|came_with| came_with.identity.is_some())
    }

    /// Stages the wait for a second factor. A `record` is the session that begins for it; without one it is the visitor's that waits.
    pub(super) fn stage_await(
        &mut self,
        login: AwaitedLogin,
        new: SessionToken,
        record: Option<Record>,
        fresh: Delta,
    ) {
        let afresh = record.is_some();
        if let Some(record) = record {
            self.record = record;
            self.delta = fresh;
        }
        let meta = self.record.meta.clone().awaiting(login);
        self.record.meta = meta.clone();
        self.wanted = true;
        if afresh || self.came_with.is_none() {
            self.token = Some(new.clone());
        }
        self.staged = Some(Staged::Await { new, afresh });
        if self.keeps_delta() {
            self.delta.set_meta(meta);
        }
    }

    /// Stages a logout: from here on this request is nobody's.
    pub(super) fn stage_log_out(&mut self) {
        self.staged = Some(Staged::LogOut);
        self.record.meta.identity = None;
        self.record.data.clear();
        self.token = None;
    }

    /// The store says that the session is gone.
    pub(super) fn lose(&mut self) {
        self.came_with = None;
        self.token = None;
        self.wanted = false;
        self.lost = true;
    }
}
