//! Exactly what CI runs, on anyone's machine. The steps stand below in their order; the first failure ends the run, and
//! the last lines say how long each step took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{bench, coverage, deny, fuzz, run};

type Step = (&'static str, fn() -> Result<()>);

/// Coverage comes last: by then each test that it counts has passed.
const STEPS: &[Step] = &[
    ("lockfile", lockfile),
    ("format", format),
    ("clippy", clippy),
    ("features", features),
    ("docs", docs),
    ("deny", deny::run),
    // As a person runs it: it is one of the two commands of the README.
    ("test", || run::run(&mut run::cargo("xtask test"))),
    ("instructions", || bench::instructions::run(false)),
    ("fuzz", || fuzz::run(None, fuzz::DEFAULT_SECONDS)),
    ("coverage", coverage::check),
];

/// Runs all steps.
///
/// # Errors
/// When a step fails; those after it have not run.
pub(crate) fn run() -> Result<()> {
    let mut times = Vec::new();
    for (name, step) in STEPS {
        println!("\n=== {name} ===");
        let start = Instant::now();
        let result = step();
        times.push(start.elapsed());
        if let Err(error) = result {
            println!("\n{error:#}");
            report(&times, false);
            bail!("step {name} failed");
        }
    }
    report(&times, true);
    Ok(())
}

fn report(times: &[Duration], passed: bool) {
    println!();
    for (number, (name, _)) in STEPS.iter().enumerate() {
        match times.get(number) {
            None => println!("{name:<12} not run"),
            Some(time) if !passed && number + 1 == times.len() => {
                println!("{name:<12} {:>6.1} s  FAILED", time.as_secs_f64())
            }
            Some(time) => println!("{name:<12} {:>6.1} s", time.as_secs_f64()),
        }
    }
}

/// Both lockfiles fit their manifests: what CI builds is what was committed.
fn lockfile() -> Result<()> {
    run::run(&mut run::cargo("fetch --locked"))?;
    run::run(&mut run::cargo(
        "fetch --locked --manifest-path fuzz/Cargo.toml",
    ))
    .context("update it with `cargo xtask fuzz`")
}

fn format() -> Result<()> {
    run::run(&mut run::cargo("fmt --all -- --check"))?;
    run::run(&mut run::cargo(
        "fmt --manifest-path fuzz/Cargo.toml -- --check",
    ))
}

fn clippy() -> Result<()> {
    run::run(&mut run::cargo(
        "clippy --workspace --all-targets --all-features -- -D warnings",
    ))
}

/// Each feature of the library stands alone, and so does none, and the server does without its own: nobody's build depends on what another crate switched on.
fn features() -> Result<()> {
    let alone = "clippy -p jackline --lib --no-default-features";
    run::run(&mut run::cargo(&format!("{alone} -- -D warnings")))?;
    let metadata = run::metadata("Cargo.toml")?;
    let jackline = metadata
        .packages
        .iter()
        .find(|package| package.name == "jackline")
        .context("no package jackline")?;
    for feature in jackline
        .features
        .keys()
        .filter(|feature| *feature != "default")
    {
        run::run(&mut run::cargo(&format!(
            "{alone} --features {feature} -- -D warnings"
        )))?;
    }
    run::run(&mut run::cargo(
        "clippy -p jackline-server --no-default-features -- -D warnings",
    ))
}

fn docs() -> Result<()> {
    run::run(
        run::cargo("doc --workspace --no-deps --all-features").env("RUSTDOCFLAGS", "-D warnings"),
    )
}

#[cfg(test)]
mod tests {
    /// Previews that there is no way around yet: `webauthn-rs`, which is released, brings them, and has no other versions to bring
    /// (DESIGN.md, "How are second factors kept?"). Each goes from here when it goes from the lockfile.
    const PREVIEWS: [(&str, &str); 2] = [("kbkdf", "0.1.0-rc.1"), ("rsa", "0.10.0-rc.19")];

    // Proves: T1.1
    #[test]
    fn the_lockfile_fixes_every_dependency_to_a_released_version() {
        let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap();
        let packages = lock["package"].as_array().unwrap();
        let bought: Vec<_> = packages
            .iter()
            .filter(|package| package.get("source").is_some())
            .collect();
        assert!(bought.len() > 50, "the test looks at the right file");
        let mut previews = Vec::new();
        for package in bought {
            let (name, version) = (
                package["name"].as_str().unwrap(),
                package["version"].as_str().unwrap(),
            );
            assert!(package.get("checksum").is_some(), "{name} has no checksum");
            // What follows a plus sign is metadata, what follows a dash a preview.
            let released = version.split('+').next().unwrap();
            if released.contains('-') {
                previews.push((name, version));
            }
        }
        assert_eq!(previews, PREVIEWS, "what is not here is not a release");
    }
}
