//! What express-session takes for a cookie of its own, so that both sides agree on every cookie of every browser.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::token::SessionToken;

/// Decodes as `decodeURIComponent` does: what it throws at stays as it is, whole. `None` for what is not ASCII: Node reads
/// headers as Latin-1 and would see another text, and Express writes none.
pub(super) fn decode(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !value.is_ascii() {
        return None;
    }
    let mut escapes = value.split(|b| *b == b'%').skip(1);
    let well_formed = escapes
        .all(|rest| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()));
    let decoded = Cow::from(percent_decode(value));
    Some(match std::str::from_utf8(&decoded) {
        Ok(_) if well_formed => decoded,
        _ => Cow::Borrowed(value),
    })
}

/// Any text that is not empty and not too long.
pub(super) fn token(id: &[u8]) -> Option<SessionToken> {
    SessionToken::express(std::str::from_utf8(id).ok()?)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::keyring::for_tests;
    use super::super::read::{CookieForm, Reading, Rejected, read, write};
    use super::super::{KeyAge, Keyring};
    use super::*;

    const SID: &str = "abcdefghijklmnopqrstuvwxyz012345";
    const VALUE: &str =
        "s%3Aabcdefghijklmnopqrstuvwxyz012345.2T3g1YIBqofc0ViEUEt59cUq%2Ba6Wlfi59xfb4RQsxSQ";

    fn cat() -> Keyring {
        Keyring::new(for_tests("keyboard cat"))
    }

    fn reading(cookie: &[u8], keys: &Keyring) -> Reading {
        let header = HeaderValue::from_bytes(cookie).unwrap();
        read([&header], "connect.sid", CookieForm::Express, keys)
    }

    fn sid_in(value: &str, keys: &Keyring) -> Option<String> {
        let (token, _) = reading(format!("connect.sid={value}").as_bytes(), keys).token?;
        Some(token.expose())
    }

    // Proves: T4.1
    #[test]
    fn cookies_are_those_of_express() {
        assert_eq!(write(&SessionToken::express(SID).unwrap(), &cat()), VALUE);
        assert_eq!(sid_in(VALUE, &cat()).as_deref(), Some(SID));
        let tobi = Keyring::new(for_tests("tobiiscool"));
        let hello = "hello.DGDUkGlIkCzPz+C0B064FNgHdEjox7ch8tOBGslZ5QI";
        for spelling in [
            format!("s:{hello}"),
            format!("\"s:{hello}\""),
            format!("s%3a{hello}"),
            format!("s%3A{}", hello.replace('+', "%2B")),
        ] {
            assert_eq!(
                sid_in(&spelling, &tobi).as_deref(),
                Some("hello"),
                "{spelling}"
            );
        }
    }

    // Proves: T4.1
    #[test]
    fn hostile_ids_travel_there_and_back() {
        let keys = cat();
        for sid in [
            "a.b.c",
            ".",
            "..",
            "100%",
            "%41",
            "%zz",
            "é",
            "日本語",
            "\u{1f36a}",
            "\"q\"",
            "'",
            "a b",
            ";",
            "a;b=c",
            ",",
            "=",
            "s:",
            "\0",
            "\r\n",
            "\\",
            "sess:x",
            "{}",
            "../..",
            &"x".repeat(128),
            &"日".repeat(42),
        ] {
            let value = write(&SessionToken::express(sid).unwrap(), &keys);
            assert!(
                value
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b";,\"\\".contains(&b)),
                "{value}"
            );
            assert_eq!(sid_in(&value, &keys).as_deref(), Some(sid), "{value}");
        }
    }

    // Proves: S2, S4, S7, J9
    #[test]
    fn what_express_does_not_take_is_not_taken_here() {
        let keys = cat();
        let signed = |id: &str| format!("{id}.{}", keys.sign(id.as_bytes()));
        let forged = VALUE.replacen("abc", "abd", 1);
        let padded = format!("s%3A{}%3D", signed(SID).replace('+', "%2B"));
        let cases = [
            // It verifies, and names nothing.
            (format!("s:{}", signed("")), Rejected::Malformed),
            (forged, Rejected::Forged),
            (padded, Rejected::Forged),
            (signed(SID), Rejected::Malformed),
            (format!("s:{SID}"), Rejected::Malformed),
            // Malformed escapes leave all others as they are.
            (format!("{VALUE}%zz"), Rejected::Malformed),
            (format!("{VALUE}%"), Rejected::Malformed),
            (format!("{VALUE}%ff"), Rejected::Malformed),
            (
                format!("s:{}", signed(&"x".repeat(129))),
                Rejected::Malformed,
            ),
        ];
        for (value, reason) in cases {
            let reading = reading(format!("connect.sid={value}").as_bytes(), &keys);
            assert!(reading.token.is_none(), "{value}");
            assert_eq!(reading.rejected, Some(reason), "{value}");
        }
        // The id keeps its malformed escape, as it does in Node.
        assert_eq!(
            sid_in(&format!("s:{}", signed("%zz")), &keys).as_deref(),
            Some("%zz")
        );
        assert_eq!(
            sid_in(&format!("s:{}", signed("%zz%41")), &keys).as_deref(),
            Some("%zz%41")
        );
        let raw = format!("connect.sid=s:{}", signed("é"));
        assert!(reading(raw.as_bytes(), &keys).token.is_none());
    }

    // Proves: T9.1
    #[test]
    fn every_secret_of_the_list_verifies_and_the_first_signs() {
        let both = Keyring::new(for_tests("new")).with_previous(for_tests("keyboard cat"));
        let found = reading(format!("connect.sid={VALUE}").as_bytes(), &both).token;
        let (token, age) = found.unwrap();
        assert_eq!(age, KeyAge::Older);
        let again = write(&token, &both);
        assert!(sid_in(&again, &cat()).is_none());
        assert_eq!(
            sid_in(&again, &Keyring::new(for_tests("new"))).as_deref(),
            Some(SID)
        );
    }

    // Proves: S20, J10
    #[test]
    fn two_different_valid_cookies_are_refused_as_ever() {
        let other = write(&SessionToken::express("other").unwrap(), &cat());
        let both = format!("connect.sid={VALUE}; connect.sid={other}");
        let reading = reading(both.as_bytes(), &cat());
        assert!(reading.token.is_none());
        assert_eq!(reading.rejected, Some(Rejected::Ambiguous));
    }
}
