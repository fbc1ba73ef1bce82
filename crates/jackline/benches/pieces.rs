//! What the pieces of a request cost, one by one: `cargo bench -p jackline`. For finding out which of two ways is the better one; what
//! a change costs a whole request is told by `cargo xtask instructions`.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::time::Duration;

use divan::{Bencher, black_box};
use jackline::cookie::{CookieSpec, Keyring, SigningKey};
use jackline::lifecycle::{Delta, Identity, OwnerId, Policy, Record, Role, UnixMs};
use jackline::origin::{AgentFamily, CoarseNetwork, Origin};
use jackline::testing::wire;
use jackline::token::{Bucket, SessionToken};
use serde_json::value::to_raw_value;

fn main() {
    divan::main();
}

const NOW: UnixMs = UnixMs::from_millis(1_764_000_000_000);

const USER_AGENT: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

fn keys() -> Keyring {
    Keyring::new(SigningKey::new("0123456789abcdefghijklmnopqrstuvwxyz").unwrap())
}

fn token() -> SessionToken {
    SessionToken::from_random([7; SessionToken::RANDOM_BYTES], Bucket::of(&owner()))
}

fn owner() -> OwnerId {
    OwnerId::new("user-1001").unwrap()
}

/// A session as they are: somebody is logged in, and there are so many small values.
fn record(values: usize) -> Record {
    let identity = Identity::new(owner(), "alice", Role::user());
    let origin = Origin {
        agent: AgentFamily::from_user_agent(USER_AGENT),
        network: Some(CoarseNetwork::of([203, 0, 113, 9].into())),
    };
    let mut record = Record::logged_in(identity, &Policy::default(), origin, NOW);
    for n in 0..values {
        record
            .data
            .set(format!("member-{n}"), to_raw_value(&n).unwrap());
    }
    record
}

#[divan::bench]
fn verify_a_cookie(bencher: Bencher) {
    let set = wire::set_cookie(&CookieSpec::development(), &keys(), &token(), HALF_AN_HOUR);
    let pair = set.to_str().unwrap().split(';').next().unwrap();
    let value = pair.strip_prefix("sid=").unwrap();
    let keys = keys();
    assert!(keys.verifies(value));
    bencher.bench(|| keys.verifies(black_box(value)));
}

#[divan::bench]
fn write_a_cookie(bencher: Bencher) {
    let (spec, keys, token) = (CookieSpec::production(), keys(), token());
    bencher.bench(|| wire::set_cookie(&spec, &keys, black_box(&token), HALF_AN_HOUR));
}

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

#[divan::bench]
fn key_of_a_token(bencher: Bencher) {
    let token = token();
    bencher.bench(|| black_box(&token).key());
}

#[divan::bench]
fn read_a_user_agent() -> AgentFamily {
    AgentFamily::from_user_agent(black_box(USER_AGENT))
}

#[divan::bench(args = [0, 1, 20])]
fn decode_a_record(bencher: Bencher, values: usize) {
    let line = wire::record_to_line(&record(values));
    bencher.bench(|| wire::record_from_line(black_box(&line)).unwrap());
}

#[divan::bench(args = [0, 1, 20])]
fn encode_a_record(bencher: Bencher, values: usize) {
    let record = record(values);
    bencher.bench(|| wire::record_to_line(black_box(&record)));
}

#[divan::bench(args = [1, 20])]
fn encode_a_delta(bencher: Bencher, changes: usize) {
    let mut delta = Delta::default();
    for n in 0..changes {
        match n % 3 {
            0 => drop(delta.increment(format!("member-{n}"), 1)),
            1 => delta.set(format!("member-{n}"), to_raw_value("value").unwrap()),
            _ => delta.remove(format!("member-{n}")),
        }
    }
    let key = token().key();
    bencher.bench(|| wire::delta_to_command(&key, black_box(&delta), NOW));
}
