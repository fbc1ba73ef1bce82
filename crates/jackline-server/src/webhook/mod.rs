//! The webhook: security events, signed, for a program of the operator's to act on. A request that causes one never waits for it; messages
//! lie in a bounded queue in memory, and a thread of their own sends them, one after the other.
//!
//! A receiver gets a message at least once if it is there in time, and may get it twice: what it answers with `2xx` is delivered, and
//! everything else is tried again, for some twenty minutes. What is never taken is counted and logged, as is what found no room. A process
//! that dies loses what waits; the log of events has it all.

mod message;
mod pace;
mod queue;
mod signature;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use jackline::events::{EventHook, Notice};
use tokio::sync::oneshot;

use self::message::Message;
use self::pace::Pace;
use self::queue::Queue;
use crate::app::NowMs;
use crate::config::WebhookSettings;
use crate::metrics::{MessageOutcome, Recorders};
use crate::random;

/// How many messages wait at most. Each is about a kilobyte.
const MOST_WAITING: usize = 1_000;

/// Takes events from requests, and hands them to the thread that sends them.
#[derive(Debug)]
pub struct Webhook(Arc<Shared>);

/// The sending thread, for whoever waits for its end.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    ended: oneshot::Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    settings: WebhookSettings,
    pace: Pace,
    queue: Queue,
    /// Whether it has been said that there is no room.
    overflowing: AtomicBool,
    recorders: Recorders,
    now_ms: NowMs,
}

impl Webhook {
    /// Sends from now on, and tells `recorders` what becomes of the messages.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        settings: WebhookSettings,
        recorders: Recorders,
        now_ms: NowMs,
    ) -> anyhow::Result<(Self, Sender)> {
        Self::start_at(settings, recorders, now_ms, Pace::default(), MOST_WAITING)
    }

    fn start_at(
        settings: WebhookSettings,
        recorders: Recorders,
        now_ms: NowMs,
        pace: Pace,
        room: usize,
    ) -> anyhow::Result<(Self, Sender)> {
        let shared = Arc::new(Shared {
            settings,
            pace,
            queue: Queue::new(room),
            overflowing: AtomicBool::new(false),
            recorders,
            now_ms,
        });
        let (say_ended, ended) = oneshot::channel();
        let sending = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(move || {
                sending.send_all();
                // Nobody waits if the server has not come to its end in good order.
                let _ = say_ended.send(());
            })
            .context("cannot start the thread that sends to the webhook")?;
        Ok((Self(Arc::clone(&shared)), Sender { shared, ended }))
    }
}

impl EventHook for Webhook {
    fn notice(&self, event: &Notice<'_>) {
        let shared = &self.0;
        if !shared.settings.events.contains(&event.kind) {
            return;
        }
        let message = match Message::about(event, shared.now_ms.moment()) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(%error, event = event.kind.name(), "a message for the webhook cannot be written");
                return shared.recorders.message(MessageOutcome::Dropped);
            }
        };
        match shared.queue.add(message, Instant::now()) {
            None => shared.overflowing.store(false, Ordering::Relaxed),
            Some(gone) => {
                shared.recorders.message(MessageOutcome::Dropped);
                // Once per flood, which would fill the log too.
                if !shared.overflowing.swap(true, Ordering::Relaxed) {
                    let (id, event) = (gone.id, gone.event);
                    tracing::error!(
                        id,
                        event,
                        "too many messages wait for the webhook: the oldest are dropped, this one first"
                    );
                }
            }
        }
    }
}

impl Sender {
    /// Sends what is left, each once more and all within three seconds. What that was not enough for is counted and logged.
    pub async fn finish(self) {
        let last = self.shared.pace.last;
        self.shared.queue.close(Instant::now() + last);
        // An attempt that is under way is not cut off, but nor is it waited for.
        let ended = tokio::time::timeout(last, self.ended).await.is_ok();
        let left = self.shared.queue.len() + usize::from(!ended);
        for _ in 0..left {
            self.shared.recorders.message(MessageOutcome::Dropped);
        }
        if left > 0 {
            tracing::error!(
                left,
                "the end came before the webhook had taken all messages"
            );
        }
    }
}

impl Shared {
    fn send_all(&self) {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // An answer that leads elsewhere is not what the operator has set.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("jackline/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        while let Some(mut waiting) = self.queue.take() {
            let last = self.queue.closes();
            let sent = self.send(&agent, &waiting.message, last);
            let (id, event) = (&waiting.message.id, waiting.message.event);
            let Err(why) = sent else {
                self.recorders.message(MessageOutcome::Delivered);
                continue;
            };
            waiting.failed += 1;
            // Without randomness all wait for the longest time.
            let chance = random::bytes::<1>().map_or(255, |[chance]| chance);
            let wait = self.pace.wait_after(waiting.failed, chance);
            match wait.filter(|_| last.is_none()) {
                Some(wait) => {
                    let attempts = waiting.failed;
                    tracing::warn!(
                        id,
                        event,
                        why,
                        attempts,
                        "the webhook did not take a message; it is sent again"
                    );
                    waiting.due = Instant::now() + wait;
                    if self.queue.put_back(waiting).is_some() {
                        self.recorders.message(MessageOutcome::Dropped);
                    }
                }
                None => {
                    tracing::error!(
                        id,
                        event,
                        why,
                        "the webhook did not take a message, which is lost"
                    );
                    self.recorders.message(MessageOutcome::Failed);
                }
            }
        }
    }

    /// One attempt. Of the answer only the status is read.
    fn send(
        &self,
        agent: &ureq::Agent,
        message: &Message,
        until: Option<Instant>,
    ) -> Result<(), String> {
        // Of this attempt: a receiver refuses what is old, and the message may be.
        let seconds = self.now_ms.get().div_euclid(1_000);
        let (id, body) = (message.id.as_str(), message.body.as_str());
        let left = until.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let answer = agent
            .post(self.settings.url.expose())
            .config()
            .timeout_global(Some(self.pace.attempt.min(left)))
            .build()
            .content_type("application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds.to_string())
            .header(
                "webhook-signature",
                signature::sign(&self.settings.secrets, id, seconds, body),
            )
            .send(body);
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered {}", answer.status().as_u16())),
            Err(error) => Err(in_words(&error)),
        }
    }
}

/// What went wrong, without the address, whose path may hold a key.
fn in_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::HostNotFound => "no such host is known".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
        ureq::Error::Io(error) => format!("it cannot be reached: {}", error.kind()),
        ureq::Error::Rustls(error) => format!("TLS failed: {error}"),
        ureq::Error::Tls(what) => format!("TLS failed: {what}"),
        _ => "it gave no answer that is HTTP".to_owned(),
    }
}
