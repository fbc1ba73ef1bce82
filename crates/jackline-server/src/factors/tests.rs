//! Second factors over a real file, with a time that is handed in.

use totp_rs::{Builder, Secret as TotpSecret};

use super::*;
use crate::config::Secret;
use crate::passwords::PhcHash;
use crate::users::{NewUser, Role, SqliteUsers, Username};

struct Desk {
    _folder: tempfile::TempDir,
    users: Users,
    factors: Factors,
    bob: UserId,
}

const NOW: i64 = 1_800_000_015_000;
const STEP: i64 = 30_000;

fn secret(name: &str) -> Secret {
    Secret::parse(&format!("{name}: zqx-wvk-jhg-pdf-mnb-ytr-0123456789")).unwrap()
}

async fn add(users: &Users, name: &str) -> UserId {
    let hash = "$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
    let user = NewUser {
        username: Username::parse(name).unwrap(),
        role: Role::User,
        hash: PhcHash::parse(hash).unwrap(),
    };
    users.add(user, 0).await.unwrap().id
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let users = Users::new(
            SqliteUsers::open(folder.path().join("users.db"))
                .await
                .unwrap(),
        );
        Self {
            bob: add(&users, "bob").await,
            factors: Factors::new(users.clone(), Seals::new(&[secret("one")])),
            users,
            _folder: folder,
        }
    }

    async fn check(&self, code: &str, now_ms: i64) -> Option<Used> {
        let checked = self.factors.check_code(&self.bob, code, now_ms).await;
        checked.unwrap()
    }

    /// An app that has been confirmed with the code of now.
    async fn app(&self) -> App {
        let made = self
            .factors
            .enrol_totp(&self.bob, "bob", "Phone", NOW)
            .await
            .unwrap();
        let app = App::new(&made.secret);
        let code = app.code(NOW);
        let confirmed = self.factors.confirm_totp(&self.bob, &made.id, &code, NOW);
        assert!(confirmed.await.unwrap());
        app
    }
}

/// An authenticator app.
struct App(totp_rs::Totp);

impl App {
    fn new(secret: &str) -> Self {
        let secret = TotpSecret::try_from_base32(secret).unwrap();
        Self(Builder::new().with_secret(secret).build().unwrap())
    }

    fn code(&self, now_ms: i64) -> String {
        self.0.generate(now_ms as u64 / 1000).to_string()
    }
}

const RIGHT: Option<Used> = Some(Used::Totp);

// Proves: R2
#[tokio::test]
async fn an_app_counts_once_it_has_shown_a_code_and_not_before() {
    let desk = Desk::new().await;
    let enrol = async || {
        let made = desk.factors.enrol_totp(&desk.bob, "b:o b", "Phone", NOW);
        made.await.unwrap()
    };
    let made = enrol().await;
    assert_eq!(
        *made.uri,
        format!(
            "otpauth://totp/Jackline:b_o%20b?secret={}&issuer=Jackline",
            *made.secret
        )
    );
    assert_eq!(made.secret.len(), 32, "160 bits in base32");
    let app = App::new(&made.secret);
    assert_eq!(desk.factors.of(&desk.bob).await.unwrap(), Held::default());
    assert_eq!(desk.check(&app.code(NOW), NOW).await, None);

    let confirm =
        async |id: &str, code: &str, now| desk.factors.confirm_totp(&desk.bob, id, code, now).await;
    assert!(!confirm(&made.id, "000000", NOW).await.unwrap());
    let late = NOW + 15 * 60 * 1000 + 1;
    let gone = confirm(&made.id, &app.code(late), late).await;
    assert!(matches!(gone, Err(FactorError::Gone)));
    // The one that was not confirmed is forgotten.
    let again = enrol().await;
    assert_ne!(again.secret, made.secret);
    let gone = confirm(&made.id, &app.code(NOW), NOW).await;
    assert!(matches!(gone, Err(FactorError::Gone)));

    let app = App::new(&again.secret);
    let spaced = format!(" {} {}", &app.code(NOW)[..3], &app.code(NOW)[3..]);
    assert!(confirm(&again.id, &spaced, NOW).await.unwrap());
    let held = desk.factors.of(&desk.bob).await.unwrap();
    assert_eq!(held.kinds(), [Kind::Totp]);
    assert_eq!(held.factors[0].name, "Phone");
    assert_eq!(held.factors[0].last_used_ms, None);
    let again = confirm(&again.id, &app.code(NOW + STEP), NOW).await;
    assert!(matches!(again, Err(FactorError::Gone)), "once");
}

