//! No sequence of anything extends a limit. Random lives of one session, on two servers with different policies, held against
//! a model that keeps two numbers.

use std::time::Duration;

use jackline::lifecycle::{
    Clocks, Decision, Identity, Meta, Policy, Record, Role, UnixMs, decide, step_up_is_fresh,
};
use jackline::origin::Origin;
use proptest::prelude::*;

use crate::site::{HOUR, MINUTE, Site, limits, owner};

#[derive(Clone, Copy, Debug)]
enum Deed {
    Wait(u64),
    Touch,
    Write,
    Count,
    Rotate,
    Reauthenticate,
    LogIn {
        admin: bool,
    },
    /// From now on the other server answers.
    Move,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let step = prop_oneof![
        4 => (0u64..40 * 60).prop_map(Deed::Wait),
        2 => (0u64..90).prop_map(Deed::Wait),
        3 => Just(Deed::Touch),
        2 => Just(Deed::Write),
        1 => Just(Deed::Count),
        1 => Just(Deed::Rotate),
        1 => Just(Deed::Reauthenticate),
        1 => any::<bool>().prop_map(|admin| Deed::LogIn { admin }),
        1 => Just(Deed::Move),
    ];
    prop::collection::vec(step, 1..60)
}

/// Idle, absolute, and the administrators' absolute limit, in minutes.
fn policies() -> impl Strategy<Value = [u64; 2]> {
    (2u64..60, 1u64..5).prop_map(|(idle, times)| [idle, idle * times])
}

fn policy([idle, absolute]: [u64; 2]) -> Policy {
    limits(MINUTE * idle as u32, MINUTE * absolute as u32)
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    // Proves: J5, S28, S24, A5
    #[test]
    fn no_life_outlasts_what_was_granted_at_its_login(deeds in deeds(), one in policies(), two in policies()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(live(deeds, [policy(one), policy(two)]))?;
    }
}

/// What the model remembers of a login.
struct Granted {
    role: Role,
    login: UnixMs,
    absolute: Duration,
    idle: Duration,
    /// The last request that reached the session.
    used: UnixMs,
}

async fn live(deeds: Vec<Deed>, policies: [Policy; 2]) -> Result<(), TestCaseError> {
    let first = Site::with(|engine| engine.policy(policies[0].clone()));
    let second = first.beside(|engine| engine.policy(policies[1].clone()));
    let (servers, mut at) = ([first, second], 0);
    // The browser obeys no Max-Age: the server must do it all.
    let mut browser = servers[0].browser().hoarding();
    let mut granted: Option<Granted> = None;
    for deed in deeds {
        let (site, policy) = (&servers[at], &policies[at]);
        let now = site.now();
        let outcome = match deed {
            Deed::Wait(seconds) => {
                site.wait(Duration::from_secs(seconds));
                continue;
            }
            Deed::Move => {
                at = 1 - at;
                browser = browser.at(&servers[at]);
                continue;
            }
            Deed::LogIn { admin } => {
                let role = if admin { Role::admin() } else { Role::user() };
                let path = format!("/login?user=alice&role={}", role.as_str());
                prop_assert_eq!(browser.post(&path).await.status, 200);
                granted = Some(Granted {
                    absolute: policy.absolute(Some(&role)).get(),
                    idle: policy.idle().get(),
                    role,
                    login: now,
                    used: now,
                });
                continue;
            }
            Deed::Touch | Deed::Write | Deed::Count | Deed::Rotate | Deed::Reauthenticate => {
                let answer = browser.get("/me").await;
                match deed {
                    _ if answer.status != 200 => answer,
                    Deed::Count => browser.get("/views").await,
                    Deed::Write => browser.submit("/set?a=1").await,
                    Deed::Rotate => browser.submit("/rotate").await,
                    Deed::Reauthenticate => browser.submit("/step-up").await,
                    _ => answer,
                }
            }
        };
        let alive = outcome.status == 200;
        let Some(grant) = &mut granted else {
            prop_assert!(!alive);
            continue;
        };
        // Both what was granted and what is in force apply.
        let absolute = grant.absolute.min(policy.absolute(Some(&grant.role)).get());
        let idle = grant.idle.min(policy.idle().get());
        let (age, unused) = (now.since(grant.login), now.since(grant.used));
        if alive {
            prop_assert!(
                age < absolute,
                "{deed:?} at the age of {age:?} of {absolute:?}"
            );
            prop_assert!(unused < idle, "{deed:?} after {unused:?} of {idle:?}");
            grant.used = now;
        } else {
            // Never too early either, but for the renewal step.
            let step = policies[0].renewal_step().max(policies[1].renewal_step());
            prop_assert!(
                age >= absolute || unused + step >= idle,
                "ended at the age of {age:?} of {absolute:?}, unused for {unused:?} of {idle:?}"
            );
            granted = None;
        }
    }
    Ok(())
}

