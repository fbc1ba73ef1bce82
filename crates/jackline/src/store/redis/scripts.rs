//! The scripts that run inside Redis. Each is one atomic step of the store's contract, takes the time from its caller, and
//! reads and writes records as `store/codec` does. A script reads and checks first and writes last, because Redis rolls
//! nothing back.
//!
//! All names that the caller knows are handed in as `KEYS`. The names of sessions that a script finds in an owner's index it
//! builds itself; they share the index's hash tag, so they lie on the same node of a cluster.

use redis::{Arg, Cmd};

use crate::lifecycle::{Delta, MAX_COUNTER, Op};
use crate::store::codec::meta;

/// A script and the SHA-1 that Redis knows it by.
#[derive(Debug)]
pub(super) struct Script {
    code: String,
    sha: String,
}

impl Script {
    pub(super) fn new(code: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            sha: redis::Script::new(&code).get_hash().to_owned(),
            code,
        }
    }

    /// Starts a call of this script.
    pub(super) fn call(&self) -> Keys<'_> {
        Keys {
            script: self,
            names: Vec::with_capacity(4),
        }
    }
}

/// A call of a script whose keys are being named. They come before its arguments.
pub(super) struct Keys<'a> {
    script: &'a Script,
    names: Vec<String>,
}

impl<'a> Keys<'a> {
    /// Adds a key.
    #[must_use]
    pub(super) fn key(mut self, name: String) -> Self {
        self.names.push(name);
        self
    }

    #[must_use]
    pub(super) fn arg(self, arg: impl AsRef<[u8]>) -> Call<'a> {
        self.done().arg(arg)
    }

    #[must_use]
    pub(super) fn number(self, number: u64) -> Call<'a> {
        self.done().number(number)
    }

    /// Goes on to the arguments.
    #[must_use]
    pub(super) fn done(self) -> Call<'a> {
        let Self { script, names } = self;
        // As many words as most scripts and most deltas have.
        let mut command = Cmd::with_capacity(names.len() + 16, 256);
        command.arg(EVALSHA).arg(&script.sha).arg(names.len());
        for name in names {
            command.arg(name);
        }
        Call { script, command }
    }
}

const EVALSHA: &str = "EVALSHA";

/// How many words come before the first key: the command, the script, and how many keys there are.
const BEFORE_KEYS: usize = 3;

/// A call of a script, being put together.
pub(super) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl Call<'_> {
    #[must_use]
    pub(super) fn arg(mut self, arg: impl AsRef<[u8]>) -> Self {
        self.command.arg(arg.as_ref());
        self
    }

    #[must_use]
    pub(super) fn number(mut self, number: u64) -> Self {
        self.command.arg(number);
        self
    }

    #[must_use]
    pub(super) fn signed(mut self, number: i64) -> Self {
        self.command.arg(number);
        self
    }

    /// Every script has one.
    pub(super) fn first_key(&self) -> Option<&str> {
        let name = self.command.args_iter().nth(BEFORE_KEYS)?;
        std::str::from_utf8(bytes(name)).ok()
    }

    /// Runs what Redis has of it.
    pub(super) fn by_sha(&self) -> &Cmd {
        &self.command
    }

    /// Brings the script along, for a Redis that has just started. It keeps it from then on.
    pub(super) fn in_full(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.code);
        for word in self.command.args_iter().skip(2) {
            command.arg(bytes(word));
        }
        command
    }
}

fn bytes(word: Arg<&[u8]>) -> &[u8] {
    match word {
        Arg::Simple(bytes) => bytes,
        // The cursor of a command that pages by itself, which a script is not.
        _ => &[],
    }
}

/// One script for each method of the store, one for the second step of a login whose sessions lie apart, and one for
/// [`sample_expiry`](super::RedisStore::sample_expiry).
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) load: Script,
    pub(super) commit: Script,
    pub(super) rotate: Script,
    pub(super) admit: Script,
    pub(super) note: Script,
    pub(super) end: Script,
    pub(super) give_way: Script,
    pub(super) end_all: Script,
    pub(super) list: Script,
    pub(super) sample: Script,
}

/// Lua has no way to include a file, so what scripts share is put in front of them here.
macro_rules! script {
    ($($file:literal),+) => {
        Script::new(concat!($(include_str!($file), "\n"),+))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            create: script!("record.lua", "index.lua", "create.lua"),
            load: script!("load_live.lua", "record.lua", "trace.lua", "load.lua"),
            commit: script!(
                "commit_foreseen.lua",
                "record.lua",
                "splice.lua",
                "apply.lua",
                "commit.lua"
            ),
            rotate: script!(
                "record.lua",
                "splice.lua",
                "apply.lua",
                "index.lua",
                "trace.lua",
                "rotate.lua"
            ),
            admit: script!(
                "record.lua",
                "splice.lua",
                "apply.lua",
                "index.lua",
                "trace.lua",
                "admit.lua"
            ),
            note: script!("trace.lua", "note.lua"),
            end: script!("index.lua", "trace.lua", "end.lua"),
            give_way: script!("record.lua", "index.lua", "trace.lua", "give_way.lua"),
            end_all: script!("end_all.lua"),
            list: script!("record.lua", "list.lua"),
            sample: script!("sample.lua"),
        }
    }
}

/// Adds what `apply` of `apply.lua` reads.
pub(super) fn with_delta<'a>(call: Call<'a>, delta: &Delta) -> Call<'a> {
    let meta = delta.meta().map(meta::encode);
    with_data_part(call.arg(meta.unwrap_or_default()), delta)
}

/// Adds what `apply_to_data` of `apply.lua` reads.
pub(super) fn with_data_part<'a>(call: Call<'a>, delta: &Delta) -> Call<'a> {
    let call = match delta.version() {
        Some(version) => call.number(version),
        None => call.arg(""),
    };
    let mut call = call
        .arg(if delta.clears() { "1" } else { "0" })
        .number(delta.max_data_bytes() as u64);
    for (name, op) in delta.ops() {
        let name = serde_json::to_string(name).expect("a string always serialises");
        call = match op {
            Op::Set(value) => call.arg("set").arg(name).arg(value.get()),
            Op::Remove => call.arg("remove").arg(name),
            Op::Increment(by) => {
                let (one, other) = summands(*by);
                call.arg("add").arg(name).signed(one).signed(other)
            }
        };
    }
    call
}

/// An increment in two parts that Lua's doubles hold exactly. What is too large for that is too large for any counter, and
/// stays so when it is cut.
fn summands(by: i64) -> (i64, i64) {
    let one = by.clamp(-MAX_COUNTER, MAX_COUNTER);
    let other = (i128::from(by) - i128::from(one))
        .clamp(i128::from(-MAX_COUNTER - 1), i128::from(MAX_COUNTER + 1));
    (one, other as i64)
}
