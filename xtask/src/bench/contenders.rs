//! Who is measured, how each is built and started, and which floor it stands on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::{run, tools};

/// The target folder that all Rust contenders share: most of their dependencies are the same.
pub(super) const TARGET: &str = "bench/target";

/// A server that answers the routes.
#[derive(Debug)]
pub(crate) struct Contender {
    /// For `--only`.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    kind: Kind,
    /// Handed to the program; see [`REDIS`] and [`FILE`].
    arguments: &'static [&'static str],
    pub(crate) family: Family,
    /// The contender that does the same by hand.
    floor: Option<&'static str>,
}

#[derive(Debug)]
enum Kind {
    /// A folder of bench/ with a Rust program.
    Rust(&'static str),
    /// bench/peers/express
    Node,
}

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Jackline,
    Floor,
    Peer,
}

/// What is asked of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    None,
    Profile,
    Views,
    Login,
}

impl Route {
    /// In the order in which they are measured. A login comes last: it changes whose session it is.
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Profile, Self::Views, Self::Login];

    /// Method and path.
    pub(crate) fn request(self) -> &'static str {
        match self {
            Self::None => "GET /none",
            Self::Profile => "GET /profile",
            Self::Views => "GET /views",
            Self::Login => "POST /login",
        }
    }

    /// What happens there.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::None => "a handler that leaves the session alone",
            Self::Profile => "a session is read, and its expiry moved on",
            Self::Views => "a session is read and changed",
            Self::Login => "a user logs in anew, without the password's hash",
        }
    }
}

/// Stands for the address of Redis among the arguments.
const REDIS: &str = "{redis}";
/// Stands for a file in a folder that is gone after the run.
const FILE: &str = "{file}";

pub(crate) const BARE: &str = "bare";

pub(crate) const CONTENDERS: &[Contender] = &[
    Contender {
        name: BARE,
        title: "axum without sessions",
        kind: Kind::Rust("floors"),
        arguments: &["bare"],
        family: Family::Floor,
        floor: None,
    },
    Contender {
        name: "floor-near",
        title: "floor: by hand, from memory",
        kind: Kind::Rust("floors"),
        arguments: &["near", REDIS],
        family: Family::Floor,
        floor: None,
    },
    Contender {
        name: "floor-redis",
        title: "floor: by hand, on Redis",
        kind: Kind::Rust("floors"),
        arguments: &["redis", REDIS],
        family: Family::Floor,
        floor: None,
    },
    Contender {
        name: "jackline-memory",
        title: "Jackline in memory",
        kind: Kind::Rust("jackline"),
        arguments: &["memory"],
        family: Family::Jackline,
        floor: Some("floor-near"),
    },
    Contender {
        name: "jackline-near",
        title: "Jackline on Redis with a near-cache",
        kind: Kind::Rust("jackline"),
        arguments: &["near", REDIS],
        family: Family::Jackline,
        floor: Some("floor-near"),
    },
    Contender {
        name: "jackline-sqlite",
        title: "Jackline on SQLite",
        kind: Kind::Rust("jackline"),
        arguments: &["sqlite", FILE],
        family: Family::Jackline,
        floor: None,
    },
    Contender {
        name: "jackline",
        title: "Jackline on Redis",
        kind: Kind::Rust("jackline"),
        arguments: &["redis", REDIS],
        family: Family::Jackline,
        floor: Some("floor-redis"),
    },
    Contender {
        name: "jackline-each-time",
        title: "Jackline on Redis, renewing each time",
        kind: Kind::Rust("jackline"),
        arguments: &["redis", REDIS, "each-time"],
        family: Family::Jackline,
        floor: Some("floor-redis"),
    },
    Contender {
        name: "tower-sessions-fixed",
        title: "axum + tower-sessions, reads renew nothing",
        kind: Kind::Rust("peers/tower-sessions"),
        arguments: &["fixed", REDIS],
        family: Family::Peer,
        floor: Some("floor-redis"),
    },
    Contender {
        name: "tower-sessions",
        title: "axum + tower-sessions",
        kind: Kind::Rust("peers/tower-sessions"),
        arguments: &["sliding", REDIS],
        family: Family::Peer,
        floor: Some("floor-redis"),
    },
    Contender {
        name: "actix-session",
        title: "actix-web + actix-session",
        kind: Kind::Rust("peers/actix-session"),
        arguments: &[REDIS],
        family: Family::Peer,
        floor: Some("floor-redis"),
    },
    Contender {
        name: "express",
        title: "Express + express-session",
        kind: Kind::Node,
        arguments: &[REDIS],
        family: Family::Peer,
        floor: Some("floor-redis"),
    },
];

