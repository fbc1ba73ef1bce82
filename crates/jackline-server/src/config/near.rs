//! How much memory a near-cache may use, if there is to be one: `off`, or a size with its unit, `64MiB`. Where changes of other
//! instances are not announced, and other instances are to be expected, it is refused.

use super::keyspace::Keyspace;
use super::names::Setting;
use super::source::Reader;
use super::store::StoreEngine;

const MIB: u64 = 1 << 20;
const LEAST_BYTES: u64 = MIB;
const MOST_BYTES: u64 = 64 << 30;

/// The size in bytes; `None` for none.
pub(crate) fn read(reader: &mut Reader, engine: &StoreEngine, keyspace: &Keyspace) -> Option<u64> {
    let text = reader.one(Setting::NEAR_CACHE)?;
    if text == "off" {
        return None;
    }
    let size = in_bytes(text).filter(|size| (LEAST_BYTES..=MOST_BYTES).contains(size));
    if size.is_none() {
        let what = format!("it is {}", reader.quote(text));
        reader.report(
            Setting::NEAR_CACHE,
            what,
            "it says how much memory sessions may take, and without a bound they would take all",
            "write a size from 1MiB to 64GiB, such as `64MiB`, or `off`",
        );
        return None;
    }
    let unheard = match engine {
        _ if keyspace.is_express() => Some("the keyspace of Express"),
        StoreEngine::Redis(redis) if redis.url.is_cluster() => Some("a Redis Cluster"),
        StoreEngine::Redis(_)
        | StoreEngine::Postgres(_)
        | StoreEngine::Sqlite
        | StoreEngine::Memory => None,
    };
    if let Some(store) = unheard {
        reader.report(
            Setting::NEAR_CACHE,
            format!("it is set, and sessions are kept in {store}"),
            "this version does not hear what others change there, and a session that was ended would go on here (J2)",
            "leave it out, or keep sessions in PostgreSQL or in one Redis, alone or behind Sentinel",
        );
        return None;
    }
    size
}

fn in_bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.strip_suffix("GiB") {
        Some(number) => (number, MIB << 10),
        None => (text.strip_suffix("MiB")?, MIB),
    };
    number.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}
