//! Whether git has what it must not have. Secrets go to it on its standard input, never on a command line, and what it is told to run
//! by the repository's own configuration it does not run.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

/// How many commits that touched a file are searched.
const MOST_COMMITS: &str = "--max-count=50";

/// The repository that a folder is in.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRepository {
    /// The folder is not in one, as far as git says.
    None,
    /// There is no git to ask.
    NoGit,
}

impl Repository {
    pub(super) fn around(folder: &Path) -> Result<Self, NoRepository> {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let repository = Self {
            folder: folder.to_owned(),
        };
        match repository.git(&["rev-parse", "--is-inside-work-tree"], None) {
            None => Err(NoRepository::NoGit),
            Some(said) if said.trim() == "true" => Ok(repository),
            Some(_) => Err(NoRepository::None),
        }
    }

    /// Whether the file is tracked.
    pub(super) fn tracks(&self, file: &Path) -> bool {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let listed = self.git(&["ls-files", "--", &file.to_string_lossy()], None);
        listed.is_some_and(|said| !said.is_empty())
    }

    /// The tracked files that hold one of these texts.
    pub(super) fn files_with(&self, texts: &str) -> Vec<String> {
        self.grep(&["--", ":/"], texts)
    }

    /// The same in the past of one file: a commit and a path each.
    pub(super) fn commits_with(&self, texts: &str, file: &Path) -> Vec<String> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let file = file.to_string_lossy();
        let commits = self.git(&["rev-list", "--all", MOST_COMMITS, "--", &file], None);
        let commits = commits.unwrap_or_default();
        let mut ask: Vec<_> = commits.lines().collect();
        if ask.is_empty() {
            return Vec::new();
        }
        ask.extend(["--", &file]);
        let short = |line: String| match line.split_once(':') {
            Some((commit, path)) => format!("{}:{path}", commit.get(..10).unwrap_or(commit)),
            None => line,
        };
        self.grep(&ask, texts).into_iter().map(short).collect()
    }

    fn grep(&self, place: &[&str], texts: &str) -> Vec<String> {
        let mut ask = vec!["grep", "-I", "-l", "-F", "-f", "-"];
        ask.extend(place);
        let said = self.git(&ask, Some(texts)).unwrap_or_default();
        said.lines().map(str::to_owned).collect()
    }

    /// What git prints; `None` if it cannot be run.
    fn git(&self, arguments: &[&str], input: Option<&str>) -> Option<String> {
        let mut child = Command::new("git")
            .arg("-C")
            .arg(&self.folder)
            .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
            .args(arguments)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env(
                "GIT_LITERAL_PATHSPECS",
                if input.is_some() { "0" } else { "1" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = Zeroizing::new(input.unwrap_or_default().to_owned());
            // A git that does not read has nothing to search.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