// Proves: R2
#[tokio::test]
async fn a_code_may_be_a_step_off_and_every_step_counts_once() {
    let desk = Desk::new().await;
    let app = desk.app().await;
    let at = |steps: i64| app.code(NOW + steps * STEP);
    assert_eq!(desk.check(&at(0), NOW).await, None, "it confirmed the app");
    assert_eq!(desk.check(&at(-1), NOW).await, None, "older than that");
    assert_eq!(desk.check(&at(2), NOW).await, None, "too early");
    assert_eq!(desk.check(&at(1), NOW).await, RIGHT);
    assert_eq!(desk.check(&at(1), NOW).await, None);
    assert_eq!(desk.check(&at(1), NOW + STEP).await, None);
    assert_eq!(desk.check(&at(2), NOW + 3 * STEP).await, RIGHT);
    assert_eq!(desk.check(&at(3), NOW + 5 * STEP).await, None, "too late");
    assert_eq!(desk.check(&at(5), NOW + 5 * STEP).await, RIGHT);
    assert_eq!(desk.check(&at(4), NOW + 5 * STEP).await, None);
    let held = desk.factors.of(&desk.bob).await.unwrap();
    assert_eq!(held.factors[0].last_used_ms, Some(NOW + 5 * STEP));
    for nonsense in ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"] {
        assert_eq!(desk.check(nonsense, NOW + 9 * STEP).await, None);
    }
}

// Proves: R2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_use_one_code_at_once_one_is_right() {
    let desk = Desk::new().await;
    let app = desk.app().await;
    let codes = desk
        .factors
        .new_recovery_codes(&desk.bob, NOW)
        .await
        .unwrap();
    for code in [app.code(NOW + STEP), codes[0].expose().to_owned()] {
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (factors, bob, code) = (desk.factors.clone(), desk.bob.clone(), code.clone());
            all.spawn(async move { factors.check_code(&bob, &code, NOW + STEP).await.unwrap() });
        }
        let right = all.join_all().await;
        assert_eq!(right.iter().flatten().count(), 1);
    }
    // Different ones at once are all right.
    let mut all = tokio::task::JoinSet::new();
    for code in &codes[1..] {
        let (factors, bob) = (desk.factors.clone(), desk.bob.clone());
        let code = code.expose().to_owned();
        all.spawn(async move { factors.check_code(&bob, &code, NOW).await.unwrap() });
    }
    assert_eq!(all.join_all().await.iter().flatten().count(), CODES - 1);
    assert_eq!(
        desk.factors.of(&desk.bob).await.unwrap().recovery_codes,
        Some(0)
    );
}

