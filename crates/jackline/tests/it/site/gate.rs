//! A gate in a handler: two requests are driven against each other by hand, without a clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// Stops one handler until the test lets it go on.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Sides>);

#[derive(Default)]
struct Sides {
    arrived: Notify,
    opened: Notify,
}

impl Gate {
    /// The handler's side.
    pub(crate) async fn pass(&self) {
        self.0.arrived.notify_one();
        self.0.opened.notified().await;
    }

    /// Waits until the handler stands before the gate, which it does within a minute or never.
    pub(crate) async fn arrival(&self) {
        let arrived = self.0.arrived.notified();
        let arrived = tokio::time::timeout(Duration::from_secs(60), arrived).await;
        arrived.expect("nobody came to the gate");
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        self.0.opened.notify_one();
    }
}
