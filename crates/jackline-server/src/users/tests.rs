//! Users through their public face, in each kind of database, each test with one of its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use jackline::postgres::{PostgresOpenError, PostgresOptions};
use testkit::postgres::PostgresServer;

use super::*;

/// Any hash that parses: nothing here checks passwords.
fn hash(n: u32) -> PhcHash {
    PhcHash::parse(&format!(
        "$argon2id$v=19$m=16,t={n},p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"
    ))
    .unwrap()
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        username: Username::parse(name).unwrap(),
        role: Role::User,
        hash: hash(1),
    }
}

/// A file.
struct InSqlite {
    folder: tempfile::TempDir,
}

impl InSqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE_NAME)
    }

    async fn open(&self) -> Users {
        Users::new(SqliteUsers::open(self.file()).await.unwrap())
    }

    fn execute(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.file()).unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

/// A database of a server that tests share.
struct InPostgres {
    _server: Arc<PostgresServer>,
    url: String,
}

impl InPostgres {
    async fn new() -> Self {
        let server = PostgresServer::shared().await;
        let url = server.new_database().await;
        Self {
            _server: server,
            url,
        }
    }

    async fn try_open(&self) -> Result<Users, PostgresOpenError> {
        let patient = PostgresOptions::default()
            .response_timeout(Duration::from_secs(10))
            .connection_timeout(Duration::from_secs(10));
        let url = self.url.parse()?;
        Ok(Users::new(PostgresUsers::connect(&url, patient).await?))
    }

    async fn open(&self) -> Users {
        self.try_open().await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        let client = testkit::postgres::client(&self.url).await;
        client.batch_execute(sql).await.unwrap();
    }
}

/// Runs a test on users in each kind of database.
async fn on_each(test: impl AsyncFn(Users)) {
    test(InSqlite::new().open().await).await;
    let postgres = InPostgres::new().await;
    test(postgres.open().await).await;
}

// Proves: T6.1, T6.3
#[tokio::test]
async fn a_user_is_found_in_any_letter_case_and_keeps_its_own() {
    on_each(async |users| {
        let added = users.add(new_user("Élodie"), 17).await.unwrap();
        assert_eq!(added.id.as_str().len(), "user-".len() + 16);
        for name in ["Élodie", "élodie", " ÉLODIE\n"] {
            assert_eq!(
                users.find_id(name).await.unwrap().as_ref(),
                Some(&added.id),
                "{name}"
            );
        }
        assert_eq!(users.find_id("elodie").await.unwrap(), None);
        let credentials = users.credentials(&added.id).await.unwrap().unwrap();
        assert_eq!(credentials.username.as_str(), "Élodie");
        assert_eq!((credentials.disabled, credentials.hash), (false, hash(1)));
        assert_eq!(users.by_id(&added.id).await.unwrap(), Some(added));
    })
    .await;
}

