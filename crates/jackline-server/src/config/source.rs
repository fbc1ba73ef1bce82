//! All settings as text, from wherever they came, and the list of mistakes that grows while the subjects read them. The environment
//! wins over the file. Names that mean nothing are mistakes: a mistyped `JACKLINE_IDLE_TIMEOUT` would otherwise be the default, silently.

use std::collections::BTreeMap;

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::environment::{Environment, Origin};
use super::mistake::{Mistake, Mistakes};
use super::names::{self, Setting, Shape, Show};

/// Hands out settings by name and gathers mistakes.
#[derive(Debug)]
pub(crate) struct Reader {
    given: BTreeMap<&'static str, Given>,
    mistakes: Vec<Mistake>,
    /// Texts that no message may hold: secrets, the parts of lists of secrets, and whole connection URLs.
    hidden: Vec<Zeroizing<String>>,
}

struct Given {
    values: Vec<Zeroizing<String>>,
    origin: Origin,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Merges the environment and the text of `jackline.toml`.
    pub(crate) fn new(environment: &Environment, file: Option<&str>) -> Self {
        let mut reader = Self {
            given: BTreeMap::new(),
            mistakes: environment.mistakes().to_vec(),
            hidden: Vec::new(),
        };
        let table = file.and_then(|text| reader.parse_file(text));
        for setting in Setting::ALL {
            if let Some((value, origin)) = environment.get(setting.variable) {
                reader.give(*setting, vec![value], origin);
            }
            if environment.is_unreadable(setting.variable) {
                reader.report(
                    *setting,
                    "its value is not Unicode text",
                    "it cannot be read without changing it",
                    "set it to plain ASCII text",
                );
            }
        }
        if let Some(table) = &table {
            reader.take_table(table);
        }
        // Names come last: by now every secret is known, so that none is quoted as a name.
        reader.refuse_unknown_variables(environment);
        if let Some(table) = &table {
            reader.refuse_unknown_keys(table);
        }
        reader
    }

    /// The one value of a setting, trimmed. Empty is the same as not set.
    pub(crate) fn one(&self, setting: Setting) -> Option<&str> {
        debug_assert_eq!(setting.shape, Shape::One);
        let value = self.given.get(setting.variable)?.values.first()?;
        Some(value.as_str())
    }

    /// All values of a list, trimmed, without empty ones.
    pub(crate) fn list(&self, setting: Setting) -> Vec<&str> {
        debug_assert_eq!(setting.shape, Shape::List);
        self.given
            .get(setting.variable)
            .map(|given| given.values.iter().map(|value| value.as_str()).collect())
            .unwrap_or_default()
    }

    pub(crate) fn is_given(&self, setting: Setting) -> bool {
        self.given.contains_key(setting.variable)
    }

    /// Adds a mistake if `setting` is given and `other`, without which it is of no use, is not.
    pub(crate) fn refuse_one_without(&mut self, setting: Setting, other: Setting) {
        if self.is_given(setting) && !self.is_given(other) {
            self.report(
                setting,
                format!("it is set, and {} is not", other.variable),
                "one is of no use without the other",
                format!("set {} too, or neither", other.variable),
            );
        }
    }

    /// Adds a mistake about a setting.
    pub(crate) fn report(
        &mut self,
        setting: Setting,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let mut what = what.into();
        match self.given.get(setting.variable).map(|given| given.origin) {
            Some(Origin::File) => {
                what.push_str(&format!(" (`{}` in the settings file)", setting.key))
            }
            Some(Origin::DotEnv) => what.push_str(" (from .env)"),
            Some(Origin::Process) | None => {}
        }
        self.mistakes
            .push(Mistake::new(setting.variable, what, why, fix));
    }

    /// A stranger's text as a message may show it: on one line, not too long, and never a secret that was set elsewhere.
    pub(crate) fn quote(&self, text: &str) -> String {
        // Short ones are hidden only where they stand alone: hiding every `a` would hide the message.
        let secret = self.hidden.iter().any(|hidden| {
            text == hidden.as_str()
                || (hidden.len() >= 8 && text.contains(hidden.as_str()))
                || (text.len() >= 8 && hidden.contains(text))
        });
        if secret {
            return "(not shown: it holds a secret)".to_owned();
        }
        const LONGEST: usize = 60;
        let short: String = text.chars().take(LONGEST).collect();
        let more = if short.len() < text.len() { "…" } else { "" };
        format!("`{}{more}`", short.escape_debug())
    }

    /// The mistakes, unless there are none.
    pub(crate) fn finish(self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() {
            Ok(())
        } else {
            Err(Mistakes::new(self.mistakes))
        }
    }

