//! Each pitfall and symptom provoked, and found under its number: by a small server with faults, and by settings, folders and stores
//! that are not as they should be.

mod fake;
mod here;
mod server;
