//! The nodes of a cluster, each with a connection of its own, so that one that hangs holds up nobody's sessions but its own.
//! Which of them has a key is known beforehand, corrected by the nodes themselves (`MOVED`), and looked up anew as soon as
//! one of them fails.
//!
//! Deliberately not `redis::cluster_async` (1.8): it repeats a command whose answer was lost, and so counts an increment
//! twice; a node that hangs never makes it look who took over; and it follows keys that are on the move, which is not safe
//! here (see [`Cluster::ask`]).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use redis::{ConnectionInfo, Value};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::address;
use super::dial::{DialError, Dialed, Dialer, Times, To};
use super::keys::tag;
use super::link::{Failure, Link, Pause};
use super::question::Question;
use super::slots::{self, Slot, Slots, View};
use super::tls::Tls;
use crate::token::Bucket;

/// What a node is asked for its view.
const VIEW: Question<'static> = Question::Server(&["CLUSTER", "SLOTS"]);

/// A cluster, as it is known.
pub(super) struct Cluster {
    nodes: Arc<Nodes>,
    slots: watch::Receiver<Slots>,
    /// Told when what is known may be out of date.
    look: Arc<Notify>,
    keeper: AbortHandle,
}

impl Cluster {
    /// Finds the nodes of the cluster from one of those that are known. Returns the primaries too, each
    /// with a bucket that it serves.
    pub(super) async fn find(
        seeds: Vec<ConnectionInfo>,
        tls: Tls,
        times: Times,
    ) -> Result<(Self, Vec<(Dialed, Bucket)>), NotFound> {
        let nodes = Arc::new(Nodes {
            links: Mutex::default(),
            seeds,
            tls,
            times,
        });
        let view = nodes.view_of_a_seed().await?;
        let slots = Slots::elect(&[view]);
        let mut primaries = Vec::new();
        for (at, bucket) in one_bucket_each(&slots) {
            let dialer = nodes
                .dialer(at)
                .ok_or_else(|| NotFound::NoCluster { at: at.to_owned() })?;
            primaries.push((dialer.dial().await.map_err(NotFound::Node)?, bucket));
        }
        let (publish, slots) = watch::channel(slots);
        let look = Arc::new(Notify::new());
        let keeper = tokio::spawn(keep(Arc::clone(&nodes), publish, Arc::clone(&look)));
        let keeper = keeper.abort_handle();
        let cluster = Self {
            nodes,
            slots,
            look,
            keeper,
        };
        Ok((cluster, primaries))
    }

    /// Keeps a connection that [`find`](Self::find) made.
    pub(super) fn adopt(&self, first: Dialed) {
        self.nodes.adopt(first);
    }

    /// Asks the node that has the question's names.
    ///
    /// While a slot moves, some of its keys are at its old node and some at its new one. Whatever is about keys that have
    /// left waits for the end of the move, at most for the response time-out, and does not follow them (`ASK`): at the new
    /// node, sessions that are still at the old one look as if they were gone, and "end all" would miss them (J4). The old
    /// node refuses by itself a script that touches what has left.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Value, Failure> {
        const DETOURS: u32 = 5;
        let until = Instant::now() + self.nodes.times.respond;
        let slot = question.name().map_or(0, slots::of);
        let mut pause = Pause::default();
        let mut link = self.link(slot)?;
        let mut detours = 0;
        loop {
            match link.ask(question, until).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Elsewhere { at }) if detours < DETOURS => {
                    detours += 1;
                    self.look.notify_one();
                    link = self.nodes.link(&at).ok_or(Failure::Unexpected)?;
                }
                Err(failure) if failure.says(&["ASK", "TRYAGAIN"]) => {
                    let waited = tokio::time::timeout_at(until, pause.wait()).await;
                    waited.map_err(|_| Failure::Moving)?;
                    link = self.link(slot)?;
                }
                Err(failure) => {
                    // What a node refuses for a reason of its own, another would refuse too.
                    let refused = matches!(failure, Failure::Refused(_));
                    if !refused || failure.says(&["CLUSTERDOWN", "MASTERDOWN", "LOADING"]) {
                        self.look.notify_one();
                    }
                    return Err(failure);
                }
            }
        }
    }

    fn link(&self, slot: Slot) -> Result<Arc<Link>, Failure> {
        let at = self.slots.borrow().primary(slot).map(str::to_owned);
        at.and_then(|at| self.nodes.link(&at)).ok_or_else(|| {
            self.look.notify_one();
            Failure::Refused("CLUSTERDOWN".to_owned())
        })
    }

    /// For each primary a bucket that it serves.
    pub(super) fn bucket_of_each(&self) -> Vec<Bucket> {
        let slots = self.slots.borrow();
        let buckets = one_bucket_each(&slots);
        buckets.into_iter().map(|(_, bucket)| bucket).collect()
    }
}

