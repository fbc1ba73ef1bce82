//! What comes back from Redis, made into what the store's contract says. Whatever is not expected is an error, never a guess.

use redis::Value;

use super::link::Failure;
use crate::lifecycle::DeltaError;
use crate::store::{Committed, CorruptRecord, Ended, Epoch, StoreError, Trace};

/// What a script answers: a word and what belongs to it.
pub(super) struct Answer(Vec<Vec<u8>>);

impl Answer {
    pub(super) fn read(value: Value) -> Result<Self, StoreError> {
        let Value::Array(items) = value else {
            return Err(unexpected());
        };
        let parts = items.into_iter().map(|item| match item {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(unexpected()),
        });
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    pub(super) fn word(&self) -> &[u8] {
        self.0.first().map_or(b"", Vec::as_slice)
    }

    pub(super) fn rest(&self) -> &[Vec<u8>] {
        self.0.get(1..).unwrap_or_default()
    }

    pub(super) fn committed(&self) -> Result<Committed, StoreError> {
        match self.word() {
            b"applied" => {
                let counters = self.rest().iter().map(|digits| number(digits));
                Ok(Committed::Applied {
                    counters: counters.collect::<Result<_, _>>()?,
                })
            }
            b"gone" => Ok(Committed::Gone),
            _ => Err(self.refusal()),
        }
    }

    /// What is left of a key that has no session.
    pub(super) fn trace(&self) -> Result<Trace, StoreError> {
        match self.word() {
            weight if weight.len() == 1 && weight[0].is_ascii_digit() => {
                Ok(Trace::of_weight(weight[0] - b'0')?)
            }
            _ => Err(self.refusal()),
        }
    }

    /// What ending a session came to.
    pub(super) fn ended(&self) -> Result<Ended, StoreError> {
        match self.word() {
            b"removed" => Ok(Ended::Removed),
            b"absent" => Ok(Ended::Absent),
            _ => Ok(Ended::Trace(self.trace()?)),
        }
    }

    /// The trace that is there from now on.
    pub(super) fn noted(&self) -> Result<Trace, StoreError> {
        match (self.word(), self.rest()) {
            (b"noted", [weight]) => Ok(Trace::of_weight(number(weight)?)?),
            _ => Err(self.refusal()),
        }
    }

    /// The error that any script may answer.
    pub(super) fn refusal(&self) -> StoreError {
        match self.word() {
            b"conflict" => StoreError::Conflict,
            b"corrupt" => CorruptRecord::new("the record is not one that Jackline wrote").into(),
            b"not a counter" => DeltaError::NotACounter.into(),
            b"out of range" => DeltaError::CounterOutOfRange.into(),
            b"outdated" => DeltaError::Outdated.into(),
            b"too large" => DeltaError::TooLarge.into(),
            _ => unexpected(),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(code) if code == "WRONGTYPE" => {
                CorruptRecord::new("the key holds another type of value").into()
            }
            failure => Self::unavailable(failure),
        }
    }
}

/// What stands under the name of an epoch.
pub(super) fn epoch(value: Value) -> Result<Epoch, StoreError> {
    match value {
        Value::Nil => Ok(Epoch::default()),
        Value::BulkString(digits) => number(&digits).map(Epoch),
        _ => Err(unexpected()),
    }
}

pub(super) fn unexpected() -> StoreError {
    Failure::Unexpected.into()
}

pub(super) fn number<N: std::str::FromStr>(digits: &[u8]) -> Result<N, StoreError> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| CorruptRecord::new("a number of the store is not readable").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(word: &str) -> Answer {
        Answer(vec![word.into()])
    }

    #[test]
    fn what_is_no_trace_is_no_trace() {
        assert_eq!(answer("3").trace().unwrap(), Trace::Replaced);
        for word in ["0", "9"] {
            let error = answer(word).trace().unwrap_err();
            assert!(matches!(error, StoreError::Corrupt(_)), "{word}: {error:?}");
        }
        for word in ["", "x", "12", "-1"] {
            let error = answer(word).trace().unwrap_err();
            let told = matches!(error, StoreError::Unavailable(_));
            assert!(told, "{word}: {error:?}");
        }
        let error = answer("corrupt").trace().unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert!(Answer(Vec::new()).trace().is_err());
    }
}
