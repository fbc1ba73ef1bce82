//! SQLite lives in the process that uses it, so that process is what is killed and paused: a second one, which shares the file and
//! the history with this one, and whose clients are the second half. It is this very program, told by its environment to be that.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use jackline::store::Store;
use jackline::store::sqlite::SqliteStore;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::LOSES_NOTHING;
use crate::chaos::{Engine, Fault};
use crate::checker::Tolerance;
use crate::history::{History, Recorder};
use crate::workload::{CLIENTS, Client, World};

/// The variable that tells a process to be the second one.
const ORDERS: &str = "JACKLINE_TORTURE_ORDERS";

/// What the second process is told.
#[derive(Serialize, Deserialize)]
struct Orders {
    store: PathBuf,
    history: PathBuf,
    life: u64,
}

/// One file, two processes.
pub(crate) struct Sqlite {
    folder: TempDir,
    other: Option<Child>,
    lives: u64,
}

impl Sqlite {
    pub(crate) fn start() -> Self {
        let mut sqlite = Self {
            folder: TempDir::new().unwrap(),
            other: None,
            lives: 0,
        };
        // So that whoever comes first does not make the tables while the other looks for them.
        drop(SqliteStore::open(sqlite.store()).unwrap());
        drop(Recorder::in_file(&sqlite.history_file()));
        sqlite.start_other();
        sqlite
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("sessions.db")
    }

    fn history_file(&self) -> PathBuf {
        self.folder.path().join("history")
    }

    fn start_other(&mut self) {
        let orders = Orders {
            store: self.store(),
            history: self.history_file(),
            life: self.lives,
        };
        self.lives += 1;
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "clients_of_another_process"])
            .env(ORDERS, serde_json::to_string(&orders).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.other = Some(child);
    }

    fn end_other(&mut self) {
        if let Some(mut child) = self.other.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn signal_other(&self, signal: &str) {
        let id = self.other.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }
}

impl Engine for Sqlite {
    const FAULTS: &'static [Fault] = &[Fault::Kill, Fault::Pause];
    const TOLERANCE: Tolerance = LOSES_NOTHING;

    fn name(&self) -> String {
        "sqlite, two processes".to_owned()
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(self.store()).unwrap())
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.end_other(),
            Fault::Pause => self.signal_other("-STOP"),
            Fault::FailOver => panic!("a file has nothing to fail over to"),
        }
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.start_other(),
            Fault::Pause => self.signal_other("-CONT"),
            Fault::FailOver => {}
        }
    }

    async fn finish(&mut self) {
        self.end_other();
    }

    fn recorder(&self) -> Recorder {
        Recorder::in_file(&self.history_file())
    }

    fn history(&self, _world: &World) -> History {
        History::read(&self.history_file())
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.end_other();
    }
}

/// Is the second process, if this one was told so: lives until it is killed. Says whether it was.
pub(crate) async fn live_in_another_process() -> bool {
    let Ok(orders) = std::env::var(ORDERS) else {
        return false;
    };
    let Orders {
        store,
        history,
        life,
    } = serde_json::from_str(&orders).unwrap();
    let world = World::resume(Recorder::in_file(&history), &History::read(&history));
    let handle = |path: &Path| Arc::new(SqliteStore::open(path).unwrap()) as Arc<dyn Store>;
    let stores = [handle(&store), handle(&store)];
    let clients: Vec<_> = (0..CLIENTS / 2)
        .map(|number| {
            let store = Arc::clone(&stores[number as usize % stores.len()]);
            // With numbers of their own, and the same ones in every life.
            let client = Client::new(&world, store, CLIENTS + number, life, life);
            tokio::spawn(client.live(usize::MAX))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    true
}
