//! The command line. It says what to do; settings come from the environment and `jackline.toml`. Passwords are typed or piped in and
//! never stand on the command line, where every user of the machine can read them.

pub mod completions;
pub mod password_input;
pub mod secret;
pub mod user;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::check::Target;
use crate::users::{InvalidUsername, Username};

/// Secure web sessions, as a server.
#[derive(Debug, Parser)]
#[command(name = "jackline", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Read settings from this file instead of ./jackline.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What to do. Without a command: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server (what `jackline` alone does).
    #[command(after_help = SETTINGS)]
    Serve,
    /// Print a fresh signing secret for SESSION_SECRET.
    #[command(after_help = "Examples:
  jackline secret
  echo \"SESSION_SECRET=$(jackline secret)\" >> .env
  jackline secret --webhook")]
    Secret {
        /// One for JACKLINE_WEBHOOK_SECRET instead, in the form of the Standard Webhooks specification.
        #[arg(long)]
        webhook: bool,
    },
    /// Find what is wrong with a running set-up, and say how to fix it.
    #[command(after_help = "Examples:
  jackline check
  jackline check https://app.example.com
  jackline check https://app.example.com --username alice --password-stdin < password.txt

It looks at the settings, at the store, and at the server as a browser and an attacker would; the server's log shows that, from
`jackline-check`. It ends with 0 if nothing is wrong and with 1 if something is. Run it where the server's settings are.")]
    Check(CheckArgs),
    /// Add, list and change users.
    #[command(subcommand)]
    User(UserCommand),
    /// List and end a user's sessions, or move those that were shared with Express.
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:
  jackline completions bash > /etc/bash_completion.d/jackline
  jackline completions zsh > ~/.zfunc/_jackline")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What `check` looks at.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Where the server is seen from outside. Without it: the settings, and the server they start.
    pub url: Option<Target>,
    /// Also log in as this user, and out again.
    #[arg(long, value_name = "NAME", requires = "password_stdin", value_parser = username)]
    pub username: Option<Username>,
    /// Read the user's password from standard input.
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
}

/// What to do with users. Passwords are asked for on a terminal; otherwise they are the first line of standard input.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user.
    #[command(after_help = "Examples:
  jackline user add alice
  jackline user add root --admin < password.txt")]
    Add {
        /// The name to log in with.
        #[arg(value_parser = username)]
        name: Username,
        /// Make the user an administrator.
        #[arg(long)]
        admin: bool,
    },
    /// Set a user's password, and end the user's sessions.
    #[command(after_help = "Examples:
  jackline user passwd alice
  jackline user passwd alice < password.txt")]
    Passwd {
        /// Whose password.
        #[arg(value_parser = username)]
        name: Username,
    },
    /// Refuse a user's logins, and end the user's sessions.
    #[command(after_help = "Example:
  jackline user disable alice")]
    Disable {
        /// Whom to disable.
        #[arg(value_parser = username)]
        name: Username,
    },
    /// Let a disabled user log in again.
    #[command(after_help = "Example:
  jackline user enable alice")]
    Enable {
        /// Whom to enable.
        #[arg(value_parser = username)]
        name: Username,
    },
    /// Print fresh recovery codes, and end the user's sessions. Codes from before are void.
    #[command(
        name = "recovery-codes",
        after_help = "Example:
  jackline user recovery-codes alice

Each code is good for one login, beside the password, and they are printed this once. For somebody who has lost their app and passkeys, and for
the first login of an administrator in production, who then adds a factor of their own."
    )]
    RecoveryCodes {
        /// Whose codes.
        #[arg(value_parser = username)]
        name: Username,
    },
    /// List all users.
    #[command(after_help = "Examples:
  jackline user list
  jackline user list --json")]
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List a user's sessions.
    #[command(after_help = "Examples:
  jackline sessions list --user alice
  jackline sessions list --user alice --json")]
    List {
        /// Whose sessions.
        #[arg(long, value_name = "NAME", value_parser = username)]
        user: Username,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Move all sessions that were shared with Express to the native layout. Nobody is logged out.
    #[command(after_help = "Example:
  JACKLINE_EXPRESS_COOKIE=connect.sid jackline sessions rekey

Stop all servers first, Express's and these, and run it with the settings that they start with next: without JACKLINE_KEYSPACE=express, and
with JACKLINE_EXPRESS_COOKIE naming the cookie that the browsers have. If it fails, run it again. docs/express.md has all steps.")]
    Rekey,
    /// End one or all of a user's sessions.
    #[command(after_help = "Examples:
  jackline sessions end --user alice h7Ka2m-Zq4_tXwB1
  jackline sessions end --user alice --all")]
    End {
        /// Whose sessions.
        #[arg(long, value_name = "NAME", value_parser = username)]
        user: Username,
        /// Which session, as the list names it.
        #[arg(required_unless_present = "all", allow_hyphen_values = true)]
        handle: Option<String>,
        /// End all of them.
        #[arg(long, conflicts_with = "handle")]
        all: bool,
    },
}