#[tokio::test]
async fn users_are_searched_by_how_their_names_begin_page_by_page() {
    on_each(async |users| {
        let names = async |begins: &str, after: &str| {
            let (found, next) = users.search(begins, after).await.unwrap();
            let names: Vec<_> = found
                .iter()
                .map(|user| user.username.as_str().to_owned())
                .collect();
            (names, next)
        };
        assert_eq!(names("", "").await, (Vec::new(), None));
        for name in ["Zoë", "ann", "Anna", "anne_b", "an%", "bob", "ÄNNE"] {
            users.add(new_user(name), 1).await.unwrap();
        }
        assert_eq!(names("ann", "").await.0, ["ann", "Anna", "anne_b"]);
        assert_eq!(names("ANN", "ann").await.0, ["Anna", "anne_b"]);
        assert_eq!(names("an%", "").await.0, ["an%"], "not a pattern");
        assert_eq!(names("anne_", "").await.0, ["anne_b"]);
        assert_eq!(names("zo", "").await.0, ["Zoë"]);
        assert_eq!(names("än", "").await.0, ["ÄNNE"]);
        assert_eq!(names("nobody", "").await.0, [""; 0]);
        let long = "x".repeat(1_000_000);
        for odd in ["a\0", "\u{10FFFF}", "'; DROP TABLE users; --", &long] {
            assert_eq!(names(odd, "").await.0, [""; 0]);
            names("", odd).await;
        }
        for n in 0..120 {
            users
                .add(new_user(&format!("many-{n:03}")), 1)
                .await
                .unwrap();
        }
        let (mut all, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (found, next) = names("many-", &after).await;
            assert!(found.len() <= 50);
            all.extend(found);
            pages += 1;
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(pages, 3);
        let each: Vec<_> = (0..120).map(|n| format!("many-{n:03}")).collect();
        assert_eq!(all, each);
    })
    .await;
}

// Proves: S7
#[tokio::test]
async fn names_that_cannot_be_are_nobodys() {
    on_each(async |users| {
        for name in [
            "",
            " ",
            "a\0b",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "x' OR 1=1 --",
            &"x".repeat(1_000_000),
        ] {
            assert_eq!(users.find_id(name).await.unwrap(), None);
        }
        assert!(Username::parse(&"é".repeat(128)).is_ok());
        assert_eq!(Username::parse(&"é".repeat(129)), Err(InvalidUsername));
    })
    .await;
}

// Proves: T6.1
#[tokio::test]
async fn a_name_is_taken_in_every_letter_case() {
    on_each(async |users| {
        users.add(new_user("bob"), 0).await.unwrap();
        let again = users.add(new_user("BOB"), 0).await;
        assert!(matches!(again, Err(UsersError::NameTaken)));
        assert_eq!(users.list().await.unwrap().len(), 1);
    })
    .await;
}

// Proves: S34
#[tokio::test]
async fn disabling_shows_in_another_process_at_once_and_survives() {
    let (sqlite, postgres) = (InSqlite::new(), InPostgres::new().await);
    for (users, server) in [
        (sqlite.open().await, sqlite.open().await),
        (postgres.open().await, postgres.open().await),
    ] {
        let bob = users.add(new_user("bob"), 0).await.unwrap();
        assert!(!server.credentials(&bob.id).await.unwrap().unwrap().disabled);
        assert!(users.set_disabled(&bob.id, true).await.unwrap());
        assert!(server.credentials(&bob.id).await.unwrap().unwrap().disabled);
        assert!(users.set_disabled(&bob.id, false).await.unwrap());
        assert!(!server.credentials(&bob.id).await.unwrap().unwrap().disabled);
    }
}

// Proves: R1
#[tokio::test]
async fn a_refreshed_hash_never_undoes_a_new_password() {
    on_each(async |users| {
        let bob = users.add(new_user("bob"), 1).await.unwrap();
        assert!(users.refresh_hash(&bob.id, hash(1), hash(2)).await.unwrap());
        assert!(users.set_password(&bob.id, hash(3), 9).await.unwrap());
        assert!(!users.refresh_hash(&bob.id, hash(2), hash(4)).await.unwrap());
        let credentials = users.credentials(&bob.id).await.unwrap().unwrap();
        assert_eq!(credentials.hash, hash(3));
        assert_eq!(
            users
                .by_id(&bob.id)
                .await
                .unwrap()
                .unwrap()
                .password_changed_ms,
            9
        );
    })
    .await;
}

// Proves: S34
#[tokio::test]
async fn nobody_is_changed_by_an_id_that_does_not_exist() {
    on_each(async |users| {
        let nobody = UserId::stored("user-nobody".to_owned());
        assert!(!users.set_password(&nobody, hash(1), 0).await.unwrap());
        assert!(!users.set_disabled(&nobody, true).await.unwrap());
        assert!(!users.refresh_hash(&nobody, hash(1), hash(2)).await.unwrap());
        assert_eq!(users.by_id(&nobody).await.unwrap(), None);
        assert_eq!(users.credentials(&nobody).await.unwrap(), None);
    })
    .await;
}

// Proves: T6.3
#[tokio::test]
async fn the_demo_user_is_added_once_and_removed_while_its_password_is_public() {
    on_each(async |users| {
        assert!(users.lacks_demo_user().await.unwrap());
        users.ensure_demo_user(hash(1), 5).await.unwrap();
        users.ensure_demo_user(hash(2), 6).await.unwrap();
        assert!(!users.lacks_demo_user().await.unwrap());
        let id = users.find_id("alice").await.unwrap().unwrap();
        assert_eq!(id.as_str(), "user-1001");
        assert_eq!(users.credentials(&id).await.unwrap().unwrap().hash, hash(1));
        assert_eq!(users.demo_user().await.unwrap(), Some(id.clone()));
        let production = users.clone().without_demo_user();
        assert!(production.credentials(&id).await.unwrap().is_none());
        assert_eq!(users.remove_demo_user().await.unwrap(), Some(id));
        assert_eq!(users.remove_demo_user().await.unwrap(), None);
        assert_eq!(users.demo_user().await.unwrap(), None);
        assert_eq!(users.find_id("alice").await.unwrap(), None);
    })
    .await;
}

// Proves: T6.3
#[tokio::test]
async fn a_demo_user_with_a_password_of_its_own_stays() {
    on_each(async |users| {
        users.ensure_demo_user(hash(1), 5).await.unwrap();
        let id = users.find_id("alice").await.unwrap().unwrap();
        users.set_password(&id, hash(2), 6).await.unwrap();
        assert_eq!(users.remove_demo_user().await.unwrap(), None);
        assert_eq!(users.list().await.unwrap().len(), 1);
    })
    .await;
}

// Proves: T6.3
#[tokio::test]
async fn a_real_alice_is_not_replaced_by_the_demo() {
    on_each(async |users| {
        let alice = users.add(new_user("Alice"), 0).await.unwrap();
        users.ensure_demo_user(hash(7), 5).await.unwrap();
        assert_eq!(
            users.find_id("alice").await.unwrap(),
            Some(alice.id.clone())
        );
        assert_eq!(
            users.credentials(&alice.id).await.unwrap().unwrap().hash,
            hash(1)
        );
        assert_eq!(users.remove_demo_user().await.unwrap(), None);
    })
    .await;
}

// Proves: J6
#[tokio::test]
async fn all_files_are_readable_by_their_owner_only() {
    let sqlite = InSqlite::new();
    let users = sqlite.open().await;
    users.add(new_user("bob"), 0).await.unwrap();
    let mut files = 0;
    for entry in sqlite.folder.path().read_dir().unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        files += 1;
    }
    assert!(files >= 2, "the write-ahead log too");
    let file = sqlite.file();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    sqlite.open().await;
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

// Proves: T5.2
#[tokio::test(flavor = "multi_thread")]
async fn programs_that_open_new_users_at_once_all_succeed() {
    let sqlite = Arc::new(InSqlite::new());
    let postgres = Arc::new(InPostgres::new().await);
    let opening: Vec<_> = (0..10)
        .map(|n| {
            let (sqlite, postgres) = (Arc::clone(&sqlite), Arc::clone(&postgres));
            tokio::spawn(async move {
                for users in [sqlite.open().await, postgres.open().await] {
                    users.add(new_user(&format!("user {n}")), n).await.unwrap();
                }
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap();
    }
    for users in [sqlite.open().await, postgres.open().await] {
        assert_eq!(users.list().await.unwrap().len(), 10);
    }
}

// Proves: S79
#[tokio::test]
async fn users_of_a_later_version_are_refused() {
    let sqlite = InSqlite::new();
    sqlite.open().await;
    sqlite.execute("PRAGMA user_version = 3");
    let reopened = SqliteUsers::open(sqlite.file()).await;
    assert!(matches!(
        reopened,
        Err(UsersError::TooNew { found: 3, known: 2 })
    ));

    let postgres = InPostgres::new().await;
    postgres.open().await;
    postgres
        .execute("INSERT INTO jackline_users.jackline_migrations (version) VALUES (3)")
        .await;
    let reopened = postgres.try_open().await;
    assert!(matches!(
        reopened,
        Err(PostgresOpenError::TooNew { found: 3, .. })
    ));
}

// Proves: S79, S78
#[tokio::test]
async fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
    let (sqlite, postgres) = (InSqlite::new(), InPostgres::new().await);
    for users in [sqlite.open().await, postgres.open().await] {
        let bob = users.add(new_user("bob"), 0).await.unwrap();
        sqlite.execute("UPDATE users SET password_hash = 'zqzq'");
        let damage = "UPDATE jackline_users.users SET password_hash = 'zqzq'";
        postgres.execute(damage).await;
        let error = users.credentials(&bob.id).await.unwrap_err();
        assert!(matches!(
            error,
            UsersError::Corrupt {
                column: "password_hash"
            }
        ));
        assert!(!format!("{error:?} {error}").contains("zqzq"));
        let stored = users.table.find(By::Id(bob.id.as_str())).await.unwrap();
        assert!(!format!("{stored:?}").contains("zqzq"));
    }
}

// Proves: S35, J4
#[tokio::test]
async fn a_password_is_changed_only_while_it_is_the_one_that_was_checked() {
    on_each(async |users| {
        let bob = users.add(new_user("bob"), 1).await.unwrap();
        let change = async |old, new| users.change_password(&bob.id, old, new, 9).await.unwrap();
        assert!(!change(hash(2), hash(3)).await);
        assert!(change(hash(1), hash(2)).await);
        assert!(!change(hash(1), hash(4)).await);
        let credentials = users.credentials(&bob.id).await.unwrap().unwrap();
        assert_eq!(credentials.hash, hash(2));
    })
    .await;
}

// Proves: S79
#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    std::fs::write(
        &file,
        "this is not a database, however long it is ".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        SqliteUsers::open(file).await,
        Err(UsersError::Unavailable { .. })
    ));
}

