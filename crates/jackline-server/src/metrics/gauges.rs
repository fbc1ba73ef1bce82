//! What is read at the moment of asking, and not counted as it happens. One table, from which whoever shows gauges draws.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jackline::events::EventKind;

use super::busiest::Busiest;
use crate::app::NowMs;
use crate::connections::Places;
use crate::passwords::PasswordHasher;
use crate::tls::Served;

/// The kinds of events that many of from one network are an attack.
pub(super) const FROM_ONE_NETWORK: [EventKind; 4] = [
    EventKind::SessionRejected,
    EventKind::CsrfFailure,
    EventKind::LoginFailure,
    EventKind::UseAfterExpire,
];

/// One gauge.
pub(super) struct Gauge {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) read: fn(&Gauges) -> Values,
}

/// A gauge's values, one for each kind of event that it is about, or one of no kind.
type Values = Vec<(Option<EventKind>, u64)>;

pub(super) const ALL: [Gauge; 5] = [
    Gauge {
        name: "store_up",
        help: "Whether the session store took the last call that would have shown otherwise",
        read: |gauges| vec![(None, u64::from(gauges.store_up.load(Ordering::Relaxed)))],
    },
    Gauge {
        name: "connections",
        help: "Connections of clients",
        read: |gauges| gauges.of_server(|server| server.places.taken()),
    },
    Gauge {
        name: "passwords_in_hand",
        help: "Passwords that are being checked or wait for it",
        read: |gauges| gauges.of_server(|server| server.hasher.in_hand()),
    },
    Gauge {
        name: "certificate_expiry_timestamp_seconds",
        help: "When the certificate runs out that is shown to whoever connects next",
        read: |gauges| {
            let certificate = gauges
                .server
                .get()
                .and_then(|server| server.certificate.as_ref());
            let ends = certificate.and_then(|served| served.ends_secs());
            ends.map(|ends| (None, ends)).into_iter().collect()
        },
    },
    Gauge {
        name: "busiest_network_events",
        help: "Events from the one network that sent the most, in this minute or the one before",
        read: |gauges| {
            let minute = gauges.minute();
            let of_kind = FROM_ONE_NETWORK.iter().zip(&gauges.busiest);
            of_kind
                .map(|(kind, busiest)| (Some(*kind), busiest.most(minute)))
                .collect()
        },
    },
];

/// Where all of them are read.
pub struct Gauges {
    store_up: AtomicBool,
    busiest: [Busiest; FROM_ONE_NETWORK.len()],
    now_ms: NowMs,
    server: OnceLock<Server>,
}

/// The parts of a server that know how busy they are.
#[derive(Debug)]
pub(crate) struct Server {
    /// The connections of its listener.
    pub(crate) places: Places,
    /// Where passwords wait.
    pub(crate) hasher: PasswordHasher,
    /// What it shows to clients, if it speaks TLS itself.
    pub(crate) certificate: Option<Arc<Served>>,
}

impl Gauges {
    /// Nothing counted, by this clock.
    pub fn new(now_ms: NowMs) -> Self {
        Self {
            store_up: AtomicBool::new(true),
            busiest: Default::default(),
            now_ms,
            server: OnceLock::new(),
        }
    }

    /// Shows how busy a server is, too. The first event comes earlier than the server.
    pub(crate) fn of(&self, server: Server) {
        // A second one would be a second server in this process.
        let _ = self.server.set(server);
    }

    /// Takes note of an event.
    pub(super) fn event(&self, kind: EventKind, from: Option<IpAddr>) {
        match kind {
            EventKind::StoreUnavailable => self.store_up.store(false, Ordering::Relaxed),
            EventKind::StoreRecovered => self.store_up.store(true, Ordering::Relaxed),
            _ => {}
        }
        let Some(from) = from else { return };
        let of_kind = FROM_ONE_NETWORK.iter().zip(&self.busiest);
        for (_, busiest) in of_kind.filter(|(of, _)| **of == kind) {
            busiest.count(from, self.minute());
        }
    }

    fn of_server(&self, read: impl Fn(&Server) -> usize) -> Values {
        let server = self.server.get();
        server
            .map(|server| (None, read(server) as u64))
            .into_iter()
            .collect()
    }

    fn minute(&self) -> i64 {
        self.now_ms.get().div_euclid(60_000)
    }
}

impl fmt::Debug for Gauges {
    /// Not who was counted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauges").finish_non_exhaustive()
    }
}
