//! Schemathesis, which makes requests of an OpenAPI document, good ones and bad ones, and holds the answers to it. Its packages are those
//! of `python/requirements.txt`.

use std::path::Path;
use std::process::Command;

use crate::packages;

/// Runs it against the document at `url`, bounded and the same each time. `target` is the test's `CARGO_TARGET_TMPDIR`.
///
/// # Panics
/// If there is no Python with pip, its packages cannot be fetched, or an answer is not as documented.
pub fn run(url: &str, target: &str, arguments: &[&str]) {
    let lockfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/requirements.txt");
    let target = Path::new(target).join("python");
    let packages = packages::installed(&target, "schemathesis", &lockfile, |fresh| {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
        ])
        .arg("--target")
        .arg(fresh)
        .arg("--requirement")
        .arg(&lockfile);
        succeed(&mut pip);
    });
    let mut run = Command::new("python3");
    run.args([
        "-m",
        "schemathesis.cli",
        "run",
        url,
        "--checks=all",
        "--seed=1",
    ])
    .args([
        "--max-examples=15",
        "--phases=examples,coverage,fuzzing",
        "--no-color",
    ])
    .args(arguments)
    .current_dir(&target)
    .env("PYTHONPATH", packages);
    succeed(&mut run);
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not run ({error}); on Debian: apt-get install python3-pip")
    });
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
