//! What the settings and the files around them say, without a network: each mistake under its number, whether a secret stands where
//! others can read it (P5), and whether these settings keep those logged in who are (D6).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::git::{NoRepository, Repository};
use super::live::Seen;
use super::report::Report;
use super::topic::Topic;
use crate::config::{Config, Mistake, Mistakes, SettingsFile, Signing, StoreEngine};
use crate::sessions;

/// What is known about the settings beside themselves.
pub(super) struct Around<'a> {
    pub(super) folder: &'a Path,
    pub(super) files: &'a [SettingsFile],
    pub(super) seen: &'a Seen,
    /// Whether the server that was visited is the one of these settings, as far as its address says.
    pub(super) same_address: bool,
}

const MEND_SETTINGS: &str = "the settings hold mistakes: correct those first";

/// Puts each mistake under its number.
pub(super) fn mistakes(mistakes: &Mistakes, report: &mut Report) {
    for mistake in mistakes.iter() {
        report.wrong(
            topic_of(mistake),
            format!("{}: {}", mistake.subject(), mistake.what()),
            mistake.why(),
            mistake.fix(),
        );
    }
    let open = [
        Topic::SETTINGS,
        Topic::MEMORY,
        Topic::SECRET,
        Topic::ENDLESS,
        Topic::DEPLOY,
        Topic::STORE,
        Topic::NO_EXPIRY,
    ];
    report.rest_unchecked(&open, MEND_SETTINGS);
}

fn topic_of(mistake: &Mistake) -> Topic {
    match mistake.subject() {
        "JACKLINE_STORE" if mistake.why().contains("(P2)") => Topic::MEMORY,
        "JACKLINE_STORE" | "DATABASE_URL" => Topic::STORE,
        redis if redis.starts_with("REDIS_") => Topic::STORE,
        "JACKLINE_COOKIE_SECURE" => Topic::PLAIN_HTTP,
        "JACKLINE_TRUSTED_PROXIES" => Topic::PROXY_TRUST,
        "SESSION_SECRET" | "SESSION_SECRET_PREVIOUS" => Topic::SECRET,
        "JACKLINE_ABSOLUTE_TIMEOUT" => Topic::ENDLESS,
        "JACKLINE_COOKIE_NAME" => Topic::NOT_SENT_BACK,
        _ => Topic::SETTINGS,
    }
}

/// Looks at settings that hold no mistake. Returns whether the server that was visited has these settings.
pub(super) fn sound(config: &Config, around: &Around<'_>, report: &mut Report) -> bool {
    let ours = restarts(config, around, report);
    // In front of browsers everywhere, development is a mistake that no setting alone shows.
    // A developer's own certificate on the developer's own machine is none.
    let at_home = config.tls.is_some() && config.listen.ip().is_loopback();
    let exposed = ours && around.seen.over_https && !at_home && !config.deployment.is_production();
    deployment(config, exposed, report);
    match &config.store.engine {
        StoreEngine::Memory if exposed => report.wrong(
            Topic::MEMORY,
            "JACKLINE_STORE: it is `memory`, at an https address",
            "a restart logs everybody out, and a second instance knows nobody",
            "leave it out for SQLite in the data folder, or set REDIS_URL or DATABASE_URL",
        ),
        StoreEngine::Memory => report.fine(Topic::MEMORY, "they do not, in development"),
        StoreEngine::Sqlite => report.fine(Topic::MEMORY, "in SQLite"),
        StoreEngine::Redis(_) => report.fine(Topic::MEMORY, "in Redis"),
        StoreEngine::Postgres(_) => report.fine(Topic::MEMORY, "in PostgreSQL"),
    }
    let limits = &config.limits;
    report.fine(
        Topic::ENDLESS,
        format!(
            "after {}, an administrator's after {}",
            humantime::format_duration(limits.absolute()),
            humantime::format_duration(limits.admin_absolute())
        ),
    );
    ours
}

fn deployment(config: &Config, exposed: bool, report: &mut Report) {
    if exposed {
        report.wrong(
            Topic::SETTINGS,
            "JACKLINE_ENV: the server runs with development settings at an https address",
            "everybody can log in as the demo user alice, and the cookie is not held to https",
            "start it with JACKLINE_ENV=production, SESSION_SECRET (run `jackline secret`) and, behind a proxy, JACKLINE_TRUSTED_PROXIES",
        );
        return;
    }
    let note = if config.deployment.is_production() {
        "production".to_owned()
    } else if config.listen.ip().is_loopback() {
        "development".to_owned()
    } else {
        format!(
            "development: all who reach {} can log in as alice",
            config.listen
        )
    };
    report.fine(Topic::SETTINGS, note);
}

