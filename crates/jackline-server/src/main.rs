//! The program `jackline`.
fn main() {}
