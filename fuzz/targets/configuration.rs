//! Whatever stands in a settings file or in the environment, reading it does not panic, and what is wrong can be said.
#![no_main]

use jackline_server::config::{Environment, parse};
use libfuzzer_sys::fuzz_target;

// Proves: J11
fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let nothing = Environment::from_iter(Vec::<(String, String)>::new());
    if let Err(mistakes) = parse(&nothing, Some(&text)) {
        assert!(!mistakes.to_string().is_empty());
    }
    // Lines of NAME=value, as they are: the parser of .env files is another crate's.
    let environment = Environment::from_iter(
        text.lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    if let Err(mistakes) = parse(&environment, None) {
        assert!(!mistakes.to_string().is_empty());
    }
});
