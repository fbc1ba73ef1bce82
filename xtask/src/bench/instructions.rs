//! `cargo xtask instructions`: how many instructions the session layer adds to a request, held against a budget. Times drift with the
//! machine; instructions do not, so this is what CI can hold a change against.
//!
//! Callgrind runs `bench/instructions` once for each subject and counts what a request takes, from the router to the response. What
//! the same takes without the layer is subtracted. Hashing counts for more than it takes: valgrind's processor has no
//! instructions for SHA-256, as most real ones have.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::contenders::{self, TARGET};
use super::redis::Redis;
use crate::{run, tools};

/// What is counted: a name for people, the subject, and the store.
const SUBJECTS: &[(&str, &str, Store)] = &[
    ("stranger", "stranger", Store::Named("memory")),
    ("untouched", "untouched", Store::Named("memory")),
    ("profile-memory", "profile", Store::Named("memory")),
    ("profile-near", "profile", Store::Named("near")),
    ("profile-redis", "profile", Store::Redis),
    ("renewal-redis", "renewal", Store::Redis),
    ("views-redis", "views", Store::Redis),
    ("login-redis", "login", Store::Redis),
];

#[derive(Clone, Copy, Debug)]
enum Store {
    Named(&'static str),
    Redis,
}

/// How much more than its budget a subject may take: so many percent, and so many instructions. What a compiler inlines depends on
/// code that has nothing to do with it, and has moved a count by some hundred either way.
const MARGIN: u64 = 5;
const WHIM: u64 = 500;

const BUDGET: &str = "bench/instructions/budget.toml";

/// Instructions per request, by subject.
type Counts = BTreeMap<String, u64>;

/// Counts, and holds the counts against the budget; or makes them the budget.
///
/// # Errors
/// When a subject exceeds its budget, has none, or cannot be counted.
pub(crate) fn run(renew: bool) -> Result<()> {
    tools::ensure(tools::FOR_COUNTING)?;
    contenders::build("instructions")?;
    let counts = count_all()?;
    if renew {
        std::fs::write(run::root().join(BUDGET), written(&counts))?;
        println!("Written: {BUDGET}");
        return Ok(());
    }
    let text = std::fs::read_to_string(run::root().join(BUDGET))
        .with_context(|| format!("cannot read {BUDGET}"))?;
    let budget: Counts = toml::from_str(&text).with_context(|| format!("{BUDGET}: no budget"))?;
    let (table, exceeded) = compare(&counts, &budget);
    print!("{table}");
    ensure!(
        exceeded.is_empty(),
        "over budget by more than {MARGIN} % and {WHIM}: {}. `callgrind_annotate --inclusive=yes {}` says where it goes. \
         If it is worth it, `cargo xtask instructions --renew` writes the new budget, to be committed with the reason",
        exceeded.join(", "),
        output(&exceeded[0]).display(),
    );
    Ok(())
}

fn count_all() -> Result<Counts> {
    std::fs::create_dir_all(folder())?;
    let redis = Redis::start()?;
    let bare = count("bare", "bare", "memory")?;
    let counts = SUBJECTS.iter().map(|(name, subject, store)| {
        let url = redis.url();
        let store = match store {
            Store::Named(store) => store,
            Store::Redis => url.as_str(),
        };
        let all = count(name, subject, store)?;
        Ok(((*name).to_owned(), all.saturating_sub(bare)))
    });
    counts.collect()
}

/// How many instructions one request takes.
fn count(name: &str, subject: &str, store: &str) -> Result<u64> {
    let mut valgrind = run::program("valgrind");
    valgrind
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .arg("--toggle-collect=bench_instructions::counted")
        .arg(format!(
            "--callgrind-out-file={}",
            output(name).to_string_lossy()
        ))
        .arg(run::root().join(TARGET).join("release/bench-instructions"))
        .args([subject, store])
        // The C library chooses among several `memcpy`, by processor.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-EVEX");
    let requests: u64 = run::output(&mut valgrind)?.trim().parse()?;
    let counted = std::fs::read_to_string(output(name))?;
    let total: u64 = counted
        .lines()
        .find_map(|line| line.strip_prefix("summary: "))
        .with_context(|| format!("callgrind has not counted {name}"))?
        .trim()
        .parse()?;
    Ok(total / requests)
}

fn folder() -> PathBuf {
    run::root().join(TARGET).join("instructions")
}

/// Where callgrind leaves what it has counted.
fn output(name: &str) -> PathBuf {
    folder().join(format!("{name}.callgrind"))
}

fn written(counts: &Counts) -> String {
    let mut text = format!(
        "# Instructions that the session layer adds to a request; {MARGIN} % and {WHIM} more fail CI.\n\
         # Written by `cargo xtask instructions --renew`, and not by hand.\n"
    );
    for (name, count) in counts {
        writeln!(text, "{name} = {count}").expect("a string takes everything");
    }
    text
}

/// A table for people, and the names of those that exceed their budget or have none.
fn compare(counts: &Counts, budget: &Counts) -> (String, Vec<String>) {
    let mut table = format!("{:<16} {:>9} {:>9}\n", "instructions", "counted", "budget");
    let mut exceeded = Vec::new();
    for (name, count) in counts {
        let allowed = budget.get(name).copied().unwrap_or_default();
        let verdict = if *count > allowed + allowed * MARGIN / 100 + WHIM {
            exceeded.push(name.clone());
            "  EXCEEDED"
        } else if count + count * MARGIN / 100 + WHIM < allowed {
            "  less: renew the budget, so that it is not lost again"
        } else {
            ""
        };
        writeln!(table, "{name:<16} {count:>9} {allowed:>9}{verdict}")
            .expect("a string takes everything");
    }
    (table, exceeded)
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, Counts, SUBJECTS, compare, written};

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn what_takes_more_than_its_budget_and_the_margin_is_named() {
        let budget = counts(&[("a", 10_000), ("b", 10_000), ("c", 10_000)]);
        let counted = counts(&[("a", 11_000), ("b", 11_001), ("c", 10), ("new", 501)]);
        let (table, exceeded) = compare(&counted, &budget);
        assert_eq!(exceeded, ["b", "new"]);
        assert_eq!(table.matches("EXCEEDED").count(), 2, "{table}");
        assert_eq!(table.matches("renew").count(), 1, "{table}");
    }

    #[test]
    fn a_budget_that_is_written_is_read() {
        let budget = counts(&[("profile-redis", 12)]);
        assert_eq!(toml::from_str::<Counts>(&written(&budget)).unwrap(), budget);
    }

    #[test]
    fn every_subject_has_a_budget() {
        let text = std::fs::read_to_string(crate::run::root().join(BUDGET)).unwrap();
        let budget: Counts = toml::from_str(&text).unwrap();
        let subjects: Vec<_> = budget.keys().map(String::as_str).collect();
        let mut expected: Vec<_> = SUBJECTS.iter().map(|(name, ..)| *name).collect();
        expected.sort_unstable();
        assert_eq!(subjects, expected);
    }
}
