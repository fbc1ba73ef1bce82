//! The settings as a whole: which are refused, what the message says, and that it never holds a secret.

use std::time::Duration;

use proptest::prelude::*;

use super::names::{Setting, Show};
use super::*;

const SECRET: &str = "6f2ac91d7e5b40388d1c2b9a0f3e4d57a1";
const OLD_SECRET: &str = "c0ffee5b7e40388d1c2b9a0f3e4d576f2ac91d";

fn development(settings: &[(&str, &str)]) -> Result<Config, Mistakes> {
    parse(&Environment::from_iter(settings.iter().copied()), None)
}

/// Production with nothing wrong but what `settings` add.
fn production(settings: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let sound = [
        ("JACKLINE_ENV", "production"),
        ("SESSION_SECRET", SECRET),
        ("JACKLINE_TRUSTED_PROXIES", "127.0.0.1/32"),
    ];
    let all = sound.iter().chain(settings).copied();
    parse(&Environment::from_iter(all), None)
}

fn subjects(result: Result<Config, Mistakes>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|m| m.subject().to_owned()).collect(),
    }
}

// Proves: T8.1, T8.2, A2, A5
#[test]
fn the_empty_environment_is_a_sound_development_server() {
    let config = development(&[]).unwrap();
    assert_eq!(config.deployment, Deployment::Development);
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.cookie.name(), "sid");
    assert!(!config.cookie.secure());
    assert!(matches!(config.signing, Signing::KeptInDataDir { .. }));
    assert!(matches!(config.store.engine, StoreEngine::Sqlite));
    assert_eq!(config.store.timeout, Duration::from_millis(500));
    assert_eq!(config.store.keyspace, Keyspace::Native);
    assert_eq!(config.limits.idle(), Duration::from_secs(30 * 60));
    assert_eq!(config.limits.absolute(), Duration::from_secs(8 * 3600));
    assert_eq!(config.limits.admin_absolute(), Duration::from_secs(3600));
    assert_eq!(config.limits.renewal_step(), Duration::from_secs(60));
    assert_eq!(config.limits.step_up_age(), Duration::from_secs(5 * 60));
    assert_eq!(config.limits.max_sessions().get(), 10);
    assert_eq!(config.data_dir.path().to_str(), Some("./data"));
    assert_eq!(config.log.as_str(), "info");
    assert!(config.front.trusted_proxies().is_empty());
    assert!(config.front.public_origins().is_empty());
}

