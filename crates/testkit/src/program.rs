//! The built program `jackline`, run as a user runs it: in a folder of its own, on a free port, with nothing in its environment but what a
//! test puts there. It logs at TRACE, and everything secret that passes by is remembered; when the test ends, none of it may
//! stand anywhere in what the program printed (J6, S70).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::block_on;
use crate::browser::Site;
use crate::certificates::Certificates;

/// How long a program may take to say something that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A signing secret for tests.
pub const SECRET: &str = "3b1f0c4d5e6a7980b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071829";

/// The one line that names a password: that of the demo user, which is published, and which only development has.
const DEMO: &str = "Development. Demo user: alice, with the password correct-horse.";

/// A folder and an environment to run the program in, one after another or several at once.
#[derive(Debug)]
pub struct Place {
    /// Kept as long as anyone runs in it.
    pub folder: Arc<TempDir>,
    environment: BTreeMap<String, String>,
    secrets: Secrets,
    authority: Option<PathBuf>,
}

impl Place {
    /// An empty folder, a free port, and the given settings.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let mut place = Self {
            folder: Arc::new(TempDir::new().unwrap()),
            environment: BTreeMap::new(),
            secrets: Secrets::default(),
            authority: None,
        };
        place.set("PORT", "0");
        place.set("JACKLINE_LOG", "trace");
        // Tests log in and fail to all at once. Those about guessing say otherwise.
        place.set("JACKLINE_LOGIN_ATTEMPTS", "100");
        for (name, value) in settings {
            place.set(name, value);
        }
        place
    }

    /// Changes a setting, for programs that start from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        if name.starts_with("SESSION_SECRET") || name.starts_with("JACKLINE_ENCRYPTION_KEY") {
            value
                .split(',')
                .for_each(|secret| self.secrets.remember(secret));
        }
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// A machine that other tests keep busy may take longer than the store's usual time-out: for tests that are about something else.
    pub fn be_patient(&mut self) {
        self.set("JACKLINE_STORE_TIMEOUT", "20s");
    }

    /// Programs that start from now on speak https under this certificate, or its successors in the same files.
    pub fn speak_tls(&mut self, certificates: &Certificates) {
        let (certificate, key) = certificates.server();
        self.set("JACKLINE_TLS_CERT_FILE", certificate.to_str().unwrap());
        self.set("JACKLINE_TLS_KEY_FILE", key.to_str().unwrap());
        self.authority = Some(certificates.authority());
    }

    /// What a setting is.
    ///
    /// # Panics
    /// If it is not set.
    #[must_use]
    pub fn setting(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Takes a setting out of the environment.
    pub fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .envs(&self.environment);
        // The program finds git there, and nothing else.
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with_input(arguments, "")
    }

    /// Runs the program to its end, with `input` on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        use std::io::Write as _;
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read ends early, and then the pipe is closed.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let ended = Ended {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        self.secrets.check(&ended.stdout, &ended.stderr);
        ended
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Program {
        self.serve_as(self.command(&["serve"]))
    }

    /// The same, where a file that grows past a limit is an error of the write and not the end of the program: the way to a
    /// disk that is full for this program alone.
    pub fn serve_with_file_limits(&self) -> Program {
        let program = self.command(&["serve"]);
        let mut command = Command::new("env");
        command
            .arg("--ignore-signal=XFSZ")
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(self.path())
            .env_clear();
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        self.serve_as(command)
    }

    fn serve_as(&self, mut command: Command) -> Program {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, heard) = channel();
        let output = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            follow(child.stdout.take().unwrap(), &output, Some(said)),
            follow(child.stderr.take().unwrap(), &output, None),
        ];
        let mut program = Program {
            child,
            port: 0,
            output,
            heard: Mutex::new(heard),
            readers,
            secrets: self.secrets.clone(),
            authority: self.authority.clone(),
            _folder: Arc::clone(&self.folder),
        };
        let listening = program.wait_for_line("Listening on ");
        program.port = listening
            .trim()
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        program
    }
}

/// Where cargo has put it for the test that runs.
fn built() -> OsString {
    std::env::var_os("CARGO_BIN_EXE_jackline")
        .expect("started by `cargo test` in the package that builds it")
}

