//! Configuration is typed by people. Whatever the file holds: no panic, and every refusal is a message that repeats no secret.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // Placeholder: hand `data` to the reader of jackline.toml here.
    std::hint::black_box(data);
});
