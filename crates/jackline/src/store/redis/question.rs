//! What Redis is asked: a script or a command, and which names it is about. A cluster is asked where the first of them lies.

use std::borrow::Cow;

use redis::Cmd;

use super::scripts::Call;

/// A script or a command.
pub(super) enum Question<'a> {
    Script(Call<'a>),
    /// A command about one name, which is its first argument.
    Command {
        verb: &'static str,
        name: String,
        rest: &'static [&'static str],
    },
    /// A command about the server, or about all names there are.
    Server(&'a [&'a str]),
}

impl Question<'_> {
    /// The command to try first.
    pub(super) fn in_short(&self) -> Cow<'_, Cmd> {
        match self {
            Self::Script(call) => Cow::Borrowed(call.by_sha()),
            Self::Command { verb, name, rest } => {
                let mut command = redis::cmd(verb);
                command.arg(name).arg(*rest);
                Cow::Owned(command)
            }
            Self::Server(words) => {
                let mut command = redis::cmd(words[0]);
                command.arg(&words[1..]);
                Cow::Owned(command)
            }
        }
    }

    /// The command that works also where the script has never been.
    pub(super) fn in_full(&self) -> Cmd {
        match self {
            Self::Script(call) => call.in_full(),
            _ => self.in_short().into_owned(),
        }
    }

    /// The first of the names that it is about. A cluster refuses names of different slots.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Script(call) => call.first_key(),
            Self::Command { name, .. } => Some(name),
            Self::Server(_) => None,
        }
    }
}
