//! How long is waited: for an answer, between attempts, and at the end.

use std::time::Duration;

/// How patient the sender is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long one attempt may take, to the last byte of the answer's head.
    pub(super) attempt: Duration,
    /// The longest wait before the second attempt. Each later one may be four times as long.
    pub(super) first_wait: Duration,
    /// How many attempts there are.
    pub(super) attempts: u32,
    /// How long what is left may hold up the end of the program.
    pub(super) last: Duration,
}

impl Default for Pace {
    /// Seven attempts within some twenty minutes, in which a receiver is deployed anew or mended.
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            first_wait: Duration::from_secs(1),
            attempts: 7,
            last: Duration::from_secs(3),
        }
    }
}

impl Pace {
    /// How long to wait after so many attempts that failed; `None` if those were enough. `chance` makes it half as long at the least: of
    /// many senders that failed at once, not all come back at once.
    pub(super) fn wait_after(&self, failed: u32, chance: u8) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let longest = self
            .first_wait
            .saturating_mul(4_u32.saturating_pow(failed.saturating_sub(1)));
        Some(longest.mul_f64(0.5 + f64::from(chance) / 512.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: S45
    #[test]
    fn waits_grow_fourfold_are_shortened_by_chance_and_come_to_an_end() {
        let pace = Pace::default();
        let waits = |chance| -> Vec<u64> {
            let all = (1..).map_while(|failed| pace.wait_after(failed, chance));
            all.map(|wait| u64::try_from(wait.as_millis()).unwrap())
                .collect()
        };
        assert_eq!(waits(0), [500, 2_000, 8_000, 32_000, 128_000, 512_000]);
        let longest = [1_000, 4_000, 16_000, 64_000, 256_000, 1_024_000];
        for (wait, longest) in waits(255).into_iter().zip(longest) {
            assert!(wait < longest && wait > longest * 99 / 100, "{wait}");
        }
        assert_eq!(pace.wait_after(u32::MAX, 255), None);
    }
}
