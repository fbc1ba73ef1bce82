//! Where passwords come from: typed without echo if there is a terminal, else the first line of standard input. There is no option that
//! takes one: command lines are public on the machine and stay in the shell's history.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use crate::passwords::Password;

/// Asks for a password to be set.
pub trait AskPassword {
    /// Gets a password for `username`, typed twice if it is typed.
    ///
    /// # Errors
    ///
    /// If nothing can be read, or the two differ.
    fn ask_new(&mut self, username: &str) -> anyhow::Result<Password>;
}

/// The terminal, or standard input if that is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandardInput;

impl AskPassword for StandardInput {
    fn ask_new(&mut self, username: &str) -> anyhow::Result<Password> {
        if !io::stdin().is_terminal() {
            return first_line(io::stdin().lock());
        }
        let first = prompt(&format!("New password for {username}: "))?;
        let second = prompt("The same again: ")?;
        if first != second {
            bail!("the two passwords differ; nothing was changed");
        }
        Ok(Password::presented(first.as_str()))
    }
}

fn prompt(text: &str) -> anyhow::Result<Zeroizing<String>> {
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .context("cannot read a password from the terminal")
}

/// A password from the first line of `input`, without its line end.
///
/// # Errors
///
/// If there is no line, or it is longer than any password, or not UTF-8.
pub fn first_line(input: impl BufRead) -> anyhow::Result<Password> {
    const LONGEST: u64 = 4096;
    let mut line = Zeroizing::new(String::new());
    input
        .take(LONGEST)
        .read_line(&mut line)
        .context("cannot read a password from standard input")?;
    if line.is_empty() {
        bail!("standard input is empty; the password is its first line");
    }
    let text = line.strip_suffix('\n').unwrap_or(&line);
    if text.len() == line.len() && u64::try_from(line.len())? == LONGEST {
        bail!("the first line of standard input is too long for a password");
    }
    Ok(Password::presented(text.strip_suffix('\r').unwrap_or(text)))
}
