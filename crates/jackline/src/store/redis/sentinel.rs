//! Who the primary is, by what most of the sentinels say: one that was cut off still names the server of before. They are
//! all asked at once, anew for every connection, so a failover needs no restart.

use std::time::Duration;

use redis::{ConnectionInfo, RedisError, Value};
use tokio::task::JoinSet;

use super::address;
use super::dial::{Server, Times, connect};
use super::open::RedisOpenError;
use super::tls::Tls;

/// The sentinels, and what they are asked for.
#[derive(Clone)]
pub(super) struct Sentinels {
    sentinels: Vec<Server>,
    pub(super) service: String,
    /// How to speak to the primary, wherever it is.
    primary: ConnectionInfo,
    tls: Tls,
}

/// What the sentinels say.
pub(super) struct Named {
    pub(super) primary: (String, u16),
    /// Whether more than half of all sentinels say so.
    by_most: bool,
}

/// Why the sentinels name no primary.
#[derive(Debug)]
pub(super) enum NoPrimary {
    /// None of those that answer knows the service.
    Unknown,
    /// None of them answers; what one of them did.
    Silent {
        at: String,
        error: Option<RedisError>,
    },
}

impl Sentinels {
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        service: String,
        primary: ConnectionInfo,
        tls: Tls,
    ) -> Result<Self, RedisOpenError> {
        let sentinels = sentinels.into_iter().map(|info| tls.server(info));
        Ok(Self {
            sentinels: sentinels.collect::<Result<_, _>>()?,
            service,
            primary,
            tls,
        })
    }

    /// The server at this place.
    pub(super) fn server(&self, (host, port): &(String, u16)) -> Server {
        self.tls
            .server(address::at(&self.primary, host, *port))
            .expect("the same certificates were read at start")
    }

    /// Asks all of them. Returns as soon as more than half agree; else, when all have answered or `within` has passed, what
    /// most of those say that did answer.
    pub(super) async fn ask(&self, within: Duration) -> Result<Named, NoPrimary> {
        let times = Times {
            connect: within,
            respond: within,
        };
        let mut asked = JoinSet::new();
        for sentinel in &self.sentinels {
            let (sentinel, service) = (sentinel.clone(), self.service.clone());
            asked.spawn(async move {
                let answer = ask_one(&sentinel, &service, times);
                let answer = tokio::time::timeout(within, answer).await;
                (sentinel.at(), answer)
            });
        }
        let mut votes = Votes::of(self.sentinels.len());
        let mut reason = None;
        while let Some(Ok((at, answer))) = asked.join_next().await {
            match answer {
                Ok(Ok(Some(primary))) => {
                    if votes.cast(&primary) {
                        let by_most = true;
                        return Ok(Named { primary, by_most });
                    }
                }
                Ok(Ok(None)) => reason = Some(NoPrimary::Unknown),
                Ok(Err(error)) => {
                    let error = Some(error);
                    reason = reason.or(Some(NoPrimary::Silent { at, error }));
                }
                Err(_) => reason = reason.or(Some(NoPrimary::Silent { at, error: None })),
            }
        }
        match (votes.most(), reason) {
            (Some(primary), _) => Ok(Named {
                primary,
                by_most: false,
            }),
            (None, reason) => Err(reason.unwrap_or(NoPrimary::Unknown)),
        }
    }

    /// Returns when more than half of the sentinels name another primary than the one at `at`. A primary that hung while
    /// it was replaced and then went on does not know yet that it is none, and would take writes that are lost.
    pub(super) async fn prefer_another(&self, at: &str, within: Duration) {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        every.tick().await;
        loop {
            every.tick().await;
            if let Ok(named) = self.ask(within).await
                && named.by_most
                && self.server(&named.primary).at() != at
            {
                return;
            }
        }
    }
}

/// Who was named how often.
struct Votes {
    sentinels: usize,
    cast: Vec<((String, u16), usize)>,
}

impl Votes {
    /// None yet, of so many.
    fn of(sentinels: usize) -> Self {
        Self {
            sentinels,
            cast: Vec::new(),
        }
    }

    /// Counts one for this primary, and says whether more than half of all are for it now.
    fn cast(&mut self, primary: &(String, u16)) -> bool {
        let place = self.cast.iter().position(|(other, _)| other == primary);
        let place = place.unwrap_or_else(|| {
            self.cast.push((primary.clone(), 0));
            self.cast.len() - 1
        });
        let votes = &mut self.cast[place].1;
        *votes += 1;
        *votes * 2 > self.sentinels
    }

    /// Whom most of those have named that have named anybody.
    fn most(self) -> Option<(String, u16)> {
        let most = self.cast.into_iter().max_by_key(|(_, votes)| *votes);
        most.map(|(primary, _)| primary)
    }
}

async fn ask_one(
    sentinel: &Server,
    service: &str,
    times: Times,
) -> Result<Option<(String, u16)>, RedisError> {
    let mut dialed = connect(sentinel, times, None).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    let answer: Value = dialed.ask(&question).await?;
    if answer == Value::Nil {
        return Ok(None);
    }
    redis::from_redis_value(answer)
        .map(Some)
        .map_err(RedisError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Proves: J2, J7
    #[test]
    fn a_primary_needs_the_votes_of_more_than_half_of_all_sentinels() {
        let [old, new] = ["old", "new"].map(|host| (host.to_owned(), 6379));
        for (sentinels, enough) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let mut votes = Votes::of(sentinels);
            // Those who were cut off answer first.
            for _ in 0..sentinels - enough {
                assert!(!votes.cast(&old), "of {sentinels}");
            }
            for vote in 1..=enough {
                assert_eq!(votes.cast(&new), vote == enough, "{vote} of {sentinels}");
            }
            assert_eq!(votes.most(), Some(new.clone()));
        }
        assert_eq!(Votes::of(3).most(), None);
    }
}
