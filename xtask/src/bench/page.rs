//! The page: a table per route, what the goals say to it, and how it was measured.

use super::contenders::{BARE, Contender, Route};
use super::measure::{CONNECTIONS, Plan, Results, Row};
use super::plot;

/// What Jackline sets out to reach.
struct Goal {
    contender: &'static str,
    route: Route,
    against: &'static str,
    at_most: Option<f64>,
    commands: f64,
}

const GOALS: [Goal; 6] = [
    Goal {
        contender: "jackline",
        route: Route::None,
        against: BARE,
        at_most: Some(1.05),
        commands: 0.0,
    },
    Goal {
        contender: "jackline",
        route: Route::Profile,
        against: "floor-redis",
        at_most: Some(1.15),
        commands: 1.0,
    },
    Goal {
        contender: "jackline-each-time",
        route: Route::Profile,
        against: "floor-redis",
        at_most: Some(1.15),
        commands: 1.0,
    },
    Goal {
        contender: "jackline-near",
        route: Route::Profile,
        against: BARE,
        at_most: Some(1.25),
        commands: 0.0,
    },
    Goal {
        contender: "jackline",
        route: Route::Views,
        against: "floor-redis",
        at_most: Some(1.25),
        commands: 2.0,
    },
    Goal {
        contender: "jackline",
        route: Route::Login,
        against: "floor-redis",
        at_most: None,
        commands: 2.0,
    },
];

