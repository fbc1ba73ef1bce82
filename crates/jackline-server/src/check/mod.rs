//! `jackline check`: finds the pitfalls P1–P7 and the symptoms D1–D9 in the settings, in the store and on a running server, and says of
//! each what is wrong, why it matters and what to do. It changes nothing that matters: the sessions that it makes it also ends. In the
//! server's log it shows as `jackline-check`, with refusals that it provokes.

mod git;
mod live;
mod report;
mod set_cookie;
mod settings;
mod site;
mod store;
mod target;
mod topic;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;

pub use self::target::{BadTarget, Target};

use self::live::{Credentials, Seen, Visit};
use self::report::Report;
use self::settings::Around;
use self::site::Site;
use self::topic::Topic;
use crate::cli::CheckArgs;
use crate::cli::password_input::first_line;
use crate::clock;
use crate::config::{self, Config, Environment, Mistakes};

/// Something is wrong; the report says what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", match .0 { 1 => "one thing is wrong".to_owned(), n => format!("{n} things are wrong") })]
pub struct Unsound(pub usize);

/// Looks at the settings of `folder` and at a running server, and prints what was found.
///
/// # Errors
///
/// [`Unsound`] if something is wrong; also if the password cannot be read or the report not be printed.
pub async fn run(
    environment: Environment,
    folder: &Path,
    named: Option<&Path>,
    args: CheckArgs,
) -> anyhow::Result<()> {
    let credentials = match args.username {
        None => None,
        Some(username) => Some(Credentials {
            username: username.as_str().to_owned(),
            password: first_line(io::stdin().lock())?,
        }),
    };
    let files = config::files(&environment, folder, named);
    let config = config::load(environment, folder, named);
    let look = Look {
        folder,
        files: &files,
        config: &config,
        now_ms: clock::now_ms(),
    };
    let report = look.at(args.url, credentials).await?;
    let mut out = io::stdout();
    write!(out, "{report}")
        .and_then(|()| out.flush())
        .context("cannot print the report")?;
    match report.findings().count() {
        0 => Ok(()),
        wrong => Err(Unsound(wrong).into()),
    }
}

/// Everything that is looked at with.
struct Look<'a> {
    folder: &'a Path,
    files: &'a [config::SettingsFile],
    config: &'a Result<Config, Mistakes>,
    now_ms: i64,
}

impl Look<'_> {
    async fn at(
        &self,
        url: Option<Target>,
        credentials: Option<Credentials>,
    ) -> anyhow::Result<Report> {
        let mut report = Report::default();
        self.say_settings(&mut report);
        let named = url.is_some();
        let config = self.config.as_ref().ok();
        let target = url.or_else(|| Target::of_server(config?));
        let same_address = match (&target, config) {
            (Some(target), Some(config)) => !named || target.leads_to(config.listen),
            _ => false,
        };
        let (visited, seen) = self.visit(target, named, credentials).await?;
        report.append(visited);
        let around = Around {
            folder: self.folder,
            files: self.files,
            seen: &seen,
            same_address,
        };
        settings::secrets(config, &around, &mut report);
        match self.config {
            Err(mistakes) => settings::mistakes(mistakes, &mut report),
            Ok(config) => {
                let ours = settings::sound(config, &around, &mut report);
                let runs = ours && seen.answered;
                store::look(config, runs, self.now_ms, &mut report).await;
            }
        }
        Ok(report)
    }

    fn say_settings(&self, report: &mut Report) {
        let mut from = vec!["the environment".to_owned()];
        from.extend(
            self.files
                .iter()
                .map(|file| file.path.display().to_string()),
        );
        report.about(format!("Settings: from {}", from.join(", ")));
    }

    async fn visit(
        &self,
        target: Option<Target>,
        named: bool,
        credentials: Option<Credentials>,
    ) -> anyhow::Result<(Report, Seen)> {
        let mut report = Report::default();
        let Some(target) = target else {
            report.about("Server: none");
            let reason = match self.config {
                Ok(_) => "PORT=0 lets the system choose: give the server's address",
                Err(_) => "correct the settings, or give the server's address",
            };
            report.rest_unchecked(Topic::LIVE, reason);
            return Ok((report, Seen::default()));
        };
        report.about(format!("Server: {target}"));
        let config = self.config.as_ref().ok();
        let visit = Visit {
            site: Site::new(target),
            cookie_name: config.map(|config| config.cookie.name().to_owned()),
            credentials,
            named,
            now: self.now_ms / 1000,
        };
        tokio::task::spawn_blocking(move || {
            let seen = visit.run(&mut report);
            (report, seen)
        })
        .await
        .context("the visit to the server ended early")
    }
}
