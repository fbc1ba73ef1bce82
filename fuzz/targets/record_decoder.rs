//! Whatever stands in a store, decoding it does not panic, and a record that decodes survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

// Proves: S79
fuzz_target!(|stored: &[u8]| jackline::store::fuzz_decode(stored));
