//! Users through their public face, each test with a file of its own.

use std::os::unix::fs::PermissionsExt;

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

async fn users() -> (tempfile::TempDir, Users) {
    let folder = tempfile::tempdir().unwrap();
    let users = Users::open(folder.path().join(FILE_NAME)).await.unwrap();
    (folder, users)
}

// Proves: T6.1, T6.3
#[tokio::test]
async fn a_user_is_found_in_any_letter_case_and_keeps_its_own() {
    let (_folder, users) = users().await;
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
}

// Proves: S7
#[tokio::test]
async fn names_that_cannot_be_are_nobodys() {
    let (_folder, users) = users().await;
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
}

// Proves: T6.1
#[tokio::test]
async fn a_name_is_taken_in_every_letter_case() {
    let (_folder, users) = users().await;
    users.add(new_user("bob"), 0).await.unwrap();
    let again = users.add(new_user("BOB"), 0).await;
    assert!(matches!(again, Err(UsersError::NameTaken)));
    assert_eq!(users.list().await.unwrap().len(), 1);
}

// Proves: S34
#[tokio::test]
async fn disabling_shows_in_another_process_at_once_and_survives() {
    let (folder, users) = users().await;
    let bob = users.add(new_user("bob"), 0).await.unwrap();
    let server = Users::open(folder.path().join(FILE_NAME)).await.unwrap();
    assert!(!server.credentials(&bob.id).await.unwrap().unwrap().disabled);
    assert!(users.set_disabled(&bob.id, true).await.unwrap());
    assert!(server.credentials(&bob.id).await.unwrap().unwrap().disabled);
    assert!(users.set_disabled(&bob.id, false).await.unwrap());
    assert!(!server.credentials(&bob.id).await.unwrap().unwrap().disabled);
}

// Proves: R1
#[tokio::test]
async fn a_refreshed_hash_never_undoes_a_new_password() {
    let (_folder, users) = users().await;
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
}

// Proves: S34
#[tokio::test]
async fn nobody_is_changed_by_an_id_that_does_not_exist() {
    let (_folder, users) = users().await;
    let nobody = UserId::stored("user-nobody".to_owned());
    assert!(!users.set_password(&nobody, hash(1), 0).await.unwrap());
    assert!(!users.set_disabled(&nobody, true).await.unwrap());
    assert!(!users.refresh_hash(&nobody, hash(1), hash(2)).await.unwrap());
    assert_eq!(users.by_id(&nobody).await.unwrap(), None);
    assert_eq!(users.credentials(&nobody).await.unwrap(), None);
}

// Proves: T6.3
#[tokio::test]
async fn the_demo_user_is_added_once_and_removed_while_its_password_is_public() {
    let (_folder, users) = users().await;
    assert!(users.lacks_demo_user().await.unwrap());
    users.ensure_demo_user(hash(1), 5).await.unwrap();
    users.ensure_demo_user(hash(2), 6).await.unwrap();
    assert!(!users.lacks_demo_user().await.unwrap());
    let id = users.find_id("alice").await.unwrap().unwrap();
    assert_eq!(id.as_str(), "user-1001");
    assert_eq!(users.credentials(&id).await.unwrap().unwrap().hash, hash(1));
    assert_eq!(users.remove_demo_user().await.unwrap(), Some(id));
    assert_eq!(users.remove_demo_user().await.unwrap(), None);
    assert_eq!(users.find_id("alice").await.unwrap(), None);
}

// Proves: T6.3
#[tokio::test]
async fn a_demo_user_with_a_password_of_its_own_stays() {
    let (_folder, users) = users().await;
    users.ensure_demo_user(hash(1), 5).await.unwrap();
    let id = users.find_id("alice").await.unwrap().unwrap();
    users.set_password(&id, hash(2), 6).await.unwrap();
    assert_eq!(users.remove_demo_user().await.unwrap(), None);
    assert_eq!(users.list().await.unwrap().len(), 1);
}

// Proves: T6.3
#[tokio::test]
async fn a_real_alice_is_not_replaced_by_the_demo() {
    let (_folder, users) = users().await;
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
}

// Proves: J6
#[tokio::test]
async fn all_files_are_readable_by_their_owner_only() {
    let (folder, users) = users().await;
    users.add(new_user("bob"), 0).await.unwrap();
    let mut files = 0;
    for entry in folder.path().read_dir().unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        files += 1;
    }
    assert!(files >= 2, "the write-ahead log too");
    let file = folder.path().join(FILE_NAME);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    Users::open(&file).await.unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

// Proves: T5.2
#[tokio::test(flavor = "multi_thread")]
async fn programs_that_open_a_new_file_at_once_all_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    let opening: Vec<_> = (0..8)
        .map(|n| {
            let file = file.clone();
            tokio::spawn(async move {
                let users = Users::open(file).await.unwrap();
                users.add(new_user(&format!("user {n}")), n).await.unwrap();
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap();
    }
    let users = Users::open(file).await.unwrap();
    assert_eq!(users.list().await.unwrap().len(), 8);
}

// Proves: S79
#[tokio::test]
async fn a_file_of_a_later_version_is_refused() {
    let (folder, users) = users().await;
    users
        .run("raise the version", |connection| {
            connection.pragma_update(None, "user_version", 2)
        })
        .await
        .unwrap();
    let reopened = Users::open(folder.path().join(FILE_NAME)).await;
    assert!(matches!(
        reopened,
        Err(UsersError::TooNew { found: 2, known: 1 })
    ));
}

// Proves: S79, S78
#[tokio::test]
async fn a_damaged_hash_is_an_error_and_not_a_wrong_password() {
    let (_folder, users) = users().await;
    let bob = users.add(new_user("bob"), 0).await.unwrap();
    users
        .run("damage a hash", |connection| {
            connection.execute("UPDATE users SET password_hash = 'zqzq'", [])
        })
        .await
        .unwrap();
    let error = users.credentials(&bob.id).await.unwrap_err();
    assert!(matches!(
        error,
        UsersError::Corrupt {
            column: "password_hash"
        }
    ));
    assert!(!format!("{error:?} {error}").contains("zqzq"));
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
        Users::open(file).await,
        Err(UsersError::Unavailable { .. })
    ));
}
