//! What a visit finds on a server with faults.

use super::fake::{self, Fault, PASSWORD, Setup};
use crate::check::live::{Credentials, Seen, Visit};
use crate::check::report::Report;
use crate::check::site::Site;
use crate::check::target::Target;
use crate::check::topic::Topic;
use crate::passwords::Password;

const PLAIN: &str = "Path=/; HttpOnly; SameSite=Lax; Max-Age=1800";
const SECURE: &str = "Path=/; HttpOnly; SameSite=Lax; Max-Age=1800; Secure";

/// 2026, so that cookies with dates are told apart.
const NOW: i64 = 1_790_000_000;

/// How the visit reaches the server.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// A development server on this machine.
    Development,
    /// A production server on this machine, without its proxy.
    Production,
    /// By its proxy, at https://app.example.
    Proxy,
}

async fn visit(
    way: Way,
    faults: &'static [Fault],
    attributes: &'static str,
    log_in: bool,
) -> (Report, Seen) {
    let address = fake::start(Setup {
        faults,
        attributes,
        wants_https: way != Way::Development,
        always_https: way == Way::Proxy,
    })
    .await;
    let here: Target = format!("http://{address}").parse().unwrap();
    let site = match way {
        Way::Proxy => Site::new("https://app.example".parse().unwrap()).reached_at(here),
        _ => Site::new(here),
    };
    let visit = Visit {
        site,
        cookie_name: None,
        credentials: log_in.then(|| Credentials {
            username: "alice".to_owned(),
            password: Password::presented(PASSWORD),
        }),
        named: true,
        now: NOW,
    };
    tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        let seen = visit.run(&mut report);
        let text = report.to_string();
        assert!(
            !text.contains(PASSWORD) && !text.contains("id-1") && !text.contains("a-token"),
            "{text}"
        );
        (report, seen)
    })
    .await
    .unwrap()
}

fn numbers(report: &Report) -> Vec<&'static str> {
    let mut numbers: Vec<_> = report.findings().map(|(topic, _)| topic.number).collect();
    numbers.dedup();
    numbers
}

/// The numbers found wrong with one fault, on a visit that logs in.
async fn found(way: Way, faults: &'static [Fault]) -> Vec<&'static str> {
    let attributes = if way == Way::Development {
        PLAIN
    } else {
        SECURE
    };
    let (report, _) = visit(way, faults, attributes, true).await;
    numbers(&report)
}

// Proves: P1, P3, P4, P6, D1, D2, D3, D4, D5, D8
#[tokio::test]
async fn nothing_is_found_on_sound_servers() {
    for way in [Way::Development, Way::Production, Way::Proxy] {
        for log_in in [false, true] {
            let attributes = if way == Way::Development {
                PLAIN
            } else {
                SECURE
            };
            let (report, seen) = visit(way, &[], attributes, log_in).await;
            assert_eq!(numbers(&report), [""; 0], "{report}");
            assert!(seen.answered && seen.cookie.is_some());
            assert_eq!(seen.over_https, way == Way::Proxy);
        }
    }
}

// Proves: P1
#[tokio::test]
async fn a_login_that_keeps_the_id_or_lets_the_old_one_live_is_found() {
    assert_eq!(
        found(Way::Development, &[Fault::KeepsIdAtLogin]).await,
        ["P1"]
    );
    assert_eq!(found(Way::Development, &[Fault::OldIdLives]).await, ["P1"]);
}

// Proves: P6
#[tokio::test]
async fn a_logout_that_clears_only_one_side_is_found_with_and_without_a_login() {
    for fault in [
        &[Fault::LogoutClearsCookieOnly],
        &[Fault::LogoutKeepsCookie],
        &[Fault::LogoutFails],
    ] {
        for log_in in [false, true] {
            let (report, _) = visit(Way::Development, fault, PLAIN, log_in).await;
            assert_eq!(numbers(&report), ["P6"], "{fault:?}");
        }
    }
}

// Proves: D1
#[tokio::test]
async fn a_session_that_is_forgotten_now_and_then_is_found() {
    assert_eq!(
        found(Way::Development, &[Fault::ForgetsEveryRequest]).await,
        ["D1"]
    );
    assert_eq!(found(Way::Development, &[Fault::TwoStores]).await, ["D1"]);
    assert_eq!(
        found(Way::Development, &[Fault::ForgetsLogin]).await,
        ["D1"]
    );
    assert_eq!(
        found(Way::Proxy, &[Fault::CacheSharesSession]).await,
        ["D1"]
    );
}

// Proves: D2
#[tokio::test]
async fn a_cookie_that_does_not_arrive_is_found_and_so_is_the_cache_that_took_it() {
    assert_eq!(found(Way::Development, &[Fault::NoCookie]).await, ["D2"]);
    let (report, _) = visit(Way::Proxy, &[Fault::CacheAnswers], SECURE, false).await;
    assert_eq!(numbers(&report), ["D2"]);
    assert!(report.to_string().contains("a cache answered"), "{report}");
}

// Proves: P3, D3
#[tokio::test]
async fn a_cookie_that_browsers_drop_is_found() {
    let (report, _) = visit(Way::Development, &[], SECURE, false).await;
    assert_eq!(numbers(&report), ["P3", "D3"]);
    for attributes in [
        "Path=/; HttpOnly; SameSite=Lax; Secure; Domain=backend.internal",
        "Path=/shop; HttpOnly; SameSite=Lax; Secure",
        "Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0",
    ] {
        let (report, _) = visit(Way::Proxy, &[], attributes, false).await;
        assert!(numbers(&report).contains(&"D3"), "{attributes}: {report}");
    }
}

// Proves: T4.1, A1
#[tokio::test]
async fn a_cookie_without_its_flags_is_found() {
    for attributes in [
        "Path=/; SameSite=Lax",
        "Path=/; HttpOnly",
        "Path=/; HttpOnly; SameSite=None",
    ] {
        let (report, _) = visit(Way::Development, &[], attributes, false).await;
        assert!(numbers(&report).contains(&"T4.1"), "{attributes}: {report}");
    }
    // A development server that was put behind a proxy: neither Secure nor a name that browsers guard.
    let here = fake::start(Setup {
        faults: &[],
        attributes: PLAIN,
        wants_https: false,
        always_https: true,
    })
    .await;
    let here: Target = format!("http://{here}").parse().unwrap();
    let visit = Visit {
        site: Site::new("https://app.example".parse().unwrap()).reached_at(here),
        cookie_name: None,
        credentials: None,
        named: true,
        now: NOW,
    };
    let report = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        visit.run(&mut report);
        report
    });
    assert_eq!(numbers(&report.await.unwrap()), ["T4.1", "A1"]);
}

