//! How a member's ways to the others are, by its own metrics: only there does etcd tell it.
//!
//! ```text
//! GET /metrics ─► etcd_network_active_peers{Local="8e9e05c52164694d",Remote="91bc3c398fb3c146"} 1
//!                 etcd_network_peer_sent_failures_total{To="91bc3c398fb3c146"} 214
//!                 etcd_network_peer_round_trip_time_seconds_sum{To="91bc3c398fb3c146"} 0.0123
//!                 etcd_network_peer_round_trip_time_seconds_count{To="91bc3c398fb3c146"} 42
//! ```
//!
//! A peer is active until a connection to it ends, so one whose packets are dropped stays so for a while.
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
    let (sums, counts) = (
        of("etcd_network_peer_round_trip_time_seconds_sum", "To"),
        of("etcd_network_peer_round_trip_time_seconds_count", "To"),
    );
    let failures = of("etcd_network_peer_sent_failures_total", "To");
    let peer = |(id, active): (MemberId, f64)| {
        // A probe that gets no answer is counted as one that took no time.
        let measured = sums.get(&id).zip(counts.get(&id)).filter(|(sum, count)| **count > 0.0 && **sum > 0.0);
        let round_trip_us = measured.map(|(sum, count)| (sum / count * 1e6).round() as u64);
        // It is not there before the first.
        let failures = failures.get(&id).map_or(0, |count| *count as u64);
        (id, Peer { is_active: active > 0.0, is_reached: None, failures, round_trip_us })
    };
    of("etcd_network_active_peers", "Remote").into_iter().map(peer).collect()
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
                    etcd_network_peer_round_trip_time_seconds_bucket{To=\"91bc3c398fb3c146\",le=\"0.0001\"} 0\n\
                    etcd_network_peer_round_trip_time_seconds_sum{To=\"91bc3c398fb3c146\"} 0.5\n\
                    etcd_network_peer_round_trip_time_seconds_count{To=\"91bc3c398fb3c146\"} 200\n\
                    etcd_network_peer_round_trip_time_seconds_sum{To=\"d1f\"} 0\n\
                    etcd_network_peer_round_trip_time_seconds_count{To=\"d1f\"} 3\n\
                    etcd_network_peer_sent_failures_total{To=\"d1f\"} 214\n";
        let expected = [
            (
                MemberId(0x91bc_3c39_8fb3_c146),
                Peer { is_active: true, is_reached: None, failures: 0, round_trip_us: Some(2_500) },
            ),
            (MemberId(0xd1f), Peer { is_active: false, is_reached: None, failures: 214, round_trip_us: None }),
        ];
        assert_eq!(parsed(text), BTreeMap::from(expected));
        for other in ["", "404 page not found", "etcd_network_active_peers 1\n", "etcd_network_active_peers{x} y\n"] {
            assert_eq!(parsed(other), BTreeMap::new(), "{other}");
        }
    }
}