fn one_bucket_each(slots: &Slots) -> Vec<(&str, Bucket)> {
    let mut missing: BTreeSet<_> = slots.primaries().collect();
    let mut found = Vec::new();
    for bucket in (0..=u16::MAX).map(Bucket::from_number) {
        if missing.is_empty() {
            break;
        }
        if let Some(at) = slots.primary(slots::of(&tag(bucket)))
            && missing.remove(at)
        {
            found.push((at, bucket));
        }
    }
    found
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.nodes).finish()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Why a cluster cannot be used.
pub(super) enum NotFound {
    /// The server is there and is no node of a cluster, or of one that does not know where its slots are.
    NoCluster { at: String },
    /// A node cannot be reached.
    Node(DialError),
}

/// Links to nodes, made when they are needed.
struct Nodes {
    links: Mutex<HashMap<String, Arc<Link>>>,
    seeds: Vec<ConnectionInfo>,
    tls: Tls,
    times: Times,
}

impl Nodes {
    fn link(&self, at: &str) -> Option<Arc<Link>> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(at) {
            return Some(Arc::clone(link));
        }
        let link = Arc::new(Link::opening(self.dialer(at)?));
        links.insert(at.to_owned(), Arc::clone(&link));
        Some(link)
    }

    fn adopt(&self, first: Dialed) {
        if let Some(dialer) = self.dialer(&first.at) {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.insert(first.at.clone(), Arc::new(Link::new(dialer, first)));
        }
    }

    /// Calls the node at an address that another node gave. All nodes take the same user and the same certificates.
    fn dialer(&self, at: &str) -> Option<Dialer> {
        let (host, port) = address::host_and_port(at)?;
        self.dialer_to(address::at(self.seeds.first()?, host, port))
    }

    fn dialer_to(&self, info: ConnectionInfo) -> Option<Dialer> {
        Some(Dialer {
            to: To::Server(self.tls.server(info).ok()?),
            times: self.times,
            announcer: None,
        })
    }

    fn known(&self) -> Vec<(String, Arc<Link>)> {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let known = links
            .iter()
            .map(|(at, link)| (at.clone(), Arc::clone(link)));
        known.collect()
    }

    /// Lets go of nodes that are no primaries any more.
    fn keep_only(&self, primaries: &Slots) {
        let wanted: BTreeSet<_> = primaries.primaries().collect();
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|at, _| wanted.contains(at.as_str()));
    }

    /// What the nodes say that there are links to; if none of them does, what one of the first nodes says.
    async fn views(&self) -> Vec<View> {
        let mut asked = JoinSet::new();
        for (at, link) in self.known() {
            asked.spawn(async move {
                let answer = link.ask(&VIEW, link.until()).await.ok()?;
                slots::read(&answer, address::host_and_port(&at)?.0)
            });
        }
        let mut views: Vec<_> = asked.join_all().await.into_iter().flatten().collect();
        if views.is_empty() {
            views.extend(self.view_of_a_seed().await.ok());
        }
        views
    }

    /// The first view that one of the first nodes gives.
    async fn view_of_a_seed(&self) -> Result<View, NotFound> {
        let mut asked = JoinSet::new();
        for seed in &self.seeds {
            let host = match seed.addr() {
                redis::ConnectionAddr::Tcp(host, _)
                | redis::ConnectionAddr::TcpTls { host, .. } => host.clone(),
                _ => continue,
            };
            let Some(dialer) = self.dialer_to(seed.clone()) else {
                continue;
            };
            asked.spawn(async move {
                let mut dialed = dialer.dial().await.map_err(NotFound::Node)?;
                let answer = dialed.ask(&VIEW.in_short()).await;
                let at = dialed.at;
                let view = match answer {
                    Ok(answer) => slots::read(&answer, &host).filter(|view| !view.is_empty()),
                    // Cluster support is off, or the user may not ask.
                    Err(error) if error.code() == Some("ERR") => None,
                    Err(error) => return Err(NotFound::Node(DialError::Server { at, error })),
                };
                view.ok_or(NotFound::NoCluster { at })
            });
        }
        let mut reason = None;
        while let Some(Ok(answer)) = asked.join_next().await {
            match answer {
                Ok(view) => return Ok(view),
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        Err(reason.unwrap_or(NotFound::NoCluster { at: String::new() }))
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.known()).finish()
    }
}

/// Looks who serves what whenever it is told to, and goes on looking until all primaries are there.
async fn keep(nodes: Arc<Nodes>, publish: watch::Sender<Slots>, look: Arc<Notify>) {
    loop {
        look.notified().await;
        let mut pause = Pause::default();
        loop {
            let views = nodes.views().await;
            if !views.is_empty() {
                let slots = Slots::elect(&views);
                nodes.keep_only(&slots);
                publish.send_replace(slots);
            }
            // Also after the last look, so that many who fail at once do not make it look as often.
            pause.wait().await;
            let all_up = |slots: &Slots| {
                let mut primaries = slots.primaries();
                primaries.all(|at| nodes.link(at).is_some_and(|link| link.is_up()))
            };
            if all_up(&publish.borrow()) {
                break;
            }
        }
    }
}
