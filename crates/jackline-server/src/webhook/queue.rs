//! What waits to be sent: a bounded number of messages, so that a receiver that is away costs no memory. Whoever adds one never waits; if
//! there is no room, the oldest gives way.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::message::Message;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) message: Message,
    /// How many attempts have failed.
    pub(super) failed: u32,
    /// When it is to be sent.
    pub(super) due: Instant,
}

/// Messages, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    room: usize,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    /// Until when what is left may be sent. Set once, at the end.
    until: Option<Instant>,
}

impl Queue {
    /// Has room for so many.
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            inner: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Adds the newest, and returns the one that gave way to it if one had to.
    pub(super) fn add(&self, message: Message, now: Instant) -> Option<Message> {
        let mut inner = self.inner();
        let gone = match inner.waiting.len() >= self.room {
            true => inner.waiting.pop_front(),
            false => None,
        };
        inner.waiting.push_back(Waiting {
            message,
            failed: 0,
            due: now,
        });
        self.changed.notify_one();
        gone.map(|gone| gone.message)
    }

    /// Puts one back that is to be sent again. It is the oldest, so it comes back if there is no room for it any more.
    pub(super) fn put_back(&self, waiting: Waiting) -> Option<Message> {
        let mut inner = self.inner();
        if inner.waiting.len() >= self.room {
            return Some(waiting.message);
        }
        inner.waiting.push_front(waiting);
        None
    }

    /// Waits until one is due, and takes the one that was due first. After [`Queue::close`] all are due; `None` when that is over.
    pub(super) fn take(&self) -> Option<Waiting> {
        let mut inner = self.inner();
        loop {
            let now = Instant::now();
            if let Some(until) = inner.until {
                return if now < until {
                    inner.waiting.pop_front()
                } else {
                    None
                };
            }
            let first = (0..inner.waiting.len()).min_by_key(|at| inner.waiting[*at].due);
            inner = match first.map(|at| (at, inner.waiting[at].due)) {
                Some((at, due)) if due <= now => return inner.waiting.remove(at),
                Some((_, due)) => {
                    let waited = self.changed.wait_timeout(inner, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self
                    .changed
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// From now on what is left is sent at once, and nothing after `until`.
    pub(super) fn close(&self, until: Instant) {
        self.inner().until = Some(until);
        self.changed.notify_one();
    }

    /// Until when what is left may be sent, once it is closed.
    pub(super) fn closes(&self) -> Option<Instant> {
        self.inner().until
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.inner().waiting.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is one step, so that nobody who panicked has left half of one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(id: &str) -> Message {
        Message {
            id: id.to_owned(),
            event: "new_device",
            body: String::new(),
        }
    }

    fn id(waiting: Option<Waiting>) -> Option<String> {
        waiting.map(|waiting| waiting.message.id)
    }

    // Proves: S45, J9
    #[test]
    fn without_room_the_oldest_gives_way_and_one_that_failed_is_older_than_all() {
        let (queue, now) = (Queue::new(2), Instant::now());
        assert!(queue.add(message("a"), now).is_none());
        assert!(queue.add(message("b"), now).is_none());
        assert_eq!(queue.add(message("c"), now).unwrap().id, "a");
        let b = queue.take().unwrap();
        assert!(queue.add(message("d"), now).is_none());
        assert_eq!(queue.put_back(b).unwrap().id, "b");
        assert_eq!(id(queue.take()).unwrap(), "c");
        assert_eq!(queue.len(), 1);
    }

    // Proves: S45
    #[test]
    fn what_is_to_be_sent_later_holds_up_nothing_and_at_the_end_all_is_due() {
        let (queue, now) = (Queue::new(9), Instant::now());
        queue.add(message("a"), now);
        let failed = queue.take().unwrap();
        let an_hour = Duration::from_secs(3600);
        queue.put_back(Waiting {
            due: now + an_hour,
            ..failed
        });
        queue.add(message("b"), now);
        assert_eq!(id(queue.take()).unwrap(), "b");
        queue.add(message("c"), now);
        queue.close(now + an_hour);
        assert_eq!(id(queue.take()).unwrap(), "a");
        assert_eq!(id(queue.take()).unwrap(), "c");
        assert_eq!(id(queue.take()), None);
        queue.add(message("d"), now);
        queue.close(now);
        assert_eq!(id(queue.take()), None, "too late");
    }

    // Proves: S45
    #[test]
    fn who_waits_hears_of_what_comes_and_of_the_end() {
        let (queue, now) = (Queue::new(9), Instant::now());
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| [id(queue.take()), id(queue.take())]);
            queue.add(message("a"), now);
            queue.close(now + Duration::from_secs(3600));
            assert_eq!(taker.join().unwrap(), [Some("a".to_owned()), None]);
        });
    }
}