/// Whether a start with these settings would keep everybody logged in (D6). Returns whether the server that was visited has these
/// settings, by the evidence of its cookie or its address.
fn restarts(config: &Config, around: &Around<'_>, report: &mut Report) -> bool {
    let kept = config.signing.kept_file(&config.data_dir);
    // Reading it would make one.
    if let Some(kept) = kept.filter(|kept| !kept.exists()) {
        no_secret_yet(config, &kept, around, report);
        return around.same_address;
    }
    let keys = match sessions::keyring(config) {
        Ok(keys) => keys,
        Err(error) => {
            report.wrong(
                Topic::DEPLOY,
                format!("the kept secret cannot be used: {error:#}"),
                "the server does not start without it",
                "set SESSION_SECRET to the secret that was in use, or remove the file; then everybody logs in again",
            );
            return around.same_address;
        }
    };
    let Some(cookie) = &around.seen.cookie else {
        report.unchecked(
            Topic::DEPLOY,
            "there is no running server's cookie to compare",
        );
        return around.same_address;
    };
    if keys.verifies(cookie) {
        report.fine(
            Topic::DEPLOY,
            "these settings know the running server's cookies",
        );
        return true;
    }
    if around.same_address || config.deployment.is_production() {
        unknown_secret(report);
    } else {
        report.unchecked(
            Topic::DEPLOY,
            "the settings here are not that server's: run this where its settings are",
        );
    }
    around.same_address
}

fn no_secret_yet(config: &Config, kept: &Path, around: &Around<'_>, report: &mut Report) {
    let sessions = config.data_dir.file(sessions::FILE_NAME);
    if around.same_address && around.seen.cookie.is_some() {
        unknown_secret(report);
    } else if matches!(config.store.engine, StoreEngine::Sqlite) && sessions.exists() {
        report.wrong(
            Topic::DEPLOY,
            format!("there are sessions in {}, and the secret that signed them is not in {}", sessions.display(), kept.display()),
            "the next start makes a new secret, and everybody is logged out",
            "bring the file back, with the folder (in a container: keep the whole data folder on a volume), or set SESSION_SECRET to the secret that was in use",
        );
    } else {
        report.unchecked(
            Topic::DEPLOY,
            format!("the first start makes a secret, in {}", kept.display()),
        );
    }
}

fn unknown_secret(report: &mut Report) {
    report.wrong(
        Topic::DEPLOY,
        "the running server's cookies are signed with a secret that is not in these settings",
        "a start with these settings logs everybody out",
        "set SESSION_SECRET_PREVIOUS to the secret that the server runs with, until the longest session has ended; give all instances the same secrets",
    );
}

/// Whether a secret stands where others can read it (P5). `config` is there if the settings hold no mistake.
pub(super) fn secrets(config: Option<&Config>, around: &Around<'_>, report: &mut Report) {
    let with_secrets: Vec<_> = around
        .files
        .iter()
        .filter(|file| !file.secrets.is_empty())
        .collect();
    for file in &with_secrets {
        let holds = format!("{} holds {}", file.path.display(), file.secrets.join(", "));
        if open_to_others(&file.path).unwrap_or(false) {
            readable(
                &file.path,
                format!("{holds}, and every user of the machine can read it"),
                report,
            );
        }
    }
    let kept = config.and_then(|config| config.signing.kept_file(&config.data_dir));
    let kept = kept.filter(|kept| kept.exists());
    if let Some(kept) = &kept
        && open_to_others(kept).unwrap_or(false)
    {
        let what = format!(
            "{} holds the session secret, and every user of the machine can read it",
            kept.display()
        );
        readable(kept, what, report);
    }
    let key = config.and_then(|config| Some(&config.tls.as_ref()?.key));
    if let Some(key) = key
        && open_to_others(key).unwrap_or(false)
    {
        report.wrong(
            Topic::SECRET,
            format!(
                "{} holds the certificate's key, and every user of the machine can read it",
                key.display()
            ),
            "whoever has the key can pose as the server, and take the sessions of all who come",
            format!(
                "chmod 600 {}; if others use the machine, get another certificate with another key",
                key.display()
            ),
        );
    }
    let repository = match Repository::around(around.folder) {
        Ok(repository) => repository,
        Err(why) => {
            if let Some(config) = config {
                report.fine(Topic::SECRET, how_kept(&config.signing));
                if why == NoRepository::NoGit {
                    report.unchecked(Topic::SECRET, "whether it is in git: git cannot be run");
                }
            }
            return;
        }
    };
    let mut tracked: Vec<PathBuf> = with_secrets
        .iter()
        .map(|file| file.path.clone())
        .filter(|path| repository.tracks(path))
        .collect();
    for file in with_secrets
        .iter()
        .filter(|file| tracked.contains(&file.path))
    {
        committed(
            format!(
                "git tracks {}, which holds {}",
                file.path.display(),
                file.secrets.join(", ")
            ),
            &file.path.display().to_string(),
            report,
        );
    }
    let Some(config) = config else {
        return;
    };
    if let Some(kept) = kept.filter(|kept| repository.tracks(kept)) {
        let path = kept.display().to_string();
        committed(
            format!("git tracks {path}, which holds the session secret"),
            &path,
            report,
        );
        tracked.push(kept);
    }
    if tracked.is_empty() {
        search(config, around, &repository, report);
    }
    report.fine(
        Topic::SECRET,
        format!("{}, and not in git", how_kept(&config.signing)),
    );
}

