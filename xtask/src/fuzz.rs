//! Fuzzing on stable Rust. The targets of fuzz/Cargo.toml are programs linked with libFuzzer, their coverage instrumentation switched on by
//! flags which `-C` passes to LLVM, so neither a nightly toolchain nor cargo-fuzz is needed. A run starts from the committed corpus and
//! never writes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};

use crate::{run, tools};

/// How long each target is tried when nobody says.
pub(crate) const DEFAULT_SECONDS: u32 = 10;

const MANIFEST: &str = "fuzz/Cargo.toml";

/// What cargo-fuzz passes, but for the sanitizer: that needs nightly, and would look for memory errors in code that forbids `unsafe`.
/// Beyond it, comparisons of short strings stay calls of memcmp: libFuzzer watches those, and learns what a prefix is compared with.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-max-loads-per-memcmp=0 \
    --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1";

/// Builds all targets, then runs the one named or each in turn.
///
/// # Errors
/// When a target finds an input that breaks it, or there is no such target.
pub(crate) fn run(only: Option<&str>, seconds: u32) -> Result<()> {
    tools::ensure(tools::FOR_FUZZING)?;
    let metadata = run::metadata(MANIFEST)?;
    let bins = metadata
        .packages
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.kind.iter().any(|kind| kind == "bin"));
    let names: Vec<&str> = bins.map(|target| target.name.as_str()).collect();
    let chosen: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| only.is_none_or(|only| only == *name))
        .collect();
    ensure!(
        !chosen.is_empty(),
        "no such target; {MANIFEST} has: {}",
        names.join(", ")
    );

    let programs = build(&metadata.target_directory)?;
    for name in chosen {
        println!("\n--- {name}");
        let corpus = metadata.target_directory.join("fuzz-corpus").join(name);
        fuzz(name, &programs.join(name), &corpus, seconds)?;
    }
    Ok(())
}

/// Returns the folder with the programs.
fn build(target_directory: &Path) -> Result<PathBuf> {
    let version = run::output(run::program("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host")?;
    // With a target named, the flags stay away from build scripts and procedural macros, which have no libFuzzer to report to.
    let mut cargo = run::cargo(&format!(
        "build --release --manifest-path {MANIFEST} --target {host}"
    ));
    run::run(
        cargo
            .env("RUSTFLAGS", RUSTFLAGS)
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    )?;
    Ok(target_directory.join(host).join("release"))
}

fn fuzz(name: &str, program: &Path, corpus: &Path, seconds: u32) -> Result<()> {
    let committed = copy_corpus(name, corpus)?;
    let artifacts = run::root().join("fuzz/artifacts").join(name);
    fs::create_dir_all(&artifacts)?;

    let mut command = run::program(program);
    command
        .arg(corpus)
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=2048"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    let result = run::run(&mut command);

    let found = fs::read_dir(corpus)?.count().saturating_sub(committed);
    println!(
        "{name}: {committed} inputs committed, {found} found beyond them, all in {}",
        corpus.display()
    );
    if let Err(error) = result {
        let Some(artifact) = newest(&artifacts)? else {
            return Err(error);
        };
        println!("breaks on: {}", artifact.display());
        println!("reproduce: {} {}", program.display(), artifact.display());
        bail!("{name} found an input that breaks it");
    }
    Ok(())
}

/// Lays a fresh copy of the committed inputs and counts them. A target without any starts from nothing.
fn copy_corpus(name: &str, copy: &Path) -> Result<usize> {
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    fs::create_dir_all(copy)?;
    let committed = run::root().join("fuzz/corpus").join(name);
    if !committed.exists() {
        return Ok(0);
    }
    let mut count = 0;
    for entry in fs::read_dir(committed)? {
        let entry = entry?;
        fs::copy(entry.path(), copy.join(entry.file_name()))?;
        count += 1;
    }
    Ok(count)
}

fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        newest = newest.max(Some((entry.metadata()?.modified()?, entry.path())));
    }
    Ok(newest.map(|(_, path)| path))
}
