//! Somebody who follows the events. They go on seeing them for as long as their session lives, which is asked again and again and is no
//! use of it; what ends it here is seen at once, and what ends it anywhere within five seconds. They stop seeing them when the server stops,
//! and when they read too slowly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, unfold};
use jackline::engine::Engine;
use jackline::lifecycle::OwnerId;
use jackline::token::Handle;
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::{Feed, Filter, Happened};

/// How often the session is asked for.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Who follows, and what they are shown.
pub(crate) struct Follower {
    pub(crate) engine: Engine,
    pub(crate) owner: OwnerId,
    pub(crate) session: Handle,
    pub(crate) filter: Filter,
    pub(crate) stopping: watch::Receiver<bool>,
}

struct Following {
    follower: Follower,
    since: VecDeque<Arc<Happened>>,
    live: broadcast::Receiver<Arc<Happened>>,
    ask: Interval,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// The events after the one with this number, until something ends it. `place` is one of a bounded number, and given back then.
    pub(crate) fn follow(
        self,
        feed: &Feed,
        after: u64,
        place: OwnedSemaphorePermit,
    ) -> impl Stream<Item = Arc<Happened>> + use<> {
        let (since, live) = feed.follow(after);
        let mut ask = tokio::time::interval(ASK_EVERY);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let following = Following {
            follower: self,
            since,
            live,
            ask,
            _place: place,
        };
        unfold(following, |mut following| async move {
            let event = following.next().await?;
            Some((event, following))
        })
    }

    /// Whether the session lives. If the store does not say, it does not.
    async fn lives(&self) -> bool {
        let mut after = None;
        loop {
            let Ok((sessions, next)) = self.engine.sessions_of(&self.owner, after).await else {
                return false;
            };
            if sessions.iter().any(|info| info.handle == self.session) {
                return true;
            }
            match next {
                None => return false,
                next => after = next,
            }
        }
    }

    fn concerns(&self, event: &Happened) -> bool {
        let owner = Some(self.owner.as_str());
        event.user_id.as_deref() == owner || event.target.as_deref() == owner
    }
}

/// Why one that waited goes on.
enum Woken {
    Stopped,
    Asks,
    Since,
    Happened(Arc<Happened>),
}

impl Following {
    /// The next event that passes; `None` at the end.
    async fn next(&mut self) -> Option<Arc<Happened>> {
        loop {
            let event = match self.wait().await {
                Woken::Stopped => return None,
                Woken::Asks if self.follower.lives().await => continue,
                Woken::Asks => return None,
                Woken::Since => self.since.pop_front()?,
                Woken::Happened(event) => {
                    if self.follower.concerns(&event) && !self.follower.lives().await {
                        return None;
                    }
                    event
                }
            };
            if self.follower.filter.passes(&event) {
                return Some(event);
            }
        }
    }

