//! The rounds. First every contender is asked each route once as warm-up, which also tells how many requests fill a round, and a few
//! times more while Redis says what it is sent. Then round after round every contender in turn, beginning with another one each time.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::contenders::{self, Contender, Ready, Route};
use super::processes::{self, OTHERS, Process, SERVERS};
use super::redis::{self, Redis};
use crate::run;

pub(crate) const CONNECTIONS: usize = 64;

/// How much is measured.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// How long a contender is asked for one route in one round.
    pub(crate) round: Duration,
}

impl Plan {
    pub(crate) const FULL: Self = Self {
        rounds: 9,
        round: Duration::from_millis(1000),
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        round: Duration::from_millis(300),
    };
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) redis_version: String,
    pub(crate) rows: Vec<Row>,
    /// Whoever keeps sessions in Redis, and how many bytes one takes there that has just been logged in, with all that belongs to it.
    pub(crate) bytes: Vec<(&'static Contender, f64)>,
    /// Of the time that was measured, the share in which others held the servers' core.
    pub(crate) others: f64,
}

/// One contender at one route.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) contender: &'static Contender,
    pub(crate) route: Route,
    /// Commands that clients send to Redis for a request, in their order: `GET` and what follows.
    pub(crate) sent: Sent,
    rounds: Vec<Round>,
}

/// What Redis is sent per request.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) per_request: f64,
    /// Those that come with at least every other request, in the order in which the first request sent them.
    pub(crate) names: Vec<String>,
}

#[derive(Debug)]
struct Round {
    server_us: f64,
    redis_us: f64,
    p50_us: f64,
    p99_us: f64,
    per_second: f64,
    /// Commands that Redis has run per request, those within scripts included.
    commands: f64,
    took: Duration,
    /// How long others held the server's core meanwhile, to a hundredth of a second.
    others: Duration,
}

/// Medians over rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) server_us: f64,
    /// The least and the most of any round.
    pub(crate) server_us_range: (f64, f64),
    pub(crate) redis_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) per_second: f64,
    pub(crate) commands: f64,
}

impl Results {
    pub(crate) fn row(&self, contender: &str, route: Route) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.contender.name == contender && row.route == route)
    }
}

impl Row {
    pub(crate) fn figures(&self) -> Figures {
        let all = |of: fn(&Round) -> f64| {
            let mut all: Vec<f64> = self.rounds.iter().map(of).collect();
            all.sort_unstable_by(f64::total_cmp);
            all
        };
        let server = all(|round| round.server_us);
        Figures {
            server_us: median(&server),
            server_us_range: (server[0], server[server.len() - 1]),
            redis_us: median(&all(|round| round.redis_us)),
            p50_us: median(&all(|round| round.p50_us)),
            p99_us: median(&all(|round| round.p99_us)),
            per_second: median(&all(|round| round.per_second)),
            commands: median(&all(|round| round.commands)),
        }
    }

    /// What a request needs here, as a multiple of what it needs there.
    pub(crate) fn ratio(&self, other: &Row) -> f64 {
        self.figures().server_us / other.figures().server_us
    }
}

/// Of numbers in their order; there is at least one round.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// A contender's server and the clients that ask it.
struct Running {
    contender: &'static Contender,
    server: Process,
    clients: Process,
    /// How many requests fill a round, per route.
    requests: Vec<usize>,
}

/// What the clients answer.
#[derive(Debug, Deserialize)]
struct Answer {
    requests: usize,
    seconds: f64,
    p50_us: f64,
    p99_us: f64,
}

/// Starts all of them, and measures them.
///
/// # Errors
/// When one does not start, or answers a request with anything but success.
pub(crate) fn all(plan: &Plan, ready: Ready) -> Result<Results> {
    let redis = Redis::start()?;
    let folder = run::root().join("bench/target/sessions");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;

    let (mut running, mut rows, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for (contender, built) in ready {
        let file = folder.join(contender.name);
        let command = built.command(&redis.url(), &file.to_string_lossy());
        let measured = || format!("{} cannot be measured", contender.name);
        let before = redis.names()?;
        let mut one = Running::start(contender, &command).with_context(measured)?;
        let after = redis.names()?;
        let new: Vec<_> = after.difference(&before).collect();
        if !new.is_empty() {
            let taken = redis.bytes(&new)?;
            bytes.push((contender, taken as f64 / CONNECTIONS as f64));
        }
        one.warm_up(plan).with_context(measured)?;
        for route in Route::ALL {
            rows.push(Row {
                contender,
                route,
                sent: one.sent(&redis, route)?,
                rounds: Vec::new(),
            });
        }
        running.push(one);
    }

    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        let first = round % running.len().max(1);
        for number in (first..running.len()).chain(0..first) {
            for (place, route) in Route::ALL.into_iter().enumerate() {
                let one = &mut running[number];
                let seen = one
                    .round(&redis, place)
                    .with_context(|| format!("{}, {}", one.contender.name, route.request()))?;
                rows[number * Route::ALL.len() + place].rounds.push(seen);
            }
        }
    }
    let redis_version = redis.version()?;
    let rounds = || rows.iter().flat_map(|row| &row.rounds);
    let took: Duration = rounds().map(|round| round.took).sum();
    let others: Duration = rounds().map(|round| round.others).sum();
    std::fs::remove_dir_all(&folder)?;
    Ok(Results {
        redis_version,
        bytes,
        others: others.as_secs_f64() / took.as_secs_f64(),
        rows,
    })
}