// Proves: A1, S11, S12, T9.1
#[test]
fn production_defaults_to_the_strictest_cookie() {
    let config = production(&[("SESSION_SECRET_PREVIOUS", OLD_SECRET)]).unwrap();
    assert_eq!(config.cookie.name(), "__Host-sid");
    assert!(config.cookie.secure());
    let folder = tempfile::tempdir().unwrap();
    let secrets = config
        .signing
        .secrets(&DataDir::new(folder.path()))
        .unwrap();
    assert_eq!(secrets[0].expose(), SECRET.as_bytes());
    assert_eq!(secrets[1].expose(), OLD_SECRET.as_bytes());
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

// Proves: J11, P2, P4, P5, P7
#[test]
fn every_mistake_in_production_is_in_one_message() {
    let mistakes = parse(
        &Environment::from_iter([
            ("JACKLINE_ENV", "production"),
            ("SESSION_SECRET", "keyboard cat"),
            ("SESSION_SECRET_PREVIOUS", "changeme, c0ffee"),
            ("JACKLINE_STORE", "memory"),
            ("JACKLINE_ABSOLUTE_TIMEOUT", "none"),
            ("JACKLINE_COOKIE_NAME", "__hOsT-sid"),
            ("JACKLINE_COOKIE_SECURE", "false"),
            ("JACKLINE_IDLE_TIMOUT", "30m"),
            ("JACKLINE_MAX_SESSIONS", "0"),
            ("JACKLINE_STORE_TIMEOUT", "0s"),
            ("JACKLINE_KEYSPACE", "express"),
            ("HOST", "localhost"),
            ("PORT", "99999"),
            ("DATABASE_URL", "mysql://app:hunter2hunter2@db/app"),
        ]),
        Some("idle_timeout = 1800\nfavourite = \"blue\"\nsession_secret = [1]\n"),
    )
    .unwrap_err();
    insta::assert_snapshot!(mistakes);
}

// Proves: J11, P5
#[test]
fn production_without_anything_says_what_to_set() {
    let mistakes = development(&[("JACKLINE_ENV", "production"), ("SESION_SECRET", "x")]);
    insta::assert_snapshot!(mistakes.unwrap_err());
}

// Proves: J11, J6
#[test]
fn a_file_that_is_not_toml_is_named_by_line_and_never_quoted() {
    let mistakes = parse(
        &Environment::default(),
        Some("port = 3000\nsession_secret = zqzqzqzqzqzqzqzqzqzq\n"),
    );
    insta::assert_snapshot!(mistakes.unwrap_err(), @"
    jackline did not start: its settings hold a mistake.

    jackline.toml
      what  line 2 is not TOML
      why   none of the file's settings can be trusted to be read
      do    write `name = \"value\"`, with the value in quotes, and each name once
    ");
}

// Proves: J11, J4
#[test]
fn sessions_are_shared_with_express_in_its_redis_under_its_secret_and_in_no_other_way() {
    let secret = ("SESSION_SECRET", "6f2ac91d7e5b40388d1c2b9a0f3e4d57");
    let express = ("JACKLINE_KEYSPACE", "express");
    let redis = ("REDIS_URL", "redis://cache:6379");
    let config = development(&[express, redis, secret, ("JACKLINE_EXPRESS_ROLE", "kind")]).unwrap();
    let Keyspace::Express(mapping) = &config.store.keyspace else {
        panic!("{:?}", config.store.keyspace);
    };
    assert_eq!(
        (mapping.user_id.as_str(), mapping.role.as_str()),
        ("userId", "kind")
    );
    assert_eq!(config.cookie.name(), "connect.sid");
    let cookie = ("JACKLINE_EXPRESS_COOKIE", "connect.sid");
    let config = development(&[redis, secret, cookie, ("JACKLINE_EXPRESS_ROLE", "kind")]).unwrap();
    let Keyspace::Rekeyed(mapping) = &config.store.keyspace else {
        panic!("{:?}", config.store.keyspace);
    };
    assert_eq!(mapping.role, "kind");
    assert_eq!(config.cookie.name(), "sid");
    assert_eq!(config.cookie.express(), Some("connect.sid"));

    let other = "c0ffee5b7e40388d1c2b9a0f3e4d576f2ac91d";
    let cluster = ("REDIS_URL", "redis+cluster://cache:6379");
    for (settings, concerned) in [
        (vec![express, secret], "JACKLINE_KEYSPACE"),
        (vec![express, secret, cluster], "JACKLINE_KEYSPACE"),
        (vec![express, redis], "SESSION_SECRET"),
        (
            vec![express, redis, secret, ("JACKLINE_ENCRYPTION_KEY", other)],
            "JACKLINE_ENCRYPTION_KEY",
        ),
        (
            vec![express, redis, secret, ("JACKLINE_NEAR_CACHE", "64MiB")],
            "JACKLINE_NEAR_CACHE",
        ),
        (
            vec![express, redis, secret, ("JACKLINE_EXPRESS_ROLE", "userId")],
            "JACKLINE_EXPRESS_ROLE",
        ),
        (
            vec![express, redis, secret, ("JACKLINE_EXPRESS_USER_ID", "id")],
            "JACKLINE_EXPRESS_USER_ID",
        ),
        (
            vec![
                express,
                redis,
                secret,
                ("JACKLINE_EXPRESS_USER_ID_FORM", "int"),
            ],
            "JACKLINE_EXPRESS_USER_ID_FORM",
        ),
        (
            vec![redis, secret, ("JACKLINE_EXPRESS_ROLE", "kind")],
            "JACKLINE_EXPRESS_ROLE",
        ),
        (
            vec![express, redis, secret, cookie],
            "JACKLINE_EXPRESS_COOKIE",
        ),
        (vec![redis, cookie], "JACKLINE_EXPRESS_COOKIE"),
        (
            vec![secret, ("JACKLINE_EXPRESS_COOKIE", "a b")],
            "JACKLINE_EXPRESS_COOKIE",
        ),
        (
            vec![secret, cookie, ("JACKLINE_COOKIE_NAME", "connect.sid")],
            "JACKLINE_EXPRESS_COOKIE",
        ),
    ] {
        let mistakes = development(&settings).unwrap_err();
        assert!(mistakes.concern(concerned), "{settings:?}: {mistakes}");
    }
}

// Proves: J11, P2, P3, P7, S12, S18, S25, A1, A5, D7
#[test]
fn each_mistake_alone_is_refused_under_its_own_name() {
    for (name, value) in [
        ("JACKLINE_ENV", "prod"),
        ("JACKLINE_ENV", "Production"),
        ("PORT", "-1"),
        ("PORT", "3000 "),
        ("HOST", "localhost"),
        ("HOST", "[::1]"),
        ("SESSION_SECRET", "short"),
        (
            "SESSION_SECRET",
            "6f2ac91d7e5b40388d1c2b9a0f3e4d57,c0ffee5b7e40388d1c2b9a0f3e4d576f2ac91d",
        ),
        ("SESSION_SECRET_PREVIOUS", "short"),
        ("REDIS_URL", "http://cache:6379"),
        ("REDIS_URL", "cache:6379"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "unix://"),
        ("REDIS_URL", "rediss://cache:6380/#insecure"),
        ("REDIS_URL", "redis+cluster://a:6379,,b"),
        ("REDIS_URL", "redis+sentinel://cache:26379"),
        ("DATABASE_URL", "mysql://app@db/app"),
        ("DATABASE_URL", "postgres://"),
        ("DATABASE_URL", "postgres:///app"),
        ("DATABASE_URL", "postgres://app@db:x/app"),
        ("DATABASE_URL", "postgres://app:p@ss@db/app"),
        ("DATABASE_URL", "postgres://app@db/app?sslmode=prefer"),
        ("DATABASE_URL", "postgres://app@db/app?sslcert=x"),
        ("JACKLINE_STORE", "postgres"),
        ("JACKLINE_STORE", "redis"),
        ("JACKLINE_STORE", "files"),
        ("JACKLINE_STORE_TIMEOUT", "0"),
        ("JACKLINE_STORE_TIMEOUT", "0ms"),
        ("JACKLINE_STORE_TIMEOUT", "31s"),
        ("JACKLINE_SHUTDOWN_TIMEOUT", "10"),
        ("JACKLINE_SHUTDOWN_TIMEOUT", "0s"),
        ("JACKLINE_SHUTDOWN_TIMEOUT", "11m"),
        ("JACKLINE_NEAR_CACHE", "on"),
        ("JACKLINE_NEAR_CACHE", "64"),
        ("JACKLINE_NEAR_CACHE", "64MB"),
        ("JACKLINE_NEAR_CACHE", "0MiB"),
        ("JACKLINE_NEAR_CACHE", "65GiB"),
        ("JACKLINE_NEAR_CACHE", "99999999999999999999GiB"),
        ("JACKLINE_KEYSPACE", "express"),
        ("JACKLINE_KEYSPACE", "nativ"),
        ("JACKLINE_IDLE_TIMEOUT", "30"),
        ("JACKLINE_IDLE_TIMEOUT", "0s"),
        ("JACKLINE_IDLE_TIMEOUT", "-5m"),
        ("JACKLINE_IDLE_TIMEOUT", "9h"),
        ("JACKLINE_IDLE_TIMEOUT", "99999999999999999999h"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "0"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "0s"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "none"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "Never"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "31days"),
        ("JACKLINE_ABSOLUTE_TIMEOUT", "1year"),
        ("JACKLINE_ADMIN_ABSOLUTE_TIMEOUT", "9h"),
        ("JACKLINE_ADMIN_ABSOLUTE_TIMEOUT", "none"),
        ("JACKLINE_RENEWAL_STEP", "30m"),
        ("JACKLINE_RENEWAL_STEP", "0s"),
        ("JACKLINE_STEP_UP_AGE", "9h"),
        ("JACKLINE_STEP_UP_AGE", "0s"),
        ("JACKLINE_MAX_SESSIONS", "0"),
        ("JACKLINE_MAX_SESSIONS", "-1"),
        ("JACKLINE_MAX_SESSIONS", "ten"),
        ("JACKLINE_MAX_SESSIONS", "1000000"),
        ("JACKLINE_COOKIE_NAME", "__Host-sid"),
        ("JACKLINE_COOKIE_NAME", "__Secure-sid"),
        ("JACKLINE_COOKIE_NAME", "__hOsT-sid"),
        ("JACKLINE_COOKIE_NAME", "__SECURE-sid"),
        ("JACKLINE_COOKIE_NAME", "s;d"),
        ("JACKLINE_COOKIE_NAME", "s=d"),
        ("JACKLINE_COOKIE_NAME", "s d"),
        ("JACKLINE_COOKIE_NAME", "süd"),
        ("JACKLINE_COOKIE_NAME", "s\u{7f}d"),
        ("JACKLINE_COOKIE_SECURE", "yes"),
        ("JACKLINE_COOKIE_SECURE", "true"),
        ("JACKLINE_TLS_CERT_FILE", "/etc/app.pem"),
        ("JACKLINE_TLS_KEY_FILE", "/etc/app.key"),
        ("JACKLINE_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("JACKLINE_TRUSTED_PROXIES", "proxy.internal"),
        ("JACKLINE_TRUSTED_PROXIES", "10.0.0.5/8"),
        ("JACKLINE_TRUSTED_PROXIES", "::ffff:10.0.0.0/104"),
        ("JACKLINE_PUBLIC_ORIGIN", "app.example.com"),
        ("JACKLINE_PUBLIC_ORIGIN", "https://app.example.com/"),
        ("JACKLINE_PUBLIC_ORIGIN", "https://app.example.com:443"),
        ("JACKLINE_PUBLIC_ORIGIN", "https://*.example.com/login"),
        ("JACKLINE_PUBLIC_ORIGIN", "https://App.example.com"),
        ("JACKLINE_PUBLIC_ORIGIN", "null"),
        ("JACKLINE_METRICS_ADDR", "9464"),
        ("JACKLINE_METRICS_ADDR", "localhost:9464"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://user:zqzq@collector:4318",
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector:4318?key=zqzq",
        ),
        ("JACKLINE_LOG_FORMAT", "pretty"),
        ("JACKLINE_DATA_DIR", "a\0b"),
        ("JACKLINE_LOG", "info,jackline=loud"),
        ("JACKLINE_COLOUR", "blue"),
    ] {
        // Surrounding space is no mistake.
        if value.ends_with(' ') {
            assert!(development(&[(name, value)]).is_ok(), "{name}={value}");
            continue;
        }
        assert_eq!(
            subjects(development(&[(name, value)])),
            [name],
            "{name}={value}"
        );
    }
}

// Proves: J11, P2, P4, P5, S11, S53
#[test]
fn production_refuses_what_development_allows() {
    for (name, value) in [
        ("JACKLINE_STORE", "memory"),
        ("JACKLINE_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("JACKLINE_TRUSTED_PROXIES", "::/0"),
        ("JACKLINE_TRUSTED_PROXIES", "0.0.0.0/1, 128.0.0.0/1"),
        ("JACKLINE_PUBLIC_ORIGIN", "http://app.example.com"),
        ("JACKLINE_COOKIE_SECURE", "false"),
        ("JACKLINE_TRUSTED_PROXIES", ""),
        ("SESSION_SECRET", ""),
    ] {
        assert!(development(&[(name, value)]).is_ok(), "{name}={value}");
        let subjects = subjects(production(&[(name, value)]));
        assert!(!subjects.is_empty(), "{name}={value}");
        assert!(
            subjects.iter().all(|subject| subject == name),
            "{name}={value}"
        );
    }
}

// Proves: J11
#[test]
fn a_near_cache_is_off_or_of_a_size() {
    for (value, bytes) in [
        ("off", None),
        ("1MiB", Some(1 << 20)),
        ("64MiB", Some(64 << 20)),
        ("2GiB", Some(2 << 30)),
    ] {
        let config = development(&[("JACKLINE_NEAR_CACHE", value)]).unwrap();
        assert_eq!(config.store.near_cache_bytes, bytes, "{value}");
    }
    assert_eq!(development(&[]).unwrap().store.near_cache_bytes, None);
    for store in [
        ("REDIS_URL", "redis://127.0.0.1"),
        ("DATABASE_URL", "postgres://127.0.0.1/e"),
    ] {
        development(&[store, ("JACKLINE_NEAR_CACHE", "64MiB")]).unwrap();
    }
}

// Proves: J11
#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (settings, subject) in [
        (
            [
                ("REDIS_URL", "redis+cluster://127.0.0.1"),
                ("JACKLINE_NEAR_CACHE", "64MiB"),
            ],
            "JACKLINE_NEAR_CACHE",
        ),
        (
            [
                ("DATABASE_URL", "postgres://127.0.0.1/e"),
                ("JACKLINE_STORE", "sqlite"),
            ],
            "JACKLINE_STORE",
        ),
        (
            [
                ("DATABASE_URL", "postgres://127.0.0.1/e"),
                ("JACKLINE_STORE", "memory"),
            ],
            "JACKLINE_STORE",
        ),
        (
            [("REDIS_URL", "redis://c"), ("JACKLINE_STORE", "sqlite")],
            "JACKLINE_STORE",
        ),
        (
            [("REDIS_URL", "redis://c"), ("JACKLINE_STORE", "memory")],
            "JACKLINE_STORE",
        ),
        (
            [("REDIS_URL", "redis://c"), ("REDIS_CA_FILE", "ca.pem")],
            "REDIS_CA_FILE",
        ),
        (
            [("REDIS_URL", "rediss://c"), ("REDIS_CERT_FILE", "c.pem")],
            "REDIS_CERT_FILE",
        ),
        (
            [("REDIS_URL", "rediss://c"), ("REDIS_KEY_FILE", "c.key")],
            "REDIS_KEY_FILE",
        ),
        (
            [("REDIS_URL", "redis://c"), ("REDIS_SENTINEL_PASSWORD", "x")],
            "REDIS_SENTINEL_PASSWORD",
        ),
        (
            [
                ("REDIS_URL", "redis+sentinel://c/s"),
                ("REDIS_SENTINEL_USERNAME", "x"),
            ],
            "REDIS_SENTINEL_USERNAME",
        ),
        (
            [
                ("SESSION_SECRET", SECRET),
                ("SESSION_SECRET_PREVIOUS", SECRET),
            ],
            "SESSION_SECRET_PREVIOUS",
        ),
        (
            [
                ("SESSION_SECRET", SECRET),
                (
                    "SESSION_SECRET_PREVIOUS",
                    &*format!("{OLD_SECRET},{OLD_SECRET}"),
                ),
            ],
            "SESSION_SECRET_PREVIOUS",
        ),
        (
            [
                ("SESSION_SECRET", SECRET),
                ("JACKLINE_ENCRYPTION_KEY", SECRET),
            ],
            "JACKLINE_ENCRYPTION_KEY",
        ),
        (
            [
                ("SESSION_SECRET", SECRET),
                ("JACKLINE_ENCRYPTION_KEY_PREVIOUS", OLD_SECRET),
            ],
            "JACKLINE_ENCRYPTION_KEY_PREVIOUS",
        ),
        (
            [
                ("SESSION_SECRET", SECRET),
                ("JACKLINE_ENCRYPTION_KEY", "keyboard cat"),
            ],
            "JACKLINE_ENCRYPTION_KEY",
        ),
        (
            [
                ("JACKLINE_IDLE_TIMEOUT", "2h"),
                ("JACKLINE_ABSOLUTE_TIMEOUT", "1h"),
            ],
            "JACKLINE_IDLE_TIMEOUT",
        ),
    ] {
        assert_eq!(subjects(development(&settings)), [subject], "{settings:?}");
    }
}

// Proves: A6, D7
#[test]
fn the_urls_choose_where_sessions_and_users_are() {
    const REDIS: (&str, &str) = ("REDIS_URL", "redis://127.0.0.1");
    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgresql://app:zqzqzqzq@127.0.0.1/app");
    let chosen = |settings: &[(&str, &str)]| {
        let store = development(settings).unwrap().store;
        assert!(!format!("{store:?}").contains("zqzqzqzq"));
        let sessions = match store.engine {
            StoreEngine::Sqlite => "sqlite",
            StoreEngine::Redis(_) => "redis",
            StoreEngine::Postgres(url) => {
                assert_eq!(url.place(), "postgres://127.0.0.1:5432/app");
                "postgres"
            }
            StoreEngine::Memory => "memory",
        };
        (sessions, store.database.is_some())
    };
    assert_eq!(chosen(&[]), ("sqlite", false));
    assert_eq!(chosen(&[REDIS]), ("redis", false));
    assert_eq!(chosen(&[DATABASE]), ("postgres", true));
    assert_eq!(chosen(&[REDIS, DATABASE]), ("redis", true));
    let named = ("JACKLINE_STORE", "postgres");
    assert_eq!(chosen(&[DATABASE, named]), ("postgres", true));
    let both = development(&[REDIS, DATABASE, named]);
    assert_eq!(subjects(both), ["JACKLINE_STORE"], "nobody would use Redis");
}

// Proves: J5
#[test]
fn defaults_shrink_to_fit_what_is_set() {
    let config = development(&[("JACKLINE_ABSOLUTE_TIMEOUT", "2s")]).unwrap();
    assert_eq!(config.limits.idle(), Duration::from_secs(2));
    assert_eq!(config.limits.admin_absolute(), Duration::from_secs(2));
    assert_eq!(config.limits.step_up_age(), Duration::from_secs(2));
    assert!(config.limits.renewal_step() < config.limits.idle());
    let config = development(&[("JACKLINE_IDLE_TIMEOUT", "1s")]).unwrap();
    assert!(config.limits.renewal_step() < Duration::from_secs(1));
    assert!(!config.limits.renewal_step().is_zero());
}

// Proves: P3, A1
#[test]
fn a_secure_cookie_in_development_is_fine_behind_a_named_proxy() {
    let config = development(&[
        ("JACKLINE_COOKIE_SECURE", "true"),
        ("JACKLINE_COOKIE_NAME", "__Host-sid"),
        (
            "JACKLINE_TRUSTED_PROXIES",
            "127.0.0.1, ::1/128 10.0.0.0/8".split(' ').next().unwrap(),
        ),
    ]);
    assert_eq!(config.unwrap().cookie.name(), "__Host-sid");
}

// Proves: P3, P4
#[test]
fn with_a_certificate_of_its_own_nobody_need_stand_in_front() {
    let tls = [
        ("JACKLINE_TLS_CERT_FILE", "/etc/app.pem"),
        ("JACKLINE_TLS_KEY_FILE", "/etc/app.key"),
    ];
    let in_production = [&tls[..], &[("JACKLINE_TRUSTED_PROXIES", "")]].concat();
    assert!(production(&in_production).unwrap().tls.is_some());
    let secure = [&tls[..], &[("JACKLINE_COOKIE_SECURE", "true")]].concat();
    assert!(development(&secure).unwrap().cookie.secure());
}

// Proves: A6, T2.3
#[test]
fn the_file_sets_what_the_environment_leaves_open() {
    let file = r#"
        host = "::1"
        port = 8080
        redis_url = "redis://app:pw@cache:6380/1"
        session_secret_previous = ["c0ffee5b7e40388d1c2b9a0f3e4d576f2ac91d", ""]
        trusted_proxies = "10.0.0.0/8, 192.168.1.1"
        public_origin = ["https://app.example.com", "http://localhost:8080"]
        cookie_secure = true
        max_sessions = 3
        idle_timeout = "10m"
    "#;
    let environment = Environment::from_iter([("JACKLINE_IDLE_TIMEOUT", "5m"), ("PORT", " ")]);
    let config = parse(&environment, Some(file)).unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:8080");
    assert_eq!(config.limits.idle(), Duration::from_secs(300));
    assert_eq!(config.limits.max_sessions().get(), 3);
    assert_eq!(config.front.trusted_proxies().len(), 2);
    let origins = config.front.public_origins();
    assert_eq!(origins[0].as_str(), "https://app.example.com");
    assert_eq!(origins[1].as_str(), "http://localhost:8080");
    let StoreEngine::Redis(redis) = &config.store.engine else {
        panic!("redis expected");
    };
    assert_eq!(redis.url.expose(), "redis://app:pw@cache:6380/1");
    assert!(!format!("{config:?}").contains("pw"));
    assert!(!format!("{config:?}").contains("c0ffee"));
}

// Proves: T2.2, T2.3, P5
#[test]
fn the_example_environment_names_settings_and_holds_no_secret_that_would_do() {
    let example = include_str!("../../../../.env.example");
    let names = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='))
        .map(|(name, _)| name)
        .filter(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
    let mut found = 0;
    for name in names {
        assert!(variable_names().any(|known| known == name), "{name}");
        found += 1;
    }
    assert!(found >= 4);
    let production = Environment::from_iter([("JACKLINE_ENV", "production")]);
    let mistakes = parse(&production.with_dotenv(example.as_bytes()), None).unwrap_err();
    assert!(mistakes.concern("SESSION_SECRET"), "{mistakes}");
}

// Proves: J11
#[test]
fn an_unknown_key_that_may_be_a_value_is_not_shown() {
    let mistakes = parse(
        &Environment::default(),
        Some("6f2ac91d7e5b40388d1c = 'session_secret'"),
    );
    assert!(!mistakes.unwrap_err().to_string().contains("6f2a"));
}

// Proves: J6
#[test]
fn a_secret_pasted_into_another_setting_is_not_shown() {
    let mistakes = development(&[
        ("SESSION_SECRET", SECRET),
        ("HOST", SECRET),
        ("PORT", &SECRET[..20]),
        ("JACKLINE_COOKIE_NAME", &format!("{SECRET} ")),
    ])
    .unwrap_err()
    .to_string();
    assert!(!mistakes.contains(&SECRET[..8]), "{mistakes}");
}

// Proves: J6
#[test]
fn a_list_of_secrets_pasted_into_another_setting_is_not_shown() {
    let mistakes = development(&[
        ("SESSION_SECRET_PREVIOUS", "zq,AaAA0"),
        ("HOST", "zq,AaAA0"),
        ("JACKLINE_zq,AaAA0", ""),
    ]);
    assert!(!mistakes.unwrap_err().to_string().contains("AaAA0"));
}

// Proves: J6
#[test]
fn control_characters_in_a_value_do_not_reach_the_terminal() {
    let mistakes = development(&[("HOST", "a\u{1b}[2J\r\nb\u{9b}c")]).unwrap_err();
    let message = mistakes.to_string();
    assert!(!message.contains(['\u{1b}', '\r', '\u{9b}']), "{message:?}");
}

/// Any text, or one of the kind that gets far.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,80}",
        "[0-9]{1,20}(ms|s|m|h|days|year)?",
        "(rediss?(\\+(sentinel|cluster))?|unix|https?|postgres)://[a-z:@/#,0-9]{0,20}",
        "[0-9a-f.:]{1,20}(/[0-9]{1,3})?",
        "(__(host|Host|SECURE|Secure)-)?[a-z;=é]{0,10}",
        "[a-z]{0,8}(\\[[a-z{}=\"/.*]{0,12}\\])?(=(info|off|[a-z0-9]{0,6}))?(,[ -~]{0,9})?",
        Just("production".to_owned()),
        Just("memory".to_owned()),
        Just("true".to_owned()),
    ]
}

/// Values that no message holds by chance.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "zq[a-zA-Z0-9]{8,80}",
        "redis://zqu:zq[a-z]{10}@zqhost/zq#zq",
        "zq[ -~]{8,80}[a-z]"
    ]
}

