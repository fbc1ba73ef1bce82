//! Reading the cookie header. Every cookie of the name is tried; forged ones are skipped, and two different valid ones are
//! refused, since one of them was planted (J10). Nothing here asks a store, whatever a stranger sends (J9).
//!
//! Names are compared byte by byte, and only blanks and tabs are trimmed. Anything cleverer, such as Unicode trimming or
//! decoding of names, lets `\u{2003}__Host-sid` through, which browsers do not protect.

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::express;
use super::keyring::{KeyAge, Keyring};
use crate::token::SessionToken;

/// What a cookie's value is made of, and which tokens are made for new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieForm {
    /// Tokens of this library: nothing else is looked at.
    #[default]
    Native,
    /// Ids of Express, of whatever text, in cookies that express-session reads and writes too.
    Express,
}

/// Longer cookies are not looked at (RFC 6265bis, section 5.6: name and value fit into 4096 octets).
const MAX_COOKIE_BYTES: usize = 4096;

/// Cookies up to this length, as ours are unless nearly all of their signature is escaped, are decoded without an allocation.
const SHORT_COOKIE_BYTES: usize = 128;

/// What `encodeURIComponent` escapes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// What the cookies of a request amount to.
#[derive(Debug)]
pub(crate) struct Reading {
    /// The one valid token, and the age of the key that it was verified with.
    pub(crate) token: Option<(SessionToken, KeyAge)>,
    /// Why cookies of the name were not accepted; the gravest reason, if there are several.
    pub(crate) rejected: Option<Rejected>,
}

/// Why a cookie was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejected {
    Malformed,
    Oversize,
    Forged,
    Ambiguous,
}

impl Rejected {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Oversize => "oversize",
            Self::Forged => "forged",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// The value that stands in a cookie for `token`.
pub(crate) fn write(token: &SessionToken, keys: &Keyring) -> String {
    let id = token.expose();
    let signature = keys.sign(id.as_bytes());
    // Nothing of a native token is escaped, and little of a signature.
    let mut value = String::with_capacity(SHORT_COOKIE_BYTES);
    value.push_str("s%3A");
    value.extend(utf8_percent_encode(&id, COMPONENT));
    value.push('.');
    value.extend(utf8_percent_encode(&signature, COMPONENT));
    value
}

/// Reads the cookies called `name` in these cookie headers.
pub(crate) fn read<'a>(
    headers: impl IntoIterator<Item = &'a HeaderValue>,
    name: &str,
    form: CookieForm,
    keys: &Keyring,
) -> Reading {
    let mut reading = Reading {
        token: None,
        rejected: None,
    };
    for value in values(headers, name) {
        match verify(value, name, form, keys) {
            Err(reason) => reading.rejected = reading.rejected.max(Some(reason)),
            Ok((token, age)) => match &mut reading.token {
                None => reading.token = Some((token, age)),
                Some((first, first_age)) if *first == token => {
                    if age == KeyAge::Current {
                        *first_age = KeyAge::Current;
                    }
                }
                Some(_) => {
                    return Reading {
                        token: None,
                        rejected: Some(Rejected::Ambiguous),
                    };
                }
            },
        }
    }
    reading
}

/// The value of the one cookie called `name`, if it looks as [`write`] has it. Once it is verified, it is what would be written again.
pub(crate) fn as_written<'a>(
    headers: impl IntoIterator<Item = &'a HeaderValue>,
    name: &str,
) -> Option<&'a str> {
    let mut values = values(headers, name);
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%-_.!~*'()".contains(byte);
    let looks_so = value.starts_with(b"s%3A") && value.iter().all(plain);
    std::str::from_utf8(value).ok().filter(|_| looks_so)
}

/// Whether one of the keys signed the value of a cookie.
pub(super) fn is_signed(value: &[u8], keys: &Keyring) -> bool {
    [CookieForm::Native, CookieForm::Express]
        .into_iter()
        .any(|form| verify(value, "", form, keys).is_ok())
}

/// The raw values of all cookies called exactly `name`, in all cookie headers (HTTP/2 may split them).
pub(super) fn values<'a>(
    headers: impl IntoIterator<Item = &'a HeaderValue>,
    name: &str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .into_iter()
        .flat_map(|header| pairs(header.as_bytes()))
        .filter_map(move |pair| {
            let pair = trim(pair);
            let value = pair.strip_prefix(name.as_bytes())?;
            // Blanks between the name and the equals sign belong to neither.
            trim(value).strip_prefix(b"=").map(trim)
        })
}

