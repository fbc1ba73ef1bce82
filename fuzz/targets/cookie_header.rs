//! Whatever stands in a cookie header, reading it neither panics nor accepts what this library would not have written.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Proves: S7, J9
fuzz_target!(|header: &[u8]| jackline::cookie::fuzz_read(header));