/// A program that has ended.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A running server.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it listens.
    pub port: u16,
    output: Arc<Mutex<String>>,
    heard: Mutex<Receiver<String>>,
    readers: Vec<JoinHandle<()>>,
    secrets: Secrets,
    authority: Option<PathBuf>,
    _folder: Arc<TempDir>,
}

impl Site for Program {
    fn url(&self, path: &str) -> String {
        let scheme = match self.authority {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://localhost:{}{path}", self.port)
    }

    fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    fn remember_secret(&self, secret: &str) {
        self.secrets.remember(secret);
    }
}

impl Program {
    /// Waits until a line of standard output begins so, and returns it.
    pub fn wait_for_line(&self, start: &str) -> String {
        loop {
            let line = self
                .heard
                .lock()
                .unwrap()
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|_| {
                    panic!(
                        "the program never said {start:?}; it said:\n{}",
                        self.output.lock().unwrap()
                    )
                });
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Waits for the security event called `name`, and returns it.
    pub fn wait_for_event(&self, name: &str) -> Value {
        loop {
            let line = self.wait_for_line("{");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    /// The security events that were heard and not waited for yet.
    pub fn events_so_far(&self) -> Vec<Value> {
        self.heard
            .lock()
            .unwrap()
            .try_iter()
            .filter_map(|line| serde_json::from_str(&line).ok())
            .collect()
    }

    /// How many lines so far, on either stream, contain this.
    pub fn has_said(&self, text: &str) -> usize {
        let output = self.output.lock().unwrap();
        output.lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until so many lines contain this.
    pub fn wait_until_said(&self, text: &str, times: usize) {
        block_on(crate::eventually(text, async || {
            self.has_said(text) >= times
        }));
    }

    /// For what the program says elsewhere than on its streams.
    ///
    /// # Panics
    /// If a secret that passed by stands there.
    pub fn assert_nothing_secret(&self, text: &str) {
        self.secrets.check(text, "");
    }

    /// How much memory the server holds.
    #[cfg(target_os = "linux")]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Lets no file of the server's grow past so many bytes; `None` lifts the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let soft = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let limited = Command::new("prlimit")
            .args([
                "--pid",
                &self.child.id().to_string(),
                &format!("--fsize={soft}:"),
            ])
            .status()
            .unwrap();
        assert!(limited.success());
    }

    /// Sends a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Tells the server to stop, and returns once it lets nobody in.
    pub fn tell_to_stop(&self) {
        self.signal("-TERM");
        block_on(crate::eventually("nobody is let in", async || {
            TcpStream::connect(("127.0.0.1", self.port)).is_err()
        }));
    }

    /// Asks the server to stop, and waits until it has. Returns its status and everything that it printed.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal("-TERM");
        self.wait()
    }

    /// Waits until the server has ended. Returns its status and everything that it printed.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let output = self.output.lock().unwrap().clone();
        (status, output)
    }

    /// Ends the server as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        // A second panic while one is under way would end the whole test run.
        if !std::thread::panicking() {
            self.secrets.check(&self.output.lock().unwrap(), "");
        }
    }
}

fn follow(
    stream: impl Read + Send + 'static,
    output: &Arc<Mutex<String>>,
    said: Option<std::sync::mpsc::Sender<String>>,
) -> JoinHandle<()> {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
            drop(output);
            if let Some(said) = &said {
                let _ = said.send(line);
            }
        }
    })
}

/// What must never be printed.
#[derive(Clone, Debug, Default)]
struct Secrets(Arc<Mutex<Vec<String>>>);

impl Secrets {
    fn remember(&self, secret: &str) {
        assert!(secret.len() >= 8, "too short to search for");
        let mut secrets = self.0.lock().unwrap();
        if !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
        }
    }

    fn check(&self, stdout: &str, stderr: &str) {
        for secret in self.0.lock().unwrap().iter() {
            for (stream, text) in [("stdout", stdout), ("stderr", stderr)] {
                let line = text
                    .lines()
                    .find(|line| line.contains(secret.as_str()) && *line != DEMO);
                assert!(
                    line.is_none(),
                    "the secret {secret:?} stands on {stream}: {line:?}"
                );
            }
        }
    }
}
