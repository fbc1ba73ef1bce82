//! The store contract as a public test suite, a hand-held clock and a spy store.
