//! Which protocol is checked: the real one, on a store that does each step at once or on a cluster, or one that is broken
//! on purpose. A model that finds nothing wrong with a broken protocol proves nothing about the real one.

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Whether a login that replaces a session in another slot takes two steps.
    pub cluster: bool,
    /// What is broken.
    pub flaw: Option<Flaw>,
}

impl Protocol {
    /// The real one, on a store that takes each step at once.
    pub const SOUND: Self = Self {
        cluster: false,
        flaw: None,
    };
    /// The real one, on a cluster.
    pub const CLUSTER: Self = Self {
        cluster: true,
        flaw: None,
    };

    /// The same, but broken.
    #[must_use]
    pub fn with(self, flaw: Flaw) -> Self {
        Self {
            flaw: Some(flaw),
            ..self
        }
    }

    /// Whether this is what is broken.
    #[must_use]
    pub fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}

/// One way to break the protocol. Each is somebody's real one, or was nearly ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A change is written by `SET`, whether the session is there or not.
    SetInsteadOfUpdate,
    /// A change is written to a live session only, but with all that the request had loaded.
    WholeRecordInsteadOfDelta,
    /// A rotation creates the new session and then ends the old one.
    RotateInTwoSteps,
    /// A login takes along the data that it had loaded.
    CarryTheLoadedCopy,
    /// A load renews a session, whether it has run out or not.
    RenewalRevives,
    /// A login does not compare the epoch.
    LoginIgnoresTheEpoch,
    /// A login reads the epoch after the credentials.
    EpochAfterCredentials,
    /// A login stores its session first and enters it in the owner's index then.
    IndexAfterRecord,
    /// A login first looks whom the cap ends, and is stored then.
    CapBeforeLogin,
    /// "Log out everywhere" lists the sessions and then ends those that it found.
    EndWhatWasListed,
    /// On a cluster, a login copies the data of the session that it replaces, and ends that one then.
    CarryThenEnd,
    /// A cookie is renewed because the session was live when the request began.
    RenewWithoutAsking,
    /// A cookie is removed because the session had expired when the request began.
    RemoveWithoutAsking,
    /// No trace tells that a browser has been given another cookie.
    NoTraces,
    /// That a visitor's session stands in for a dead one is noted before, and not after, it is created.
    NoteBeforeCreating,
    /// A request that took longer than traces are kept goes on as if it had not.
    SlowRequestsGoOn,
    /// A visitor's session leaves no trace of the dead one that it stands in for.
    StandInUnnoted,
    /// A login does not say of what the session that it replaces was begun in the place of.
    ForgetWhatStoodIn,
    /// A logout leaves no trace.
    LogOutUnnoted,
    /// A logout ends its session first, and notes then of what that was begun in the place of.
    LogOutThenNote,
    /// A logout that finds its session moved to another token removes the cookie all the same.
    LogOutRemovesWhatMoved,
}
