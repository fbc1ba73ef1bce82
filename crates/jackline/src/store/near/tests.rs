//! The near-cache by itself: with a store that can be held up, announcements made by hand, and a clock that stands still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::advance;

use super::{Announcements, Line, NearCache, NearOptions};
use crate::lifecycle::{Delta, Identity, OwnerId, Policy, Record, Role, SessionCap, UnixMs};
use crate::origin::Origin;
use crate::store::memory::MemoryStore;
use crate::store::{Admission, Epoch, Loaded, NO_RENEWAL, Replaced, Store, StoreError, Trace};
use crate::testing::SpyStore;
use crate::token::{Bucket, SessionKey, SessionToken};

const NOW: UnixMs = UnixMs::from_millis(1_000_000);
const STEP: Duration = Duration::from_secs(60);
const BOUND: Duration = Duration::from_secs(1);
const LITTLE: Duration = Duration::from_millis(1);
const OPTIONS: NearOptions = NearOptions::new(1 << 20);

/// A near-cache, and the store behind it.
#[derive(Clone)]
struct Scene {
    near: Arc<NearCache>,
    spy: Arc<SpyStore>,
}

impl Scene {
    fn in_process() -> Self {
        Self::new(|spy| NearCache::in_process(spy, OPTIONS))
    }

    /// With a line that has proved itself.
    fn announced() -> (Self, Line, Announcements) {
        let announcements = Announcements::new(OPTIONS);
        let scene = Self::new(|spy| NearCache::announced(spy, &announcements));
        let line = announcements.open_line();
        line.complete_until(now());
        (scene, line, announcements)
    }

    fn new(near: impl FnOnce(Arc<SpyStore>) -> NearCache) -> Self {
        let spy = Arc::new(SpyStore::new(Arc::new(MemoryStore::new())));
        let near = Arc::new(near(Arc::clone(&spy)));
        Self { near, spy }
    }

    /// A session of `owner`, stored past the near-cache.
    async fn session(&self, owner: &OwnerId, number: u8) -> SessionKey {
        let key = key(owner, number);
        self.spy.create(&key, &record(owner)).await.unwrap();
        key
    }

    async fn load(&self, key: &SessionKey) -> Loaded {
        self.near.load(key, STEP, NOW).await.unwrap()
    }

    fn loads(&self) -> usize {
        self.spy.count("load")
    }

    /// Whether the next load is answered from memory.
    async fn knows(&self, key: &SessionKey) -> bool {
        let before = self.loads();
        let _ = self.near.load(key, STEP, NOW).await;
        self.loads() == before
    }