    /// In this order: whoever must not see what comes next does not.
    async fn wait(&mut self) -> Woken {
        tokio::select! {
            biased;
            _ = self.follower.stopping.wait_for(|stop| *stop) => Woken::Stopped,
            _ = self.ask.tick() => Woken::Asks,
            () = std::future::ready(()), if !self.since.is_empty() => Woken::Since,
            // An error is somebody who reads too slowly.
            event = self.live.recv() => event.map_or(Woken::Stopped, Woken::Happened),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use axum::http::{HeaderMap, Method, StatusCode, Uri};
    use futures_util::StreamExt as _;
    use jackline::cookie::{Keyring, SigningKey};
    use jackline::engine::{Environment, Incoming};
    use jackline::events::EventKind;
    use jackline::lifecycle::Role;
    use jackline::store::memory::MemoryStore;

    use super::*;
    use crate::app::NowMs;
    use crate::console::{Asked, Console};

    struct Scene {
        console: Arc<Console>,
        engine: Engine,
        stop: watch::Sender<bool>,
        owner: OwnerId,
        session: Handle,
    }

    impl Scene {
        async fn new() -> Self {
            let console = Arc::new(Console::new(NowMs(Arc::new(|| 1_800_000_000_000))));
            let keys = Keyring::new(SigningKey::generate());
            let engine = Engine::builder(MemoryStore::new(), keys)
                .environment(Environment::Development)
                .hook(Arc::clone(&console))
                .build()
                .unwrap();
            let owner = OwnerId::new("user-root").unwrap();
            let lazy = engine.open(&Incoming {
                method: &Method::POST,
                uri: &Uri::from_static("/login"),
                headers: &HeaderMap::new(),
                connection: None,
            });
            let (session, attempt) = lazy.begin_login(&owner).await.unwrap();
            session.log_in(attempt, "root", Role::admin()).unwrap();
            let handle = session.handle().unwrap();
            let changes = engine.finish(&lazy, StatusCode::OK).await;
            assert!(changes.instead().is_none());
            Self {
                console,
                engine,
                stop: watch::Sender::new(false),
                owner,
                session: handle,
            }
        }

        fn follow(&self, kind: &str, after: u64) -> impl Stream<Item = Arc<Happened>> + use<> {
            let asked = Asked {
                kind: kind.to_owned(),
                ..Asked::default()
            };
            let follower = Follower {
                engine: self.engine.clone(),
                owner: self.owner.clone(),
                session: self.session.clone(),
                filter: Filter::parse(&asked).unwrap(),
                stopping: self.stop.subscribe(),
            };
            let place = self.console.place().unwrap();
            follower.follow(self.console.feed(), after, place)
        }

        fn happens(&self, kind: EventKind) {
            self.engine.event(kind).user_id("user-bob").emit();
        }
    }

    type Events<'a> = Pin<&'a mut (dyn Stream<Item = Arc<Happened>> + 'a)>;

    async fn next(events: &mut Events<'_>) -> Option<EventKind> {
        events.next().await.map(|event| event.kind)
    }

    #[tokio::test]
    async fn whoever_follows_sees_each_event_once_from_where_they_were_and_only_those_they_asked_for()
     {
        let scene = Scene::new().await;
        let known = scene.console.feed().last_id();
        scene.happens(EventKind::LoginFailure);
        scene.happens(EventKind::Logout);
        let mut all: Events<'_> = pin!(scene.follow("", known));
        let mut logouts: Events<'_> = pin!(scene.follow("logout", known + 2));
        scene.happens(EventKind::CsrfFailure);
        scene.happens(EventKind::Logout);
        for kind in [
            EventKind::LoginFailure,
            EventKind::Logout,
            EventKind::CsrfFailure,
            EventKind::Logout,
        ] {
            assert_eq!(next(&mut all).await, Some(kind));
        }
        assert_eq!(next(&mut logouts).await, Some(EventKind::Logout));
        scene.stop.send_replace(true);
        scene.happens(EventKind::Logout);
        assert_eq!(next(&mut all).await, None, "the server stops");
        assert_eq!(next(&mut logouts).await, None);
    }

    // Proves: J9
    #[tokio::test]
    async fn whoever_reads_too_slowly_is_dropped_and_gives_their_place_back() {
        let scene = Scene::new().await;
        {
            let mut slow: Events<'_> = pin!(scene.follow("", u64::MAX));
            for _ in 0..300 {
                scene.happens(EventKind::LoginFailure);
            }
            assert_eq!(next(&mut slow).await, None);
        }
        let places: Vec<_> = std::iter::from_fn(|| scene.console.place()).collect();
        assert_eq!(places.len(), 32);
    }

    // Proves: J4
    #[tokio::test]
    async fn a_session_that_ends_sees_nothing_of_what_comes_after() {
        let scene = Scene::new().await;
        let last = scene.console.feed().last_id();
        let mut events: Events<'_> = pin!(scene.follow("", last));
        scene.happens(EventKind::LoginFailure);
        assert_eq!(next(&mut events).await, Some(EventKind::LoginFailure));
        scene.engine.end_all(&scene.owner, "test").await.unwrap();
        scene.happens(EventKind::LoginFailure);
        assert_eq!(next(&mut events).await, None);
    }
}
