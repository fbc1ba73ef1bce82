//! `cargo xtask bench`: what a request costs with Jackline, without it, and with others' sessions, side by side on one machine.
//!
//! Every contender of bench/ runs on core 0 of its own, the clients and Redis share core 1, and rounds are interleaved, so that
//! whatever else the machine does falls on all alike. What counts is the time that the operating system says a server's threads
//! have run, per request: it does not grow while others hold the core, as latencies do. Only ratios within one run mean anything.

mod contenders;
pub(crate) mod growth;
pub(crate) mod instructions;
mod measure;
mod page;
mod plot;
mod processes;
mod redis;

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use self::contenders::{CONTENDERS, Contender};
use self::measure::{Plan, Results};
use crate::{run, tools};

/// Builds what is asked for, all if nothing is, measures it, and prints a table. All contenders together also write
/// docs/performance.md.
///
/// # Errors
/// When a name is unknown, something does not build, or a contender answers wrongly.
pub(crate) fn run(quick: bool, only: &[String]) -> Result<()> {
    let chosen = choose(only)?;
    tools::ensure(tools::FOR_BENCHMARKS)?;
    ensure!(
        std::thread::available_parallelism()?.get() >= 2,
        "two cores are needed: one for the server, one for the clients and Redis"
    );
    contenders::build_clients()?;
    let (ready, left_out) = contenders::build_all(chosen)?;

    let plan = if quick { Plan::QUICK } else { Plan::FULL };
    let start = Instant::now();
    let results = measure::all(&plan, ready)?;
    eprintln!("measured for {:.0} s", start.elapsed().as_secs_f64());
    let page = page::write(&plan, &results, &left_out);
    println!("\n{page}");
    if !only.is_empty() {
        println!("Not written to docs/performance.md, where all contenders belong.");
        return Ok(());
    }
    keep(&page, &results)
}

fn choose(only: &[String]) -> Result<Vec<&'static Contender>> {
    let names = || {
        let names: Vec<_> = CONTENDERS.iter().map(|contender| contender.name).collect();
        names.join(", ")
    };
    for name in only {
        if !CONTENDERS.iter().any(|contender| contender.name == *name) {
            bail!("no contender {name}; there are: {}", names());
        }
    }
    let chosen = CONTENDERS
        .iter()
        .filter(|contender| only.is_empty() || only.iter().any(|name| *name == contender.name));
    Ok(chosen.collect())
}

fn keep(page: &str, results: &Results) -> Result<()> {
    let docs = run::root().join("docs");
    std::fs::create_dir_all(docs.join("performance"))?;
    let written = docs.join("performance.md");
    let before = std::fs::read_to_string(&written).unwrap_or_default();
    let others = growth::section(&before).map_or(String::new(), |section| format!("\n{section}"));
    std::fs::write(&written, format!("{page}{others}"))?;
    for (name, plot) in plot::all(results) {
        std::fs::write(docs.join("performance").join(name), plot)?;
    }
    println!("Written: docs/performance.md");
    Ok(())
}
