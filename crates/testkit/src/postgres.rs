//! A PostgreSQL of a test's own: made in a temporary folder, listening on a free loopback port, syncing as in production, and
//! gone with the test. Nothing is shared with a PostgreSQL that the machine may run. The server refuses to run as root, so
//! for root it runs as `nobody`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::certificates::Certificates;
use crate::eventually;

/// A running PostgreSQL.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    folder: tempfile::TempDir,
    databases: AtomicU32,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// The server of the tests that run at the moment.
static SHARED: Mutex<Weak<PostgresServer>> = Mutex::const_new(Weak::new());

impl PostgresServer {
    /// The server that all tests of this process share, each with a database of its own. It goes with the last of them.
    pub async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return server;
        }
        let server = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&server);
        server
    }

    /// Makes a cluster, starts it, and waits until it answers.
    pub async fn start() -> Self {
        let mut server = Self::make();
        server.start_again();
        server.answers().await;
        server
    }

    /// The same with TLS, which it wants of everybody but the superuser; of the user `certified` it wants a client's certificate too.
    pub async fn start_with_tls(certificates: &Certificates) -> Self {
        const RULES: &str = "host all postgres all trust\nhostssl all certified all trust clientcert=verify-ca\n\
                             hostssl all all all trust\n";
        let mut server = Self::make();
        let (certificate, key) = certificates.server();
        for (setting, file) in [
            ("ssl_cert_file", certificate),
            ("ssl_key_file", key),
            ("ssl_ca_file", certificates.authority()),
        ] {
            // The server reads a key only if it is its own, and nobody else's to read.
            let own = server.folder.path().join(setting);
            std::fs::copy(file, &own).unwrap();
            std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600)).unwrap();
            give_to_server(&own);
            server.set(setting, &own.display().to_string());
        }
        server.set("ssl", "on");
        // The second is an address that is not in the certificate.
        server.set("listen_addresses", "127.0.0.1,127.0.0.2");
        std::fs::write(server.folder.path().join("data/pg_hba.conf"), RULES).unwrap();
        server.start_again();
        server.answers().await;
        server
    }

    /// A standby that follows `primary` and takes no writes until it is [promoted](Self::promote).
    pub async fn start_standby(primary: &Self) -> Self {
        let mut server = Self::place();
        let copied = server_program("pg_basebackup")
            .args([
                "--checkpoint=fast",
                "--wal-method=stream",
                "--write-recovery-conf",
                "-h",
                "127.0.0.1",
            ])
            .args(["-p", &primary.port.to_string(), "-U", "postgres", "-D"])
            .arg(server.folder.path().join("data"))
            .status()
            .unwrap();
        assert!(copied.success(), "pg_basebackup failed");
        server.start_again();
        server.answers().await;
        server
    }

    /// Makes a standby the primary, and waits until it takes writes.
    pub async fn promote(&self) {
        let client = self.client().await;
        let promoted = client.query_one("SELECT pg_promote()", &[]).await.unwrap();
        assert!(promoted.get::<_, bool>(0));
    }

    /// From now on its files cannot grow past so many bytes, or can again: what a full disk does to writes, with none of the disk's
    /// other users harmed.
    pub fn limit_files(&self, most: Option<u64>) {
        let most = most.map_or("unlimited".to_owned(), |most| most.to_string());
        for process in self.processes() {
            // One that has ended by itself meanwhile is no matter. Only its own user may do this, not even root.
            let _ = as_server(Path::new("prlimit"))
                .args([&format!("--fsize={most}:"), &format!("--pid={process}")])
                .stderr(Stdio::null())
                .status()
                .unwrap();
        }
    }

    /// Gives it a setting, from its next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.arguments
            .extend(["-c".to_owned(), format!("{name}={value}")]);
    }

    /// A server with an empty cluster.
    fn make() -> Self {
        let server = Self::place();
        let made = server_program("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync", "--no-instructions", "-D"])
            .arg(server.folder.path().join("data"))
            .stdout(Stdio::null())
            .status()
            .expect(
                "initdb runs; these tests need PostgreSQL installed and skip nothing without it",
            );
        assert!(made.success(), "initdb failed");
        server
    }

    /// A server without data.
    fn place() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everybody).unwrap();
        give_to_server(folder.path());
        Self {
            port: crate::free_port(),
            folder,
            databases: AtomicU32::new(0),
            arguments: Vec::new(),
            child: None,
        }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of its database `postgres`, for its superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The address of a database, for the superuser.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a new, empty database, and says its address.
    pub async fn new_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test{number}");
        let client = self.client().await;
        // Copying `template0` as files needs two checkpoints; by way of the log it needs none.
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 STRATEGY wal_log");
        client.batch_execute(&create).await.unwrap();
        self.url_of(&name)
    }

    /// A connection to the database `postgres`.
    pub async fn client(&self) -> Client {
        client(&self.url()).await
    }

    /// Asks everybody but the superuser for a password from now on.
    pub async fn ask_for_passwords(&self) {
        let rules = "host all postgres all trust\nhost all all all scram-sha-256\n";
        std::fs::write(self.folder.path().join("data/pg_hba.conf"), rules).unwrap();
        let client = self.client().await;
        client
            .execute("SELECT pg_reload_conf()", &[])
            .await
            .unwrap();
        eventually("the rules are in force", async || {
            let rules =
                "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'scram-sha-256'";
            let stranger = format!("postgres://stranger@127.0.0.1:{}/postgres", self.port);
            let read: i64 = client.query_one(rules, &[]).await.unwrap().get(0);
            let Err(refused) = tokio_postgres::connect(&stranger, NoTls).await else {
                return false;
            };
            // Under `trust` it would say that there is no such role.
            read == 1 && refused.code().is_none()
        })
        .await;
    }

    /// Ends the server as a crash would, and every process of it.
    pub fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Stopped, so that it starts no backend that would be missed.
            signal("-STOP", &[child.id()]);
            // The backends first: they would notice that the postmaster is gone only at the end of what they do.
            let family = family(child.id());
            signal("-KILL", &family);
            child.wait().unwrap();
            // A new server refuses the memory that one of them still has.
            while family.iter().any(|process| is_alive(*process)) {
                std::thread::yield_now();
            }
        }
    }

    /// Starts the server, on the port and with the data that it had. Does not wait.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server is running");
        let folder = self.folder.path();
        let child = server_program("postgres")
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"])
            .arg(folder)
            .args(["-c", "fsync=on", "-c", "max_connections=400"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres runs; these tests need it installed and skip nothing without it");
        self.child = Some(child);
    }

    /// Stops the clock of every process of the server: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        signal("-STOP", &self.processes());
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        signal("-CONT", &self.processes());
    }

    /// Waits until it answers.
    pub async fn answers(&self) {
        eventually("the server answers", async || {
            let Ok((client, connection)) = tokio_postgres::connect(&self.url(), NoTls).await else {
                return false;
            };
            tokio::spawn(connection);
            client.simple_query("SELECT 1").await.is_ok()
        })
        .await;
    }

    fn processes(&self) -> Vec<u32> {
        family(self.child.as_ref().expect("the server is running").id())
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A connection to a database.
pub async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A process and its children, the children first.
fn family(parent: u32) -> Vec<u32> {
    let mut family: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| parent_of(*pid) == Some(parent))
        .collect();
    family.push(parent);
    family
}

