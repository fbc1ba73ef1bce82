//! `jackline secret`: a signing secret on one line and nothing else, so that it can be put into a file or a secret manager as it is.

use std::io::Write;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::config::WEBHOOK_SECRET_PREFIX;
use crate::random;

/// Prints 64 random bytes as 128 hexadecimal digits.
///
/// # Errors
///
/// If the operating system gives no random bytes, or `out` is closed.
pub fn run(out: &mut dyn Write) -> anyhow::Result<()> {
    let digits = random::hex(64).context("the operating system gives no random numbers")?;
    print(&digits, out)
}

/// Prints 32 random bytes as the Standard Webhooks specification writes a secret: `whsec_` and base64.
///
/// # Errors
///
/// As [`run`].
pub fn run_for_webhook(out: &mut dyn Write) -> anyhow::Result<()> {
    let mut bytes = Zeroizing::new([0; 32]);
    *bytes = random::bytes().context("the operating system gives no random numbers")?;
    let encoded = Zeroizing::new(STANDARD.encode(*bytes));
    print(
        &Zeroizing::new(format!("{WEBHOOK_SECRET_PREFIX}{}", *encoded)),
        out,
    )
}

fn print(secret: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let line = Zeroizing::new(format!("{secret}\n"));
    out.write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print the secret")
}