impl Running {
    fn start(contender: &'static Contender, command: &std::process::Command) -> Result<Self> {
        let mut server = Process::start(contender.name, SERVERS, command)?;
        let port = server.line()?;
        let mut clients = run::program(contenders::clients());
        clients.args([port.as_str(), &CONNECTIONS.to_string()]);
        let mut clients = Process::start("bench-load", OTHERS, &clients)?;
        // Everybody has logged in.
        clients.line()?;
        Ok(Self {
            contender,
            server,
            clients,
            requests: Vec::new(),
        })
    }

    fn ask(&mut self, what: &str, route: Route, requests: usize) -> Result<Answer> {
        let answer = self
            .clients
            .ask(&format!("{what} {} {requests}", route.request()))?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Asks each route for as long as a round takes, so that what is compiled or learnt as one goes is so by then.
    fn warm_up(&mut self, plan: &Plan) -> Result<()> {
        for route in Route::ALL {
            let start = self.ask("open", route, 10 * CONNECTIONS)?;
            let guess = fill(plan.round, &start);
            let warm = self.ask("go", route, guess)?;
            self.requests.push(fill(plan.round, &warm));
        }
        Ok(())
    }

    /// Lets Redis say what it is sent. Of each user's requests one is under way at a time, so the commands of two mix, but each
    /// comes as often as there are requests that send it.
    fn sent(&mut self, redis: &Redis, route: Route) -> Result<Sent> {
        const REQUESTS: usize = 10 * CONNECTIONS;
        self.ask("open", route, CONNECTIONS)?;
        let sent = redis.watch(|| self.ask("go", route, REQUESTS).map(drop))?;
        let mut counts: Vec<(String, usize)> = Vec::new();
        for name in &sent {
            match counts.iter_mut().find(|(known, _)| known == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name.clone(), 1)),
            }
        }
        let usual = |count: usize| (count as f64 / REQUESTS as f64).round() as usize;
        let names = counts
            .into_iter()
            .flat_map(|(name, count)| std::iter::repeat_n(name, usual(count)));
        Ok(Sent {
            per_request: sent.len() as f64 / REQUESTS as f64,
            names: names.collect(),
        })
    }

    fn round(&mut self, redis: &Redis, place: usize) -> Result<Round> {
        let (route, requests) = (Route::ALL[place], self.requests[place]);
        self.ask("open", route, (requests / 10).max(CONNECTIONS))?;
        let calls = redis.calls()?;
        let core = processes::core_time(SERVERS)?;
        let before = (self.server.cpu_time()?, redis.cpu_time()?);
        let answer = self.ask("go", route, requests)?;
        let after = (self.server.cpu_time()?, redis.cpu_time()?);
        let core = processes::core_time(SERVERS)?.saturating_sub(core);
        let calls = redis::between(&calls, &redis.calls()?)?;

        ensure!(
            answer.requests == requests,
            "the clients did not do as told"
        );
        let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Ok(Round {
            server_us: each(after.0.saturating_sub(before.0)),
            redis_us: each(after.1.saturating_sub(before.1)),
            p50_us: answer.p50_us,
            p99_us: answer.p99_us,
            per_second: requests as f64 / answer.seconds,
            commands: calls.values().sum::<u64>() as f64 / requests as f64,
            took: Duration::from_secs_f64(answer.seconds),
            others: core.saturating_sub(after.0.saturating_sub(before.0)),
        })
    }
}

/// How many requests take so long, going by an answer.
fn fill(time: Duration, answer: &Answer) -> usize {
    let requests = answer.requests as f64 / answer.seconds * time.as_secs_f64();
    (requests as usize).max(10 * CONNECTIONS)
}