fn parent_of(pid: u32) -> Option<u32> {
    let (_, parent) = state_and_parent(pid)?;
    Some(parent)
}

/// Whether there is more of it than what its parent has not asked for yet.
fn is_alive(pid: u32) -> bool {
    state_and_parent(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

fn state_and_parent(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state parent …`, where the name may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut rest = rest.split_whitespace();
    Some((rest.next()?.to_owned(), rest.next()?.parse().ok()?))
}

fn signal(signal: &str, processes: &[u32]) {
    // One that has ended by itself meanwhile is no matter.
    let _ = Command::new("kill")
        .arg(signal)
        .args(processes.iter().map(ToString::to_string))
        .stderr(Stdio::null())
        .status()
        .unwrap();
}

/// A program of the server, to be run as somebody who is not root.
fn server_program(name: &str) -> Command {
    as_server(&find(name))
}

fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
        .arg(program);
    command
}

/// Debian keeps the server's programs off the PATH; the newest version counts.
fn find(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut versions: Vec<u32> = versions
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable();
    versions
        .iter()
        .rev()
        .map(|version| Path::new("/usr/lib/postgresql").join(format!("{version}/bin/{name}")))
        .find(|program| program.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// Makes a file or folder its own, as far as it runs as somebody else.
fn give_to_server(path: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("nobody").arg(path).status();
        assert!(given.unwrap().success());
    }
}

fn is_root() -> bool {
    // The owner of this process in /proc is its user.
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}