/// Looks for the secrets in use in whatever git tracks, and in the past of the settings' files.
fn search(config: &Config, around: &Around<'_>, repository: &Repository, report: &mut Report) {
    let Some(texts) = in_use(config) else {
        return;
    };
    let found = repository.files_with(&texts);
    for path in &found {
        let what = format!("git tracks {path}, which holds a secret that is in use");
        committed(what, path, report);
    }
    if !found.is_empty() {
        return;
    }
    // Also one that is not there any more: taking it away does not take it out of the past.
    let mut files: Vec<_> = around.files.iter().map(|file| file.path.clone()).collect();
    files.push(around.folder.join(".env"));
    let first = files
        .iter()
        .find_map(|file| repository.commits_with(&texts, file).into_iter().next());
    if let Some(first) = first {
        report.wrong(
            Topic::SECRET,
            format!("a secret that is in use was committed, in {first}"),
            "it is in every clone, and whoever has it can forge a cookie for any session",
            "set SESSION_SECRET to what `jackline secret` prints, and keep the old one out of SESSION_SECRET_PREVIOUS; everybody logs in again",
        );
    }
}

/// The secrets that sign and verify, one per line. Makes none.
fn in_use(config: &Config) -> Option<Zeroizing<String>> {
    let made = config.signing.kept_file(&config.data_dir);
    if made.is_some_and(|kept| !kept.exists()) {
        return None;
    }
    let secrets = config.signing.secrets(&config.data_dir).ok()?;
    let mut texts = Zeroizing::new(String::new());
    for secret in &secrets {
        texts.push_str(&String::from_utf8_lossy(secret.expose()));
        texts.push('\n');
    }
    Some(texts)
}

fn how_kept(signing: &Signing) -> &'static str {
    match signing {
        Signing::Given { .. } => "set",
        Signing::KeptInDataDir { .. } => "made for development",
    }
}

fn readable(path: &Path, what: String, report: &mut Report) {
    report.wrong(
        Topic::SECRET,
        what,
        "whoever has the secret can forge a cookie for any session",
        format!(
            "chmod 600 {}; if others use the machine, take a new secret (`jackline secret`)",
            path.display()
        ),
    );
}

fn committed(what: String, path: &str, report: &mut Report) {
    report.wrong(
        Topic::SECRET,
        what,
        "it is in every clone, and whoever has the secret can forge a cookie for any session",
        format!(
            "git rm --cached {path} && echo {path} >> .gitignore; then set SESSION_SECRET to what `jackline secret` prints, and keep the old one out of SESSION_SECRET_PREVIOUS"
        ),
    );
}

/// Whether any user of the machine can open the file: its own mode, and a way through every folder above.
fn open_to_others(path: &Path) -> io::Result<bool> {
    let path = path.canonicalize()?;
    let mode = |path: &Path| Ok::<_, io::Error>(path.metadata()?.permissions().mode());
    if mode(&path)? & 0o004 == 0 {
        return Ok(false);
    }
    for folder in path.ancestors().skip(1) {
        if mode(folder)? & 0o001 == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
