//! A gate in a handler: two requests are driven against each other by hand, without a clock.

use std::sync::Arc;

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

    /// Waits until the handler stands before the gate.
    pub(crate) async fn arrival(&self) {
        self.0.arrived.notified().await;
    }

    /// Lets it go on.
    pub(crate) fn open(&self) {
        self.0.opened.notify_one();
    }
}
