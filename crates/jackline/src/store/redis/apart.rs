//! A login on a cluster whose new session and replaced session lie in different slots, so that no script reaches both. First
//! the new one is stored, then the old one ends; only then is the login acknowledged. What a crash, or a time-out, leaves
//! behind:
//!
//! | it happens | what is there | what is lost |
//! |---|---|---|
//! | before the first step | the old session, as it was | nothing |
//! | between the two | both, each in its owner's index: "end all" reaches both (J4). Nobody knows the new one's token, since it was not answered yet, so nobody is logged in by it, and it runs out | nothing; the browser still has the old cookie, and it works. What the cap pruned is gone |
//! | after the second | the new session | the browser's way to it; the user logs in again |
//!
//! The other order would lose a visitor's data to every login that is refused.
//!
//! Data that moves along is read before the first step, and the second one takes place only if the old session is still at
//! the version that was read. If it is not, a request has changed it meanwhile, or ended it; it is read again and the new
//! session, which nobody can use yet, gets what is there now. So a change that was acknowledged is in the new session or came
//! after it was replaced, and what a logout took away does not live on (J2, J3). A session that changes again and again ends
//! in the end all the same, and what it held then goes to the new one in a third step; a crash before that loses what the
//! visitor left in the session.

use std::time::Duration;

use super::RedisStore;
use super::keys::member;
use crate::lifecycle::{Data, Delta, Record, UnixMs};
use crate::store::codec::line;
use crate::store::{Admission, Admitted, Loaded, Replaced, StoreError};

/// How often data is read anew because somebody changed it.
const ROUNDS: u32 = 3;

/// What the replaced session was when its data was read: its version, if it was live.
type Version = Option<u64>;

/// The replaced session, if it was live.
type Was = Option<Record>;

impl RedisStore {
    pub(super) async fn admit_apart(
        &self,
        admission: &Admission<'_>,
        replaced: &Replaced<'_>,
        now: UnixMs,
    ) -> Result<Admitted, StoreError> {
        let mut record = admission.record.clone();
        let mut version = None;
        if let Some(delta) = replaced.carry {
            (record.data, version) = self.moving(replaced, delta, now).await?;
        }
        let alone = Admission {
            record: &record,
            replaces: None,
            ..admission.clone()
        };
        let admitted = self.admit_together(&alone, now).await?;
        if !matches!(admitted, Admitted::Done { .. }) {
            return Ok(admitted);
        }
        if let Err(error) = self.give_way(admission, replaced, version, now).await {
            // Nobody will learn of the new session. If it cannot be ended now, it runs out.
            let _ = self
                .end(admission.key, Some(admission.owner), None, now)
                .await;
            return Err(error);
        }
        Ok(admitted)
    }

    /// Ends the replaced session, and has its data in the new one.
    async fn give_way(
        &self,
        admission: &Admission<'_>,
        replaced: &Replaced<'_>,
        mut version: Version,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        let Some(delta) = replaced.carry else {
            return self.end_replaced(replaced, None, now).await.map(drop);
        };
        for _ in 0..ROUNDS {
            if self
                .end_replaced(replaced, Some(version), now)
                .await?
                .is_some()
            {
                return Ok(());
            }
            let data;
            (data, version) = self.moving(replaced, delta, now).await?;
            self.commit(admission.key, &all_of(&data), now).await?;
        }
        let last = self
            .end_replaced(replaced, None, now)
            .await?
            .unwrap_or_default();
        let (data, _) = moved(last, delta)?;
        self.commit(admission.key, &all_of(&data), now).await?;
        Ok(())
    }

    /// Ends the replaced session; if a version is given, only if it is still that. Says what it was.
    async fn end_replaced(
        &self,
        replaced: &Replaced<'_>,
        version: Option<Version>,
        now: UnixMs,
    ) -> Result<Option<Was>, StoreError> {
        let mut call = self
            .scripts
            .give_way
            .call()
            .key(self.names.session(replaced.key))
            .key(self.names.trace(replaced.key));
        if let Some(owner) = replaced.owner {
            call = call.key(self.names.index(owner));
        }
        let mut call = call.arg(member(replaced.key)).number(now.as_millis());
        if let Some(version) = version {
            call = call.arg(version.map_or_else(String::new, |version| version.to_string()));
        }
        let answer = self.run(call).await?;
        match (answer.word(), answer.rest()) {
            (b"changed", _) => Ok(None),
            (b"done", [line]) if line.is_empty() => Ok(Some(None)),
            (b"done", [line]) => Ok(Some(Some(line::decode_line(line)?))),
            _ => Err(answer.refusal()),
        }
    }

    /// The data that moves along, as it would be if it moved now.
    async fn moving(
        &self,
        replaced: &Replaced<'_>,
        delta: &Delta,
        now: UnixMs,
    ) -> Result<(Data, Version), StoreError> {
        // It is not renewed: a session does not live longer for what it hands over.
        let was = match self.load(replaced.key, Duration::MAX, now).await? {
            Loaded::Live { record, .. } => Some(*record),
            Loaded::Absent | Loaded::Trace(_) | Loaded::Expired(_) => None,
        };
        moved(was, delta)
    }
}

/// What the new session gets of the replaced one.
fn moved(was: Was, delta: &Delta) -> Result<(Data, Version), StoreError> {
    let (mut data, version) = match was {
        Some(record) => (record.data, Some(record.clocks.version)),
        None => (Data::new(), None),
    };
    delta.check_version(version)?;
    delta.apply(&mut data)?;
    Ok((data, version))
}

/// The change that makes a session's data this.
fn all_of(data: &Data) -> Delta {
    let mut delta = Delta::new(usize::MAX);
    delta.clear();
    for (name, value) in data.iter() {
        delta.set(name, value.to_owned());
    }
    delta
}