// Proves: R2, J6
#[tokio::test]
async fn recovery_codes_are_strange_each_counts_once_and_none_is_stored() {
    let desk = Desk::new().await;
    let codes = desk
        .factors
        .new_recovery_codes(&desk.bob, NOW)
        .await
        .unwrap();
    assert_eq!(codes.len(), 10);
    for code in &codes {
        let code = code.expose();
        assert_eq!(code.len(), 19, "16 characters of five bits, in four groups");
        assert_eq!(code.split('-').count(), 4);
    }
    let stored = desk.users.factors_of(&desk.bob).await.unwrap();
    for code in &codes {
        let plain = code.expose().replace('-', "");
        assert!(!stored[0].data.contains(&plain) && !stored[0].data.contains(code.expose()));
    }
    assert!(!format!("{codes:?} {stored:?}").contains(codes[0].expose()));

    let typed = codes[0].expose().to_uppercase().replace('-', " ");
    let typed = typed.replace('O', "0").replace('L', "1");
    assert_eq!(
        desk.check(&typed, NOW).await,
        Some(Used::Recovery { left: 9 })
    );
    assert_eq!(desk.check(codes[0].expose(), NOW).await, None);
    // The same code is nothing to somebody else.
    let carol = add(&desk.users, "carol").await;
    let hers = desk
        .factors
        .check_code(&carol, codes[1].expose(), NOW)
        .await;
    assert_eq!(hers.unwrap(), None);
    desk.factors
        .new_recovery_codes(&desk.bob, NOW)
        .await
        .unwrap();
    assert_eq!(desk.check(codes[1].expose(), NOW).await, None, "void");
    assert_eq!(
        desk.factors.of(&desk.bob).await.unwrap().recovery_codes,
        Some(10)
    );
}

// Proves: R2
#[tokio::test]
async fn with_the_last_factor_the_recovery_codes_go_and_who_must_keep_one_does() {
    let desk = Desk::new().await;
    desk.app().await;
    desk.factors
        .new_recovery_codes(&desk.bob, NOW)
        .await
        .unwrap();
    let id = desk.factors.of(&desk.bob).await.unwrap().factors[0]
        .id
        .clone();
    let remove = async |user: &UserId, id: &str, keep| desk.factors.remove(user, id, keep).await;
    let carol = add(&desk.users, "carol").await;
    let hers = remove(&carol, &id, false).await;
    assert!(matches!(hers, Err(FactorError::Gone)));
    let codes = format!("recovery-{}", desk.bob);
    let alone = remove(&desk.bob, &codes, false).await;
    assert!(matches!(alone, Err(FactorError::Gone)));
    let kept = remove(&desk.bob, &id, true).await;
    assert!(matches!(kept, Err(FactorError::Needed)));
    desk.factors
        .forget_codes_of_nothing(&desk.bob)
        .await
        .unwrap();
    assert_eq!(
        desk.factors.of(&desk.bob).await.unwrap().recovery_codes,
        Some(10)
    );
    assert_eq!(remove(&desk.bob, &id, false).await.unwrap(), Kind::Totp);
    // Until they are gone, they are asked for.
    assert!(desk.factors.of(&desk.bob).await.unwrap().asks_for_second());
    desk.factors
        .forget_codes_of_nothing(&desk.bob)
        .await
        .unwrap();
    assert_eq!(desk.factors.of(&desk.bob).await.unwrap(), Held::default());
}

// Proves: R2
#[tokio::test]
async fn a_user_has_as_many_apps_as_one_may_have() {
    let desk = Desk::new().await;
    for _ in 0..5 {
        desk.app().await;
    }
    let more = desk.factors.enrol_totp(&desk.bob, "bob", "x", NOW).await;
    assert!(matches!(more, Err(FactorError::TooMany)));
}

// Proves: R2, J6
#[tokio::test]
async fn a_new_signing_secret_locks_nobody_out_and_the_old_one_can_go() {
    let desk = Desk::new().await;
    let app = desk.app().await;
    let stored = desk.users.factors_of(&desk.bob).await.unwrap();
    assert!(!stored[0].data.contains(&app.0.secret().to_base32()));
    let with = |secrets: &[Secret]| Factors::new(desk.users.clone(), Seals::new(secrets));
    let at = |steps: i64| NOW + steps * STEP;
    let rotated = with(&[secret("two"), secret("one")]);
    let check = async |factors: &Factors, steps| {
        let now = at(steps);
        factors.check_code(&desk.bob, &app.code(now), now).await
    };
    assert_eq!(check(&rotated, 1).await.unwrap(), RIGHT);
    // Nobody has used it in between.
    assert_eq!(rotated.seal_anew().await.unwrap(), (1, 0));
    assert_eq!(rotated.seal_anew().await.unwrap(), (0, 0));
    let alone = with(&[secret("two")]);
    assert_eq!(check(&alone, 1).await.unwrap(), None, "used before");
    assert_eq!(check(&alone, 2).await.unwrap(), RIGHT);
    let forgetful = with(&[secret("three")]);
    assert_eq!(forgetful.seal_anew().await.unwrap(), (0, 1));
    let unsealable = check(&forgetful, 3).await;
    assert!(matches!(unsealable, Err(FactorError::Unsealable)));
}

