//! Programs that run beside each other: pinned to a core, asked by lines, ended when dropped, and what the system says they used.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::run;

/// The core of the servers.
pub(crate) const SERVERS: usize = 0;
/// The core of the clients and of Redis.
pub(crate) const OTHERS: usize = 1;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a program that may use this core and no other.
    pub(crate) fn start(name: &str, core: usize, command: &Command) -> Result<Self> {
        // taskset becomes the program: what the system counts for it is the program's.
        let mut pinned = run::program("taskset");
        pinned.args(["--cpu-list", &core.to_string()]);
        pinned.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        pinned.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pinned
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            name: name.to_owned(),
            child,
            stdin: stdin.context("no standard input")?,
            stdout: BufReader::new(stdout.context("no standard output")?),
        })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(
            line.ends_with('\n'),
            "{} ended instead of answering; see what it said above",
            self.name
        );
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Tells it something, and returns the line that it answers.
    pub(crate) fn ask(&mut self, words: &str) -> Result<String> {
        writeln!(self.stdin, "{words}").with_context(|| format!("{} has ended", self.name))?;
        self.line()
    }

    /// How long its threads have run, by the scheduler's own account, in nanoseconds and not in ticks. What a thread used that has
    /// ended since is missing; none of the contenders ends threads while it serves.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let tasks = Path::new("/proc").join(self.child.id().to_string());
        let mut sum = Duration::ZERO;
        for task in std::fs::read_dir(tasks.join("task"))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))
                .context("the system keeps no account of threads (CONFIG_SCHED_INFO)")?;
            let first = text.split_whitespace().next().unwrap_or_default();
            sum += Duration::from_nanos(first.parse().context("schedstat has an unknown form")?);
        }
        Ok(sum)
    }
}

/// How long a core has worked, for whomever. In hundredths of a second, so only good over many rounds.
pub(crate) fn core_time(core: usize) -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let mut words = stat
        .lines()
        .map(str::split_whitespace)
        .find_map(|mut words| (words.next() == Some(&name)).then_some(words))
        .with_context(|| format!("there is no core {core}"))?;
    // user, nice, system, idle, iowait, irq, softirq, steal.
    let mut ticks = 0;
    for place in 0..8 {
        let word: u64 = words.next().unwrap_or_default().parse()?;
        if place != 3 && place != 4 {
            ticks += word;
        }
    }
    Ok(Duration::from_millis(ticks * 10))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and nobody is left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
