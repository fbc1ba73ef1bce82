//! Reads the files that hold settings. A file that was asked for by name must be there; `.env` and `jackline.toml` in the current folder
//! may be missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use url::Url;
use zeroize::Zeroizing;

use super::mistake::{Mistake, Mistakes};
use super::names::{CONFIG_VARIABLE, Setting, Show};
use super::{Config, Environment, parse};

const DEFAULT_FILE: &str = "jackline.toml";

/// Reads `.env` and the settings file of `folder` and parses them together with the environment.
///
/// The settings file is `named` (the option `--config`), else what `JACKLINE_CONFIG` says, else `jackline.toml`.
///
/// # Errors
///
/// [`Mistakes`], also if a file cannot be read.
pub fn load(
    environment: Environment,
    folder: &Path,
    named: Option<&Path>,
) -> Result<Config, Mistakes> {
    let mut mistakes = Vec::new();
    let environment = match read_optional(&folder.join(".env")) {
        Ok(None) => environment,
        Ok(Some(text)) => environment.with_dotenv(&text),
        Err(error) => {
            mistakes.push(unreadable(".env", &error));
            environment
        }
    };

    let from_environment = environment.get(CONFIG_VARIABLE).map(|(path, _)| path);
    // Whose path it is, rather than the path: a variable may hold anything, a secret pasted by mistake too.
    let subject = match (named, from_environment) {
        (Some(_), _) => "--config",
        (None, Some(_)) => CONFIG_VARIABLE,
        (None, None) => DEFAULT_FILE,
    };
    let named = named.or(from_environment.map(Path::new));
    let path = folder.join(named.unwrap_or(Path::new(DEFAULT_FILE)));
    let file = match read_optional(&path) {
        Ok(None) if named.is_some() => {
            mistakes.push(unreadable(subject, &io::ErrorKind::NotFound.into()));
            None
        }
        Ok(None) => None,
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => Some(Zeroizing::new(text.to_owned())),
            Err(_) => {
                mistakes.push(unreadable(subject, &io::ErrorKind::InvalidData.into()));
                None
            }
        },
        Err(error) => {
            mistakes.push(unreadable(subject, &error));
            None
        }
    };

    let parsed = parse(&environment, file.as_ref().map(|text| text.as_str()));
    if mistakes.is_empty() {
        return parsed;
    }
    if let Err(others) = parsed {
        mistakes.extend(others.iter().cloned());
    }
    Err(Mistakes::new(mistakes))
}

/// A file that settings are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    /// Where it is.
    pub path: PathBuf,
    /// The variables of the secrets that it holds.
    pub secrets: Vec<&'static str>,
}

/// The files that [`load`] reads, as far as they are there and can be read.
pub fn files(environment: &Environment, folder: &Path, named: Option<&Path>) -> Vec<SettingsFile> {
    let dotenv_path = folder.join(".env");
    let dotenv = read_optional(&dotenv_path).ok().flatten();
    let mut files = Vec::new();
    let mut environment = environment.clone();
    if let Some(text) = dotenv {
        let alone = Environment::default().with_dotenv(&text);
        files.push(SettingsFile {
            path: dotenv_path,
            secrets: secrets(|setting| Some(alone.get(setting.variable)?.0.to_owned())),
        });
        environment = environment.with_dotenv(&text);
    }
    let named = named.or(environment
        .get(CONFIG_VARIABLE)
        .map(|(path, _)| Path::new(path)));
    let path = folder.join(named.unwrap_or(Path::new(DEFAULT_FILE)));
    if let Ok(Some(bytes)) = read_optional(&path) {
        let table = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse::<Table>().ok())
            .unwrap_or_default();
        let secrets = secrets(|setting| match table.get(setting.key)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        });
        files.push(SettingsFile { path, secrets });
    }
    files
}

/// The secret settings for which `value` says something that is one. A connection URL without a password is none.
fn secrets(value: impl Fn(&Setting) -> Option<String>) -> Vec<&'static str> {
    Setting::ALL
        .iter()
        .filter(|setting| setting.show == Show::Nothing)
        .filter(|setting| {
            let Some(value) = value(setting).map(Zeroizing::new) else {
                return false;
            };
            match Url::parse(&value) {
                Ok(url) if setting.variable.ends_with("_URL") => {
                    url.password().is_some() || url.query().is_some_and(|q| q.contains("pass="))
                }
                _ => !value.trim().is_empty(),
            }
        })
        .map(|setting| setting.variable)
        .collect()
}

fn read_optional(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn unreadable(subject: &str, error: &io::Error) -> Mistake {
    Mistake::new(
        subject,
        format!("it cannot be read: {error}"),
        "settings that were meant to hold would be missing",
        format!(
            "check the path and its permissions; --config and {CONFIG_VARIABLE} name the settings file"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J11, T2.2
    #[test]
    fn the_environment_wins_over_dotenv_and_dotenv_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".env"), "PORT=2\nHOST=127.0.0.2\n").unwrap();
        fs::write(
            folder.path().join("jackline.toml"),
            "port = 3\nhost = \"127.0.0.3\"\ncookie_name = \"c\"\n",
        )
        .unwrap();
        let environment = Environment::from_iter([("PORT", "1")]);
        let config = load(environment, folder.path(), None).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.2:1");
        assert_eq!(config.cookie.name(), "c");
    }

    // Proves: J11
    #[test]
    fn a_settings_file_that_was_asked_for_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(Environment::default(), folder.path(), None).is_ok());
        let named = Some(Path::new("other.toml"));
        let mistakes = load(Environment::default(), folder.path(), named).unwrap_err();
        assert!(mistakes.concern("--config"));
        let environment =
            Environment::from_iter([("JACKLINE_CONFIG", "other.toml"), ("PORT", "x")]);
        let mistakes = load(environment.clone(), folder.path(), None).unwrap_err();
        assert!(mistakes.concern("JACKLINE_CONFIG") && mistakes.concern("PORT"));
        fs::write(folder.path().join("other.toml"), "idle_timeout = '1h'").unwrap();
        let mistakes = load(environment, folder.path(), None).unwrap_err();
        assert!(!mistakes.concern("JACKLINE_CONFIG"));
    }

    // Proves: P5
    #[test]
    fn files_are_told_with_the_secrets_that_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(files(&Environment::default(), folder.path(), None), []);
        let (dotenv, settings) = (folder.path().join(".env"), folder.path().join("a.toml"));
        fs::write(
            &dotenv,
            "JACKLINE_CONFIG=a.toml\nSESSION_SECRET=x\nSESSION_SECRET_PREVIOUS=\nREDIS_URL=redis://cache\n",
        )
        .unwrap();
        fs::write(
            &settings,
            "port = 1\nsession_secret_previous = [\"x\"]\nredis_url = \"redis://:p@cache\"",
        )
        .unwrap();
        let found = files(&Environment::default(), folder.path(), None);
        assert_eq!(found[0].path, dotenv);
        assert_eq!(found[0].secrets, ["SESSION_SECRET"]);
        assert_eq!(found[1].path, settings);
        assert_eq!(found[1].secrets, ["SESSION_SECRET_PREVIOUS", "REDIS_URL"]);
    }
}
