//! An Express of a test's own: real Node, with the packages that a lockfile of `node/` fixes, on a free port. The packages are
//! fetched once per lockfile and kept in the target folder. The app ends with the test, killed or not.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::browser::Site;
use crate::packages;
use crate::process::on_path;

/// The oldest Node that the packages run on.
const OLDEST: u32 = 18;

/// Which packages keep the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// connect-redis 9, on node-redis.
    ConnectRedis9,
    /// connect-redis 7, on ioredis.
    ConnectRedis7,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::ConnectRedis9 => "connect-redis-9",
            Self::ConnectRedis7 => "connect-redis-7",
        }
    }

    fn folder(self) -> PathBuf {
        sources().join(self.name())
    }
}

/// The packages that the lockfile in this folder of `node/` fixes, installed below the test's `CARGO_TARGET_TMPDIR`.
pub(crate) fn npm_packages(name: &str, target: &str) -> PathBuf {
    Node::find().packages(name, target)
}

/// A running Express.
#[derive(Debug)]
pub struct Express {
    child: Child,
    port: u16,
}

impl Express {
    /// Starts one that keeps its sessions where `settings` say, which are the variables that `node/server.js` reads. `target` is
    /// the test's `CARGO_TARGET_TMPDIR`.
    ///
    /// # Panics
    /// If there is no Node, its packages cannot be fetched, or the app does not start.
    #[must_use]
    pub fn start(flavour: Flavour, target: &str, settings: &[(&str, &str)]) -> Self {
        let node = Node::find();
        let packages = node.packages(flavour.name(), target);
        let mut child = Command::new(&node.program)
            .arg(sources().join("server.js"))
            .arg(flavour.folder().join("store.js"))
            .env("NODE_PATH", packages)
            .env("NODE_ENV", "test")
            .envs(settings.iter().copied())
            // Node ends when this does, also if nobody is left to drop it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse();
        let port = port.unwrap_or_else(|_| panic!("Express did not start; it said {line:?}"));
        Self { child, port }
    }
}

impl Site for Express {
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// It prints nothing.
    fn remember_secret(&self, _secret: &str) {}
}

impl Drop for Express {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Node, and the npm that comes with it.
struct Node {
    program: PathBuf,
    npm: PathBuf,
}

impl Node {
    /// What `JACKLINE_NODE` names, else what the PATH leads to.
    fn find() -> Self {
        let missing = |what: &str| -> ! {
            panic!(
                "{what}; some tests run packages of npm, such as a real Express. Install Node {OLDEST} or later with npm (on Debian: apt-get install \
                 nodejs npm), or say in JACKLINE_NODE where it is"
            )
        };
        let named = std::env::var_os("JACKLINE_NODE").map(PathBuf::from);
        let program = named
            .or_else(|| on_path("node"))
            .unwrap_or_else(|| missing("there is no node on the PATH"));
        let version = Command::new(&program).arg("--version").output();
        let version = version.unwrap_or_else(|error| {
            missing(&format!("{} does not run ({error})", program.display()))
        });
        let version = String::from_utf8_lossy(&version.stdout);
        let major = version.trim_start_matches('v').split('.').next();
        let major = major.and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST) {
            missing(&format!(
                "{} is of version {:?}",
                program.display(),
                version.trim()
            ));
        }
        let npm = program.with_file_name("npm");
        let npm = Some(npm)
            .filter(|npm| npm.is_file())
            .or_else(|| on_path("npm"))
            .unwrap_or_else(|| missing("there is no npm beside node, and none on the PATH"));
        Self { program, npm }
    }

    /// What the lockfile in this folder of `node/` fixes, below this target folder.
    fn packages(&self, name: &str, target: &str) -> PathBuf {
        let folder = sources().join(name);
        let lockfile = folder.join("package-lock.json");
        let target = Path::new(target).join("node");
        let installed = packages::installed(&target, name, &lockfile, |fresh| {
            for file in ["package.json", "package-lock.json"] {
                std::fs::copy(folder.join(file), fresh.join(file)).unwrap();
            }
            self.install(fresh);
        });
        installed.join("node_modules")
    }

    /// Fetches what the lockfile of this folder fixes. No package runs anything.
    fn install(&self, folder: &Path) {
        let installed = Command::new(&self.npm)
            .args([
                "ci",
                "--ignore-scripts",
                "--omit=dev",
                "--no-audit",
                "--no-fund",
            ])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(
            installed.status.success(),
            "npm ci failed: {}",
            String::from_utf8_lossy(&installed.stderr)
        );
    }
}

/// The app and its lockfiles.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("node")
}
