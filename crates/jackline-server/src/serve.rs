//! `jackline serve`: opens what is needed, says in a few lines what there is, serves until it is told to stop, and then
//! finishes what is under way.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jackline::engine::Engine;
use jackline::events::{EventHook, EventKind};
use jackline::lifecycle::OwnerId;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::app::{App, NowMs};
use crate::config::Config;
use crate::connections::{MAX_CONNECTIONS, Places};
use crate::console::Console;
use crate::factors::{Factors, Seals};
use crate::guessing::Guessing;
use crate::metrics::{self, Metrics, Server};
use crate::passwords::{NewPassword, PasswordHasher};
use crate::tls::Tls;
use crate::users::Users;
use crate::webhook::Webhook;
use crate::{clock, connections, router, sessions};

/// How often records that have run out are reclaimed, and how many at a time.
const RECLAIM_EVERY: Duration = Duration::from_secs(30);
const RECLAIM_BATCH: u32 = 500;

/// Serves until it is told to stop.
///
/// # Errors
///
/// If it cannot listen, or a store or database cannot be opened.
pub async fn run(config: Config, metrics: Metrics) -> anyhow::Result<()> {
    let now_ms = NowMs(Arc::new(clock::now_ms));
    let console = Arc::new(Console::new(now_ms.clone()));
    let mut hooks: Vec<Arc<dyn EventHook>> = vec![Arc::clone(&console) as _];
    let sender = match &config.webhook {
        None => None,
        Some(settings) => {
            let recorders = metrics.recorders.clone();
            let (webhook, sender) = Webhook::start(settings.clone(), recorders, now_ms.clone())?;
            hooks.push(Arc::new(webhook));
            Some(sender)
        }
    };
    let told = metrics.recorders.and(Arc::clone(&console) as _);
    let engine = sessions::engine_told_to(&config, &told, hooks).await?;
    engine.ready().await.with_context(|| {
        format!(
            "the {} session store takes no writes; see the log above, and start again once it does",
            engine.store_name()
        )
    })?;
    let users = sessions::open_users(&config).await?;
    let hasher = PasswordHasher::for_this_machine()?.told_to(metrics.recorders);
    let factors = Factors::new(users.clone(), seals(&config)?);
    seal_anew(&factors).await?;
    let places = Places::new(MAX_CONNECTIONS);
    keep_demo_user(&config, &users, &hasher, &engine).await?;
    let stopping = watch::Sender::new(false);
    let tasks = TaskTracker::new();
    let tls = config.tls.as_ref().map(Tls::open).transpose()?;
    if let Some(gauges) = &metrics.gauges {
        gauges.of(Server {
            places: places.clone(),
            hasher: hasher.clone(),
            certificate: tls.as_ref().map(Tls::served),
        });
    }
    let app = App {
        engine: engine.clone(),
        users,
        factors,
        public_origins: config
            .front
            .public_origins()
            .iter()
            .map(|origin| origin.as_str().to_owned())
            .collect(),
        admins_need_second_factor: config.deployment.is_production(),
        guessing: Guessing::new(&config)?,
        hasher,
        console,
        stopping: stopping.subscribe(),
        tasks: tasks.clone(),
        now_ms,
    };

    let router = router::router(app);
    #[cfg(feature = "otlp")]
    let router = match &metrics.otlp {
        Some(otlp) => otlp.around(router, sessions::trusted_proxies(&config)?),
        None => router,
    };
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; is another program using the port?",
            config.listen
        )
    })?;
    let address = listener
        .local_addr()
        .context("cannot tell the address that is listened on")?;
    let metrics_at = match config.metrics.zip(metrics.prometheus) {
        None => None,
        Some((address, prometheus)) => {
            let mut stopped = stopping.subscribe();
            let stop = async move {
                // An error is the end of the server, too.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            Some(metrics::serve(address, prometheus, stop).await?)
        }
    };
    let reclaiming = tokio::spawn(reclaim(engine.clone(), stopping.subscribe()));
    let acceptor = tls.as_ref().map(Tls::acceptor);
    if let Some(tls) = tls {
        tokio::spawn(tls.follow(stopping.subscribe()));
    }
    // Before anything is said: whoever reads the lines may at once send the signal.
    let mut signals = Signals::listen()?;
    say(&banner(&config, &engine, address, metrics_at));
    engine.event(EventKind::Startup).emit();

    let told_to_stop = async {
        signals.next().await;
        stopping.send_replace(true);
    };
    let under_way = connections::accept(listener, acceptor, router, places, told_to_stop).await;
    let patience = config.shutdown_timeout;
    let finished = under_way.finish(&tasks, patience, signals.next()).await;
    let _ = reclaiming.await;
    let ended = match finished {
        Ok(()) => {
            engine.event(EventKind::Shutdown).emit();
            Ok(())
        }
        Err(cut_off) => {
            engine
                .event(EventKind::Shutdown)
                .reason("requests_cut_off")
                .count(cut_off.requests)
                .emit();
            if cut_off.by_operator {
                // At once is what was asked for.
                return Err(cut_off.into());
            }
            // The limit did what it is there for. A status that is not 0 would tell the supervisor of a crash.
            tracing::warn!("{cut_off}");
            Ok(())
        }
    };
    // Last, so that the end itself can be a message; and before the metrics, which count what became of it.
    if let Some(sender) = sender {
        sender.finish().await;
    }
    #[cfg(feature = "otlp")]
    if let Some(otlp) = metrics.otlp {
        otlp.finish().await;
    }
    ended
}

