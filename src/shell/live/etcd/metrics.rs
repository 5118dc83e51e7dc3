//! How a member's ways to the others are, by its own metrics: only there does etcd tell it.
//!
//! ```text
//! GET /metrics ─► etcd_network_active_peers{Local="8e9e05c52164694d",Remote="91bc3c398fb3c146"} 1
//!                 etcd_network_peer_sent_failures_total{To="91bc3c398fb3c146"} 214
//!                 etcd_network_peer_round_trip_time_seconds_bucket{To="91bc3c398fb3c146",le="0.0016"} 40
//!                 etcd_network_peer_round_trip_time_seconds_sum{To="91bc3c398fb3c146"} 0.0123
//! ```
//!
//! A peer is active until a connection to it ends, so one whose packets are dropped stays so for a while.
//!
//! Of the round trips the median counts: one answer that came after seconds, from a member that was halted or cut off, makes
//! their mean many times of what they take.
//!
//! The client port has them beside `listen-metrics-urls` (`HandleMetrics` in etcdhttp, 3.4 to 3.7).

use std::collections::BTreeMap;

use tonic::transport::Channel;

use super::http;
use crate::core::names::MemberId;
use crate::core::observed::Peer;

/// They have some 100 KB.
const BYTES_MAX: usize = 4 << 20;

/// `None` when they were not told.
pub async fn peers(channel: Channel) -> Option<BTreeMap<MemberId, Peer>> {
    let bytes = http::get(channel, "/metrics", BYTES_MAX).await?;
    Some(parsed(&String::from_utf8_lossy(&bytes)))
}

fn parsed(text: &str) -> BTreeMap<MemberId, Peer> {
    let of = |metric: &str, label: &str| -> BTreeMap<MemberId, f64> {
        text.lines().filter_map(|line| sample(line, metric, label)).collect()
    };
    let sums = of("etcd_network_peer_round_trip_time_seconds_sum", "To");
    let mut buckets: BTreeMap<MemberId, Vec<Bucket>> = BTreeMap::new();
    for (id, bucket) in text.lines().filter_map(bucket) {
        buckets.entry(id).or_default().push(bucket);
    }
    let failures = of("etcd_network_peer_sent_failures_total", "To");
    let peer = |(id, active): (MemberId, f64)| {
        // A probe that gets no answer is counted as one that took no time.
        let measured = buckets.get(&id).filter(|_| sums.get(&id).is_some_and(|sum| *sum > 0.0));
        let round_trip_us = measured.and_then(|buckets| median(buckets)).map(|seconds| (seconds * 1e6).round() as u64);
        // It is not there before the first.
        let failures = failures.get(&id).map_or(0, |count| *count as u64);
        (id, Peer { is_active: active > 0.0, is_reached: None, failures, round_trip_us })
    };
    of("etcd_network_active_peers", "Remote").into_iter().map(peer).collect()
}

/// How many took no longer than so many seconds.
struct Bucket {
    seconds: f64,
    count: f64,
}

fn bucket(line: &str) -> Option<(MemberId, Bucket)> {
    let (id, count) = sample(line, "etcd_network_peer_round_trip_time_seconds_bucket", "To")?;
    let seconds = line.split_once("le=\"")?.1.split_once('"')?.0.parse().ok()?;
    Some((id, Bucket { seconds, count }))
}

/// In the bucket that holds it they are taken to be spread evenly; each is twice as wide as the one before. The last has no
/// upper end, so that its lower one is told.
fn median(buckets: &[Bucket]) -> Option<f64> {
    let half = buckets.last()?.count / 2.0;
    let at = buckets.iter().position(|bucket| bucket.count >= half && half > 0.0)?;
    let (lower, before) = match at.checked_sub(1) {
        Some(before) => (buckets[before].seconds, buckets[before].count),
        None => (0.0, 0.0),
    };
    let Bucket { seconds: upper, count } = buckets[at];
    Some(if upper.is_finite() { lower + (upper - lower) * (half - before) / (count - before) } else { lower })
}

/// Whom a line is about, and its value, if it is one of this metric.
fn sample(line: &str, metric: &str, label: &str) -> Option<(MemberId, f64)> {
    let (labels, value) = line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} ")?;
    let (_, id) = labels.split(',').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == label)?;
    let id = u64::from_str_radix(id.trim_matches('"'), 16).ok()?;
    Some((MemberId(id), value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_to_the_peers_are_read() {
        let text = "# HELP etcd_network_active_peers The current number of active peer connections.\n\
                    # TYPE etcd_network_active_peers gauge\n\
                    etcd_network_active_peers{Local=\"8e9e05c52164694d\",Remote=\"91bc3c398fb3c146\"} 1\n\
                    etcd_network_active_peers{Local=\"8e9e05c52164694d\",Remote=\"d1f\"} 0\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"91bc3c398fb3c146\",le=\"0.0016\"} 3\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"91bc3c398fb3c146\",le=\"0.0032\"} 13\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"91bc3c398fb3c146\",le=\"3.2768\"} 15\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"91bc3c398fb3c146\",le=\"+Inf\"} 16\n\
                    etcd_network_peer_round_trip_time_seconds_sum{To=\"91bc3c398fb3c146\"} 9.5\n\
                    etcd_network_peer_round_trip_time_seconds_count{To=\"91bc3c398fb3c146\"} 16\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"d1f\",le=\"0.0001\"} 3\n\
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"d1f\",le=\"+Inf\"} 3\n\
                    etcd_network_peer_round_trip_time_seconds_sum{To=\"d1f\"} 0\n\
                    etcd_network_peer_sent_failures_total{To=\"d1f\"} 214\n";
        let expected = [
            (
                MemberId(0x91bc_3c39_8fb3_c146),
                Peer { is_active: true, is_reached: None, failures: 0, round_trip_us: Some(2_400) },
            ),
            (MemberId(0xd1f), Peer { is_active: false, is_reached: None, failures: 214, round_trip_us: None }),
        ];
        assert_eq!(parsed(text), BTreeMap::from(expected));
        for other in ["", "404 page not found", "etcd_network_active_peers 1\n", "etcd_network_active_peers{x} y\n"] {
            assert_eq!(parsed(other), BTreeMap::new(), "{other}");
        }
    }

    #[test]
    fn a_few_answers_that_came_late_do_not_count() {
        let of = |buckets: &[(f64, f64)]| {
            median(
                &buckets.iter().map(|(seconds, count)| Bucket { seconds: *seconds, count: *count }).collect::<Vec<_>>(),
            )
        };
        // As etcd 3.5 told it of a member that had been halted for ten seconds: the mean was 128 ms.
        let halted =
            [(0.0016, 3.0), (0.0032, 9.0), (0.0064, 15.0), (0.2048, 19.0), (1.6384, 22.0), (f64::INFINITY, 22.0)];
        assert!(of(&halted).is_some_and(|seconds| (0.0032..0.0064).contains(&seconds)));
        assert_eq!(of(&[(0.0001, 8.0), (f64::INFINITY, 8.0)]), Some(0.00005));
        assert_eq!(of(&[(3.2768, 1.0), (f64::INFINITY, 8.0)]), Some(3.2768));
        assert_eq!(of(&[(0.0001, 0.0), (f64::INFINITY, 0.0)]), None);
        assert_eq!(of(&[]), None);
    }
}
