//! How long the program may take to stop. A bound of its own, since whoever stops it (systemd, Kubernetes) kills it after theirs.

use std::time::Duration;

use super::duration::{self, Bounds, MINUTE};
use super::names::Setting;
use super::source::Reader;

/// Reads `JACKLINE_SHUTDOWN_TIMEOUT`. Default 10 seconds: Kubernetes kills after 30, Docker after 10, systemd after 90.
pub(crate) fn read(reader: &mut Reader) -> Duration {
    let bounds = Bounds {
        least: Duration::from_millis(1),
        most: 10 * MINUTE,
        why: "without a bound one slow client keeps the old version running",
        example: "10s",
    };
    duration::read(reader, Setting::SHUTDOWN_TIMEOUT, &bounds).unwrap_or(Duration::from_secs(10))
}
