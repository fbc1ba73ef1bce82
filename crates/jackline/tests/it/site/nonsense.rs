//! A store that cannot read what it holds. It claims to be durable, which makes it one that production accepts.

use std::time::Duration;

use jackline::lifecycle::{Delta, OwnerId, Record, UnixMs};
use jackline::store::{
    Admission, Admitted, Committed, CorruptRecord, Durability, Ended, Epoch, Listed, Loaded, Page,
    Store, StoreError, StoreFuture, Trace,
};
use jackline::token::SessionKey;

#[derive(Debug)]
pub(crate) struct Nonsense;

fn nonsense<'a, T: Send + 'a>() -> StoreFuture<'a, T> {
    let error = CorruptRecord::new("the record is not a record");
    Box::pin(std::future::ready(Err(StoreError::Corrupt(error))))
}

impl Store for Nonsense {
    fn name(&self) -> &'static str {
        "nonsense"
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }

    fn create<'a>(&'a self, _: &'a SessionKey, _: &'a Record) -> StoreFuture<'a, ()> {
        nonsense()
    }

    fn load<'a>(&'a self, _: &'a SessionKey, _: Duration, _: UnixMs) -> StoreFuture<'a, Loaded> {
        nonsense()
    }

    fn commit<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a Delta,
        _: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        nonsense()
    }

    fn rotate<'a>(
        &'a self,
        _: &'a SessionKey,
        _: &'a SessionKey,
        _: Option<&'a OwnerId>,
        _: &'a Delta,
        _: UnixMs,
    ) -> StoreFuture<'a, Committed> {
        nonsense()
    }

    fn admit<'a>(&'a self, _: &'a Admission<'a>, _: UnixMs) -> StoreFuture<'a, Admitted> {
        nonsense()
    }

    fn end<'a>(
        &'a self,
        _: &'a SessionKey,
        _: Option<&'a OwnerId>,
        _: Option<Trace>,
        _: UnixMs,
    ) -> StoreFuture<'a, Ended> {
        nonsense()
    }

    fn note<'a>(&'a self, _: &'a SessionKey, _: Trace, _: UnixMs) -> StoreFuture<'a, Trace> {
        nonsense()
    }

    fn epoch<'a>(&'a self, _: &'a OwnerId, _: UnixMs) -> StoreFuture<'a, Epoch> {
        nonsense()
    }

    fn list<'a>(&'a self, _: &'a OwnerId, _: Page, _: UnixMs) -> StoreFuture<'a, Listed> {
        nonsense()
    }

    fn end_all<'a>(
        &'a self,
        _: &'a OwnerId,
        _: Option<&'a SessionKey>,
        _: UnixMs,
    ) -> StoreFuture<'a, u64> {
        nonsense()
    }

    fn reclaim(&self, _: u32, _: UnixMs) -> StoreFuture<'_, u64> {
        nonsense()
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        nonsense()
    }
}