impl Contender {
    /// The contender that its figure for `route` is compared with.
    pub(crate) fn floor(&self, route: Route) -> Option<&'static str> {
        match route {
            _ if self.name == BARE => None,
            Route::None => Some(BARE),
            Route::Profile if self.family == Family::Floor => Some(BARE),
            // The floor in memory writes to Redis as well, which a store in memory does not.
            Route::Views | Route::Login if self.name == "jackline-memory" => None,
            Route::Profile | Route::Views | Route::Login => self.floor,
        }
    }
}

/// Contenders that can be measured.
pub(crate) type Ready = Vec<(&'static Contender, Built)>;
/// Contenders that cannot, and why.
pub(crate) type LeftOut = Vec<(&'static Contender, String)>;

/// How to start a program that has been built.
#[derive(Debug)]
pub(crate) struct Built {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Built {
    /// The command, with what stands for something else filled in.
    pub(crate) fn command(&self, redis: &str, file: &str) -> Command {
        let mut command = run::program(&self.program);
        for argument in &self.arguments {
            command.arg(match argument.as_str() {
                REDIS => redis,
                FILE => file,
                other => other,
            });
        }
        command.env("NODE_ENV", "production");
        command
    }
}

/// Builds the program that plays the clients.
///
/// # Errors
/// When it does not compile.
pub(crate) fn build_clients() -> Result<()> {
    build("load")
}

/// Where it is then.
pub(crate) fn clients() -> PathBuf {
    run::root().join(TARGET).join("release/bench-load")
}

/// Builds contenders, each program once. Returns how to start them, and those that are left out and why.
///
/// # Errors
/// When one does not build.
pub(crate) fn build_all(contenders: Vec<&'static Contender>) -> Result<(Ready, LeftOut)> {
    let (mut ready, mut left_out) = (Vec::new(), Vec::new());
    let mut folders = BTreeSet::new();
    for contender in contenders {
        if let Kind::Rust(folder) = contender.kind
            && folders.insert(folder)
        {
            build(folder)?;
        }
        match built(contender)? {
            Ok(built) => ready.push((contender, built)),
            Err(why) => left_out.push((contender, why)),
        }
    }
    Ok((ready, left_out))
}

/// How to start a contender; or why it is left out.
fn built(contender: &Contender) -> Result<Result<Built, String>> {
    let arguments = contender.arguments.iter().map(ToString::to_string);
    match contender.kind {
        Kind::Rust(folder) => {
            let name = folder.rsplit('/').next().unwrap_or(folder);
            Ok(Ok(Built {
                program: run::root()
                    .join(TARGET)
                    .join(format!("release/bench-{name}")),
                arguments: arguments.collect(),
            }))
        }
        Kind::Node => {
            let (Some(node), Some(npm)) = (tools::find("node"), tools::find("npm")) else {
                return Ok(Err("node or npm is not installed".to_owned()));
            };
            let folder = run::root().join("bench/peers/express");
            // Nothing of what is installed runs, until the server imports it.
            let mut npm = run::program(npm);
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            run::run(npm.current_dir(&folder))?;
            let script = folder.join("server.js").to_string_lossy().into_owned();
            Ok(Ok(Built {
                program: node,
                arguments: [script].into_iter().chain(arguments).collect(),
            }))
        }
    }
}

/// Builds the program in a folder of bench/.
///
/// # Errors
/// When it does not compile.
pub(super) fn build(folder: &str) -> Result<()> {
    run::run(&mut run::cargo(&format!(
        "build --quiet --release --locked --manifest-path bench/{folder}/Cargo.toml --target-dir {TARGET}"
    )))
}

#[cfg(test)]
mod tests {
    use super::{CONTENDERS, Route};

    #[test]
    fn every_floor_is_a_contender() {
        for contender in CONTENDERS {
            for route in Route::ALL {
                if let Some(floor) = contender.floor(route) {
                    assert!(CONTENDERS.iter().any(|other| other.name == floor));
                    assert_ne!(floor, contender.name);
                }
            }
        }
    }
}
