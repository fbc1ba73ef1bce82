//! The programs that chores need beyond Rust. Present, they are used as they are; missing, they are installed where that is ours to do
//! (root on Debian); elsewhere one line per program says what to install.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::run;

/// A program, the Debian package that brings it, and what it is for.
#[derive(Debug)]
pub(crate) struct Tool {
    binary: &'static str,
    package: &'static str,
    why: &'static str,
}

/// What the tests talk to.
pub(crate) const FOR_TESTS: &[Tool] = &[
    Tool {
        binary: "redis-server",
        package: "redis-server",
        why: "the store for Redis is tested on a real one",
    },
    Tool {
        binary: "valgrind",
        package: "valgrind",
        why: "instructions are counted where time must tell nothing",
    },
    Tool {
        binary: "postgres",
        package: "postgresql",
        why: "the store for PostgreSQL is tested on a real one; whatever cluster the package starts is left alone",
    },
    Tool {
        binary: "node",
        package: "nodejs",
        why: "sessions are shared with a real Express",
    },
    Tool {
        binary: "npm",
        package: "npm",
        why: "that Express's packages come with it, and what looks for barriers on pages, as their lockfiles say",
    },
    Tool {
        binary: "chromium",
        package: "chromium",
        why: "pages are tested in a real browser",
    },
    Tool {
        binary: "chromedriver",
        package: "chromium-driver",
        why: "that browser is told by it what to do",
    },
    Tool {
        binary: "kill",
        package: "procps",
        why: "servers are paused and ended under the tests",
    },
    Tool {
        binary: "pip3",
        package: "python3-pip",
        why: "Schemathesis makes requests of the OpenAPI document; its packages come with it, as the list in testkit says",
    },
    Tool {
        binary: "promtool",
        package: "prometheus",
        why: "alerts are tested, and metrics are read, by the tool that comes with Prometheus",
    },
    Tool {
        binary: "systemd-analyze",
        package: "systemd",
        why: "the service's unit is verified",
    },
    Tool {
        binary: "curl",
        package: "curl",
        why: "the documented commands are tested word for word",
    },
];

/// What takes pictures of pages.
pub(crate) const FOR_PAGES: &[Tool] = &[
    Tool {
        binary: "chromium",
        package: "chromium",
        why: "it shows the pages",
    },
    Tool {
        binary: "chromedriver",
        package: "chromium-driver",
        why: "that browser is told by it what to do",
    },
    Tool {
        binary: "node",
        package: "nodejs",
        why: "npm runs on it",
    },
    Tool {
        binary: "npm",
        package: "npm",
        why: "what looks for barriers on pages comes with it",
    },
];

/// What builds the fuzz targets.
pub(crate) const FOR_FUZZING: &[Tool] = &[Tool {
    binary: "g++",
    package: "g++",
    why: "libFuzzer is C++, compiled on the spot",
}];

/// What the benchmark runs. Node is left out on purpose: without it one contender is missing, and the page says so.
pub(crate) const FOR_BENCHMARKS: &[Tool] = &[
    Tool {
        binary: "redis-server",
        package: "redis-server",
        why: "most contenders keep their sessions there",
    },
    Tool {
        binary: "redis-cli",
        package: "redis-tools",
        why: "it says what Redis was sent",
    },
    Tool {
        binary: "taskset",
        package: "util-linux",
        why: "each side has a core of its own",
    },
];

/// What counts instructions.
pub(crate) const FOR_COUNTING: &[Tool] = &[
    Tool {
        binary: "valgrind",
        package: "valgrind",
        why: "it counts instructions",
    },
    Tool {
        binary: "redis-server",
        package: "redis-server",
        why: "requests whose sessions are there are counted",
    },
    Tool {
        binary: "redis-cli",
        package: "redis-tools",
        why: "it says that Redis is there",
    },
    Tool {
        binary: "taskset",
        package: "util-linux",
        why: "Redis has a core of its own",
    },
];

/// Returns with every tool in its place.
///
/// # Errors
/// When one is missing and cannot be installed.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing = missing(tools);
    if missing.is_empty() {
        return Ok(());
    }
    if may_install() {
        install(&missing)?;
    }
    let still_missing = self::missing(tools);
    for tool in &still_missing {
        eprintln!(
            "missing: {} ({}). On Debian: apt-get install {}",
            tool.binary, tool.why, tool.package
        );
    }
    if !still_missing.is_empty() {
        bail!(
            "{} of the programs needed are not installed",
            still_missing.len()
        );
    }
    Ok(())
}

/// Where the PATH leads for this name, or Debian's folder for PostgreSQL's programs, which is on nobody's PATH, or that of the Node which
/// `JACKLINE_NODE` names.
pub(crate) fn find(binary: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let postgres = std::fs::read_dir("/usr/lib/postgresql");
    let postgres = postgres.into_iter().flatten();
    let node = std::env::var_os("JACKLINE_NODE").map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(node.and_then(|node| Some(node.parent()?.to_owned())))
        .chain(postgres.filter_map(|version| Some(version.ok()?.path().join("bin"))))
        .map(|folder| folder.join(binary))
        .find(|file| file.is_file())
}

fn missing(tools: &[Tool]) -> Vec<&Tool> {
    tools
        .iter()
        .filter(|tool| find(tool.binary).is_none())
        .collect()
}

fn may_install() -> bool {
    // Linux shows a process's own folder as its user's.
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    Path::new("/etc/debian_version").exists() && find("apt-get").is_some() && root
}

/// Tries twice, since a mirror that is being updated fails for a moment.
fn install(tools: &[&Tool]) -> Result<()> {
    let once = || {
        run::run(&mut apt_get("update"))?;
        run::run(
            apt_get("install --yes --no-install-recommends")
                .args(tools.iter().map(|tool| tool.package)),
        )
    };
    once().or_else(|error| {
        eprintln!("{error:#}; once more");
        once()
    })
}

fn apt_get(arguments: &str) -> std::process::Command {
    let mut command = run::program("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .arg("--quiet")
        .args(arguments.split_whitespace());
    command
}