/// The whole page.
pub(crate) fn write(
    plan: &Plan,
    results: &Results,
    missing: &[(&'static Contender, String)],
) -> String {
    let mut page = String::from(
        "# Performance\n\n\
         Written by `cargo xtask bench`, and not by hand. What a session costs a request, side by side with axum without sessions, with\n\
         floors that do the same by hand and no more, and with others' sessions. Ratios within one run are what it is for: another\n\
         machine has other microseconds.\n",
    );
    if results.others > 0.05 {
        page += &format!(
            "\n**Preliminary.** While this was measured, other programs held the servers' core for {:.0} % of the time. Caches are\n\
             colder then, and more requests wait whenever a server gets to run: ratios on an idle machine differ.\n",
            100.0 * results.others,
        );
    }
    for route in Route::ALL {
        page += &format!(
            "\n## `{}`: {}\n\n![microseconds per request](performance/{})\n\n{}",
            route.request(),
            route.title(),
            plot::name(route),
            table(results, route),
        );
    }
    page += &format!("\n## Bytes a session takes in Redis\n\n{}", bytes(results));
    page += &format!("\n## Goals\n\n{}", goals(results));
    for (contender, why) in missing {
        page += &format!("\n**Left out:** {}, since {why}.\n", contender.title);
    }
    page + &how(plan, results)
}

fn table(results: &Results, route: Route) -> String {
    let mut table = String::from(
        "| | server µs | least–most | × its floor | Redis µs | sent to Redis | run in Redis | p50 µs | p99 µs | requests/s |\n\
         |---|--:|--:|--:|--:|---|--:|--:|--:|--:|\n",
    );
    for row in results.rows.iter().filter(|row| row.route == route) {
        let figures = row.figures();
        let floor = row.contender.floor(route);
        let ratio = floor.and_then(|floor| Some(row.ratio(results.row(floor, route)?)));
        let ratio = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
        table += &format!(
            "| {} | {:.1} | {:.1}–{:.1} | {ratio} | {:.1} | {} | {:.2} | {:.0} | {:.0} | {:.0} |\n",
            row.contender.title,
            figures.server_us,
            figures.server_us_range.0,
            figures.server_us_range.1,
            figures.redis_us,
            sent(row),
            figures.commands,
            figures.p50_us,
            figures.p99_us,
            figures.per_second,
        );
    }
    table
}

fn sent(row: &Row) -> String {
    let usual = row.sent.names.join(", ");
    let whole = (row.sent.per_request - row.sent.names.len() as f64).abs() < 0.005;
    match (usual.is_empty(), whole) {
        (true, true) => "nothing".to_owned(),
        (_, true) => usual,
        (true, false) => format!("{:.2}", row.sent.per_request),
        (false, false) => format!("{usual} ({:.2})", row.sent.per_request),
    }
}

fn bytes(results: &Results) -> String {
    let mut table = String::from("| | bytes |\n|---|--:|\n");
    for (contender, bytes) in &results.bytes {
        table += &format!("| {} | {bytes:.0} |\n", contender.title);
    }
    table
        + "\nOf a session whose owner has just logged in, keys and all that belongs to it included, by `MEMORY USAGE`. In Jackline's\n\
           figure is the index by which an owner's sessions are listed and ended, which the others do not have.\n"
}

fn goals(results: &Results) -> String {
    let mut goals =
        String::from("| | is | at most | sent to Redis | at most | |\n|---|--:|--:|--:|--:|---|\n");
    for goal in &GOALS {
        let (Some(row), Some(against)) = (
            results.row(goal.contender, goal.route),
            results.row(goal.against, goal.route),
        ) else {
            continue;
        };
        let ratio = row.ratio(against);
        // Once in a while a response that had to wait asks once more whether its cookie is still right.
        let reached = goal.at_most.is_none_or(|most| ratio <= most)
            && row.sent.per_request <= goal.commands + 0.01;
        let most = goal
            .at_most
            .map_or_else(|| "–".to_owned(), |most| format!("{most:.2} ×"));
        goals += &format!(
            "| {}, `{}` | {ratio:.2} × {} | {most} | {:.2} | {:.0} | {} |\n",
            row.contender.title,
            goal.route.request(),
            against.contender.title,
            row.sent.per_request,
            goal.commands,
            if reached { "reached" } else { "**missed**" },
        );
    }
    goals
        + "\nA near-cache does not keep what is written through it: what is changed with every request, as by `GET /views`, is asked for anew by\n\
           each. What is read in between is changed in one round trip.\n"
}

fn how(plan: &Plan, results: &Results) -> String {
    format!(
        "\n## How it is measured\n\n\
         - **Cores.** Servers run on core {} alone; the clients and Redis {} share core {}, all on one machine ({}).\n\
         - **Requests.** {CONNECTIONS} connections, kept alive, each with a session of its own and one request at a time. {} rounds; in each, every\n  \
         contender in turn is asked for about {:.1} s per route, after a warm-up of a tenth of it, and each round begins with another one.\n\
         - **server µs** is the time that the server's threads have run, by the scheduler's account in `/proc`, divided by the requests:\n  \
         the median over the rounds. It does not grow while other programs hold the core, though caches that those have emptied\n  \
         show in it. **Redis µs** is the same for Redis.\n\
         - **sent to Redis** is what clients send per request, as `MONITOR` shows it; each is a round trip. **run in Redis** comes from\n  \
         `INFO commandstats` over the measured rounds, and counts what scripts call as well.\n\
         - **p50, p99 and requests/s** are the clients' view with both cores busy: good for comparing within this page, and no capacity.\n\
         - **Floors.** For `GET /none`, and for the floors themselves, it is axum without sessions; for a session on Redis it is the same\n  \
         by hand on Redis; for one in memory, by hand from memory. The peers are configured as bench/README.md says.\n",
        super::processes::SERVERS,
        results.redis_version,
        super::processes::OTHERS,
        machine(),
        plan.rounds,
        plan.round.as_secs_f64(),
    )
}

/// What kind of machine this is, and no more than the kind.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let virtual_machine = std::fs::read_to_string("/proc/cpuinfo")
        .is_ok_and(|text| text.split_whitespace().any(|word| word == "hypervisor"));
    let kind = if virtual_machine { "virtual, " } else { "" };
    format!(
        "{kind}{cores} cores, {}, {}",
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}
