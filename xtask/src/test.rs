//! Every test of the workspace, doctests included, with every feature on. What they need beyond Rust is there before they start, no test
//! is skipped for want of it, and the last line counts them all.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use crate::{run, tools};

/// Runs `cargo test`, these arguments added.
///
/// # Errors
/// When a test fails, none ran, or a program that they need is missing.
pub(crate) fn run(args: &[String]) -> Result<()> {
    tools::ensure(tools::FOR_TESTS)?;
    let mut command = run::cargo("test --workspace --all-features --no-fail-fast");
    command.args(args).stdout(Stdio::piped());
    run::show(&command);

    let mut child = command.spawn().context("cannot start cargo test")?;
    let mut total = Total::default();
    for line in BufReader::new(child.stdout.take().context("cargo test has no output")?).lines() {
        let line = line?;
        println!("{line}");
        total.add(&line);
    }
    let status = child.wait()?;

    println!(
        "\n{} passed, {} failed, {} skipped",
        total.passed, total.failed, total.ignored
    );
    ensure!(status.success(), "tests failed");
    ensure!(total.passed > 0, "no test ran");
    Ok(())
}

/// The sum over the many programs that `cargo test` starts.
#[derive(Debug, Default, PartialEq)]
struct Total {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Total {
    /// Adds up lines such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`; any other line counts nothing.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|result| result.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let mut words = count.split_whitespace();
            let (Some(Ok(number)), Some(what)) =
                (words.next().map(str::parse::<usize>), words.next())
            else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Total;

    #[test]
    fn the_total_is_the_sum_of_the_result_lines_only() {
        let mut total = Total::default();
        for line in [
            "running 4 tests",
            "test x ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
        ] {
            total.add(line);
        }
        assert_eq!(
            total,
            Total {
                passed: 5,
                failed: 1,
                ignored: 1
            }
        );
    }
}
