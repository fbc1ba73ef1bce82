//! A store over TLS trusts one authority and shows a certificate of its own; what is wrong with either, or with the user's
//! rights, is said at start.

use std::path::Path;
use std::sync::Arc;

use jackline::store::redis::{RedisOpenError, RedisOptions, RedisStore};
use jackline::store::{Loaded, Store};

use super::outages::RIGHTS;
use super::{MINUTE, now, visitor_key, visitor_record};
use testkit::certificates::Certificates;
use testkit::eventually;
use testkit::redis::{RedisCluster, RedisSentinels, RedisServer, SENTINEL_USER, user};

/// The options of a client that these certificates are for.
pub(crate) fn options(certificates: &Certificates) -> RedisOptions {
    let (certificate, key) = certificates.client();
    RedisOptions::default()
        .certificate_authority(read(&certificates.authority()))
        .client_certificate(read(&certificate), read(&key))
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

// Proves: J11, D7, J6
#[tokio::test]
async fn tls_that_does_not_hold_is_refused_at_start_with_what_to_do() {
    let (ours, theirs) = (Arc::new(Certificates::make()), Certificates::make());
    let server = RedisServer::start_over_tls(&ours, &[]).await;
    let url = server.url();
    let good = RedisStore::connect(&url, options(&ours)).await.unwrap();
    good.ping().await.unwrap();

    let (certificate, key) = ours.client();
    let (_, other_key) = theirs.client();
    let trusting = || RedisOptions::default().certificate_authority(read(&ours.authority()));
    let tls = [
        // Nobody that browsers trust has signed it, and nobody that the other authority has.
        RedisOptions::default(),
        options(&theirs),
        // The server wants to see a certificate, and one of its own authority.
        trusting(),
    ];
    for options in tls {
        let error = RedisStore::connect(&url, options).await.unwrap_err();
        assert!(matches!(error, RedisOpenError::Tls { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(&server.port().to_string()), "{said}");
    }
    // The name counts too.
    let elsewhere = url.replace("127.0.0.1", "127.0.0.2");
    let error = RedisStore::connect(&elsewhere, options(&ours))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            RedisOpenError::Refused { .. } | RedisOpenError::Tls { .. }
        ),
        "{error:?}"
    );

    let unreadable = [
        trusting().client_certificate(read(&certificate), b"no key".to_vec()),
        RedisOptions::default().certificate_authority(b"no certificate".to_vec()),
        RedisOptions::default().certificate_authority(read(&key)),
        trusting().client_certificate(read(&certificate), read(&other_key)),
    ];
    for options in unreadable {
        assert!(!format!("{options:?}").contains("PRIVATE"), "{options:?}");
        let error = RedisStore::connect(&url, options).await.unwrap_err();
        assert!(matches!(error, RedisOpenError::Certificates), "{error:?}");
    }

    let plain = url.replace("rediss:", "redis:");
    let error = RedisStore::connect(&plain, options(&ours))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RedisOpenError::CertificatesWithoutTls),
        "{error:?}"
    );
    let error = RedisStore::connect(&plain, RedisOptions::default()).await;
    let said = error.unwrap_err().to_string();
    assert!(
        said.contains("TLS") || said.contains("cannot be reached"),
        "{said}"
    );
    let open = RedisServer::start().await;
    let url = open.url().replace("redis:", "rediss:");
    let error = RedisStore::connect(&url, options(&ours)).await.unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
}

// Proves: J7
#[tokio::test]
async fn a_cluster_over_tls_takes_the_same_certificates_at_every_node() {
    let certificates = Arc::new(Certificates::make());
    let rights = format!("{RIGHTS} +cluster|slots");
    let web = user("web", ">open-sesame", &rights);
    let cluster = RedisCluster::start_over_tls(&certificates, &web).await;
    let url = cluster.url().replacen("://", "://web:open-sesame@", 1);
    let store = RedisStore::connect(&url, options(&certificates))
        .await
        .unwrap();
    store.ping().await.unwrap();
    let key = visitor_key(1);
    store.create(&key, &visitor_record(now())).await.unwrap();
    let loaded = store.load(&key, MINUTE, now()).await.unwrap();
    assert!(matches!(loaded, Loaded::Live { .. }));
}

// Proves: J6, J7, J11
#[tokio::test]
async fn sentinels_over_tls_are_asked_as_a_user_of_their_own() {
    let certificates = Arc::new(Certificates::make());
    let rights = format!("{RIGHTS} +role");
    let web = user("web", ">open-sesame", &rights);
    let servers = RedisSentinels::start_over_tls(&certificates, &web).await;
    let url = servers.url().replacen("://", "://web:open-sesame@", 1);
    let (name, password) = SENTINEL_USER;
    for (password, asked_by_name) in [(password, true), ("open-sesame", true), ("", false)] {
        let mut options = options(&certificates);
        if asked_by_name {
            options = options.sentinel_user(name, password);
        }
        let opened = RedisStore::connect(&url, options).await;
        if password == SENTINEL_USER.1 {
            let store = opened.unwrap();
            let key = visitor_key(1);
            store.create(&key, &visitor_record(now())).await.unwrap();
            servers.fail_over().await;
            // A client of the former primary learns of the new one.
            eventually("the store follows", async || store.ping().await.is_ok()).await;
            continue;
        }
        let said = opened.unwrap_err().to_string();
        assert!(
            said.contains("given for sentinels") && !said.contains("sesame"),
            "{said}"
        );
    }
}

// Proves: A6, J11
#[tokio::test]
async fn a_right_that_the_user_lacks_is_named_at_start() {
    let server = RedisServer::start().await;
    let url = format!("redis://web:open-sesame@127.0.0.1:{}", server.port());
    let connect = async |changes: &[&str]| {
        let mut words = vec!["ACL", "SETUSER", "web", "reset", "on", ">open-sesame"];
        words.extend(RIGHTS.split(' '));
        words.extend(changes);
        let _: String = server.ask(&words).await;
        RedisStore::connect(&url, RedisOptions::default()).await
    };
    connect(&[]).await.unwrap().ping().await.unwrap();
    for (lacking, said) in [
        ("-zadd", "run zadd;"),
        ("-setrange", "run setrange;"),
        (
            "-@write",
            "run set, setrange, pexpire, del, zadd, zrem, del;",
        ),
        ("-eval", "run eval;"),
        ("-evalsha", "run evalsha;"),
    ] {
        let error = connect(&[lacking]).await.unwrap_err();
        let told = matches!(error, RedisOpenError::Rights { .. });
        assert!(
            told && error.to_string().contains(said),
            "{lacking}: {error}"
        );
        assert!(error.to_string().contains("~sess* +@read"), "{error}");
    }
    let error = connect(&["resetkeys", "~sess:*"]).await.unwrap_err();
    assert!(
        error.to_string().contains("touch names under its prefix"),
        "{error}"
    );
}
