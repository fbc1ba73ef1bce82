//! A passkey is asked something and answers it in the next request. What was asked is kept in the session, out of its owner's sight, for
//! that answer alone: five minutes long, for one purpose, and once. Once means in the store: whoever takes a question
//! counts, and of several who come at once with an answer the first is heard.

use jackline::{Session, SessionError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How long a question waits for its answer. As long as browsers are told to.
const ANSWER_WITHIN_MS: i64 = 5 * 60 * 1000;

/// Members of a session that neither its owner nor a page sees or sets: `routes/data.rs` keeps to the beginning of their names.
const QUESTION: &str = "jackline:passkey";
const TURN: &str = "jackline:passkey-turn";

/// What a passkey is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To be added to an account.
    Registration,
    /// To log somebody in who has not said who they are.
    SignIn,
    /// To be the second factor of a login that has begun.
    SecondFactor,
    /// To prove again who is logged in.
    StepUp,
}

/// A question that was asked.
#[derive(Serialize, Deserialize)]
pub struct Ceremony {
    purpose: Purpose,
    /// The origin that it was asked under.
    pub(super) origin: String,
    asked_ms: i64,
    /// What the session counted when it was asked.
    turn: i64,
    state: Box<RawValue>,
}

impl std::fmt::Debug for Ceremony {
    /// Without what was asked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ceremony")
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

impl Ceremony {
    /// Keeps a question in the session. One that was asked before is forgotten.
    ///
    /// # Errors
    /// As [`Session::increment`].
    pub(super) async fn keep(
        session: &Session,
        purpose: Purpose,
        origin: String,
        state: &impl Serialize,
        now_ms: i64,
    ) -> Result<(), SessionError> {
        let question = Self {
            purpose,
            origin,
            asked_ms: now_ms,
            turn: session.increment(TURN, 1).await?,
            state: serde_json::value::to_raw_value(state).map_err(SessionError::Encode)?,
        };
        session.insert(QUESTION, &question)
    }

    /// Takes the session's question: there is none any more. `None` if there was none for this purpose, or its time is over, or somebody
    /// else is answering it.
    ///
    /// # Errors
    /// As [`Session::increment`].
    pub async fn take(
        session: &Session,
        purpose: Purpose,
        now_ms: i64,
    ) -> Result<Option<Self>, SessionError> {
        // What is there and no question is none: where sessions are shared, another program may write what it likes.
        let Ok(Some(question)) = session.get::<Self>(QUESTION) else {
            return Ok(None);
        };
        let turn = session.increment(TURN, 1).await?;
        session.remove(QUESTION)?;
        let in_time = (0..=ANSWER_WITHIN_MS).contains(&now_ms.saturating_sub(question.asked_ms));
        let ours = turn == question.turn.saturating_add(1);
        Ok((question.purpose == purpose && in_time && ours).then_some(question))
    }

    pub(super) fn state<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.state.get()).ok()
    }
}