    fn parse_file(&mut self, text: &str) -> Option<Table> {
        match text.parse::<Table>() {
            Ok(table) => Some(table),
            Err(error) => {
                // Only the place: the error's own text quotes the line, and the line may be a secret.
                let place = match error.span() {
                    Some(span) => {
                        let before = text.get(..span.start).unwrap_or(text);
                        format!("line {}", before.matches('\n').count() + 1)
                    }
                    None => "the file".to_owned(),
                };
                self.mistakes.push(Mistake::new(
                    "jackline.toml",
                    format!("{place} is not TOML"),
                    "none of the file's settings can be trusted to be read",
                    "write `name = \"value\"`, with the value in quotes, and each name once",
                ));
                None
            }
        }
    }

    /// Takes what the file says about settings that the environment leaves open.
    fn take_table(&mut self, table: &Table) {
        for setting in Setting::ALL {
            let Some(value) = table.get(setting.key) else {
                continue;
            };
            match texts(value, setting.shape) {
                Some(texts) => {
                    self.give(
                        *setting,
                        texts.iter().map(String::as_str).collect(),
                        Origin::File,
                    );
                }
                None => self.mistakes.push(Mistake::new(
                    setting.variable,
                    format!(
                        "`{}` in the settings file is {}",
                        setting.key,
                        kind(value, setting.shape)
                    ),
                    "it would have to be guessed what is meant",
                    match setting.shape {
                        Shape::One => format!("write `{} = \"…\"`, one value", setting.key),
                        Shape::List => format!("write `{} = [\"…\", \"…\"]`", setting.key),
                    },
                )),
            }
        }
    }

    /// Keeps a setting's values, unless it already has some, and remembers what must not be shown.
    fn give(&mut self, setting: Setting, texts: Vec<&str>, origin: Origin) {
        let values: Vec<Zeroizing<String>> = texts
            .iter()
            .flat_map(|text| match setting.shape {
                Shape::One => vec![*text],
                Shape::List => text.split(',').collect(),
            })
            .map(|text| Zeroizing::new(text.trim().to_owned()))
            .filter(|text| !text.is_empty())
            .collect();
        if values.is_empty() {
            return;
        }
        if setting.show == Show::Nothing {
            // A list as a whole too: a slip of the paste takes all of it.
            let whole = texts
                .iter()
                .map(|text| Zeroizing::new(text.trim().to_owned()))
                .filter(|text| !text.is_empty());
            self.hidden.extend(whole);
            self.hidden.extend(values.iter().cloned());
            // Of a connection URL, the password alone is as secret as the whole.
            let passwords = values.iter().filter_map(|value| {
                let url = url::Url::parse(value).ok()?;
                url.password().map(|text| Zeroizing::new(text.to_owned()))
            });
            self.hidden.extend(passwords.collect::<Vec<_>>());
        }
        self.given
            .entry(setting.variable)
            .or_insert(Given { values, origin });
    }

    fn refuse_unknown_variables(&mut self, environment: &Environment) {
        let unknown = environment.names().filter(|name| {
            name.starts_with("JACKLINE_")
                && *name != names::CONFIG_VARIABLE
                && !Setting::ALL.iter().any(|setting| setting.variable == *name)
        });
        for name in unknown {
            self.mistakes.push(Mistake::new(
                self.quote(name).trim_matches('`'),
                "there is no setting of this name",
                "a mistyped name would leave a default in force without a word",
                match names::variable_like(name) {
                    Some(likely) => format!("did you mean {likely}? Rename or unset it"),
                    None => "unset it; `jackline serve --help` names all settings".to_owned(),
                },
            ));
        }
    }

    fn refuse_unknown_keys(&mut self, table: &Table) {
        for name in table.keys() {
            if Setting::ALL.iter().any(|setting| setting.key == name) {
                continue;
            }
            // A key as odd as this may be a value that slipped to the wrong side of the `=`.
            let name_like = name.len() <= 40
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-');
            let quoted = if name_like {
                format!("the name {}", self.quote(name))
            } else {
                "a name that is none (not shown: it may be a value)".to_owned()
            };
            self.mistakes.push(Mistake::new(
                "jackline.toml",
                format!("it holds {quoted}, and no setting is called so"),
                "a mistyped name would leave a default in force without a word",
                match names::key_like(name) {
                    Some(likely) => format!("did you mean `{likely}`? Rename or remove it"),
                    None => "remove it; `jackline serve --help` names all settings".to_owned(),
                },
            ));
        }
    }
}

/// A TOML value as the texts that the environment would have held.
fn texts(value: &Value, shape: Shape) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Boolean(flag) => Some(vec![flag.to_string()]),
        Value::Array(items) if shape == Shape::List => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    }
}

fn kind(value: &Value, shape: Shape) -> &'static str {
    match value {
        Value::Array(_) if shape == Shape::List => "a list with something other than text in it",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
        Value::Datetime(_) => "a date",
        Value::Float(_) => "a number with a point",
        Value::String(_) | Value::Integer(_) | Value::Boolean(_) => "of the wrong kind",
    }
}