// Proves: R2
#[tokio::test]
async fn a_passkeys_question_is_for_one_purpose_one_answer_and_five_minutes() {
    use jackline::cookie::{Keyring, SigningKey};
    use jackline::engine::{Engine, Environment, Incoming};
    use jackline::store::memory::MemoryStore;

    let key = SigningKey::new("zqx-wvk-jhg-pdf-mnb-ytr-0123456789").unwrap();
    let engine = Engine::builder(MemoryStore::new(), Keyring::new(key))
        .environment(Environment::Development)
        .build()
        .unwrap();
    let (method, uri) = (axum::http::Method::POST, axum::http::Uri::from_static("/"));
    let headers = axum::http::HeaderMap::new();
    let incoming = Incoming {
        method: &method,
        uri: &uri,
        headers: &headers,
        connection: Some(jackline::engine::Connection {
            peer: [127, 0, 0, 1].into(),
            scheme: jackline::proxy::Scheme::Http,
        }),
    };
    let session = engine.open(&incoming).load().await.unwrap();
    let keep = async || {
        let origin = "https://app.example.com".to_owned();
        let kept = Ceremony::keep(&session, Purpose::SignIn, origin, &"state", NOW);
        kept.await.unwrap();
    };
    let take = async |purpose, after| {
        let taken = Ceremony::take(&session, purpose, NOW + after).await;
        taken.unwrap().and_then(|asked| asked.state::<String>())
    };
    let minutes = 60 * 1000;
    assert_eq!(take(Purpose::SignIn, 0).await, None);
    keep().await;
    assert_eq!(
        take(Purpose::SignIn, 5 * minutes).await.as_deref(),
        Some("state")
    );
    assert_eq!(take(Purpose::SignIn, 0).await, None, "once");
    for (purpose, after) in [
        (Purpose::StepUp, 0),
        (Purpose::SecondFactor, 0),
        (Purpose::Registration, 0),
        (Purpose::SignIn, 5 * minutes + 1),
        (Purpose::SignIn, -1),
    ] {
        keep().await;
        assert_eq!(take(purpose, after).await, None, "{purpose:?}");
        assert_eq!(take(Purpose::SignIn, 0).await, None, "it is gone by that");
    }
    // Whoever else has taken it meanwhile has counted.
    keep().await;
    session.increment("jackline:passkey-turn", 1).await.unwrap();
    assert_eq!(take(Purpose::SignIn, 0).await, None);
    // The last question is the one that counts; and what is no question is none.
    keep().await;
    keep().await;
    assert!(take(Purpose::SignIn, 0).await.is_some());
    session.insert("jackline:passkey", "planted").unwrap();
    assert_eq!(take(Purpose::SignIn, 0).await, None);
}

#[test]
fn what_a_factor_is_called_is_cut_to_what_can_be_shown() {
    assert_eq!(name_of(None, "Passkey"), "Passkey");
    assert_eq!(name_of(Some(" \n "), "Passkey"), "Passkey");
    assert_eq!(name_of(Some(" My\u{0} phone\n"), "Passkey"), "My phone");
    assert_eq!(name_of(Some(&"ä".repeat(99)), "x"), "ä".repeat(64));
}
