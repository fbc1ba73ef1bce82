//! Reads the files that hold settings. A file that was asked for by name must be there; `.env` and `jackline.toml` in the current folder
//! may be missing.

use std::fs;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::mistake::{Mistake, Mistakes};
use super::names::CONFIG_VARIABLE;
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
}
