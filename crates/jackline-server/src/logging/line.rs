//! One JSON object on one line. JSON must escape the control characters up to U+001F only; here all of them are escaped, also those that
//! terminals act on (U+009B is an escape sequence in one character) and those that turn the direction of text around.

use std::io::{self, Write};

use serde::Serializer as _;
use serde::ser::SerializeMap;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// An object's members, in order.
pub(super) type Members = Vec<(String, Value)>;

/// The line with its line feed.
pub(super) fn to_bytes(members: &Members) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = Serializer::with_formatter(&mut bytes, OneLine);
    let written = serializer
        .serialize_map(Some(members.len()))
        .and_then(|mut map| {
            for (name, value) in members {
                map.serialize_entry(name, value)?;
            }
            map.end()
        });
    debug_assert!(written.is_ok(), "texts and numbers into memory");
    bytes.push(b'\n');
    bytes
}

/// Compact JSON that escapes more than it must.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((index, c)) = rest.char_indices().find(|(_, c)| acts_on_screens(*c)) {
            writer.write_all(&rest.as_bytes()[..index])?;
            write!(writer, "\\u{:04x}", u32::from(c))?;
            rest = &rest[index + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// All of them fit into one `\uXXXX`.
fn acts_on_screens(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
