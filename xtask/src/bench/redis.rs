//! A Redis of the benchmark's own, gone with it: on a free loopback port, saving nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::processes::{OTHERS, Process};
use crate::run;

#[derive(Debug)]
pub(crate) struct Redis {
    port: u16,
    process: Process,
}

impl Redis {
    /// Starts it, and waits until it answers.
    pub(crate) fn start() -> Result<Self> {
        // Another process could take the port before Redis does; Redis then ends at once, and the run with it.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = run::program("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        let mut process = Process::start("redis-server", OTHERS, &command)?;
        while !process.line()?.contains("Ready to accept connections") {}
        let redis = Self { port, process };
        let answer = redis.ask(&["ping"])?;
        ensure!(
            answer.trim() == "PONG",
            "Redis answers a ping with {answer}"
        );
        Ok(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How long it has worked.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        self.process.cpu_time()
    }

    pub(crate) fn version(&self) -> Result<String> {
        let info = self.ask(&["info", "server"])?;
        let version = info
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.context("Redis has no version")?.trim().to_owned())
    }

    /// How often each command has run, those that scripts call included.
    pub(crate) fn calls(&self) -> Result<BTreeMap<String, u64>> {
        let info = self.ask(&["info", "commandstats"])?;
        let lines = info
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
        let calls = lines.map(|(name, rest)| {
            let count = rest.split(',').next().unwrap_or_default();
            Ok((name.to_uppercase(), count.parse()?))
        });
        calls.collect()
    }

    /// Which commands clients send while `work` is done, in their order, those that scripts call not included.
    pub(crate) fn watch(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
        let mut monitor = self.cli(&["monitor"]);
        let mut monitor = monitor.stdout(Stdio::piped()).spawn()?;
        let out = monitor.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(out).lines();
        let first = lines.next().context("redis-cli has ended")??;
        ensure!(first == "OK", "Redis cannot be watched: {first}");
        let worked = work();
        // Whatever was sent before this is printed before it.
        const END: &str = "end-of-watch";
        self.ask(&["echo", END])?;
        let mut sent = Vec::new();
        for line in lines {
            let line = line?;
            if line.contains(END) {
                break;
            }
            sent.extend(command(&line).map(str::to_uppercase));
        }
        monitor.kill()?;
        monitor.wait()?;
        worked?;
        Ok(sent)
    }

    /// The names of all keys.
    pub(crate) fn names(&self) -> Result<BTreeSet<String>> {
        let names = self.ask(&["--scan"])?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// How many bytes these keys and what lies under them take in memory, by `MEMORY USAGE`.
    pub(crate) fn bytes(&self, names: &[&String]) -> Result<u64> {
        const SUM: &str = "local sum = 0 \
            for _, name in ipairs(KEYS) do sum = sum + redis.call('MEMORY', 'USAGE', name, 'SAMPLES', '0') end \
            return sum";
        let many = names.len().to_string();
        let mut words = vec!["eval", SUM, &many];
        words.extend(names.iter().map(|name| name.as_str()));
        let answer = self.ask(&words)?;
        let answer = answer.trim();
        answer
            .parse()
            .with_context(|| format!("Redis answers with {answer}"))
    }

    fn ask(&self, words: &[&str]) -> Result<String> {
        run::output(&mut self.cli(words))
    }

    fn cli(&self, words: &[&str]) -> Command {
        let mut command = run::program("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(words);
        command
    }
}

/// The command in a line of MONITOR, unless a script has called it.
fn command(line: &str) -> Option<&str> {
    let (head, rest) = line.split_once("] \"")?;
    let by_script = head.ends_with(" lua");
    (!by_script).then(|| rest.split('"').next().unwrap_or(rest))
}

/// What was called between two counts, but for what this benchmark asks itself.
pub(crate) fn between(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
) -> Result<BTreeMap<String, u64>> {
    let mut between = BTreeMap::new();
    for (name, count) in after {
        let count = count.checked_sub(before.get(name).copied().unwrap_or_default());
        match count {
            None => bail!("Redis has forgotten what it counted"),
            Some(count) if count > 0 && name != "INFO" => between.insert(name.clone(), count),
            Some(_) => None,
        };
    }
    Ok(between)
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn what_a_script_calls_is_not_what_a_client_sends() {
        let client = r#"1700000000.000001 [0 127.0.0.1:50000] "EVALSHA" "0123" "1" "key""#;
        let script = r#"1700000000.000002 [0 lua] "GET" "key""#;
        assert_eq!(command(client), Some("EVALSHA"));
        assert_eq!(command(script), None);
    }
}
