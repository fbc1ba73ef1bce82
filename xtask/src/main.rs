//! Every chore of the workspace, as `cargo xtask <chore>`. What a chore needs beyond Rust it finds, installs or asks for by name, so a
//! fresh clone needs no page of instructions. `cargo xtask ci` is exactly what CI runs.

mod bench;
mod ci;
mod coverage;
mod deny;
mod fuzz;
mod pages;
mod run;
mod test;
mod tools;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Every chore of the workspace", version = None)]
enum Chore {
    /// Run every test, after making sure that the programs they talk to are there
    Test {
        /// Handed on to `cargo test`, such as a part of a test's name
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run all that CI runs, and stop at the first failure
    Ci,
    /// Throw made-up input at one fuzz target, or at each in turn
    Fuzz {
        /// A target of fuzz/Cargo.toml; all of them when left out
        target: Option<String>,
        /// How long to try each target; 0 goes on until something breaks
        #[arg(long, default_value_t = fuzz::DEFAULT_SECONDS)]
        seconds: u32,
    },
    /// Write docs/coverage.md: which test proves which requirement
    Coverage {
        /// Write nothing; fail if the page is out of date or a requirement has no test
        #[arg(long)]
        check: bool,
    },
    /// Take a picture of every page, to docs/pages/
    Pages,
    /// Measure Jackline beside its floors and its peers; takes minutes, and writes docs/performance.md
    Bench {
        /// Two minutes, for a first look
        #[arg(long)]
        quick: bool,
        /// These contenders only; writes nothing
        #[arg(long, num_args = 1.., value_name = "NAME")]
        only: Vec<String>,
        /// How the cost of a session grows with their number, and nothing else; needs PostgreSQL, Redis, and room
        #[arg(long, conflicts_with_all = ["quick", "only"])]
        growth: bool,
        /// How many sessions --growth compares a thousand with: ten million take 10 GiB of disk, then 8 GiB of memory
        #[arg(long, default_value_t = 1_000_000, requires = "growth")]
        sessions: u64,
    },
    /// Count the instructions that a session adds to a request, and hold them against bench/instructions/budget.toml
    Instructions {
        /// Make what is counted the budget
        #[arg(long)]
        renew: bool,
    },
    /// Check licences, bans and sources of all dependencies
    Deny,
}

fn main() -> ExitCode {
    let result = match Chore::parse() {
        Chore::Test { args } => test::run(&args),
        Chore::Ci => ci::run(),
        Chore::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Chore::Pages => pages::run(),
        Chore::Coverage { check: false } => coverage::write(),
        Chore::Coverage { check: true } => coverage::check(),
        Chore::Instructions { renew } => bench::instructions::run(renew),
        Chore::Bench {
            growth: true,
            sessions,
            ..
        } => bench::growth::run(sessions),
        Chore::Bench { quick, only, .. } => bench::run(quick, &only),
        Chore::Deny => deny::run(),
    };
    // Not returned from `main`: a chore that fails is no bug, and RUST_BACKTRACE would bury its message.
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
