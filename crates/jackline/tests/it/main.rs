//! The public promises of the library, in one binary.

mod store_contract;