fn factor(user: &User, id: &str) -> StoredFactor {
    StoredFactor {
        id: id.to_owned(),
        user: user.id.clone(),
        kind: "totp".to_owned(),
        name: "télé \"phone\"'; --".to_owned(),
        data: r#"{"key":"new","a":"zqzq"}"#.to_owned(),
        version: 0,
        created_ms: 5,
        last_used_ms: None,
    }
}

// Proves: R2
#[tokio::test]
async fn factors_are_kept_and_found_by_owner_and_by_id_and_are_nobody_elses() {
    on_each(async |users| {
        let bob = users.add(new_user("bob"), 0).await.unwrap();
        let carol = users.add(new_user("carol"), 0).await.unwrap();
        let later = StoredFactor {
            created_ms: 9,
            last_used_ms: Some(10),
            ..factor(&bob, "a")
        };
        let first = factor(&bob, "b");
        for each in [&later, &first] {
            assert!(users.add_factor(each).await.unwrap());
        }
        assert_eq!(
            users.factors_of(&bob.id).await.unwrap(),
            [first.clone(), later.clone()]
        );
        assert_eq!(users.factors_of(&carol.id).await.unwrap(), []);
        assert_eq!(users.find_factor("a").await.unwrap(), Some(later));
        assert_eq!(users.find_factor("c").await.unwrap(), None);
        assert!(
            !users.add_factor(&factor(&carol, "a")).await.unwrap(),
            "one credential is one user's"
        );
        assert!(!users.remove_factor(&carol.id, "a").await.unwrap());
        assert!(users.remove_factor(&bob.id, "a").await.unwrap());
        assert!(!users.remove_factor(&bob.id, "a").await.unwrap());
        assert_eq!(users.factors_of(&bob.id).await.unwrap(), [first]);
        let nobody = StoredFactor {
            user: UserId::nobody(),
            ..factor(&bob, "c")
        };
        assert!(!users.add_factor(&nobody).await.unwrap());
        assert!(!format!("{nobody:?}").contains("zqzq"));
    })
    .await;
}

