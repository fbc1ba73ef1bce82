//! A model of the protocol between Jackline's instances and their store: a few requests at once, every order of their
//! steps, and a crash between any two of them. Stateright searches it whole, within the bounds in [`bounds`].
//!
//! docs/model.md says what is modelled and what is not. This is where each step is found in the real thing:
//!
//! | step of the model | in `jackline` | note |
//! |---|---|---|
//! | [`Call::Load`](store::Call::Load) | `Store::load` | renews always; a record is live, expired, absent or replaced |
//! | [`Call::Create`](store::Call::Create) | `Store::create` | |
//! | [`Call::Commit`](store::Call::Commit) | `Store::commit` | sets one member, or increments the counter |
//! | [`Call::Rotate`](store::Call::Rotate) | `Store::rotate` | |
//! | [`Call::Admit`](store::Call::Admit) | `Store::admit` | `PruneOldest` |
//! | [`Call::End`](store::Call::End) | `Store::end` | |
//! | [`Call::Epoch`](store::Call::Epoch) | `Store::epoch` | from `Session::begin_login` |
//! | [`Call::EndAll`](store::Call::EndAll) | `Store::end_all` | `Session::end_others` and `Engine::end_all` |
//! | [`Call::Take`](store::Call::Take), [`Call::Bury`](store::Call::Bury) | inside `RedisStore::admit` on a cluster | the replaced session lies in another slot: before the login if its data moves along, else after it |
//! | [`Step::Credentials`](request::Step::Credentials) | the application, between `begin_login` and `log_in` | |
//! | `Step::AskToRenew`, `Step::AskToRemove`, `Step::AskToReplace` | `look_again` in `session/finish.rs` | |
//! | [`Event::Expire`](world::Event::Expire), [`Event::Reclaim`](world::Event::Reclaim) | time, and `Store::reclaim` | |
//! | [`Event::Minute`](world::Event::Minute) | `REPLACED_KEPT` | |
//!
//! **Every request has an instance of its own.** Requests share nothing but the store, so two of them on one instance know
//! no less of each other than two on two.
//!
//! **A response never arrives, and has always arrived.** There is no network and no cookie jar: whoever sends a request may
//! present any token that some response has carried. That covers responses in any order, lost ones, and a thief's.
//!
//! **A crash** is a request that never goes on, and what it knew is lost. Promises are checked in every state, not in final
//! ones. A store that dies and comes back has what it acknowledged, so to the protocol that is a crash of those it did not
//! answer.

pub mod bounds;
pub mod history;
pub mod keys;
pub mod promises;
pub mod protocol;
pub mod request;
pub mod store;
pub mod world;
