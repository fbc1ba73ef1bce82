//! `cargo xtask bench`: what a request costs with Jackline, without it, and with others' sessions, side by side on one machine.
//!
//! Every contender of bench/ runs on core 0 of its own, the clients and Redis share core 1, and rounds are interleaved, so that
//! whatever else the machine does falls on all alike. What counts is the time that the operating system says a server's threads
//! have run, per request: it does not grow while others hold the core, as latencies do. Only ratios within one run mean anything.

mod contenders;
mod measure;
mod page;
mod plot;
mod processes;
mod redis;

use anyhow::{Result, bail, ensure};

use self::contenders::{CONTENDERS, Contender};
use self::measure::{Plan, Results};
use crate::{run, tools};

/// Builds what is asked for, all if nothing is, measures it, and prints a table. All contenders together, and not quickly, also
/// write docs/performance.md.
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
    let (mut built, mut missing) = (Vec::new(), Vec::new());
    for contender in chosen {
        match contenders::build(contender)? {
            Ok(command) => built.push((contender, command)),
            Err(why) => missing.push((contender, why)),
        }
    }

    let plan = if quick { Plan::QUICK } else { Plan::FULL };
    let results = measure::all(&plan, built)?;
    let page = page::write(&plan, &results, &missing);
    println!("\n{page}");
    if quick || !only.is_empty() {
        println!("docs/performance.md is written by a whole run: no --quick, no --only.");
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
    std::fs::write(docs.join("performance.md"), page)?;
    for (name, plot) in plot::all(results) {
        std::fs::write(docs.join("performance").join(name), plot)?;
    }
    println!("Written: docs/performance.md");
    Ok(())
}
