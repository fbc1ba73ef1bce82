//! Random text from the operating system's generator, for secrets and ids. There is no seed to guess and no fallback: where the system
//! gives no random bytes, the caller gets an error.

use zeroize::Zeroizing;

/// `bytes` random bytes as lower-case hexadecimal digits, two each.
pub(crate) fn hex(bytes: usize) -> Result<Zeroizing<String>, getrandom::Error> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let random = random(bytes)?;
    let digits = random
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]));
    Ok(Zeroizing::new(digits.collect()))
}

/// `length` random characters of lower-case base32 (RFC 4648, section 6), five bits each.
pub(crate) fn base32(length: usize) -> Result<Zeroizing<String>, getrandom::Error> {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let random = random(length)?;
    let digits = random
        .iter()
        .map(|byte| char::from(DIGITS[usize::from(byte & 31)]));
    Ok(Zeroizing::new(digits.collect()))
}

/// Bytes as text that stands in a URL as it is (RFC 4648, section 5).
pub(crate) fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut random = [0; N];
    getrandom::fill(&mut random)?;
    Ok(random)
}

fn random(bytes: usize) -> Result<Zeroizing<Vec<u8>>, getrandom::Error> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random)?;
    Ok(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: S1, T2.1
    #[test]
    fn random_texts_have_the_length_and_alphabet_they_should_and_differ() {
        let hex = hex(64).unwrap();
        assert_eq!(hex.len(), 128);
        assert!(
            hex.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        let base32 = base32(16).unwrap();
        assert_eq!(base32.len(), 16);
        assert!(
            base32
                .bytes()
                .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
        );
        assert_ne!(hex, super::hex(64).unwrap());
        assert_ne!(base32, super::base32(16).unwrap());
    }
}
