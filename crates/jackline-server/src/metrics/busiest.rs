//! How many events of one kind came from the one network that sent the most, within a minute: what tells one attacker from many
//! visitors, without a label that names anybody. Which network it is stands in the log of events.
//!
//! Strangers choose how many networks there are, so only so many are counted at once, by the algorithm of Misra and Gries: a count
//! is too small by at most a thousandth of all events of that minute, and never too large.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::{IpNet, Ipv6Net};

/// How many networks are counted at once.
const MOST_NETWORKS: usize = 1_024;

/// Counts one kind of event.
#[derive(Debug, Default)]
pub(crate) struct Busiest(Mutex<Windows>);

#[derive(Debug, Default)]
struct Windows {
    minute: i64,
    counts: HashMap<IpNet, u64>,
    /// Those of the minute before.
    before: HashMap<IpNet, u64>,
}

impl Busiest {
    /// An event came from this address, in this minute since 1970.
    pub(crate) fn count(&self, address: IpAddr, minute: i64) {
        let mut windows = self.at(minute);
        let network = network_of(address);
        if let Some(count) = windows.counts.get_mut(&network) {
            *count += 1;
        } else if windows.counts.len() < MOST_NETWORKS {
            windows.counts.insert(network, 1);
        } else {
            windows.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// The most that came from one network, in this minute or in the whole one before it.
    pub(super) fn most(&self, minute: i64) -> u64 {
        let windows = self.at(minute);
        most(&windows.counts).max(most(&windows.before))
    }

    /// The networks that sent the most in this minute and the whole one before it together, so many of them, and how much each sent.
    pub(crate) fn top(&self, minute: i64, networks: usize) -> Vec<(IpNet, u64)> {
        let windows = self.at(minute);
        let mut counts = windows.counts.clone();
        for (network, count) in &windows.before {
            *counts.entry(*network).or_default() += count;
        }
        drop(windows);
        let mut counts: Vec<_> = counts.into_iter().collect();
        // The network decides among equals, so that a page does not change its order for nothing.
        counts.sort_unstable_by_key(|(network, count)| (std::cmp::Reverse(*count), *network));
        counts.truncate(networks);
        counts
    }

    fn at(&self, minute: i64) -> std::sync::MutexGuard<'_, Windows> {
        // Counts are numbers; there is no state between two of them.
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.minute != minute {
            let counts = std::mem::take(&mut windows.counts);
            windows.before = match windows.minute.checked_add(1) {
                Some(next) if next == minute => counts,
                _ => HashMap::new(),
            };
            windows.minute = minute;
        }
        windows
    }
}

fn most(counts: &HashMap<IpNet, u64>) -> u64 {
    counts.values().copied().max().unwrap_or(0)
}

/// What one attacker has at least: an IPv4 address, or an IPv6 network of 64 bits.
fn network_of(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, 64).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    // Proves: S71
    #[test]
    fn one_network_is_counted_whatever_address_of_it_is_used_and_for_two_minutes() {
        let busiest = Busiest::default();
        for address in ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"] {
            busiest.count(address.parse().unwrap(), 7);
        }
        assert_eq!(busiest.most(7), 2);
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"] {
            busiest.count(address.parse().unwrap(), 7);
        }
        assert_eq!(busiest.most(7), 3);
        busiest.count([192, 0, 2, 1].into(), 8);
        assert_eq!(busiest.most(8), 3, "the minute before counts");
        assert_eq!(busiest.most(9), 1);
        assert_eq!(busiest.most(10), 0);
        assert_eq!(busiest.most(3), 0, "a clock that is set back");
        for (address, minute) in [
            ([192, 0, 2, 1], 20),
            ([192, 0, 2, 2], 20),
            ([192, 0, 2, 2], 21),
        ] {
            busiest.count(address.into(), minute);
        }
        let (one, two) = (
            network_of([192, 0, 2, 1].into()),
            network_of([192, 0, 2, 2].into()),
        );
        assert_eq!(busiest.top(21, 9), [(two, 2), (one, 1)]);
        assert_eq!(busiest.top(21, 1), [(two, 2)]);
        assert_eq!(busiest.top(22, 9), [(two, 1)]);
        assert_eq!(busiest.top(23, 9), []);
    }

    // Proves: J9
    #[test]
    fn a_flood_from_everywhere_takes_no_more_memory_and_hides_nobody() {
        let busiest = Busiest::default();
        let attacker = IpAddr::from([203, 0, 113, 9]);
        for n in 0..100_000_u32 {
            busiest.count(Ipv4Addr::from(n).into(), 1);
            if n % 100 == 0 {
                busiest.count(attacker, 1);
            }
        }
        let most = busiest.most(1);
        assert!((900..=1_000).contains(&most), "{most}");
        assert!(busiest.0.lock().unwrap().counts.len() <= MOST_NETWORKS);
    }
}
