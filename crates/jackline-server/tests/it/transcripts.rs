//! The reference system's own session with `curl`, line for line, against the built program.

use std::process::Command;

use testkit::browser::Site as _;

use crate::program::{Place, Program};
use crate::stores::{on_each_store, on_redis};

/// `curl -s`, with a cookie jar in the place's folder.
struct Curl<'a> {
    place: &'a Place,
    program: &'a Program,
}

impl Curl<'_> {
    fn run(&self, path: &str, arguments: &[&str]) -> String {
        let output = Command::new("curl")
            .arg("-s")
            .args(arguments)
            .arg(self.program.url(path))
            .current_dir(self.place.path())
            .output()
            .expect("curl runs; these tests need it installed and skip nothing without it");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        for line in text.lines() {
            if let Some(value) = line
                .strip_prefix("set-cookie: sid=")
                .filter(|value| value.starts_with("s%3A"))
            {
                self.program
                    .remember_secret(value.split(';').next().unwrap());
            }
        }
        text
    }
}

fn set_cookie(answer: &str) -> &str {
    answer
        .lines()
        .find(|line| line.starts_with("set-cookie: "))
        .unwrap_or_else(|| panic!("{answer}"))
}

const LOGIN: &[&str] = &[
    "-i",
    "-c",
    "jar.txt",
    "-X",
    "POST",
    "-H",
    "Content-Type: application/json",
    "-d",
    r#"{"username":"alice","password":"correct-horse"}"#,
];

// Proves: T3.1, T4.1, T4.5, T5.2, T6.1, T6.2, T6.3, T7.1, P1, P6
#[test]
fn the_reference_transcript_runs_word_for_word() {
    on_each_store(|on| {
        let program = on.place.serve();
        let curl = Curl {
            place: &on.place,
            program: &program,
        };
        assert_eq!(curl.run("", &[]), "Server is running.");

        let first = curl.run("/views", &["-i", "-c", "jar.txt"]);
        assert!(first.starts_with("HTTP/1.1 200 OK"), "{first}");
        assert!(first.ends_with(r#"{"views":1}"#), "{first}");
        let cookie = set_cookie(&first);
        for attribute in [
            "set-cookie: sid=s%3A",
            "Path=/",
            "HttpOnly",
            "SameSite=Lax",
            "Max-Age=1800",
        ] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "{cookie}");
        assert_eq!(curl.run("/views", &["-b", "jar.txt"]), r#"{"views":2}"#);

        // Restart: the count survives.
        drop(program);
        let program = on.place.serve();
        let curl = Curl {
            place: &on.place,
            program: &program,
        };
        assert_eq!(curl.run("/views", &["-b", "jar.txt"]), r#"{"views":3}"#);

        let planted = std::fs::read_to_string(on.place.path().join("jar.txt")).unwrap();
        std::fs::write(on.place.path().join("planted.txt"), planted).unwrap();
        let login = curl.run("/login", LOGIN);
        assert!(login.starts_with("HTTP/1.1 200 OK"), "{login}");
        assert!(login.ends_with(r#"{"ok":true,"user":"alice"}"#), "{login}");
        assert_ne!(set_cookie(&login), cookie, "a new token");
        assert_eq!(
            curl.run("/profile", &["-b", "jar.txt"]),
            r#"{"userId":"user-1001","username":"alice"}"#
        );
        assert_eq!(
            curl.run("/profile", &["-b", "planted.txt"]),
            r#"{"error":"Not authenticated"}"#
        );

        // Both instances on one store serve the session.
        let second = on.place.serve();
        let other = Curl {
            place: &on.place,
            program: &second,
        };
        assert_eq!(
            other.run("/profile", &["-b", "jar.txt"]),
            r#"{"userId":"user-1001","username":"alice"}"#
        );

        let logout = curl.run("/logout", &["-i", "-b", "jar.txt", "-X", "POST"]);
        assert!(logout.ends_with(r#"{"ok":true}"#), "{logout}");
        assert!(set_cookie(&logout).contains("Max-Age=0"), "{logout}");
        for instance in [&curl, &other] {
            assert_eq!(
                instance.run("/profile", &["-b", "jar.txt"]),
                r#"{"error":"Not authenticated"}"#
            );
        }
    });
}

// Proves: T6.1
#[test]
fn wrong_credentials_get_401() {
    on_each_store(|on| {
        let program = on.place.serve();
        let curl = Curl {
            place: &on.place,
            program: &program,
        };
        for body in [
            r#"{"username":"alice","password":"wrong-horse"}"#,
            r#"{"username":"nobody","password":"correct-horse"}"#,
        ] {
            let answer = curl.run(
                "/login",
                &[
                    "-i",
                    "-X",
                    "POST",
                    "-H",
                    "Content-Type: application/json",
                    "-d",
                    body,
                ],
            );
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
            assert!(
                answer.ends_with(r#"{"error":"Invalid credentials"}"#),
                "{answer}"
            );
            assert!(!answer.contains("set-cookie"), "{answer}");
        }
    });
}

// Proves: T5.1, T7.1, D9
#[test]
fn redis_shows_what_the_reference_shows() {
    let on = on_redis();
    let program = on.place.serve();
    let curl = Curl {
        place: &on.place,
        program: &program,
    };
    curl.run("/views", &["-c", "jar.txt"]);
    let keys = on.redis_cli(&["keys", "sess:*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let ttl: i64 = on.redis_cli(&["ttl", &keys]).parse().unwrap();
    assert!((1790..=1800).contains(&ttl), "{ttl}");

    curl.run("/login", LOGIN);
    // curl did not send its jar along, so the visitor's session is still there beside the login's.
    assert_eq!(on.redis_cli(&["keys", "sess:*"]).lines().count(), 2);
    curl.run("/logout", &["-b", "jar.txt", "-X", "POST"]);
    let left = on.redis_cli(&["keys", "sess:*"]);
    assert_eq!(left, keys, "the login's session is gone");
}
