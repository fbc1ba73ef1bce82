//! The program `jackline`: hands the real environment, folder and clock to the command that was asked for. It ends with 0, with 78 if
//! the settings hold mistakes (`EX_CONFIG` of sysexits), with 2 if the command line does, and with 1 otherwise.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use jackline_server::cli::password_input::StandardInput;
use jackline_server::cli::user::UserTools;
use jackline_server::cli::{self, Cli, Command, UserCommand};
use jackline_server::config::{self, Config, Environment, Mistakes};
use jackline_server::factors::Factors;
use jackline_server::logging::{self, EventStream};
use jackline_server::metrics::{EventCounter, Metrics};
use jackline_server::passwords::PasswordHasher;
use jackline_server::sessions::StoredSessions;
use jackline_server::{check, clock, serve, sessions};

const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln!`, which panics if nobody listens.
            let mut stderr = io::stderr().lock();
            match error.downcast_ref::<Mistakes>() {
                Some(mistakes) => {
                    let _ = write!(stderr, "{mistakes}");
                    ExitCode::from(EX_CONFIG)
                }
                None => {
                    let _ = writeln!(stderr, "jackline: {error:#}");
                    ExitCode::FAILURE
                }
            }
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let (folder, named) = (Path::new(""), cli.config.as_deref());
    let environment = || Environment::from_os(std::env::vars_os());
    let config = || config::load(environment(), folder, named);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Secret { webhook: false } => cli::secret::run(&mut io::stdout()),
        Command::Secret { webhook: true } => cli::secret::run_for_webhook(&mut io::stdout()),
        Command::Completions { shell } => cli::completions::run(shell, &mut io::stdout()),
        Command::Check(args) => block_on(check::run(environment(), folder, named, args)),
        Command::Serve => {
            let config = config()?;
            let mut metrics = Metrics::new(&config)?;
            start_log(&config, EventStream::Stdout, metrics.take_counter())?;
            block_on(serve::run(config, metrics))
        }
        Command::Sessions(command) => {
            let config = config()?;
            start_log(&config, EventStream::Stderr, None)?;
            block_on(sessions::run(config, command))
        }
        Command::User(command) => {
            let config = config()?;
            start_log(&config, EventStream::Stderr, None)?;
            block_on(manage_users(config, command))
        }
    }
}

async fn manage_users(config: Config, command: UserCommand) -> anyhow::Result<()> {
    let folder = &config.data_dir;
    folder
        .create()
        .with_context(|| format!("cannot create {}", folder.path().display()))?;
    let users = sessions::open_users(&config).await?;
    let factors = Factors::new(users.clone(), serve::seals(&config)?);
    serve::seal_anew(&factors).await?;
    let tools = UserTools {
        users: &users,
        factors: &factors,
        hasher: &PasswordHasher::new(1)?,
        sessions: &StoredSessions::open(&config).await?,
        passwords: &mut StandardInput,
        now_ms: clock::now_ms(),
    };
    cli::user::run(command, tools, &mut io::stdout()).await
}

fn start_log(
    config: &Config,
    events: EventStream,
    counter: Option<EventCounter>,
) -> anyhow::Result<()> {
    logging::init(
        &config.log,
        config.log_format,
        events,
        Arc::new(clock::now_ms),
        counter,
    )
    .context("cannot start the log")
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}
