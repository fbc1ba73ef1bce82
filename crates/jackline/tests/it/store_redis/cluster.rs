//! A store on a cluster: a node that fails takes its own sessions along and nobody else's, a failover and a slot that moves
//! are survived, and a login in two steps leaves nothing that "end all" would miss.

use jackline::lifecycle::{Delta, OwnerId, Policy, Record};
use jackline::origin::Origin;
use jackline::store::redis::{RedisOptions, RedisStore};
use jackline::store::{
    Admitted, Committed, Ended, Loaded, Page, Replaced, Store, StoreError, Trace,
};
use jackline::token::{Bucket, SessionKey, SessionToken};

use super::outages::{BACK, BOUNDED, RIGHTS};
use super::{
    MINUTE, add, admission, base64_url, identity, now, owned_key, owner, random, visitor_record,
};
use testkit::eventually;
use testkit::redis::{RedisCluster, RedisServer, user};

// Proves: J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_holds_up_its_own_sessions_only_until_its_replica_takes_over() {
    let scene = Scene::start().await;
    let (here, elsewhere) = scene.two_visitors().await;
    let old = scene.master_of(&here).await;

    scene.nodes()[old].freeze();
    let (hung, other) = tokio::join!(scene.count(&here), scene.count(&elsewhere));
    assert!(matches!(hung, Err(StoreError::Unavailable(_))), "{hung:?}");
    assert_eq!(other.unwrap(), 1);

    scene.cluster.becomes_master(old + 3).await;
    scene.back().await;
    assert_eq!(
        scene.count(&here).await.unwrap(),
        1,
        "what hung was not applied"
    );
    assert_eq!(scene.count(&elsewhere).await.unwrap(), 2);

    scene.nodes()[old].thaw();
    scene.cluster.whole().await;
    assert_eq!(scene.count(&here).await.unwrap(), 2);
}

// Proves: J7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_node_has_crashed_its_replica_serves_what_it_was_sent() {
    let mut scene = Scene::start().await;
    let (here, elsewhere) = scene.two_visitors().await;
    let old = scene.master_of(&here).await;

    scene.cluster.node(old).stop();
    let hung = tokio::time::timeout(BOUNDED, scene.count(&here)).await;
    let hung = hung.expect("an answer within the time-out");
    assert!(matches!(hung, Err(StoreError::Unavailable(_))), "{hung:?}");
    scene.cluster.becomes_master(old + 3).await;
    scene.back().await;
    assert_eq!(scene.count(&here).await.unwrap(), 1);
    assert_eq!(scene.count(&elsewhere).await.unwrap(), 1);

    // What crashed comes back as a replica, and takes over again when it is asked to, without loss.
    scene.cluster.node(old).start_again();
    scene.cluster.whole().await;
    scene.cluster.fail_over(old).await;
    scene.back().await;
    assert_eq!(scene.count(&here).await.unwrap(), 2);
}

// Proves: J4, J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_misses_no_session_while_its_slot_moves() {
    let scene = Scene::start().await;
    let (alice, now) = (owner("user-1001"), now());
    // So that there is an epoch, which moves along: then nothing that the script names is missing at either node.
    scene.store.end_all(&alice, None, now).await.unwrap();
    let mut keys = Vec::new();
    for number in 0..3 {
        keys.push(scene.log_in(&alice, number, None).await.unwrap());
    }
    let mut moving = Moving::begin(&scene.cluster, &keys[0]).await;
    moving.take("sess-owner:").await;
    moving.take("sess-epoch:").await;
    moving.take(&base64_url(keys[0].digest())).await;

    let halfway = scene.store.end_all(&alice, None, now).await;
    assert!(
        matches!(halfway, Err(StoreError::Unavailable(_))),
        "{halfway:?}"
    );
    // What has not left yet is served, and what has is put off.
    let loaded = scene.store.load(&keys[1], MINUTE, now).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { .. }), "{loaded:?}");
    let loaded = scene.store.load(&keys[0], MINUTE, now).await;
    assert!(
        matches!(loaded, Err(StoreError::Unavailable(_))),
        "{loaded:?}"
    );

    // Whoever still waits at the end of the move has only waited.
    let (loaded, ()) = tokio::join!(scene.store.load(&keys[0], MINUTE, now), moving.finish());
    assert!(matches!(loaded, Ok(Loaded::Live { .. })), "{loaded:?}");
    for key in &keys {
        let loaded = scene.store.load(key, MINUTE, now).await.unwrap();
        assert!(matches!(loaded, Loaded::Live { .. }), "{loaded:?}");
    }
    assert_eq!(scene.store.end_all(&alice, None, now).await.unwrap(), 3);
    for key in &keys {
        let loaded = scene.store.load(key, MINUTE, now).await.unwrap();
        assert_eq!(loaded, Loaded::Absent);
    }
}