/// In development there is a demo user, and in production there is none: whoever could log in with a published password loses
/// their sessions too.
async fn keep_demo_user(
    config: &Config,
    users: &Users,
    hasher: &PasswordHasher,
    engine: &Engine,
) -> anyhow::Result<()> {
    if !config.deployment.is_production() {
        if users.lacks_demo_user().await? {
            let hash = hasher.hash(NewPassword::of_demo_user()).await?;
            users.ensure_demo_user(hash, clock::now_ms()).await?;
        }
        return Ok(());
    }
    if let Some(id) = users.demo_user().await? {
        // Its sessions first: should this fail, the next start finds the user again and goes on.
        engine
            .end_all(&OwnerId::new(id.as_str())?, "demo_user_removed")
            .await?;
        users.remove_demo_user().await?;
        tracing::warn!("the demo user was removed: production has none");
    }
    Ok(())
}

/// The keys that second factors are sealed by.
///
/// # Errors
///
/// If there is no signing secret.
pub fn seals(config: &Config) -> anyhow::Result<Seals> {
    Ok(Seals::new(&config.signing.secrets(&config.data_dir)?))
}

/// Before anybody logs in: once this is done, an older signing secret may be taken out of the settings.
///
/// # Errors
///
/// If the second factors cannot be read or written.
pub async fn seal_anew(factors: &Factors) -> anyhow::Result<()> {
    let (anew, lost) = factors
        .seal_anew()
        .await
        .context("cannot look through the second factors")?;
    if anew > 0 {
        tracing::info!(
            anew,
            "second factors are sealed under the newest SESSION_SECRET now"
        );
    }
    if lost > 0 {
        tracing::warn!(
            lost,
            "second factors were sealed under a secret that is not here any more: add it to SESSION_SECRET_PREVIOUS and start again, or \
             give their users recovery codes with `jackline user recovery-codes`"
        );
    }
    Ok(())
}

async fn reclaim(engine: Engine, mut stopped: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(RECLAIM_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = every.tick() => {}
        }
        // One batch after another, so that requests get between them.
        while let Ok(reclaimed) = engine.reclaim(RECLAIM_BATCH).await {
            if reclaimed < u64::from(RECLAIM_BATCH) || *stopped.borrow() {
                break;
            }
        }
    }
}

/// What tells the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn banner(
    config: &Config,
    engine: &Engine,
    address: SocketAddr,
    metrics_at: Option<SocketAddr>,
) -> String {
    let place = if address.ip().is_loopback() {
        format!("localhost:{}", address.port())
    } else {
        address.to_string()
    };
    let scheme = match config.tls {
        Some(_) => "https",
        None => "http",
    };
    let mut text = format!("Listening on {scheme}://{place}\n");
    let store = match &config.store.engine {
        crate::config::StoreEngine::Redis(redis) => format!("redis, at {}", redis.url.place()),
        crate::config::StoreEngine::Postgres(url) => format!("postgres, at {}", url.place()),
        crate::config::StoreEngine::Sqlite => {
            format!(
                "sqlite, in {}",
                config.data_dir.file(sessions::FILE_NAME).display()
            )
        }
        crate::config::StoreEngine::Memory => "memory: gone with this process".to_owned(),
    };
    let shared = match config.store.keyspace.is_express() {
        true => ", shared with Express",
        false => "",
    };
    text.push_str(&format!("Sessions: {store}{shared}\n"));
    if let Some(url) = &config.store.database {
        text.push_str(&format!("Users: postgres, at {}\n", url.place()));
    }
    if let Some(collector) = &config.otlp {
        text.push_str(&format!("Traces and metrics: to {}\n", collector.place()));
    }
    if let Some(webhook) = &config.webhook {
        text.push_str(&format!("Webhook: {}\n", webhook.url.place()));
    }
    if let Some(address) = metrics_at {
        text.push_str(&format!("Metrics: http://{address}/metrics\n"));
    }
    let policy = engine.policy();
    text.push_str(&format!(
        "Limits: idle {}, absolute {}\n",
        humantime::format_duration(policy.idle().get()),
        humantime::format_duration(policy.absolute(None).get()),
    ));
    if !config.deployment.is_production() {
        text.push_str("Development. Demo user: alice, with the password correct-horse.\n");
        if !address.ip().is_loopback() {
            text.push_str(
                "WARNING: everybody who can reach this address can log in as the demo user.\n",
            );
        }
        text.push_str(
            "Production needs JACKLINE_ENV=production, SESSION_SECRET (run `jackline secret`), and HTTPS: in front, with its \
             address in JACKLINE_TRUSTED_PROXIES, or with JACKLINE_TLS_CERT_FILE and JACKLINE_TLS_KEY_FILE. `jackline check` finds what is missing.\n",
        );
    }
    text
}

/// Prints, and goes on if nobody reads.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}
