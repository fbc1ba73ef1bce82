//! `jackline secret`: a signing secret on one line and nothing else, so that it can be put into a file or a secret manager as it is.

use std::io::Write;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::random;

/// Prints 64 random bytes as 128 hexadecimal digits.
///
/// # Errors
///
/// If the operating system gives no random bytes, or `out` is closed.
pub fn run(out: &mut dyn Write) -> anyhow::Result<()> {
    let digits = random::hex(64).context("the operating system gives no random numbers")?;
    let line = Zeroizing::new(format!("{}\n", *digits));
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print the secret")
}