    /// A load that has reached the store and waits there.
    async fn held_up_load(&self, key: SessionKey, at: UnixMs) -> JoinHandle<Loaded> {
        self.spy.hang(true);
        let (scene, before) = (self.clone(), self.loads());
        let load = tokio::spawn(async move { scene.near.load(&key, STEP, at).await.unwrap() });
        self.spy.called("load", before + 1).await;
        load
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn alice() -> OwnerId {
    OwnerId::new("alice").unwrap()
}

fn bob() -> OwnerId {
    OwnerId::new("bob").unwrap()
}

fn key(owner: &OwnerId, number: u8) -> SessionKey {
    SessionToken::from_random([number; 24], Bucket::of(owner)).key()
}

fn record(owner: &OwnerId) -> Record {
    let identity = Identity {
        id: owner.clone(),
        name: owner.as_str().to_owned(),
        role: Role::user(),
    };
    Record::logged_in(identity, &Policy::default(), Origin::default(), NOW)
}

fn is_live(loaded: &Loaded) -> bool {
    matches!(loaded, Loaded::Live { .. })
}

// Proves: J9
#[tokio::test(start_paused = true)]
async fn a_live_session_is_answered_from_memory_until_it_is_as_old_as_the_bound() {
    let scene = Scene::in_process();
    let key = scene.session(&alice(), 1).await;
    let first = scene.load(&key).await;
    assert!(!matches!(first, Loaded::Live { renewed: true, .. }));
    advance(BOUND).await;
    assert_eq!(scene.load(&key).await, first);
    assert_eq!(scene.loads(), 1);
    advance(LITTLE).await;
    assert!(!scene.knows(&key).await);
    assert!(scene.knows(&key).await, "and from then on again");
}

// Proves: J2
#[tokio::test(start_paused = true)]
async fn nothing_is_answered_from_memory_without_a_proof_that_is_younger_than_the_bound() {
    let announcements = Announcements::new(OPTIONS);
    let scene = Scene::new(|spy| NearCache::announced(spy, &announcements));
    let key = scene.session(&alice(), 1).await;
    assert!(!scene.knows(&key).await && !scene.knows(&key).await);

    let line = announcements.open_line();
    line.complete_until(now());
    assert!(!scene.knows(&key).await, "it was loaded before the line");
    assert!(scene.knows(&key).await);

    for _ in 0..5 {
        advance(BOUND).await;
        assert!(scene.knows(&key).await, "as long as there are proofs");
        line.complete_until(now());
    }
    let before = now();
    advance(BOUND + LITTLE).await;
    assert!(!scene.knows(&key).await && !scene.knows(&key).await);
    line.complete_until(before);
    assert!(!scene.knows(&key).await, "a proof of long ago");
    line.complete_until(now());
    assert!(scene.knows(&key).await);
}

// Proves: J2
#[tokio::test(start_paused = true)]
async fn a_lost_line_empties_the_cache_and_another_does_not_fill_it_again() {
    let (scene, line, announcements) = Scene::announced();
    let key = scene.session(&alice(), 1).await;
    scene.load(&key).await;
    assert!(scene.knows(&key).await);
    drop(line);
    assert!(format!("{:?}", scene.near).contains("Kept(0 entries"));
    assert!(!scene.knows(&key).await);

    // What was loaded while there was no line may have changed before there was one.
    let between = scene.held_up_load(key, NOW).await;
    let (first, second) = (announcements.open_line(), announcements.open_line());
    first.complete_until(now());
    scene.spy.hang(false);
    between.await.unwrap();
    for _ in 0..2 {
        assert!(!scene.knows(&key).await, "the other line is silent");
    }
    second.complete_until(now());
    assert!(scene.knows(&key).await);

    first.lost();
    first.complete_until(now());
    assert!(!scene.knows(&key).await, "one of two lines is lost");
    assert!(scene.knows(&key).await);
}

// Proves: J2
#[tokio::test(start_paused = true)]
async fn what_changed_after_the_store_was_asked_is_not_kept() {
    let (scene, line, _announcements) = Scene::announced();
    let key = scene.session(&alice(), 1).await;
    let other = key_in_another_bucket();
    let overtaking: [(&str, &dyn Fn()); 3] = [
        ("announced", &|| line.changed(&key)),
        ("everything", &|| line.all_changed()),
        ("own", &|| drop(scene.near.kept.write([&key]))),
    ];
    for (what, overtake) in overtaking {
        line.changed(&key);
        let load = scene.held_up_load(key, NOW).await;
        overtake();
        scene.spy.hang(false);
        assert!(is_live(&load.await.unwrap()));
        assert!(!scene.knows(&key).await, "{what}");
        assert!(scene.knows(&key).await, "{what}");
    }
    // One that has nothing to do with it changes nothing.
    line.changed(&key);
    let load = scene.held_up_load(key, NOW).await;
    line.changed(&other);
    scene.spy.hang(false);
    load.await.unwrap();
    assert!(scene.knows(&key).await);
}

fn key_in_another_bucket() -> SessionKey {
    let bucket = Bucket::from_number(Bucket::of(&alice()).number() ^ 1);
    SessionKey::from_parts(bucket, [9; 32])
}

// Proves: J2
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_a_session_while_it_is_written() {
    let scene = Scene::in_process();
    let key = scene.session(&alice(), 1).await;
    let write = scene.near.kept.write([&key]);
    assert!(!scene.knows(&key).await && !scene.knows(&key).await);
    drop(write);
    assert!(!scene.knows(&key).await && scene.knows(&key).await);

    // A load that begins meanwhile may have been answered before the write was carried out.
    let write = scene.near.kept.write([&key]);
    let load = scene.held_up_load(key, NOW).await;
    drop(write);
    scene.spy.hang(false);
    load.await.unwrap();
    assert!(!scene.knows(&key).await && scene.knows(&key).await);
}

// Proves: J2, J5
#[tokio::test(start_paused = true)]
async fn a_use_is_written_down_by_one_request_while_others_are_answered_from_memory() {
    let scene = Scene::in_process();
    let key = scene.session(&alice(), 1).await;
    scene.load(&key).await;
    let later = NOW.after(STEP);

    let given_up = scene.held_up_load(key, later).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    let renewal = scene.held_up_load(key, later).await;
    let before = scene.loads();
    for _ in 0..3 {
        let loaded = scene.near.load(&key, STEP, later).await.unwrap();
        assert!(matches!(loaded, Loaded::Live { renewed: false, .. }));
    }
    assert_eq!(scene.loads(), before, "the others wait for nothing");
    scene.spy.hang(false);
    let renewal = renewal.await.unwrap();
    assert!(matches!(renewal, Loaded::Live { renewed: true, .. }));

    let Loaded::Live { record, .. } = scene.near.load(&key, STEP, later).await.unwrap() else {
        panic!("it lives");
    };
    assert_eq!(record.clocks.seen, later, "what is kept is renewed too");
    assert_eq!(scene.loads(), before);

    scene.spy.fail_next(1);
    let last = later.after(STEP);
    assert!(scene.near.load(&key, STEP, last).await.is_err());
    let loaded = scene.near.load(&key, STEP, last).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { renewed: true, .. }));
}

