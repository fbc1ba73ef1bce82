//! A connection on which one hears what is said in a channel (`LISTEN`), and asks nothing.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Error};

use super::error::Failure;
use super::link::{Dialer, ServerId};
use crate::driver::Driver;

/// A connection that listens until it is dropped.
pub(crate) struct Listening {
    server: ServerId,
    closed: Arc<Notify>,
    _client: Client,
    _driver: Driver,
}

impl Listening {
    /// The server that it leads to.
    pub(crate) fn server(&self) -> &ServerId {
        &self.server
    }

    /// Returns when the connection is closed.
    pub(crate) async fn closed(&self) {
        self.closed.notified().await;
    }
}

impl Dialer {
    /// Connects, and hears what is said from now on in the channel that has the schema's name.
    pub(super) async fn listen(
        &self,
        hear: impl FnMut(&str) + Send + 'static,
    ) -> Result<Listening, Failure> {
        tokio::time::timeout(self.connection_timeout, self.begin_to_listen(hear))
            .await
            .map_err(|_| Failure::TimedOut(self.connection_timeout))?
            .map_err(|error| Failure::from(&error))
    }

    async fn begin_to_listen(
        &self,
        mut hear: impl FnMut(&str) + Send + 'static,
    ) -> Result<Listening, Error> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let closed = Arc::new(Notify::new());
        let tell = Arc::clone(&closed);
        let driver = Driver::start(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(said) = message {
                    hear(said.payload());
                }
            }
            tell.notify_one();
        });
        let listen = format!("LISTEN \"{}\"", self.schema.name());
        let (server, ()) = tokio::try_join!(ServerId::of(&client), client.batch_execute(&listen))?;
        Ok(Listening {
            server,
            closed,
            _client: client,
            _driver: driver,
        })
    }
}