fn environment() -> impl Strategy<Value = Vec<(String, String)>> {
    let setting = proptest::sample::select(Setting::ALL);
    let known = (setting, value(), secret()).prop_map(|(setting, value, secret)| {
        let value = match setting.show {
            Show::Value => value,
            Show::Nothing => secret,
        };
        (setting.variable.to_owned(), value)
    });
    let unknown = ("JACKLINE_[A-Z_]{0,20}|SESSION_[A-Z]{1,9}|.{0,20}", value());
    proptest::collection::vec(prop_oneof![6 => known, 1 => unknown], 0..20)
}

proptest! {
    // Proves: J11, J6, S70
    #[test]
    fn no_message_holds_a_secret_and_nothing_panics(
        environment in environment(),
        leak in any::<bool>(),
        file in proptest::option::of(prop_oneof![".{0,200}", "([a-z_]{1,20} = (\"[a-z0-9]{0,20}\"|[0-9.]{1,9}|\\[\\])\n){0,9}"]),
    ) {
        let secrets: Vec<String> = Setting::ALL
            .iter()
            .filter(|setting| setting.show == Show::Nothing)
            .filter_map(|setting| {
                let last = environment.iter().rfind(|(name, _)| name == setting.variable)?;
                Some(last.1.trim().to_owned())
            })
            .collect();
        let mut environment = environment;
        // Someone pastes a secret into the wrong variable.
        if let (true, Some(secret)) = (leak, secrets.first()) {
            environment.push(("HOST".to_owned(), secret.clone()));
            environment.push((format!("JACKLINE_{secret}"), secret.clone()));
        }
        if let Err(mistakes) = parse(&Environment::from_iter(environment), file.as_deref()) {
            let message = mistakes.to_string();
            prop_assert!(mistakes.iter().count() > 0);
            prop_assert!(!message.chars().any(|c| c.is_control() && c != '\n'));
            for secret in &secrets {
                prop_assert!(!message.contains(secret.as_str()), "{message}");
            }
        }
    }

    // Proves: J11
    #[test]
    fn whatever_is_accepted_keeps_its_promises(environment in environment()) {
        if let Ok(config) = parse(&Environment::from_iter(environment), None) {
            let limits = config.limits;
            prop_assert!(limits.idle() <= limits.absolute());
            prop_assert!(limits.admin_absolute() <= limits.absolute());
            prop_assert!(limits.step_up_age() <= limits.absolute());
            prop_assert!(limits.renewal_step() < limits.idle());
            prop_assert!(!limits.renewal_step().is_zero());
            prop_assert!(config.cookie.secure() || !config.cookie.name().starts_with("__"));
            if config.deployment.is_production() {
                prop_assert!(config.cookie.secure());
                let given = matches!(config.signing, Signing::Given { .. });
                prop_assert!(given);
                prop_assert!(!matches!(config.store.engine, StoreEngine::Memory));
                prop_assert!(!config.front.trusted_proxies().is_empty());
            }
        }
    }

    // Proves: J11
    #[test]
    fn no_dotenv_file_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..200), lines in "([A-Z]{1,3}=['\"\\\\#$ a-z{}]{0,12}\n){0,6}") {
        let _ = parse(&Environment::default().with_dotenv(&text), None);
        let _ = parse(&Environment::default().with_dotenv(lines.as_bytes()), None);
    }
}

// Proves: S69
#[test]
fn production_logs_in_json_and_development_for_people_unless_told_otherwise() {
    assert_eq!(production(&[]).unwrap().log_format, LogFormat::Json);
    assert_eq!(development(&[]).unwrap().log_format, LogFormat::Text);
    let text = production(&[("JACKLINE_LOG_FORMAT", "text")]).unwrap();
    assert_eq!(text.log_format, LogFormat::Text);
    let json = development(&[("JACKLINE_LOG_FORMAT", "json")]).unwrap();
    assert_eq!(json.log_format, LogFormat::Json);
}
