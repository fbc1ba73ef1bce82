//! The command line as typed, and the commands with everything handed in.

use std::collections::VecDeque;
use std::sync::Mutex;

use clap::CommandFactory;

use super::password_input::{AskPassword, first_line};
use super::user::{EndSessions, UserTools};
use super::*;
use crate::config::{Environment, Secret};
use crate::factors::{Factors, Seals, Used};
use crate::passwords::{Cost, Password, PasswordHasher, Verdict};
use crate::users::{SqliteUsers, UserId, Users};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

// Proves: T3.1
#[test]
fn the_commands_are_well_formed_and_the_bare_name_serves() {
    Cli::command().debug_assert();
    assert!(parse("jackline").unwrap().command.is_none());
    let cli = parse("jackline user list --config a.toml").unwrap();
    assert_eq!(cli.config, Some(PathBuf::from("a.toml")));
}

// Proves: J6
#[test]
fn no_command_takes_a_password_as_an_argument() {
    fn check(command: &clap::Command) {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            let takes_text = argument.get_action().takes_values();
            assert!(!(name.contains("password") && takes_text), "{name}");
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
    assert!(parse("jackline user add alice hunter22").is_err());
    assert!(parse("jackline check --username alice").is_err());
    assert!(parse("jackline sessions end --user alice").is_err());
    assert!(parse("jackline sessions end --user alice h --all").is_err());
}

// Proves: J11
#[test]
fn help_names_every_setting_and_gives_examples() {
    for setting in crate::config::variable_names() {
        assert!(SETTINGS.contains(setting), "{setting}");
    }
    fn check(command: &clap::Command) {
        let leaf = command.get_subcommands().count() == 0;
        let help = command.get_after_help().map(ToString::to_string);
        assert!(
            !leaf || help.is_some_and(|help| help.contains("Example")),
            "{}",
            command.get_name()
        );
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

// Proves: T2.1, P5, S1
#[test]
fn secret_prints_128_hex_digits_that_are_accepted_as_a_secret() {
    let mut out = Vec::new();
    secret::run(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.len(), 129);
    let environment = Environment::from_iter([("SESSION_SECRET", text.as_str())]);
    assert!(crate::config::parse(&environment, None).is_ok());
}

// Proves: J11, S45
#[test]
fn a_webhooks_secret_is_accepted_as_one_and_is_another_each_time() {
    let secret = || {
        let mut out = Vec::new();
        secret::run_for_webhook(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let text = secret();
    assert!(
        text.starts_with("whsec_") && text.ends_with("=\n"),
        "{}",
        text.len()
    );
    assert_ne!(text, secret());
    let environment = Environment::from_iter([
        ("JACKLINE_WEBHOOK_URL", "http://127.0.0.1:1"),
        ("JACKLINE_WEBHOOK_SECRET", text.as_str()),
    ]);
    assert!(crate::config::parse(&environment, None).is_ok());
}

// Proves: T2.1
#[test]
fn a_closed_stdout_is_an_error_and_no_panic() {
    let mut full: &mut [u8] = &mut [];
    assert!(secret::run(&mut full).is_err());
    assert!(completions::run(clap_complete::Shell::Bash, &mut full).is_err());
}

// Proves: R1
#[test]
fn a_piped_password_is_the_first_line_without_its_end() {
    for (input, kept) in [
        ("correct horse\n", "correct horse"),
        ("correct horse\r\nmore\n", "correct horse"),
        (" spaces stay ", " spaces stay "),
    ] {
        let password = first_line(input.as_bytes()).unwrap();
        assert_eq!(password.as_typed(), kept);
    }
    assert!(first_line(&b""[..]).is_err());
    assert!(first_line(&b"\xff\xfe\n"[..]).is_err());
    assert!(first_line("x".repeat(1_000_000).as_bytes()).is_err());
}

struct Typed(VecDeque<&'static str>);

impl AskPassword for Typed {
    fn ask_new(&mut self, _username: &str) -> anyhow::Result<Password> {
        Ok(Password::presented(
            self.0.pop_front().expect("asked too often"),
        ))
    }
}

/// Remembers whose sessions it was told to end, or fails to.
#[derive(Default)]
struct Sessions {
    ended: Mutex<Vec<String>>,
    down: bool,
}

impl EndSessions for Sessions {
    async fn end_all(&self, user: &UserId) -> anyhow::Result<u64> {
        anyhow::ensure!(!self.down, "the store is down");
        self.ended.lock().unwrap().push(user.to_string());
        Ok(2)
    }
}

struct Desk {
    _folder: tempfile::TempDir,
    users: Users,
    factors: Factors,
    hasher: PasswordHasher,
    sessions: Sessions,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cost = Cost {
            memory_kib: 16,
            passes: 1,
            lanes: 1,
        };
        let users = SqliteUsers::open(folder.path().join("users.db")).await;
        let users = Users::new(users.unwrap());
        let secret = Secret::parse("zqx-wvk-jhg-pdf-mnb-ytr-0123456789").unwrap();
        Self {
            factors: Factors::new(users.clone(), Seals::new(&[secret])),
            users,
            hasher: PasswordHasher::with_cost(1, cost).unwrap(),
            sessions: Sessions::default(),
            _folder: folder,
        }
    }

    /// Runs a command line, with passwords typed.
    async fn type_in(&self, line: &str, passwords: &[&'static str]) -> anyhow::Result<String> {
        let Some(Command::User(command)) = parse(line)?.command else {
            panic!("not a user command");
        };
        let mut passwords = Typed(passwords.iter().copied().collect());
        let tools = UserTools {
            users: &self.users,
            factors: &self.factors,
            hasher: &self.hasher,
            sessions: &self.sessions,
            passwords: &mut passwords,
            now_ms: 17,
        };
        let mut out = Vec::new();
        user::run(command, tools, &mut out).await?;
        Ok(String::from_utf8(out)?)
    }

    async fn verify(&self, name: &str, password: &str) -> Verdict {
        let id = self.users.find_id(name).await.unwrap().unwrap();
        let hash = self.users.credentials(&id).await.unwrap().unwrap().hash;
        let password = Password::presented(password);
        self.hasher.verify(password, Some(hash)).await.unwrap()
    }
}

const RIGHT: Verdict = Verdict::Right { stronger: None };

// Proves: T6.1, R1
#[tokio::test]
async fn a_user_is_added_with_a_password_that_works() {
    let desk = Desk::new().await;
    let said = desk
        .type_in(
            "jackline user add bob --admin",
            &["purple rain on the quay"],
        )
        .await
        .unwrap();
    assert!(
        said.starts_with("bob is added, with the id user-"),
        "{said}"
    );
    assert_eq!(desk.verify("bob", "purple rain on the quay").await, RIGHT);
    let again = desk
        .type_in("jackline user add BOB", &[])
        .await
        .unwrap_err();
    assert_eq!(again.to_string(), "there is a user BOB already");
    let weak = desk
        .type_in("jackline user add eve", &["short"])
        .await
        .unwrap_err();
    assert_eq!(
        weak.to_string(),
        "the password needs at least 15 characters; a few words that do not belong together make a good one"
    );
    let list = desk
        .type_in("jackline user list --json", &[])
        .await
        .unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["username"], "bob");
    assert_eq!(list[0]["role"], "admin");
    assert_eq!(list[0]["createdMs"], 17);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert!(!list.to_string().contains("argon2"));
}

// Proves: S34, J4
#[tokio::test]
async fn disabling_refuses_logins_and_ends_sessions() {
    let desk = Desk::new().await;
    desk.type_in("jackline user add bob", &["purple rain on the quay"])
        .await
        .unwrap();
    let id = desk.users.find_id("bob").await.unwrap().unwrap();
    let said = desk
        .type_in("jackline user disable bob", &[])
        .await
        .unwrap();
    assert_eq!(said, "bob is disabled; 2 sessions are ended\n");
    assert_eq!(*desk.sessions.ended.lock().unwrap(), [id.to_string()]);
    assert!(desk.users.by_id(&id).await.unwrap().unwrap().disabled);
    let table = desk.type_in("jackline user list", &[]).await.unwrap();
    assert!(table.contains("disabled"), "{table}");
    desk.type_in("jackline user enable bob", &[]).await.unwrap();
    assert!(!desk.users.by_id(&id).await.unwrap().unwrap().disabled);
}

// Proves: J7, S34
#[tokio::test]
async fn sessions_that_could_not_be_ended_are_an_error_though_the_user_is_disabled() {
    let mut desk = Desk::new().await;
    desk.sessions.down = true;
    desk.type_in("jackline user add bob", &["purple rain on the quay"])
        .await
        .unwrap();
    let error = desk
        .type_in("jackline user disable bob", &[])
        .await
        .unwrap_err();
    let message = format!("{error:#}");
    assert!(
        message.contains("bob is disabled, but open sessions may go on"),
        "{message}"
    );
    let id = desk.users.find_id("bob").await.unwrap().unwrap();
    assert!(desk.users.by_id(&id).await.unwrap().unwrap().disabled);
}

// Proves: R1, S35
#[tokio::test]
async fn a_new_password_replaces_the_old_and_ends_sessions() {
    let desk = Desk::new().await;
    desk.type_in("jackline user add bob", &["purple rain on the quay"])
        .await
        .unwrap();
    desk.type_in("jackline user passwd bob", &["little red corvette"])
        .await
        .unwrap();
    assert_eq!(desk.verify("bob", "little red corvette").await, RIGHT);
    assert_eq!(
        desk.verify("bob", "purple rain on the quay").await,
        Verdict::Wrong
    );
    assert_eq!(desk.sessions.ended.lock().unwrap().len(), 1);
    let nobody = desk
        .type_in("jackline user passwd eve", &[])
        .await
        .unwrap_err();
    assert!(nobody.to_string().starts_with("there is no user eve"));
}

// Proves: R2, J4
#[tokio::test]
async fn recovery_codes_are_printed_once_count_once_and_end_sessions() {
    let desk = Desk::new().await;
    desk.type_in(
        "jackline user add root --admin",
        &["purple rain on the quay"],
    )
    .await
    .unwrap();
    let said = desk
        .type_in("jackline user recovery-codes root", &[])
        .await
        .unwrap();
    let codes: Vec<_> = said.lines().take(10).collect();
    assert!(
        said.lines()
            .nth(10)
            .unwrap()
            .contains("2 sessions are ended")
    );
    assert_eq!(desk.sessions.ended.lock().unwrap().len(), 1);
    let id = desk.users.find_id("root").await.unwrap().unwrap();
    assert!(desk.factors.of(&id).await.unwrap().asks_for_second());
    let check = async |code: &str| desk.factors.check_code(&id, code, 0).await.unwrap();
    assert_eq!(check(codes[3]).await, Some(Used::Recovery { left: 9 }));
    assert_eq!(check(codes[3]).await, None);
    desk.type_in("jackline user recovery-codes root", &[])
        .await
        .unwrap();
    assert_eq!(check(codes[4]).await, None, "void");
    let nobody = desk
        .type_in("jackline user recovery-codes eve", &[])
        .await
        .unwrap_err();
    assert!(nobody.to_string().starts_with("there is no user eve"));
}
