//! Drives a connection that many requests share, so that what they ask in one turn is sent in one write.
//!
//! The runtime runs whom a task wakes right after that task. A driver that writes whenever it is run would therefore make a system
//! call for every question, and a system call costs more than all that is around it. This one lets those go first that are ready too: all of
//! them have asked, and all answers that have come meanwhile are there, when it looks. A question that is alone waits for nothing but
//! a look at the network.

use std::pin::pin;
use std::task::ready;

use tokio::task::AbortHandle;

/// The task that drives a connection. It ends when this is dropped, whatever the server does.
#[derive(Debug)]
pub(crate) struct Driver(AbortHandle);

impl Driver {
    /// Drives `connection`, which is ready when it is over.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub(crate) fn start(connection: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(after_the_others(connection)).abort_handle())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `connection` whenever it is woken, one turn later.
async fn after_the_others(connection: impl Future<Output = ()>) {
    let mut connection = pin!(connection);
    let mut turn = pin!(None);
    std::future::poll_fn(|cx| {
        if turn.is_none() {
            turn.set(Some(tokio::task::yield_now()));
        }
        if let Some(turn) = turn.as_mut().as_pin_mut() {
            ready!(turn.poll(cx));
        }
        turn.set(None);
        connection.as_mut().poll(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_many_ask_in_one_turn_is_seen_in_one() {
        const MANY: usize = 16;
        let (ask, mut questions) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let looks = Arc::clone(&seen);
        let driver = Driver::start(std::future::poll_fn(move |cx| {
            let mut found = Vec::new();
            while let std::task::Poll::Ready(Some(question)) = questions.poll_recv(cx) {
                found.push(question);
            }
            looks.lock().unwrap().push(found.len());
            for question in found {
                question.send(()).unwrap();
            }
            std::task::Poll::Pending
        }));

        // From one task, so that all of them are ready before the first is run.
        let all = tokio::spawn(async move {
            let each = |_| {
                let ask = ask.clone();
                tokio::spawn(async move {
                    let (answer, answered) = oneshot::channel();
                    ask.send(answer).unwrap();
                    answered.await.unwrap();
                })
            };
            let asking: Vec<_> = (0..MANY).map(each).collect();
            for asked in asking {
                asked.await.unwrap();
            }
        });
        all.await.unwrap();

        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.iter().sum::<usize>(), MANY, "{seen:?}");
        // Every so often the runtime looks at the network with tasks still waiting, which may part them once.
        let looks = seen.iter().filter(|found| **found > 0).count();
        assert!(looks <= 2, "{seen:?}");
        drop(driver);
    }
}
