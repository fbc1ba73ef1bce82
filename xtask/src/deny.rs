//! Licences, bans and sources of every dependency, by the rules of deny.toml. Needs the network only to fetch crates and, once, the tool.

use std::path::PathBuf;

use anyhow::Result;

use crate::{run, tools};

const VERSION: &str = "0.20.2";

/// Checks the workspace.
///
/// # Errors
/// When a dependency breaks a rule, or the tool cannot be installed.
pub(crate) fn run() -> Result<()> {
    let cargo_deny = installed()?;
    // The check looks at all platforms, a build only at this one's crates.
    run::run(&mut run::cargo("fetch --locked"))?;
    run::run(run::program(cargo_deny).args(["--offline", "check", "licenses", "bans", "sources"]))
}

/// The tool from the PATH or from the target folder, where it is built first if need be.
fn installed() -> Result<PathBuf> {
    let tools = run::metadata("Cargo.toml")?.target_directory.join("tools");
    let ours = tools.join("bin/cargo-deny");
    if let Some(found) = tools::find("cargo-deny").or_else(|| ours.is_file().then(|| ours.clone()))
    {
        return Ok(found);
    }
    // Unoptimised: it runs for a second, and optimising it takes minutes.
    run::run(
        run::cargo("install cargo-deny --locked --debug --version")
            .arg(VERSION)
            .arg("--root")
            .arg(&tools),
    )?;
    Ok(ours)
}
