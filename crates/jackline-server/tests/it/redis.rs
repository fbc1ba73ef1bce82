//! One person's day on each kind of Redis: a visit, a login, a visit, a logout.

use std::path::Path;
use std::sync::Arc;

use testkit::block_on;
use testkit::certificates::Certificates;
use testkit::redis::{RedisCluster, RedisSentinels, RedisServer, user};

use crate::browser::Browser;
use crate::program::Place;

const RIGHTS: &str = "~sess* +@read +@write +@scripting +@connection";

// Proves: T2.3, J11
#[test]
fn over_tls_with_a_client_certificate_as_a_user_with_few_rights() {
    let certificates = Arc::new(Certificates::make());
    let web = user("web", ">open-sesame", RIGHTS);
    let server = block_on(RedisServer::start_over_tls(&certificates, &web));
    let url = server.url().replacen("://", "://web:open-sesame@", 1);
    let (certificate, key) = certificates.client();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let place = Place::new(&[
        ("REDIS_URL", &url),
        ("REDIS_CA_FILE", &text(&certificates.authority())),
        ("REDIS_CERT_FILE", &text(&certificate)),
        ("REDIS_KEY_FILE", &text(&key)),
    ]);
    spend_a_day(&place);

    // What it trusts, it is told, and a file that is not there is named.
    let mut stranger = Place::new(&[("REDIS_URL", &url)]);
    let said = stranger.run(&["serve"]).stderr;
    assert!(said.contains("no TLS with Redis at 127.0.0.1"), "{said}");
    assert!(!said.contains("open-sesame"), "{said}");
    stranger.set("REDIS_CA_FILE", "/nowhere/ca.pem");
    let said = stranger.run(&["serve"]).stderr;
    assert!(
        said.contains("cannot read /nowhere/ca.pem, which REDIS_CA_FILE names"),
        "{said}"
    );
}

// Proves: T2.3
#[test]
fn behind_sentinels() {
    let servers = block_on(RedisSentinels::start());
    spend_a_day(&Place::new(&[("REDIS_URL", &servers.url())]));
}

// Proves: J7, S79
#[test]
fn a_failover_means_503_and_service_without_a_restart() {
    let mut servers = block_on(RedisSentinels::start());
    let place = Place::new(&[("REDIS_URL", &servers.url())]);
    let program = place.serve();
    let mut browser = Browser::new(&program);
    browser.log_in();
    let primary = block_on(servers.master());
    servers.server(primary).stop();
    assert_eq!(browser.get("/profile").status, 503);
    assert_eq!(browser.get("/readyz").status, 503);
    block_on(servers.becomes_another(primary));
    while browser.get("/readyz").status != 200 {}
    assert_eq!(browser.log_in().status, 200);
    assert_eq!(browser.get("/profile").status, 200);
}

// Proves: T2.3
#[test]
fn on_a_cluster() {
    let cluster = block_on(RedisCluster::start());
    spend_a_day(&Place::new(&[("REDIS_URL", &cluster.url())]));
}

// Proves: T2.3, J2
#[test]
fn with_a_near_cache_as_a_user_with_few_rights() {
    let server = block_on(RedisServer::start_with(&user(
        "web",
        ">open-sesame",
        RIGHTS,
    )));
    let url = server.url().replacen("://", "://web:open-sesame@", 1);
    spend_a_day(&Place::new(&[
        ("REDIS_URL", &url),
        ("JACKLINE_NEAR_CACHE", "64MiB"),
    ]));
}

fn spend_a_day(place: &Place) {
    let program = place.serve();
    // Several, since on a cluster a visitor's session lies in another slot than the login that replaces it, but not always.
    for _ in 0..5 {
        let mut browser = Browser::new(&program);
        assert_eq!(browser.get("/views").status, 200);
        assert_eq!(browser.log_in().status, 200);
        assert_eq!(browser.get("/profile").status, 200);
        assert_eq!(browser.post("/logout", &serde_json::json!({})).status, 200);
        assert_eq!(browser.get("/profile").status, 401);
    }
}
