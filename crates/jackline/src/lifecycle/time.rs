//! Points in time as stores keep them: whole milliseconds since the Unix epoch. Arithmetic saturates, so no clock, however
//! wrong, makes a limit wrap around and become generous.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use std::time::Duration;
/// use jackline::lifecycle::UnixMs;
///
/// let login = UnixMs::from_millis(1_000);
/// assert_eq!(login.after(Duration::from_secs(2)), UnixMs::from_millis(3_000));
/// assert_eq!(UnixMs::from_millis(500).since(login), Duration::ZERO);
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(u64);

impl UnixMs {
    /// The latest instant that a record can hold: far past the year 9999, and exact in a double, which is what Lua inside
    /// Redis computes with.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// The instant `millis` milliseconds after the epoch, at most [`UnixMs::MAX`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This instant plus `duration`, saturating at [`UnixMs::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// How much time lies between `earlier` and this instant; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_instant_is_later_than_the_latest() {
        let latest = UnixMs::MAX.as_millis();
        assert_eq!(UnixMs::from_millis(latest - 1).as_millis(), latest - 1);
        for later in [latest, latest + 1, u64::MAX] {
            assert_eq!(UnixMs::from_millis(later), UnixMs::MAX);
        }
        assert_eq!(UnixMs::from_millis(1).after(Duration::MAX), UnixMs::MAX);
    }
}