// Proves: R2
#[tokio::test]
async fn of_changes_to_one_factor_that_was_read_at_once_one_comes_through() {
    on_each(async |users| {
        let bob = users.add(new_user("bob"), 0).await.unwrap();
        let read = factor(&bob, "a");
        users.add_factor(&read).await.unwrap();
        let mut changes = tokio::task::JoinSet::new();
        for n in 0..20 {
            let (users, read) = (users.clone(), read.clone());
            changes.spawn(async move {
                users
                    .change_factor(&read, format!("{n}"), Some(n))
                    .await
                    .unwrap()
            });
        }
        let changed = changes.join_all().await;
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
        let now = users.find_factor("a").await.unwrap().unwrap();
        assert_eq!(now.version, 1);
        assert_eq!(now.last_used_ms.unwrap().to_string(), now.data);
        // A change that is no use leaves the time of the last one.
        assert!(users.change_factor(&now, "x".into(), None).await.unwrap());
        let after = users.find_factor("a").await.unwrap().unwrap();
        assert_eq!(after.last_used_ms, now.last_used_ms);
        assert!(!users.change_factor(&now, "y".into(), None).await.unwrap());
    })
    .await;
}

// Proves: R2, T6.3
#[tokio::test]
async fn the_demo_users_factors_go_with_the_demo_user() {
    on_each(async |users| {
        users.ensure_demo_user(hash(1), 5).await.unwrap();
        let id = users.find_id("alice").await.unwrap().unwrap();
        let demo = users.by_id(&id).await.unwrap().unwrap();
        assert!(users.add_factor(&factor(&demo, "a")).await.unwrap());
        users.remove_demo_user().await.unwrap();
        assert_eq!(users.find_factor("a").await.unwrap(), None);
    })
    .await;
}

// Proves: R2
#[tokio::test]
async fn factors_whose_data_begins_otherwise_are_found_page_by_page() {
    on_each(async |users| {
        let bob = users.add(new_user("bob"), 0).await.unwrap();
        for n in 0..150 {
            let mut each = factor(&bob, &format!("{n:03}"));
            if n % 3 == 0 {
                // What is a pattern elsewhere is text here.
                each.data = r#"{"key":"_%w"}"#.to_owned();
            }
            assert!(users.add_factor(&each).await.unwrap());
        }
        let beginning = r#"{"key":"_%w""#;
        let page = users.factors_unlike("totp", beginning, "").await.unwrap();
        assert_eq!(page.len(), 100);
        let last = &page[99].id;
        let rest = users
            .factors_unlike("totp", "{\"key\":\"new\"", last)
            .await
            .unwrap();
        assert!(
            rest.iter()
                .all(|each| each.id.parse::<u32>().unwrap() % 3 == 0)
        );
        assert_eq!(last, "149");
        let none = users.factors_unlike("passkey", "", "").await.unwrap();
        assert_eq!(none, []);
    })
    .await;
}