fn record(policy: &Policy, role: Role, login: UnixMs) -> Record {
    let identity = Identity {
        id: owner("alice"),
        name: "alice".to_owned(),
        role,
    };
    Record::logged_in(identity, policy, Origin::default(), login)
}

proptest! {
    // Proves: J5, S23
    #[test]
    fn deciding_is_total_and_agrees_with_both_limits(
        seen: u64, idle: u64, ends: u64, started: u64, now: u64, limits in policies()
    ) {
        let policy = policy(limits);
        let clocks = Clocks {
            seen: UnixMs::from_millis(seen),
            idle: Duration::from_millis(idle),
            ends: UnixMs::from_millis(ends),
            version: 0,
        };
        let now = UnixMs::from_millis(now);
        let meta = Meta {
            started: UnixMs::from_millis(started),
            ..record(&policy, Role::user(), now).meta
        };
        let over = clocks.absolute_expired(now)
            || clocks.idle_expired(now)
            || now >= meta.started.after(policy.absolute(None).get())
            || now >= clocks.seen.after(policy.idle().get());
        let decision = decide(&clocks, &meta, &policy, now);
        prop_assert_eq!(matches!(decision, Decision::End(_)), over);
    }

    // Proves: J5
    #[test]
    fn what_is_over_stays_over_however_late_one_looks(
        login in 0u64..1 << 50, looks in prop::collection::vec(0u64..1 << 50, 1..20), limits in policies()
    ) {
        let policy = policy(limits);
        let record = record(&policy, Role::admin(), UnixMs::from_millis(login));
        let mut looks = looks;
        looks.sort_unstable();
        let mut over = false;
        for look in looks {
            let now = UnixMs::from_millis(login.saturating_add(look));
            let ended = matches!(decide(&record.clocks, &record.meta, &policy, now), Decision::End(_));
            prop_assert!(ended || !over);
            over = ended;
        }
    }

    // Proves: J5, S28, S40
    #[test]
    fn a_step_up_moves_recency_and_no_limit(
        login in 0u64..1 << 40, later in 0u64..1 << 40, limits in policies()
    ) {
        let policy = policy(limits);
        let before = record(&policy, Role::user(), UnixMs::from_millis(login));
        let now = UnixMs::from_millis(login + later);
        let meta = before.meta.clone().at_risk().stepped_up(Origin::default(), now);
        prop_assert_eq!(meta.started, before.meta.started);
        prop_assert_eq!(&meta.identity, &before.meta.identity);
        prop_assert!(step_up_is_fresh(&meta, policy.step_up_age(), now));
        prop_assert!(!step_up_is_fresh(&meta.clone().at_risk(), policy.step_up_age(), now));
        prop_assert!(!step_up_is_fresh(&meta, policy.step_up_age(), now.after(policy.step_up_age())));
        prop_assert_eq!(
            decide(&before.clocks, &meta, &policy, now),
            decide(&before.clocks, &before.meta, &policy, now)
        );
    }

    // Proves: S27, S26
    #[test]
    fn whatever_passes_a_ceiling_is_within_it(mine in policies(), hours in 1u32..9) {
        let ceiling = Policy::aal3();
        let built = limits(MINUTE * mine[0] as u32, MINUTE * mine[1] as u32)
            .at_most(&ceiling)
            .role_absolute(
                Role::new("nurse"),
                jackline::lifecycle::AbsoluteLimit::new(HOUR * hours).unwrap(),
            )
            .build();
        if let Ok(policy) = built {
            prop_assert!(policy.idle().get() <= MINUTE * 15);
            for role in [Role::user(), Role::admin(), Role::new("nurse")] {
                prop_assert!(policy.absolute(Some(&role)).get() <= HOUR * 12);
            }
        }
    }
}
