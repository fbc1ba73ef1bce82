//! `jackline user`: users are added and changed beside a running server, which sees a change at the next login. Disabling a user and
//! setting a password end the user's sessions too, in this order: first no new ones, then none of the old.

use std::io::Write;

use anyhow::{Context, bail};

use super::UserCommand;
use super::password_input::AskPassword;
use crate::factors::{FactorError, Factors};
use crate::logging::SECURITY_TARGET;
use crate::passwords::{NewPassword, PasswordHasher, PhcHash};
use crate::users::{NewUser, Role, User, UserId, Username, Users, UsersError};

/// Ends sessions, wherever they are kept.
pub trait EndSessions {
    /// Ends all sessions of a user, also logins in flight, and says how many there were.
    fn end_all(&self, user: &UserId) -> impl Future<Output = anyhow::Result<u64>>;
}

/// What the commands work with.
#[derive(Debug)]
pub struct UserTools<'a, E, P> {
    /// The users.
    pub users: &'a Users,
    /// Their second factors.
    pub factors: &'a Factors,
    /// Hashes new passwords.
    pub hasher: &'a PasswordHasher,
    /// Ends the sessions of those who are disabled or get a new password.
    pub sessions: &'a E,
    /// Where new passwords come from.
    pub passwords: &'a mut P,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
}

/// Does what the command says and prints what was done.
///
/// # Errors
///
/// If there is no such user, the name is taken, the password is unfit, or a database or `out` fails.
pub async fn run<E: EndSessions, P: AskPassword>(
    command: UserCommand,
    mut tools: UserTools<'_, E, P>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let said = match command {
        UserCommand::Add { name, admin } => {
            let role = if admin { Role::Admin } else { Role::User };
            tools.add(name, role).await?
        }
        UserCommand::Passwd { name } => tools.set_password(&name).await?,
        UserCommand::Disable { name } => tools.disable(&name).await?,
        UserCommand::Enable { name } => tools.enable(&name).await?,
        UserCommand::RecoveryCodes { name } => tools.recovery_codes(&name).await?,
        UserCommand::List { json: true } => {
            format!("{}\n", serde_json::to_string(&tools.users.list().await?)?)
        }
        UserCommand::List { json: false } => table(&tools.users.list().await?),
    };
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .context("done, but cannot print so")
}

impl<E: EndSessions, P: AskPassword> UserTools<'_, E, P> {
    async fn add(&mut self, name: Username, role: Role) -> anyhow::Result<String> {
        // Before asking for a password in vain; adding checks again.
        if self.users.find_id(name.as_str()).await?.is_some() {
            bail!("there is a user {name} already");
        }
        let hash = self.new_hash(&name).await?;
        let user = NewUser {
            username: name.clone(),
            role,
            hash,
        };
        let user = match self.users.add(user, self.now_ms).await {
            Err(UsersError::NameTaken) => bail!("there is a user {name} already"),
            added => added?,
        };
        tracing::info!(
            target: SECURITY_TARGET,
            event = "user_created",
            owasp = "user_created",
            user_id = user.id.as_str(),
            role = role.as_str(),
            via = "command line"
        );
        Ok(format!("{name} is added, with the id {}\n", user.id))
    }

    async fn set_password(&mut self, name: &Username) -> anyhow::Result<String> {
        let id = self.id(name).await?;
        let hash = self.new_hash(name).await?;
        if !self.users.set_password(&id, hash, self.now_ms).await? {
            bail!("there is no user {name} any more");
        }
        tracing::info!(
            target: SECURITY_TARGET,
            event = "password_changed",
            owasp = "authn_password_change",
            user_id = id.as_str(),
            via = "command line"
        );
        let ended = self
            .end_sessions(&id)
            .await
            .with_context(|| format!("{name}'s password is set, but open sessions may go on"))?;
        Ok(format!("{name}'s password is set; {ended}\n"))
    }

    async fn disable(&mut self, name: &Username) -> anyhow::Result<String> {
        let id = self.id(name).await?;
        if !self.users.set_disabled(&id, true).await? {
            bail!("there is no user {name} any more");
        }
        tracing::warn!(
            target: SECURITY_TARGET,
            event = "user_disabled",
            owasp = "user_updated",
            user_id = id.as_str(),
            via = "command line"
        );
        let ended = self.end_sessions(&id).await.with_context(|| {
            format!("{name} is disabled, but open sessions may go on; run this again")
        })?;
        Ok(format!("{name} is disabled; {ended}\n"))
    }

    async fn enable(&mut self, name: &Username) -> anyhow::Result<String> {
        let id = self.id(name).await?;
        if !self.users.set_disabled(&id, false).await? {
            bail!("there is no user {name} any more");
        }
        tracing::info!(
            target: SECURITY_TARGET,
            event = "user_enabled",
            owasp = "user_updated",
            user_id = id.as_str(),
            via = "command line"
        );
        Ok(format!("{name} may log in again\n"))
    }

    async fn recovery_codes(&mut self, name: &Username) -> anyhow::Result<String> {
        let id = self.id(name).await?;
        let codes = match self.factors.new_recovery_codes(&id, self.now_ms).await {
            Err(FactorError::Gone) => bail!("there is no user {name} any more"),
            codes => codes?,
        };
        tracing::warn!(
            target: SECURITY_TARGET,
            event = "second_factor_changed",
            owasp = "user_updated",
            user_id = id.as_str(),
            reason = "recovery_codes_renewed",
            via = "command line"
        );
        // A login with the password alone may be under way.
        let ended = self.end_sessions(&id).await.with_context(|| {
            format!("{name} has new recovery codes, but open sessions may go on; run this again")
        })?;
        let mut said = String::new();
        for code in &codes {
            said.push_str(code.expose());
            said.push('\n');
        }
        said.push_str(&format!(
            "Each is good for one login of {name}, beside the password. They are not shown again; {ended}.\n"
        ));
        Ok(said)
    }

    async fn id(&self, name: &Username) -> anyhow::Result<UserId> {
        let found = self.users.find_id(name.as_str()).await?;
        found.with_context(|| format!("there is no user {name}; `jackline user list` names all"))
    }

    async fn new_hash(&mut self, name: &Username) -> anyhow::Result<PhcHash> {
        let password = self.passwords.ask_new(name.as_str())?;
        let password = NewPassword::parse(password, name.as_str())?;
        Ok(self.hasher.hash(password).await?)
    }

    async fn end_sessions(&self, id: &UserId) -> anyhow::Result<String> {
        Ok(match self.sessions.end_all(id).await? {
            0 => "there were no sessions to end".to_owned(),
            1 => "one session is ended".to_owned(),
            n => format!("{n} sessions are ended"),
        })
    }
}

fn table(users: &[User]) -> String {
    let width = |text: &str| text.chars().count();
    let names = users.iter().map(|user| width(user.username.as_str()));
    let name_width = names.max().unwrap_or(0).max("NAME".len());
    let mut table = format!("{:name_width$}  {:21}  {:5}  STATE\n", "NAME", "ID", "ROLE");
    for user in users {
        let state = if user.disabled { "disabled" } else { "enabled" };
        table.push_str(&format!(
            "{:name_width$}  {:21}  {:5}  {state}\n",
            user.username.as_str(),
            user.id.as_str(),
            user.role.as_str()
        ));
    }
    table
}
