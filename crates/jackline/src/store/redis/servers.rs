//! One server, the primary that sentinels name, or a cluster: what the store asks, whichever it is.

use redis::Value;

use super::cluster::Cluster;
use super::keys::tag;
use super::link::{Failure, Link};
use super::question::Question;
use super::slots;
use crate::token::Bucket;

/// Where sessions are kept.
#[derive(Debug)]
pub(super) enum Servers {
    One(Link),
    Cluster(Cluster),
}

impl Servers {
    /// Asks, and returns within the response time-out.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Value, Failure> {
        match self {
            Self::One(link) => link.ask(question, link.until()).await,
            Self::Cluster(cluster) => cluster.ask(question).await,
        }
    }

    /// Whether one script can be about both buckets.
    pub(super) fn together(&self, one: Bucket, other: Bucket) -> bool {
        match self {
            Self::One(_) => true,
            Self::Cluster(_) => slots::of(&tag(one)) == slots::of(&tag(other)),
        }
    }

    /// For each server that takes writes a bucket that it holds.
    pub(super) fn bucket_of_each(&self) -> Vec<Bucket> {
        match self {
            Self::One(_) => vec![Bucket::from_number(0)],
            Self::Cluster(cluster) => cluster.bucket_of_each(),
        }
    }
}
