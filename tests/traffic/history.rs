//! A past: enough writes that a member which was away has to be caught up by a snapshot.

use super::client::Connection;
use crate::lab::Host;

/// Writes that are under way at once.
pub const AT_ONCE: usize = 64;
/// More than the 5000 entries that a leader keeps for followers that are behind, and [`SNAPSHOT_COUNT`].
pub const MISSED: usize = 7000;
/// `extra = { snapshot-count = … }`: with etcd's own 10,000 to 100,000, catching up would need more writes.
pub const SNAPSHOT_COUNT: &str = "1000";
/// Keys that all of it is written to, over and over.
const KEYS: usize = 700;

/// Writes the numbers from `first` up to, but without, `end`, each an entry of its own in the raft log.
pub async fn put_many(connection: &Connection, first: usize, end: usize) -> Result<(), etcd_client::Error> {
    let put = |number: usize| {
        let mut client = connection.client.clone();
        async move { client.put(format!("/history/{:05}", number % KEYS), format!("{number:0>120}"), None).await }
    };
    let numbers: Vec<usize> = (first..end).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        futures_util::future::try_join_all(numbers.iter().copied().map(put)).await?;
    }
    Ok(())
}

/// Whether the member on `host` received a snapshot since it was started, which etcd counts.
pub fn received_a_snapshot(host: &Host, metrics_port: u16) -> bool {
    let count = format!(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/{metrics_port} && printf \"GET /metrics HTTP/1.0\\r\\n\\r\\n\" >&3 && cat <&3' | \
         grep '^etcd_network_snapshot_receive_success{{'"
    );
    host.exec(&count).succeeded()
}