fn username(text: &str) -> Result<Username, InvalidUsername> {
    Username::parse(text)
}

const EXAMPLES: &str = "Examples:
  jackline                           start a development server on http://localhost:3000
  jackline secret                    make a signing secret
  jackline user add alice            add a user
  jackline check https://example.com find mistakes in a running set-up

`jackline serve --help` names all settings.";

const SETTINGS: &str = "Examples:
  jackline
  PORT=8080 jackline serve
  jackline serve --config /etc/jackline.toml

Settings, from the environment, else from .env, else from jackline.toml (where `idle_timeout = \"30m\"` is JACKLINE_IDLE_TIMEOUT):
  JACKLINE_ENV                     development (default) or production
  HOST, PORT                       where to listen [127.0.0.1, 3000]
  JACKLINE_TLS_CERT_FILE, JACKLINE_TLS_KEY_FILE
                                   speak https under this certificate, both PEM; read again when they change [plain http]
  SESSION_SECRET                   signs cookies; see `jackline secret` [development: made, and kept in the data folder]
  SESSION_SECRET_PREVIOUS          older secrets that still verify, separated by commas
  JACKLINE_ENCRYPTION_KEY          encrypts the data of sessions in the store [none: plain text]
  JACKLINE_ENCRYPTION_KEY_PREVIOUS older keys that still decrypt, separated by commas
  REDIS_URL                        keep sessions in Redis: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://
  REDIS_CA_FILE                    the authority that signed the certificates of Redis [those that browsers trust]
  REDIS_CERT_FILE, REDIS_KEY_FILE  a certificate to show to Redis, and its key
  REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD  as whom sentinels are asked
  DATABASE_URL                     keep users in PostgreSQL, and without REDIS_URL sessions too: postgres://
  JACKLINE_STORE                   sqlite (default), redis, postgres, or memory (development only)
  JACKLINE_STORE_TIMEOUT           after how long a silent store means 503 [500ms]
  JACKLINE_NEAR_CACHE              memory for live sessions, so that the store is asked less: a size, such as 64MiB [off]
  JACKLINE_KEYSPACE                native (default), or express to share the sessions of an Express application
  JACKLINE_EXPRESS_USER_ID, JACKLINE_EXPRESS_USERNAME, JACKLINE_EXPRESS_LOGIN_AT, JACKLINE_EXPRESS_ROLE
                                   which members of its sessions say who is logged in [userId, username, loginAt, role]
  JACKLINE_EXPRESS_USER_ID_FORM    how a login here writes an identifier: text (default) or number
  JACKLINE_EXPRESS_COOKIE          the cookie of sessions that were shared with Express and are re-keyed [none]
  JACKLINE_DATA_DIR                embedded data [./data]
  JACKLINE_IDLE_TIMEOUT            how long a session outlives its last use [30m]
  JACKLINE_ABSOLUTE_TIMEOUT        how long a session outlives its login [8h]
  JACKLINE_ADMIN_ABSOLUTE_TIMEOUT  the same for administrators [1h]
  JACKLINE_RENEWAL_STEP            how often a session in use is written [1m]
  JACKLINE_STEP_UP_AGE             how fresh a login sensitive actions need [5m]
  JACKLINE_MAX_SESSIONS            sessions per user [10]
  JACKLINE_LOGIN_ATTEMPTS          logins that may fail in a row on one account before the next has to wait [5]
  JACKLINE_COOKIE_NAME             [sid; production: __Host-sid]
  JACKLINE_COOKIE_SECURE           https only [false; production: true]
  JACKLINE_TRUSTED_PROXIES         addresses or networks whose forwarded headers count, separated by commas
  JACKLINE_PUBLIC_ORIGIN           origins that browsers see, such as https://app.example.com
  JACKLINE_SHUTDOWN_TIMEOUT        how long requests may take once it was told to stop [10s]
  JACKLINE_METRICS_ADDR            where Prometheus finds /metrics, such as 127.0.0.1:9464 [nowhere]
  OTEL_EXPORTER_OTLP_ENDPOINT      a collector of traces and metrics, such as http://127.0.0.1:4318 [none]
  JACKLINE_WEBHOOK_URL             a program that is sent security events, signed [none]
  JACKLINE_WEBHOOK_SECRET          signs them; see `jackline secret --webhook`
  JACKLINE_WEBHOOK_SECRET_PREVIOUS older secrets that sign as well, separated by commas
  JACKLINE_WEBHOOK_EVENTS          which events, separated by commas
                                   [new_device, second_factor_changed, session_use_after_expire, account_throttled]
  JACKLINE_LOG_FORMAT              json or text [text; production: json]
  JACKLINE_LOG                     log filter [info]; security events are always written
  JACKLINE_CONFIG                  the settings file [./jackline.toml]";
