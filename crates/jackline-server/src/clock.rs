//! The one place that reads the wall clock. Everything else is handed the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that others are handed"
)]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// Now, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        // A clock before 1970 is wrong; the earliest time makes nothing live longer.
        .unwrap_or(0)
}
