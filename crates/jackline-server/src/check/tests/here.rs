//! What the settings, the folder and the store say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use axum::http::{HeaderMap, StatusCode};
use jackline::engine::Incoming;

use crate::check::settings::{self, Around};
use crate::check::{Look, Report, Seen, Target};
use crate::config::{self, Environment};
use crate::{clock, sessions};

const SECRET: &str = "6f2ac91d7e5b40388d1c2b9a0f3e4d57a1";
const OTHER_SECRET: &str = "c0ffee5b7e40388d1c2b9a0f3e4d576f2ac91d";

/// A folder with settings in it, and an environment.
struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, String)>,
}

impl Place {
    fn new(settings: &[(&'static str, &str)]) -> Self {
        // Not where the environment says: whether others get in must depend on nothing but the folder itself.
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut place = Self {
            folder,
            environment: Vec::new(),
        };
        let data = place.path().join("data").display().to_string();
        place.set("JACKLINE_DATA_DIR", &data);
        // Nobody answers there.
        place.set("PORT", &testkit::free_port().to_string());
        for (name, value) in settings {
            place.set(name, value);
        }
        place
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    fn environment(&self) -> Environment {
        Environment::from_iter(self.environment.clone())
    }

    fn config(&self) -> config::Config {
        config::load(self.environment(), self.path(), None).unwrap()
    }

    async fn check(&self) -> Report {
        self.check_at(None, clock::now_ms()).await
    }

    async fn check_at(&self, url: Option<Target>, now_ms: i64) -> Report {
        let files = config::files(&self.environment(), self.path(), None);
        let config = config::load(self.environment(), self.path(), None);
        let look = Look {
            folder: self.path(),
            files: &files,
            config: &config,
            now_ms,
        };
        let report = look.at(url, None).await.unwrap();
        let text = report.to_string();
        assert!(
            !text.contains(SECRET) && !text.contains(OTHER_SECRET),
            "{text}"
        );
        report
    }

    fn git(&self, arguments: &[&str]) {
        let done = Command::new("git")
            .arg("-C")
            .arg(self.path())
            .args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.org",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

fn wrong(report: &Report) -> Vec<(&'static str, String)> {
    let findings = report.findings();
    findings
        .map(|(topic, finding)| (topic.number, finding.what.clone()))
        .collect()
}

fn numbers(report: &Report) -> Vec<&'static str> {
    report.findings().map(|(topic, _)| topic.number).collect()
}

// Proves: P2, P3, P4, P5, P7, D3, D7, J11
#[tokio::test]
async fn each_mistake_of_the_settings_stands_under_its_number() {
    let place = Place::new(&[
        ("JACKLINE_ENV", "production"),
        ("SESSION_SECRET", "keyboard cat"),
        ("JACKLINE_STORE", "memory"),
        ("JACKLINE_COOKIE_SECURE", "false"),
        ("JACKLINE_COOKIE_NAME", "__hOsT-sid"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "none"),
        ("DATABASE_URL", "mysql://app:hunter2hunter2@db/app"),
        ("JACKLINE_IDEL_TIMEOUT", "30m"),
    ]);
    let report = place.check().await;
    assert_eq!(
        numbers(&report),
        ["J11", "P2", "P3", "P4", "P5", "P7", "D3", "D7", "D7"],
        "{report}"
    );
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

// Proves: P5
#[tokio::test]
async fn a_secret_that_git_has_is_found_wherever_it_stands() {
    let place = Place::new(&[]);
    place.git(&["init"]);
    place.write(".env", &format!("SESSION_SECRET={SECRET}\n"));
    place.write("README.md", "hello\n");
    place.git(&["add", "README.md"]);
    place.git(&["commit", "-m", "sound"]);
    let report = place.check().await;
    assert_eq!(numbers(&report), [""; 0], "{report}");
    assert!(
        report.to_string().contains("set, and not in git"),
        "{report}"
    );

    place.git(&["add", ".env"]);
    place.git(&["commit", "-m", "the settings themselves"]);
    let report = place.check().await;
    assert_eq!(numbers(&report), ["P5"]);
    assert!(report.to_string().contains("git rm --cached"), "{report}");

    place.git(&["rm", "--cached", ".env"]);
    place.git(&["commit", "-m", "taken away, and still in the past"]);
    let found = wrong(&place.check().await);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].1.contains("was committed, in"), "{found:?}");

    place.write(".env", &format!("SESSION_SECRET={OTHER_SECRET}\n"));
    assert_eq!(numbers(&place.check().await), [""; 0]);

    place.write(
        "compose.yml",
        &format!("environment:\n  SESSION_SECRET: {OTHER_SECRET}\n"),
    );
    place.git(&["add", "compose.yml"]);
    let found = wrong(&place.check().await);
    assert_eq!(found[0].0, "P5", "{found:?}");
    assert!(found[0].1.contains("compose.yml"), "{found:?}");
}

// Proves: P5
#[tokio::test]
async fn a_secret_that_every_user_of_the_machine_can_read_is_found() {
    let place = Place::new(&[]);
    place.write(".env", &format!("SESSION_SECRET={SECRET}\n"));
    let allow =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&place.path().join(".env"), 0o644);
    // Nobody gets into the folder.
    assert_eq!(numbers(&place.check().await), [""; 0]);
    allow(place.path(), 0o755);
    let report = place.check().await;
    assert_eq!(numbers(&report), ["P5"]);
    assert!(report.to_string().contains("chmod 600"), "{report}");
    allow(&place.path().join(".env"), 0o640);
    assert_eq!(numbers(&place.check().await), [""; 0]);
}

// Proves: P5
#[tokio::test]
async fn a_certificates_key_that_every_user_of_the_machine_can_read_is_found() {
    let mut place = Place::new(&[]);
    place.write("app.pem", "");
    place.write("app.key", "");
    let (certificate, key) = (place.path().join("app.pem"), place.path().join("app.key"));
    place.set("JACKLINE_TLS_CERT_FILE", certificate.to_str().unwrap());
    place.set("JACKLINE_TLS_KEY_FILE", key.to_str().unwrap());
    let allow =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(place.path(), 0o755);
    allow(&key, 0o644);
    let report = place.check().await;
    assert_eq!(numbers(&report), ["P5"]);
    assert!(report.to_string().contains("app.key"), "{report}");
    allow(&key, 0o600);
    assert_eq!(numbers(&place.check().await), [""; 0]);
}

// Proves: D6
#[tokio::test]
async fn a_kept_secret_that_was_lost_beside_its_sessions_is_found() {
    let place = Place::new(&[]);
    assert_eq!(numbers(&place.check().await), [""; 0]);
    assert!(!place.path().join("data").exists(), "a check makes nothing");

    sessions::engine(&place.config()).await.unwrap();
    assert_eq!(numbers(&place.check().await), [""; 0]);
    fs::remove_file(place.path().join("data/session-secret")).unwrap();
    assert_eq!(numbers(&place.check().await), ["D6"]);
    assert!(!place.path().join("data/session-secret").exists());
}

/// The value of a cookie that an engine with these settings sets.
async fn cookie_of(config: &config::Config) -> String {
    let engine = sessions::engine(config).await.unwrap();
    let (method, uri, headers) = Default::default();
    let incoming = Incoming {
        method: &method,
        uri: &uri,
        headers: &headers,
        connection: None,
    };
    let visitor = engine.open(&incoming);
    visitor.load().await.unwrap().insert("views", &1).unwrap();
    let mut headers = HeaderMap::new();
    let changes = engine.finish(&visitor, StatusCode::OK).await;
    changes.apply(&mut headers);
    let line = headers["set-cookie"].to_str().unwrap();
    let (_, value) = line.split(';').next().unwrap().split_once('=').unwrap();
    value.to_owned()
}

// Proves: P2, D6, J11
#[tokio::test]
async fn development_settings_at_an_https_address_are_found_by_the_servers_own_cookie() {
    let place = Place::new(&[("JACKLINE_STORE", "memory")]);
    let config = place.config();
    let ours = cookie_of(&config).await;
    let theirs = cookie_of(&Place::new(&[]).config()).await;
    for (cookie, expected) in [(ours, &["J11", "P2"][..]), (theirs, &[])] {
        let seen = Seen {
            answered: true,
            over_https: true,
            cookie: Some(cookie.into()),
        };
        let around = Around {
            folder: place.path(),
            files: &[],
            seen: &seen,
            same_address: false,
        };
        let mut report = Report::default();
        settings::sound(&config, &around, &mut report);
        assert_eq!(numbers(&report), expected, "{report}");
    }
}

// Proves: D7
#[tokio::test]
async fn a_store_that_cannot_be_opened_is_found() {
    let place = Place::new(&[]);
    fs::create_dir_all(place.path().join("data/sessions.db")).unwrap();
    let report = place.check().await;
    assert_eq!(numbers(&report), ["D6", "D7"], "{report}");

    let url = format!("redis://:hunter2hunter2@127.0.0.1:{}", testkit::free_port());
    let report = Place::new(&[("REDIS_URL", &url)]).check().await;
    assert_eq!(numbers(&report), ["D7"], "{report}");
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

// Proves: D9
#[tokio::test]
async fn sessions_that_lie_about_after_their_end_are_found() {
    let place = Place::new(&[]);
    let config = place.config();
    // Two, so that a second look sees what the first saw.
    for _ in 0..2 {
        cookie_of(&config).await;
    }
    // Half an hour idle, up to five minutes until they may be reclaimed, and ten until somebody should have done it.
    for (minutes, expected) in [(29, &[][..]), (39, &[]), (46, &["D9"]), (46, &["D9"])] {
        let mut report = Report::default();
        let now_ms = clock::now_ms() + minutes * 60_000;
        crate::check::store::look(&config, true, now_ms, &mut report).await;
        assert_eq!(
            numbers(&report),
            expected,
            "after {minutes} minutes: {report}"
        );
    }
}

// Proves: D9
#[tokio::test]
async fn sessions_that_redis_would_keep_for_ever_are_found() {
    let redis = testkit::redis::RedisServer::start().await;
    let place = Place::new(&[("REDIS_URL", &redis.url())]);
    assert_eq!(numbers(&place.check().await), [""; 0]);
    let () = redis::cmd("SET")
        .arg(&["sess:written-by-something-else", "1"])
        .query_async(&mut redis.connection().await)
        .await
        .unwrap();
    let report = place.check().await;
    assert_eq!(numbers(&report), ["D9"], "{report}");
}
