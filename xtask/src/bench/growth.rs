//! `cargo xtask bench --growth`: does a session cost more when there are many? Each store is filled with few sessions and with many,
//! and asked the same; crates/jackline/examples/growth does it. The figures stand in a section of docs/performance.md of their own,
//! which the rest of the benchmark leaves alone.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::run;

const FEW: u64 = 1_000;
const STORES: [(&str, &str); 3] = [
    ("sqlite", "SQLite"),
    ("redis", "Redis"),
    ("postgres", "PostgreSQL"),
];
/// How much more a session may cost among many.
const AT_MOST: f64 = 1.3;
/// How many sessions the server reclaims at once, and how many seconds lie between.
const RECLAIMED: (f64, f64) = (500.0, 30.0);

/// How the section begins in docs/performance.md, which it ends.
const HEADING: &str = "## Few sessions and many\n";

#[derive(Deserialize)]
struct Figures {
    sessions: u64,
    bytes: f64,
    peer_bytes: Option<f64>,
    read_us: f64,
    renewal_us: f64,
    write_us: f64,
    writes_per_sync: Option<f64>,
    reclaim_us: Option<f64>,
}

/// Measures, prints the section, and puts it into docs/performance.md.
///
/// # Errors
/// When the example does not build, a store does not start, or there is no room.
pub(crate) fn run(many: u64) -> Result<()> {
    ensure!(many > FEW, "--sessions wants more than {FEW}");
    let build = "build --release -p jackline --features redis,sqlite,postgres --example growth";
    run::run(&mut run::cargo(build))?;
    let mut figures = Vec::new();
    for (store, name) in STORES {
        figures.push((name, measure(store, FEW)?, measure(store, many)?));
    }
    let section = write(&figures);
    println!("\n{section}");
    let page = run::root().join("docs/performance.md");
    let text = std::fs::read_to_string(&page)?;
    let rest = text.split(HEADING).next().unwrap_or_default();
    std::fs::write(page, format!("{}\n\n{section}", rest.trim_end()))?;
    println!("Written: docs/performance.md");
    Ok(())
}

/// The section as it stands in a page, to be kept when the rest is written anew.
pub(super) fn section(page: &str) -> Option<String> {
    let (_, section) = page.split_once(HEADING)?;
    Some(format!("{HEADING}{section}"))
}

fn measure(store: &str, sessions: u64) -> Result<Figures> {
    let mut example = run::program("target/release/examples/growth");
    let line = run::output(example.args([store, &sessions.to_string()]))?;
    eprint!("{line}");
    serde_json::from_str(&line).with_context(|| format!("{store} has no figures"))
}

fn write(stores: &[(&str, Figures, Figures)]) -> String {
    let many = stores.first().map_or(0, |(_, _, figures)| figures.sessions);
    let mut page = format!(
        "{HEADING}\nWritten by `cargo xtask bench --growth`: what one step costs with {} sessions in a store and with {}, in \
         microseconds of\nall threads, the store's server included; 64 steps are under way at once, on sessions all over the store. At \
         most {AT_MOST} × is the goal.\n\n\
         | | read | | × | read that renews | | × | write | | × |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        grouped(FEW),
        grouped(many),
    );
    for (name, few, many) in stores {
        let _ = write!(page, "| {name} ");
        for (few, many) in [
            (few.read_us, many.read_us),
            (few.renewal_us, many.renewal_us),
            (few.write_us, many.write_us),
        ] {
            let _ = write!(page, "| {few:.1} | {many:.1} | {:.2} ", many / few);
        }
        page.push_str("|\n");
    }
    page.push_str(
        "\nSQLite keeps up to 32 MiB of its file in memory for each of three connections. With more than that, a session anywhere in the \
         store is on a\npage that is asked of the system, and few of the sessions that are written together share one.\n",
    );
    page.push_str(
        "\n| | bytes a session | reads a second of one core | writes for one sync of the disk | µs to reclaim one | of a core, at most |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for (name, _, many) in stores {
        let share = many
            .reclaim_us
            .map(|one| one * RECLAIMED.0 / RECLAIMED.1 / 10_000.0);
        let or_none = |figure: Option<String>| figure.unwrap_or_else(|| "–".to_owned());
        let _ = writeln!(
            page,
            "| {name} | {:.0} | {} | {} | {} | {} |",
            many.bytes,
            grouped((1e6 / many.read_us) as u64),
            or_none(many.writes_per_sync.map(|writes| format!("{writes:.1}"))),
            or_none(many.reclaim_us.map(|one| format!("{one:.1}"))),
            or_none(share.map(|share| format!("{share:.2} %"))),
        );
    }
    if let Some(peer) = stores.iter().find_map(|(_, _, many)| many.peer_bytes) {
        let _ = write!(
            page,
            "\nThe session is one that was logged in, with one member of data; its owner's index counts as well, and so does every index \
             of a\ntable. In Redis it is the growth of `used_memory`, hash tables and allocator included, by which express-session with \
             connect-redis\ntakes {peer:.0} bytes for the same, and has no index of who is logged in.\nRedis lets sessions run out by itself. The others are reclaimed by the server, {} every {} seconds.\n",
            RECLAIMED.0, RECLAIMED.1
        );
    }
    page
}

/// 1,000,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
