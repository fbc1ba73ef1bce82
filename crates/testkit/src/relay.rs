//! A stretch of network between a client and a server on this machine: it can be slow, stand still, and break.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Passes on what is sent to its port, and what is answered.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    road: Road,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Road {
    /// How long each answer is on its way; `None` while nothing arrives.
    delay: watch::Sender<Option<Duration>>,
    broken: Arc<Notify>,
    /// What PostgreSQL says and nobody is to hear.
    kept_back: watch::Sender<Option<u8>>,
}

impl Relay {
    /// The kind of message by which PostgreSQL tells what somebody said in a channel.
    pub const POSTGRES_NOTIFICATION: u8 = b'A';

    /// A way to this port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let road = Road {
            delay: watch::Sender::new(Some(Duration::ZERO)),
            broken: Arc::default(),
            kept_back: watch::Sender::new(None),
        };
        let own = listener.local_addr().unwrap().port();
        let shared = road.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    tokio::spawn(shared.clone().carry(client, server));
                }
            }
        });
        Self {
            port: own,
            road,
            accepting,
        }
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on every answer takes so much longer.
    pub fn slow_down(&self, by: Duration) {
        self.road.delay.send_replace(Some(by));
    }

    /// No answer arrives until it is told otherwise. None is lost.
    pub fn stand_still(&self) {
        self.road.delay.send_replace(None);
    }

    /// Messages of this kind that PostgreSQL sends on connections from now on get lost.
    pub fn keep_back(&self, kind: u8) {
        self.road.kept_back.send_replace(Some(kind));
    }

    /// Ends all connections that there are.
    pub fn cut(&self) {
        self.road.broken.notify_waiters();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Road {
    async fn carry(self, client: TcpStream, server: TcpStream) {
        let broken = self.broken.notified();
        // Small messages are sent as they come.
        for stream in [&client, &server] {
            let _ = stream.set_nodelay(true);
        }
        let (mut questions, answers_to) = client.into_split();
        let (answers, mut questions_to) = server.into_split();
        let (put, take) = mpsc::unbounded_channel();
        let kept_back = *self.kept_back.borrow();
        tokio::select! {
            () = broken => {}
            _ = tokio::io::copy(&mut questions, &mut questions_to) => {}
            () = receive(answers, put, kept_back) => {}
            () = deliver(take, answers_to, self.delay.subscribe()) => {}
        }
    }
}

async fn receive(
    mut from: OwnedReadHalf,
    put: mpsc::UnboundedSender<(Instant, Vec<u8>)>,
    kept_back: Option<u8>,
) {
    let mut bytes = Vec::new();
    while let Ok(1..) = from.read_buf(&mut bytes).await {
        let passed_on = match kept_back {
            None => std::mem::take(&mut bytes),
            Some(kind) => other_messages(&mut bytes, kind),
        };
        let _ = put.send((Instant::now(), passed_on));
    }
}

/// Takes whole messages of PostgreSQL out of what has come, and returns those that are not of this kind.
fn other_messages(bytes: &mut Vec<u8>, kind: u8) -> Vec<u8> {
    let mut others = Vec::new();
    while let Some(head) = bytes.first_chunk::<5>() {
        // The length counts itself, and not the kind before it.
        let length = 1 + u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if bytes.len() < length {
            break;
        }
        let message: Vec<u8> = bytes.drain(..length).collect();
        if message[0] != kind {
            others.extend(message);
        }
    }
    others
}

async fn deliver(
    mut take: mpsc::UnboundedReceiver<(Instant, Vec<u8>)>,
    mut to: OwnedWriteHalf,
    mut delay: watch::Receiver<Option<Duration>>,
) {
    while let Some((came, bytes)) = take.recv().await {
        loop {
            let until = delay.borrow_and_update().map(|delay| came + delay);
            let arrives = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = arrives => break,
                changed = delay.changed() => if changed.is_err() { return },
            }
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
