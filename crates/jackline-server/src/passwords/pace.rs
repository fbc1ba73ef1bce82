//! How a thread that has much to compute gives way to the program's others.

#[cfg(target_os = "linux")]
use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};

/// At which pace a thread works, while others want its core. None takes anything of a core that nobody else wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Others go first, at once and nearly always: Linux's idle policy.
    Leisure,
    /// It gets a share of a tenth, for which others may have to wait until a slice of it ends.
    Steady,
}

/// How much nicer than the rest of the program is steady, of 19: a tenth of a core that everybody wants.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

impl Pace {
    /// Whether there is such a thing here.
    pub(super) const HAS_LEISURE: bool = cfg!(target_os = "linux");

    /// Makes it this thread's, for good. Elsewhere than on Linux all threads are as urgent, since niceness is the whole program's there.
    pub(super) fn take(self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = self.try_to_take() {
            tracing::debug!(%error, pace = ?self, "a password is hashed at the priority of everything else");
        }
        // The idle policy begins to count when this thread is next chosen. Who waits for its core already is to go first now.
        std::thread::yield_now();
    }

    #[cfg(target_os = "linux")]
    fn try_to_take(self) -> std::io::Result<()> {
        if self == Self::Leisure && take_idle_policy().is_ok() {
            return Ok(());
        }
        rustix::process::nice(NICER)?;
        Ok(())
    }

    /// What this thread has taken.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn taken() -> Option<Self> {
        if thread_priority::thread_schedule_policy() == Ok(IDLE) {
            return Some(Self::Leisure);
        }
        let nice = rustix::process::getpriority_process(None).ok()?;
        (nice >= NICER).then_some(Self::Steady)
    }
}

#[cfg(target_os = "linux")]
const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

#[cfg(target_os = "linux")]
fn take_idle_policy() -> Result<(), thread_priority::Error> {
    let me = thread_priority::thread_native_id();
    let taken = thread_priority::set_thread_priority_and_policy(me, ThreadPriority::Min, IDLE);
    // A program that was started with less than the usual priority may take the policy, and not the usual niceness along with it,
    // which means nothing then.
    taken.or_else(|error| match thread_priority::thread_schedule_policy() {
        Ok(IDLE) => Ok(()),
        _ => Err(error),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_its_own_pace_and_nobody_elses() {
        let of_the_rest = rustix::process::getpriority_process(None).unwrap();
        for pace in [Pace::Leisure, Pace::Steady] {
            let taken = std::thread::spawn(move || {
                pace.take();
                Pace::taken()
            });
            assert_eq!(taken.join().unwrap(), Some(pace));
        }
        assert_eq!(
            rustix::process::getpriority_process(None).unwrap(),
            of_the_rest
        );
    }
}
