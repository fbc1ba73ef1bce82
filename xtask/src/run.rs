//! How a chore runs another program: at the root of the workspace, its command line shown first, and a failure named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The folder of the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    // At run time first: clones that share a target folder also share the compiled xtask.
    let xtask =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask)
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// The program, to be run at the root.
pub(crate) fn program(name: impl AsRef<Path>) -> Command {
    let mut command = Command::new(name.as_ref());
    command.current_dir(root());
    // `cargo run` describes the package xtask in these. Build scripts that watch them (ring's does) would see a change and compile anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that runs this chore, with arguments that are separated by spaces.
pub(crate) fn cargo(arguments: &str) -> Command {
    let mut command =
        program(std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from));
    command.args(arguments.split_whitespace());
    command
}

/// Runs to the end, output shown.
///
/// # Errors
/// When the program is missing, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", line(command)))?;
    ensure!(status.success(), "{} failed: {status}", line(command));
    Ok(())
}

/// Runs to the end and returns what it printed.
///
/// # Errors
/// As [`run`], and when the output is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    ensure!(
        output.status.success(),
        "{} failed: {}",
        line(command),
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Prints the command line, as one would type it.
pub(crate) fn show(command: &Command) {
    eprintln!("$ {}", line(command));
}

/// The command line, without the folders that lead to the program.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What cargo knows of a workspace, as far as chores ask.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) target_directory: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

/// Asks cargo about the workspace of this manifest, a path from the root.
///
/// # Errors
/// When there is none, or it does not parse.
pub(crate) fn metadata(manifest: &str) -> Result<Metadata> {
    let text = output(&mut cargo(&format!(
        "metadata --format-version 1 --no-deps --manifest-path {manifest}"
    )))?;
    serde_json::from_str(&text).context("cargo metadata answers in an unknown form")
}
