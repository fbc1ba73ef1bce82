//! `chromedriver`, and its protocol: W3C WebDriver, which is JSON over HTTP, one answer to each command.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The driver and whatever it starts are one group of processes. The shell in front ends the whole group, and itself, when its
/// standard input closes, which the system does when the test ends, however it ends; or when the driver does.
const UNTIL_NOBODY_LISTENS: &str =
    "(chromedriver --port=0; kill -KILL 0) & cat >/dev/null; kill -KILL 0";

/// Longer than a page may take to load on a machine that is kept busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why a command was not carried out, in the driver's words.
#[derive(Debug)]
pub(super) struct Refusal {
    /// A code of the standard, such as `no such element`.
    pub(super) code: String,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// A running driver, with a folder that is the home and the profile of its browser.
#[derive(Debug)]
pub(super) struct Driver {
    group: Child,
    said: BufReader<ChildStdout>,
    address: String,
    agent: ureq::Agent,
    home: tempfile::TempDir,
}

impl Driver {
    pub(super) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut group = Command::new("sh")
            .args(["-c", UNTIL_NOBODY_LISTENS])
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(group.stdout.take().unwrap());
        let port = loop {
            let mut line = String::new();
            if said.read_line(&mut line).unwrap() == 0 {
                panic!(
                    "chromedriver does not run; these tests skip nothing without it (on Debian: apt-get install chromium \
                     chromium-driver)"
                );
            }
            if let Some((_, port)) = line.trim_end().split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .new_agent();
        Self {
            group,
            said,
            address: format!("http://127.0.0.1:{port}"),
            agent,
            home,
        }
    }

    /// An empty folder for the browser.
    pub(super) fn profile(&self) -> std::path::PathBuf {
        Path::new(self.home.path()).join("profile")
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        let request = self.agent.post(format!("{}{path}", self.address));
        answer(request.send_json(body))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Refusal> {
        answer(self.agent.get(format!("{}{path}", self.address)).call())
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value, Refusal> {
        answer(self.agent.delete(format!("{}{path}", self.address)).call())
    }
}

impl Drop for Driver {
    /// Returns when driver and browser are gone, so that nobody writes into the folder that goes next.
    fn drop(&mut self) {
        drop(self.group.stdin.take());
        let _ = self.group.wait();
        // Each of them holds the other end until it is gone.
        let _ = self.said.read_to_end(&mut Vec::new());
    }
}

/// `{"value": …}`, or why not.
fn answer(
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, Refusal> {
    let mut response = response.unwrap_or_else(|error| panic!("chromedriver: {error}"));
    let mut body: Value = response
        .body_mut()
        .with_config()
        // A screenshot of a long page.
        .limit(64 << 20)
        .read_json()
        .unwrap();
    let value = body["value"].take();
    if response.status().is_success() {
        return Ok(value);
    }
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Err(Refusal {
        code: text("error"),
        message: text("message"),
    })
}