// Proves: J7, J4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_whose_second_step_fails_is_none() {
    let scene = Scene::start().await;
    let alice = owner("user-1001");
    let old = scene.visitor_apart_from(&alice).await;
    let node = scene.master_of(&old).await;

    scene.nodes()[node].freeze();
    let login = scene.log_in(&alice, 1, Some(visitor(&old, None))).await;
    assert!(
        matches!(login, Err(StoreError::Unavailable(_))),
        "{login:?}"
    );
    scene.nodes()[node].thaw();
    scene.back().await;
    assert!(scene.sessions_of(&alice).await.is_empty());
}

// Proves: J4, J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_the_two_steps_of_a_login_leaves_nothing_that_end_all_misses() {
    let scene = Scene::start().await;
    let alice = owner("user-1001");
    let old = scene.visitor_apart_from(&alice).await;
    let node = scene.master_of(&old).await;

    scene.nodes()[node].freeze();
    tokio::select! {
        login = scene.log_in(&alice, 1, Some(visitor(&old, None))) => panic!("{login:?}"),
        // From here on nobody goes on with the login, as after a crash.
        () = eventually("the first step is done", async || {
            !scene.sessions_of(&alice).await.is_empty()
        }) => {}
    }
    scene.nodes()[node].thaw();
    scene.back().await;
    let old_one = async || scene.store.load(&old, MINUTE, now()).await.unwrap();
    // Frozen for a moment only, so the second step may have been in the node's queue by then.
    assert!(matches!(
        old_one().await,
        Loaded::Live { .. } | Loaded::Trace(Trace::Replaced)
    ));
    assert_eq!(scene.store.end_all(&alice, None, now()).await.unwrap(), 1);
    assert!(scene.sessions_of(&alice).await.is_empty());
}

// Proves: J3, J2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_while_data_moved_to_another_slot_has_moved_along() {
    let scene = Scene::start().await;
    let alice = owner("user-1001");
    for round in 0..10 {
        let old = scene.visitor_apart_from(&alice).await;
        let nothing = Delta::default();
        let login = scene.log_in(&alice, round, Some(visitor(&old, Some(&nothing))));
        let counted = async {
            let mut counted = 0;
            while let Ok(Committed::Applied { .. }) =
                scene.store.commit(&old, &add("n", 1), now()).await
            {
                counted += 1;
            }
            counted
        };
        let (new, counted) = tokio::join!(login, counted);
        let Loaded::Live { record, .. } = scene
            .store
            .load(&new.unwrap(), MINUTE, now())
            .await
            .unwrap()
        else {
            panic!("logged in");
        };
        assert_eq!(record.data.get::<u64>("n").unwrap().unwrap_or(0), counted);
        let ended = scene.store.end(&old, None, None, now()).await.unwrap();
        assert_eq!(ended, Ended::Trace(Trace::Replaced));
    }
}

// Proves: J11, D7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_says_another_part_than_the_server_plays_is_refused_with_the_right_one() {
    let scene = Scene::start().await;
    let refusal = async |url: &str| {
        let connected = RedisStore::connect(url, RedisOptions::default()).await;
        connected.unwrap_err().to_string()
    };
    let said = refusal(&scene.nodes()[0].url()).await;
    assert!(
        said.contains("is a node of a cluster; write redis+cluster://"),
        "{said}"
    );
    let single = RedisServer::start().await;
    let url = single.url().replacen("redis:", "redis+cluster:", 1);
    let said = refusal(&url).await;
    assert!(said.contains("write redis://"), "{said}");
}

/// A cluster, and a store on it whose user may do no more than it must.
struct Scene {
    cluster: RedisCluster,
    store: RedisStore,
}

impl Scene {
    async fn start() -> Self {
        let rights = format!("{RIGHTS} +cluster|slots");
        let cluster = RedisCluster::start_with(&user("web", ">open-sesame", &rights)).await;
        let url = cluster.url().replacen("://", "://web:open-sesame@", 1);
        let store = RedisStore::connect(&url, RedisOptions::default())
            .await
            .unwrap();
        Self { cluster, store }
    }

    fn nodes(&self) -> &[RedisServer] {
        self.cluster.nodes()
    }

    async fn master_of(&self, key: &SessionKey) -> usize {
        self.cluster.master_of(slot(&self.cluster, key).await).await
    }

    /// Visitors whose sessions have different masters, and whose replicas have them.
    async fn two_visitors(&self) -> (SessionKey, SessionKey) {
        let here = visitor_in(0);
        let mut elsewhere = here;
        for bucket in 1.. {
            elsewhere = visitor_in(bucket);
            if self.master_of(&elsewhere).await != self.master_of(&here).await {
                break;
            }
        }
        for key in [&here, &elsewhere] {
            self.store
                .create(key, &visitor_record(now()))
                .await
                .unwrap();
        }
        self.synced().await;
        (here, elsewhere)
    }