/// As `split` at each semicolon would, but without a look at every byte for itself.
fn pairs(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(header);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr::memchr(b';', bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn verify(
    value: &[u8],
    name: &str,
    form: CookieForm,
    keys: &Keyring,
) -> Result<(SessionToken, KeyAge), Rejected> {
    if name.len() + value.len() > MAX_COOKIE_BYTES {
        return Err(Rejected::Oversize);
    }
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        bare => bare,
    };
    let mut short = [0; SHORT_COOKIE_BYTES];
    let decoded = match form {
        CookieForm::Native if value.len() <= short.len() => {
            let decoded = percent_decode(value);
            let len = short
                .iter_mut()
                .zip(decoded)
                .map(|(to, from)| *to = from)
                .count();
            Some(Cow::Borrowed(&short[..len]))
        }
        CookieForm::Native => Some(percent_decode(value).into()),
        CookieForm::Express => express::decode(value),
    };
    let decoded = decoded.ok_or(Rejected::Malformed)?;
    let signed = decoded.strip_prefix(b"s:").ok_or(Rejected::Malformed)?;
    let dot = signed
        .iter()
        .rposition(|b| *b == b'.')
        .ok_or(Rejected::Malformed)?;
    let (id, signature) = (&signed[..dot], &signed[dot + 1..]);
    // The form is checked first: an HMAC over nonsense is work that a stranger would be given for nothing.
    let token = match form {
        CookieForm::Native => SessionToken::parse(id),
        CookieForm::Express => express::token(id),
    };
    let token = token.ok_or(Rejected::Malformed)?;
    let age = keys.verify(id, signature).ok_or(Rejected::Forged)?;
    Ok((token, age))
}

/// Reads an arbitrary header and checks that what is accepted is what this library writes.
///
/// # Panics
/// If it is not.
#[cfg(fuzzing)]
pub fn fuzz_read(header: &[u8]) {
    let keys = Keyring::new(
        super::SigningKey::new("0123456789abcdef0123456789abcdef").expect("long enough"),
    );
    let Ok(value) = http::HeaderValue::from_bytes(header) else {
        return;
    };
    for form in [CookieForm::Native, CookieForm::Express] {
        if let Some((token, _)) = read([&value], "sid", form, &keys).token {
            let again = format!("sid={}", write(&token, &keys));
            let again = http::HeaderValue::from_str(&again).expect("visible ASCII");
            let second = read([&again], "sid", form, &keys).token;
            assert!(second.is_some_and(|(second, _)| second == token));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SigningKey;
    use super::*;
    use crate::token::Bucket;
    use http::HeaderValue;

    fn keys() -> Keyring {
        Keyring::new(SigningKey::new("0123456789abcdef0123456789abcdef").unwrap())
    }

    fn token(n: u8) -> SessionToken {
        SessionToken::from_random([n; 24], Bucket::from_random([n, n]))
    }

    fn read_all(cookies: &[&[u8]]) -> Reading {
        let headers: Vec<_> = cookies
            .iter()
            .map(|cookie| HeaderValue::from_bytes(cookie).unwrap())
            .collect();
        read(&headers, "sid", CookieForm::Native, &keys())
    }

    fn read_one(cookie: &str) -> Reading {
        read_all(&[cookie.as_bytes()])
    }

    // Proves: T4.1, S3
    #[test]
    fn what_is_written_is_read() {
        let value = write(&token(1), &keys());
        assert!(value.starts_with("s%3A"), "{value}");
        assert_eq!(
            read_one(&format!("sid={value}")).token,
            Some((token(1), KeyAge::Current))
        );
        let decoded = percent_decode(value.as_bytes())
            .decode_utf8()
            .unwrap()
            .into_owned();
        for spelling in [
            format!("a=b; sid={value}; c=d"),
            format!("sid = {value}\t"),
            format!("sid=\"{value}\""),
            format!("sid={decoded}"),
            format!("sid={value}; sid={value}"),
            format!("sid=; sid={value}"),
        ] {
            assert!(
                read_one(&spelling)
                    .token
                    .is_some_and(|(t, _)| t == token(1)),
                "{spelling}"
            );
        }
    }

    // Proves: D6, T9.1
    #[test]
    fn a_cookie_value_is_told_to_be_ours_by_any_of_our_keys_and_no_other() {
        let key = |text: &str| SigningKey::new(text).unwrap();
        let value = write(&token(1), &keys());
        assert!(keys().verifies(&value));
        let other = Keyring::new(key("fedcba9876543210fedcba9876543210"));
        assert!(!other.verifies(&value));
        let rotated = other.with_previous(key("0123456789abcdef0123456789abcdef"));
        assert!(rotated.verifies(&value));
        assert!(!rotated.verifies("") && !rotated.verifies(&value[..value.len() - 1]));
    }

    // Proves: S2, S4, S7, J9
    #[test]
    fn strangers_cookies_are_nobodys() {
        let value = write(&token(1), &keys());
        let flipped = {
            let mut bytes = value.clone().into_bytes();
            bytes[10] = if bytes[10] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        };
        let oversize = "x".repeat(4097);
        let cases: [(&[u8], Rejected); 10] = [
            (b"sid=", Rejected::Malformed),
            (b"sid=s%3A", Rejected::Malformed),
            (b"sid=s%3A.", Rejected::Malformed),
            (b"sid=' OR 1=1 --", Rejected::Malformed),
            (b"sid=\xff\xfe\x80", Rejected::Malformed),
            (b"sid=s%3Aa%00b.c%00", Rejected::Malformed),
            (b"sid=%zz%", Rejected::Malformed),
            (
                b"sid=s%3AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.AAAA",
                Rejected::Forged,
            ),
            (&format!("sid={flipped}").into_bytes(), Rejected::Forged),
            (&format!("sid={oversize}").into_bytes(), Rejected::Oversize),
        ];
        for (cookie, reason) in cases {
            let reading = read_all(&[cookie]);
            assert!(reading.token.is_none(), "{cookie:?}");
            assert_eq!(
                reading.rejected,
                Some(reason),
                "{}",
                String::from_utf8_lossy(cookie)
            );
        }
    }

    // Proves: S2
    #[test]
    fn a_cookie_is_oversize_from_the_first_octet_past_the_limit() {
        let value = "x".repeat(MAX_COOKIE_BYTES - "sid".len());
        let longest = read_one(&format!("sid={value}"));
        assert_eq!(longest.rejected, Some(Rejected::Malformed));
        let longer = read_one(&format!("sid={value}x"));
        assert_eq!(longer.rejected, Some(Rejected::Oversize));
    }

    // Proves: T9.1, J10
    #[test]
    fn a_token_that_came_twice_is_as_young_as_its_youngest_signature() {
        let key = || SigningKey::new("fedcba9876543210fedcba9876543210").unwrap();
        let rotated = keys().with_previous(key());
        let older = write(&token(1), &Keyring::new(key()));
        let current = write(&token(1), &rotated);
        for (cookies, age) in [
            (format!("sid={older}; sid={older}"), KeyAge::Older),
            (format!("sid={older}; sid={current}"), KeyAge::Current),
            (format!("sid={current}; sid={older}"), KeyAge::Current),
        ] {
            let header = HeaderValue::from_str(&cookies).unwrap();
            let reading = read([&header], "sid", CookieForm::Native, &rotated);
            assert_eq!(reading.token, Some((token(1), age)), "{cookies}");
        }
    }

    // Proves: S18
    #[test]
    fn names_match_exactly() {
        let value = write(&token(1), &keys());
        for name in [
            "SID",
            "sid2",
            "xsid",
            "s",
            "__Host-sid",
            "%73id",
            "\u{2003}sid",
            "\u{a0}sid",
            "\u{85}sid",
        ] {
            let reading = read_one(&format!("{name}={value}"));
            assert!(
                reading.token.is_none() && reading.rejected.is_none(),
                "{name}"
            );
        }
    }

    // Proves: J10
    #[test]
    fn a_forged_cookie_tossed_in_front_does_not_log_anybody_out() {
        let value = write(&token(1), &keys());
        let reading = read_all(&[
            b"sid=s%3Aforged.sig",
            format!("x=y; sid={value}").as_bytes(),
        ]);
        assert!(reading.token.is_some());
        assert_eq!(reading.rejected, Some(Rejected::Malformed));
    }

    // Proves: S20, J10
    #[test]
    fn two_different_valid_cookies_are_refused() {
        let (one, two) = (write(&token(1), &keys()), write(&token(2), &keys()));
        let reading = read_one(&format!("sid={one}; sid={two}; sid={one}"));
        assert!(reading.token.is_none());
        assert_eq!(reading.rejected, Some(Rejected::Ambiguous));
    }
}
