//! Which members of an Express session say who is logged in, and which names are no data.

use crate::lifecycle::{Data, Delta, DeltaError};

/// Which members of an Express session say who is logged in. Whoever can set them in Express is logged in here too: that is
/// what it means to share sessions.
///
/// ```
/// use jackline::store::redis::express::{ExpressMapping, IdForm};
///
/// let mapping = ExpressMapping { user_id: "uid".to_owned(), id_form: IdForm::Number, ..ExpressMapping::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressMapping {
    /// The stable identifier. Default: `userId`. Express may hold a string or a number; nobody is logged in if it is missing,
    /// `null`, `false`, `0` or empty.
    pub user_id: String,
    /// How an identifier is written by a login of ours.
    pub id_form: IdForm,
    /// The name to show. Default: `username`.
    pub name: String,
    /// When the login took place, in milliseconds or as ISO 8601. Default: `loginAt`.
    pub login_time: String,
    /// The role, which limits may depend on. Default: `role`. Without it everybody is a user.
    pub role: String,
}

/// How an identifier is written by a login of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdForm {
    /// As a string. The default.
    #[default]
    Text,
    /// As a number, if it is one of up to 15 digits: for applications that compare it with `===`.
    Number,
}

impl Default for ExpressMapping {
    fn default() -> Self {
        Self {
            user_id: "userId".to_owned(),
            id_form: IdForm::Text,
            name: "username".to_owned(),
            login_time: "loginAt".to_owned(),
            role: "role".to_owned(),
        }
    }
}

pub(super) const COOKIE: &str = "cookie";
pub(super) const OURS: &str = "jackline";

/// What every session of express-session has already, so that it drops a member of that name when it loads one.
const PROTOTYPE: [&str; 22] = [
    "id",
    "req",
    "touch",
    "resetMaxAge",
    "save",
    "reload",
    "destroy",
    "regenerate",
    "constructor",
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
    COOKIE,
    OURS,
];

impl ExpressMapping {
    /// Whether the names differ from each other and from those that Express or this library uses itself.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let mapped = self.mapped();
        mapped.iter().enumerate().all(|(at, name)| {
            !name.is_empty() && !PROTOTYPE.contains(name) && !mapped[..at].contains(name)
        })
    }

    fn mapped(&self) -> [&str; 4] {
        [&self.user_id, &self.login_time, &self.role, &self.name]
    }

    /// The members on which it depends whose session it is and when it ends, the identifier first.
    pub(super) fn identity_members(&self) -> [&str; 3] {
        [&self.user_id, &self.login_time, &self.role]
    }

    /// All names that are no data.
    pub(super) fn hidden(&self) -> impl Iterator<Item = &str> {
        PROTOTYPE.into_iter().chain(self.mapped())
    }

    fn is_hidden(&self, name: &str) -> bool {
        self.hidden().any(|hidden| hidden == name)
    }

    /// Refuses names that are no data.
    pub(super) fn check<'a>(
        &self,
        mut names: impl Iterator<Item = &'a str>,
    ) -> Result<(), DeltaError> {
        match names.any(|name| self.is_hidden(name)) {
            true => Err(DeltaError::ReservedMember),
            false => Ok(()),
        }
    }

    pub(super) fn check_delta(&self, delta: &Delta) -> Result<(), DeltaError> {
        self.check(delta.ops().map(|(name, _)| name))
    }

    /// What of a record is data.
    pub(super) fn data(&self, members: &Data) -> Data {
        let mut data = Data::new();
        for (name, value) in members.iter().filter(|(name, _)| !self.is_hidden(name)) {
            data.set(name, value.to_owned());
        }
        data
    }
}