    /// A visitor's session that has another master than the sessions of this owner.
    async fn visitor_apart_from(&self, owner: &OwnerId) -> SessionKey {
        let home = self.master_of(&owned_key(owner, 0)).await;
        for bucket in 0.. {
            let key = visitor_in(bucket);
            if self.master_of(&key).await != home {
                let ended = self.store.end(&key, None, None, now()).await.unwrap();
                if ended == Ended::Absent {
                    self.store
                        .create(&key, &visitor_record(now()))
                        .await
                        .unwrap();
                    return key;
                }
            }
        }
        unreachable!("there are enough buckets")
    }

    async fn synced(&self) {
        eventually("the replicas have everything", async || {
            for pair in 0..3 {
                let offset = "master_repl_offset";
                let master = self.nodes()[pair].info(offset).await;
                if master.is_none() || master != self.nodes()[pair + 3].info(offset).await {
                    return false;
                }
            }
            true
        })
        .await;
    }

    async fn count(&self, key: &SessionKey) -> Result<i64, StoreError> {
        match self.store.commit(key, &add("n", 1), now()).await? {
            Committed::Applied { counters } => Ok(counters[0]),
            Committed::Gone => panic!("the session is gone"),
        }
    }

    async fn log_in(
        &self,
        owner: &OwnerId,
        number: u32,
        replaces: Option<Replaced<'_>>,
    ) -> Result<SessionKey, StoreError> {
        let (key, now) = (owned_key(owner, number), now());
        let record = Record::logged_in(identity(owner), &Policy::default(), Origin::default(), now);
        let mut login = admission(&key, &record, owner);
        login.epoch = self.store.epoch(owner, now).await?;
        login.replaces = replaces;
        let admitted = self.store.admit(&login, now).await?;
        assert!(matches!(admitted, Admitted::Done { .. }));
        Ok(key)
    }

    async fn sessions_of(&self, owner: &OwnerId) -> Vec<SessionKey> {
        let listed = self.store.list(owner, Page::first(), now()).await.unwrap();
        listed.sessions.into_iter().map(|(key, _)| key).collect()
    }

    async fn back(&self) {
        let back = eventually("the store is back by itself", async || {
            self.store.ping().await.is_ok()
        });
        tokio::time::timeout(BACK, back)
            .await
            .expect("within two seconds of the failover's end");
    }
}

fn visitor<'a>(key: &'a SessionKey, carry: Option<&'a Delta>) -> Replaced<'a> {
    let owner = None;
    Replaced { key, owner, carry }
}

fn visitor_in(bucket: u16) -> SessionKey {
    SessionToken::from_random(random(u32::from(bucket)), Bucket::from_number(bucket)).key()
}

async fn slot(cluster: &RedisCluster, key: &SessionKey) -> u16 {
    let tag = base64_url(&key.bucket().number().to_be_bytes());
    cluster.nodes()[0].ask(&["CLUSTER", "KEYSLOT", &tag]).await
}

/// A slot on its way from one master to another, key by key.
struct Moving<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    from: usize,
    to: usize,
}

impl<'a> Moving<'a> {
    async fn begin(cluster: &'a RedisCluster, key: &SessionKey) -> Self {
        let slot = slot(cluster, key).await;
        let from = cluster.master_of(slot).await;
        let moving = Self {
            cluster,
            slot: slot.to_string(),
            from,
            to: (from + 1) % 3,
        };
        moving.set(moving.to, "IMPORTING", from).await;
        moving.set(from, "MIGRATING", moving.to).await;
        moving
    }

    async fn set(&self, at: usize, state: &str, other: usize) {
        let nodes = self.cluster.nodes();
        let other: String = nodes[other].ask(&["CLUSTER", "MYID"]).await;
        let set = ["CLUSTER", "SETSLOT", &self.slot, state, &other];
        let _: String = nodes[at].ask(&set).await;
    }

    /// Moves the keys whose names hold this.
    async fn take(&mut self, part: &str) {
        let (from, to) = (
            &self.cluster.nodes()[self.from],
            &self.cluster.nodes()[self.to],
        );
        let names: Vec<String> = from
            .ask(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "1000"])
            .await;
        let port = to.port().to_string();
        for name in names.iter().filter(|name| name.contains(part)) {
            let migrate = ["MIGRATE", "127.0.0.1", &port, name, "0", "5000"];
            let _: String = from.ask(&migrate).await;
        }
    }

    async fn finish(mut self) {
        self.take("").await;
        for at in [self.to, self.from] {
            self.set(at, "NODE", self.to).await;
        }
    }
}
