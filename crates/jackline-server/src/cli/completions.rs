//! `jackline completions`: what a shell needs to complete our commands.

use std::io::Write;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

/// Prints the completion script for a shell.
///
/// # Errors
///
/// If `out` is closed.
pub fn run(shell: Shell, out: &mut dyn Write) -> anyhow::Result<()> {
    // Into memory first: the generator panics on a closed stream.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "jackline", &mut script);
    out.write_all(&script)
        .and_then(|()| out.flush())
        .context("cannot print the script")
}
