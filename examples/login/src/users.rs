//! Who may log in: one user in memory. A real program keeps its users in a database, and bounds how many passwords it checks
//! at once, since each takes 19 MiB and some tens of milliseconds.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::anyhow;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use jackline::lifecycle::OwnerId;

/// The users. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users(Arc<Table>);

struct Table {
    by_name: HashMap<String, User>,
    /// Stands in for a user who is not there.
    nobody: User,
}

struct User {
    id: OwnerId,
    name: String,
    hash: PasswordHash,
}

impl Users {
    /// `alice`, whose password is `correct-horse`.
    pub(crate) fn with_demo_user() -> anyhow::Result<Self> {
        let user = |id: &str, name: &str, password: &[u8]| -> anyhow::Result<User> {
            let hash = Argon2::default()
                .hash_password(password)
                .map_err(|error| anyhow!("cannot hash a password: {error}"))?;
            Ok(User {
                id: OwnerId::new(id)?,
                name: name.to_owned(),
                hash,
            })
        };
        let alice = user("user-1001", "alice", b"correct-horse")?;
        Ok(Self(Arc::new(Table {
            by_name: HashMap::from([(alice.name.clone(), alice)]),
            nobody: user("nobody", "nobody", b"")?,
        })))
    }

    /// Whose login this would be. Also for a name that nobody has, so that both take the same steps.
    pub(crate) fn owner(&self, name: &str) -> OwnerId {
        self.find(name).0.id.clone()
    }

    /// The user's name, if there is one and this is their password.
    pub(crate) async fn check(&self, name: &str, password: String) -> Option<String> {
        let (users, name) = (self.clone(), name.to_owned());
        // Off the threads that serve requests: Argon2 is slow on purpose.
        tokio::task::spawn_blocking(move || {
            let (user, known) = users.find(&name);
            let right = Argon2::default()
                .verify_password(password.as_bytes(), &user.hash)
                .is_ok();
            // After the work, and not before: how long it takes must not say whether the name is known.
            (known && right).then(|| user.name.clone())
        })
        .await
        .ok()
        .flatten()
    }

    fn find(&self, name: &str) -> (&User, bool) {
        match self.0.by_name.get(name) {
            Some(user) => (user, true),
            None => (&self.0.nobody, false),
        }
    }
}
