//! How much of a guess was right does not show in the time that it takes to refuse it. Times are noise on any machine that
//! does something else as well, so instructions are counted instead: callgrind runs this very test as a child, in which one
//! forgery is verified, and counts what happens inside one function. A comparison that stops at the first wrong byte takes
//! fewer instructions the earlier that byte stands. What is counted is the code as the dev profile makes it, like every test: what
//! the optimiser makes of the same source in a release is not shown here.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::hint::black_box;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jackline::cookie::{Keyring, SigningKey};
use jackline::csrf::CsrfKeys;
use sha2::Sha256;

const SECRET: &str = "a-signing-secret-that-no-log-may-show-0123456789";

/// Where the one wrong byte of 32 stands.
const PLACES: [usize; 5] = [0, 1, 15, 30, 31];

/// Tells a child what to verify, and which byte is wrong.
const SUBJECT: &str = "JACKLINE_TIMING_SUBJECT";
const PLACE: &str = "JACKLINE_TIMING_PLACE";

// Proves: T9.2
#[test]
fn where_the_first_wrong_byte_stands_does_not_show() {
    if let (Ok(subject), Ok(place)) = (std::env::var(SUBJECT), std::env::var(PLACE)) {
        return refuse(&subject, place.parse().unwrap());
    }
    for subject in ["counted_cookie", "counted_csrf_token"] {
        let counts = PLACES.map(|place| instructions(subject, place));
        assert!(counts[0] > 1000, "{subject}: {counts:?}");
        assert!(
            counts.iter().all(|count| *count == counts[0]),
            "{subject} shows how much was right: {counts:?} instructions for the places {PLACES:?}"
        );
    }
    let counts = PLACES.map(|place| instructions("counted_naively", place));
    assert!(
        counts.iter().any(|count| *count != counts[0]),
        "the count would not tell: {counts:?}"
    );
}

/// How many instructions `subject`, a function below, takes in a child of this test.
fn instructions(subject: &str, place: usize) -> u64 {
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([
            "--collect-atstart=no",
            &format!("--toggle-collect=*{subject}*"),
        ])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--test-threads=1",
            "where_the_first_wrong_byte_stands_does_not_show",
        ])
        // A plain `==` is the C library's `memcmp`, which on a machine with wide registers compares all 32 bytes at once. Without
        // those it takes two halves, and the count tells.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-EVEX,-SSE4_1")
        .env(SUBJECT, subject)
        .env(PLACE, place.to_string())
        .output()
        .expect("valgrind is there: `cargo xtask test` installs it");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    said.lines()
        .find_map(|line| line.split_once("Collected : "))
        .unwrap_or_else(|| panic!("callgrind has counted: {said}"))
        .1
        .trim()
        .parse()
        .unwrap()
}

fn refuse(subject: &str, place: usize) {
    let refused = match subject {
        "counted_cookie" => {
            let keys = Keyring::new(SigningKey::new(SECRET).unwrap());
            let (genuine, forged) = cookies(place);
            assert!(keys.verifies(&genuine));
            !counted_cookie(&keys, &forged)
        }
        "counted_csrf_token" => {
            let keys = CsrfKeys::derive(&[SECRET.as_bytes()]).unwrap();
            let token = keys.mint(b"a session token", [7; 32]);
            let mut bytes = URL_SAFE_NO_PAD.decode(token.expose()).unwrap();
            bytes[32 + place] ^= 1;
            let forged = URL_SAFE_NO_PAD.encode(bytes);
            assert!(keys.verify(b"a session token", token.expose().as_bytes()));
            !counted_csrf_token(&keys, &forged)
        }
        _ => {
            let mut forged = [7; 32];
            forged[place] ^= 1;
            !counted_naively(&[7; 32], &forged)
        }
    };
    assert!(refused);
}

/// A cookie, and the same with one wrong byte in its signature. Neither has a character that stands escaped in a cookie, which
/// would take its own time: that is the sender's doing, and tells nothing.
fn cookies(place: usize) -> (String, String) {
    (0..=u8::MAX)
        .map(|id| {
            let id = URL_SAFE_NO_PAD.encode([id; 26]);
            let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            let mac: [u8; 32] = mac.chain_update(&id).finalize().into_bytes().into();
            (id, mac)
        })
        .find(|(_, mac)| PLACES.iter().all(|place| is_plain(&forged(*mac, *place))))
        .map(|(id, mac)| {
            let cookie = |mac: [u8; 32]| format!("s%3A{id}.{}", STANDARD_NO_PAD.encode(mac));
            (cookie(mac), cookie(forged(mac, place)))
        })
        .unwrap()
}

fn forged(mut mac: [u8; 32], place: usize) -> [u8; 32] {
    mac[place] ^= 1;
    mac
}

fn is_plain(mac: &[u8; 32]) -> bool {
    !STANDARD_NO_PAD.encode(mac).contains(['+', '/'])
}

#[inline(never)]
fn counted_cookie(keys: &Keyring, forged: &str) -> bool {
    black_box(keys.verifies(black_box(forged)))
}

#[inline(never)]
fn counted_csrf_token(keys: &CsrfKeys, forged: &str) -> bool {
    black_box(keys.verify(b"a session token", black_box(forged.as_bytes())))
}

/// What must not be: the control that shows that the count would tell.
#[inline(never)]
fn counted_naively(right: &[u8; 32], forged: &[u8; 32]) -> bool {
    black_box(black_box(right) == black_box(forged))
}
