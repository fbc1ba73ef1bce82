//! A store may answer nonsense. Whatever bytes it hands back as a record: no panic, and what decodes encodes to the same record again.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Placeholder: hand `data` to the decoder of records here.
    std::hint::black_box(data);
});