// Proves: J5, J10
#[tokio::test(start_paused = true)]
async fn what_is_over_and_what_is_looked_at_again_is_the_stores_to_say() {
    let scene = Scene::in_process();
    let key = scene.session(&alice(), 1).await;
    scene.load(&key).await;
    for again in 2..4 {
        scene.near.load(&key, NO_RENEWAL, NOW).await.unwrap();
        assert_eq!(scene.loads(), again);
    }
    let clocks = record(&alice()).clocks;
    let over = clocks.idle_deadline();
    for again in 4..6 {
        let loaded = scene.near.load(&key, STEP, over).await.unwrap();
        assert!(matches!(loaded, Loaded::Expired(_)));
        assert_eq!(scene.loads(), again);
    }
    for absent in 6..8 {
        let loaded = scene.load(&key_in_another_bucket()).await;
        assert_eq!((loaded, scene.loads()), (Loaded::Absent, absent));
    }
}

/// A write of each kind that may end or change the session under a key.
type Write = (&'static str, fn(Scene, SessionKey) -> JoinHandle<bool>);

fn writes() -> [Write; 6] {
    fn run<T: Send + 'static>(
        write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> JoinHandle<bool> {
        tokio::spawn(async move { write.await.is_ok() })
    }
    async fn log_in(
        scene: Scene,
        replaces: Option<SessionKey>,
        cap: SessionCap,
    ) -> Result<(), StoreError> {
        let (owner, key) = (alice(), key(&alice(), 200));
        let admission = Admission {
            key: &key,
            record: &record(&owner),
            owner: &owner,
            epoch: Epoch::default(),
            cap,
            replaces: replaces.as_ref().map(|key| Replaced {
                key,
                owner: None,
                carry: None,
            }),
        };
        scene.near.admit(&admission, NOW).await.map(drop)
    }
    [
        ("commit", |scene, key| {
            run(async move { scene.near.commit(&key, &Delta::default(), NOW).await })
        }),
        ("rotate", |scene, old| {
            run(async move {
                let (owner, delta) = (alice(), Delta::default());
                let new = key(&owner, 100);
                let rotate = scene.near.rotate(&old, &new, Some(&owner), &delta, NOW);
                rotate.await
            })
        }),
        ("end", |scene, key| {
            run(async move {
                let (owner, trace) = (alice(), Some(Trace::LoggedOut));
                scene.near.end(&key, Some(&owner), trace, NOW).await
            })
        }),
        ("end_all", |scene, _| {
            run(async move { scene.near.end_all(&alice(), None, NOW).await })
        }),
        ("admit", |scene, key| {
            run(log_in(scene, Some(key), SessionCap::Unlimited))
        }),
        ("admit", |scene, _| {
            run(log_in(scene, None, SessionCap::PruneOldest(1)))
        }),
    ]
}

// Proves: J2, J4
#[tokio::test(start_paused = true)]
async fn what_this_process_writes_is_forgotten_whether_the_answer_comes_gets_lost_or_is_not_waited_for()
 {
    #[derive(Clone, Copy, Debug)]
    enum Answer {
        Comes,
        GetsLost,
        IsNotWaitedFor,
    }
    for (method, write) in writes() {
        for answer in [Answer::Comes, Answer::GetsLost, Answer::IsNotWaitedFor] {
            let scene = Scene::in_process();
            let key = scene.session(&alice(), 1).await;
            let bystander = scene.session(&bob(), 2).await;
            scene.load(&bystander).await;
            scene.load(&key).await;
            assert!(scene.knows(&key).await);
            scene.spy.lose_answers(matches!(answer, Answer::GetsLost));
            scene.spy.hang(matches!(answer, Answer::IsNotWaitedFor));
            let writing = write(scene.clone(), key);
            scene.spy.called(method, 1).await;
            if matches!(answer, Answer::IsNotWaitedFor) {
                writing.abort();
                assert!(writing.await.is_err());
            } else {
                let ok = matches!(answer, Answer::Comes);
                assert_eq!(writing.await.unwrap(), ok, "{method} {answer:?}");
            }
            scene.spy.hang(false);
            scene.spy.lose_answers(false);
            assert!(!scene.knows(&key).await, "{method} {answer:?}");
            assert!(scene.knows(&bystander).await, "{method} {answer:?}");
        }
    }
}

// Proves: J9
#[tokio::test(start_paused = true)]
async fn memory_is_bounded_whatever_is_stored() {
    let options = NearOptions::new(64 << 10);
    let scene = Scene::new(|spy| NearCache::in_process(spy, options));
    let mut large = record(&alice());
    for name in 0..20 {
        let value = serde_json::value::to_raw_value(&"x".repeat(100)).unwrap();
        large.data.set(format!("member {name}"), value);
    }
    for number in 0..=255 {
        let key = key(&alice(), number);
        scene.spy.create(&key, &large).await.unwrap();
        scene.load(&key).await;
    }
    let kept = format!("{:?}", scene.near.kept);
    let numbers: Vec<usize> = kept
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [entries, bytes] = numbers[..] else {
        panic!("{kept}");
    };
    assert!((5..32).contains(&entries), "{kept}");
    assert!(bytes <= 64 << 10, "{kept}");
}
