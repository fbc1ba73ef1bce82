//! Whether a store that has refused writes for want of room takes them again. A small write that happens to find room proves
//! nothing, so after a failure readiness waits for a larger one that was begun after it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many writes have failed, and how many of these are settled by one that was taken.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    failed: AtomicU64,
    settled: AtomicU64,
}

impl Doubt {
    /// A write has failed.
    pub(super) fn raise(&self) {
        self.failed.fetch_add(1, Ordering::AcqRel);
    }

    /// How many have failed so far, if the last of them is not settled.
    pub(super) fn pending(&self) -> Option<u64> {
        let failed = self.failed.load(Ordering::Acquire);
        (failed > self.settled.load(Ordering::Acquire)).then_some(failed)
    }

    /// A write was taken that was begun when so many had failed.
    pub(super) fn settle(&self, failed: u64) {
        self.settled.fetch_max(failed, Ordering::AcqRel);
    }
}
