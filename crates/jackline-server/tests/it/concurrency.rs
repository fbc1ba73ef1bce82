//! Many requests at once, over HTTP.

use std::sync::Barrier;

use serde_json::json;
use ureq::http::Method;

use crate::browser::Browser;
use crate::stores::on_each_store;

// Proves: J3
#[test]
fn parallel_visits_are_counted_exactly_and_answered_distinctly() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        browser.get("/views");
        let mut seen: Vec<i64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..10)
                .map(|_| {
                    let mut browser = browser.at(&program);
                    scope.spawn(move || -> Vec<i64> {
                        (0..20)
                            .map(|_| browser.get("/views").json()["views"].as_i64().unwrap())
                            .collect()
                    })
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|worker| worker.join().unwrap())
                .collect()
        });
        seen.sort_unstable();
        assert_eq!(seen, (2..=201).collect::<Vec<i64>>());
    });
}

// Proves: J3
#[test]
fn parallel_patches_of_different_members_all_survive() {
    on_each_store(|on| {
        let program = on.place.serve();
        let mut browser = Browser::new(&program);
        let token = browser.csrf_token();
        browser.headers.insert("x-csrf-token".to_owned(), token);
        let together = Barrier::new(50);
        std::thread::scope(|scope| {
            for n in 0..50 {
                let (mut browser, together) = (browser.at(&program), &together);
                scope.spawn(move || {
                    together.wait();
                    let patch = json!({ format!("key{n}"): n });
                    assert_eq!(
                        browser
                            .send(Method::PATCH, "/session/data", Some(&patch))
                            .status,
                        200
                    );
                });
            }
        });
        assert_eq!(
            browser
                .get("/session/data")
                .json()
                .as_object()
                .unwrap()
                .len(),
            50
        );
    });
}

// Proves: A2, S38
#[test]
fn parallel_logins_keep_to_the_cap() {
    on_each_store(|on| {
        on.place.set("JACKLINE_MAX_SESSIONS", "3");
        let program = on.place.serve();
        let together = Barrier::new(12);
        let browsers: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..12)
                .map(|_| {
                    scope.spawn(|| {
                        let mut browser = Browser::new(&program);
                        together.wait();
                        assert_eq!(browser.log_in().status, 200);
                        browser.cookies
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .collect()
        });
        let alive = browsers
            .into_iter()
            .filter(|cookies| {
                let mut browser = Browser::new(&program);
                browser.cookies = cookies.clone();
                browser.get("/profile").status == 200
            })
            .count();
        assert_eq!(alive, 3);
    });
}