// Proves: P4, D4
#[tokio::test]
async fn a_proxy_that_is_not_believed_or_not_careful_is_found() {
    assert_eq!(
        found(Way::Proxy, &[Fault::TrustsNoProxy]).await,
        ["P4", "D4"]
    );
    assert_eq!(
        found(Way::Proxy, &[Fault::ProxyPassesClientsHeader]).await,
        ["D4"]
    );
    assert_eq!(found(Way::Proxy, &[Fault::ProxyHidesHost]).await, ["D4"]);
    // From this machine nobody can tell whether the proxy elsewhere is believed.
    let (report, _) = visit(Way::Production, &[Fault::TrustsNoProxy], SECURE, false).await;
    assert_eq!(numbers(&report), [""; 0]);
    assert!(
        report.to_string().contains("give the https address"),
        "{report}"
    );
}

// Proves: D5
#[tokio::test]
async fn two_session_cookies_in_one_answer_are_found() {
    assert_eq!(found(Way::Development, &[Fault::TwoCookies]).await, ["D5"]);
    assert_eq!(
        found(Way::Development, &[Fault::TwoCookiesAtLogin]).await,
        ["D5"]
    );
}

// Proves: D7
#[tokio::test]
async fn a_server_without_its_store_is_found() {
    assert_eq!(found(Way::Development, &[Fault::StoreIsAway]).await, ["D7"]);
}

// Proves: D8
#[tokio::test]
async fn a_csrf_defence_that_refuses_everything_or_nothing_is_found() {
    assert_eq!(
        found(Way::Development, &[Fault::RefusesCsrfTokens]).await,
        ["D8"]
    );
    assert_eq!(
        found(Way::Development, &[Fault::AsksForNoCsrfToken]).await,
        ["D8"]
    );
    assert_eq!(
        found(Way::Development, &[Fault::TrustsOtherSites]).await,
        ["D8"]
    );
    assert_eq!(
        found(Way::Development, &[Fault::ProxyHidesHost]).await,
        ["D8"]
    );
}

// Proves: T10.2
#[tokio::test]
async fn headers_that_were_lost_or_added_on_the_way_are_found() {
    for fault in [
        &[Fault::NoSecurityHeaders],
        &[Fault::Cacheable],
        &[Fault::NamesItself],
    ] {
        assert_eq!(found(Way::Proxy, fault).await, ["T10.2"], "{fault:?}");
    }
}

// Proves: T3.1
#[tokio::test]
async fn what_is_not_the_server_is_told_from_a_server_with_faults() {
    assert_eq!(
        found(Way::Development, &[Fault::AnotherProgram]).await,
        ["T3.1"]
    );
    let (report, _) = visit(Way::Proxy, &[Fault::Redirects], SECURE, false).await;
    assert_eq!(numbers(&report), ["T3.1"]);
    assert!(
        report
            .to_string()
            .contains("jackline check https://app.example\n"),
        "{report}"
    );
}

// Proves: P1, P6, D4, D8, T10.2, J6
#[tokio::test]
async fn a_report_of_a_bad_server_says_what_to_do() {
    let faults = &[
        Fault::OldIdLives,
        Fault::LogoutClearsCookieOnly,
        Fault::ProxyHidesHost,
        Fault::AsksForNoCsrfToken,
        Fault::NoSecurityHeaders,
        Fault::TwoCookies,
    ];
    let (mut report, _) = visit(Way::Proxy, faults, "Path=/; HttpOnly; Secure", true).await;
    report.about("Server: https://app.example");
    report.rest_unchecked(Topic::ALL, "not part of this test");
    insta::assert_snapshot!(report);
}
