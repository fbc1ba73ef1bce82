//! How long threads have run, by the scheduler's own account, in nanoseconds.

use std::path::Path;
use std::time::Duration;

/// Whose time counts beside this process's.
pub(crate) enum Server {
    None,
    /// One process and its threads.
    Process(u32),
    /// The children of one, each of a single thread.
    ChildrenOf(u32),
}

pub(crate) struct Cpu;

impl Cpu {
    pub(crate) fn of(server: &Server) -> Duration {
        let own = threads(std::process::id());
        own + match server {
            Server::None => Duration::ZERO,
            Server::Process(process) => threads(*process),
            Server::ChildrenOf(parent) => children(*parent).map(threads).sum(),
        }
    }
}

fn threads(process: u32) -> Duration {
    let tasks = Path::new("/proc").join(process.to_string()).join("task");
    let tasks = std::fs::read_dir(tasks).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let account = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanos = account.split_whitespace().next()?.parse().ok()?;
            Some(Duration::from_nanos(nanos))
        })
        .sum()
}

fn children(parent: u32) -> impl Iterator<Item = u32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(move |process: &u32| self::parent(*process) == Some(parent))
}

/// The process that has started this one.
pub(crate) fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // `pid (name) state parent …`, where the name may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
