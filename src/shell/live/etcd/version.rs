//! The cluster version: what every member can speak, which etcd tells over HTTP alone.
//!
//! ```text
//! GET /version ─► {"etcdserver":"3.5.30","etcdcluster":"3.5.0"}
//! ```

use serde::Deserialize;
use tonic::transport::Channel;

use super::http;
use crate::core::names::Version;

/// An answer has some 80 bytes.
const BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
struct Versions {
    etcdcluster: String,
}

/// `None` while the members have not decided, or when it was not told.
pub async fn cluster_version(channel: Channel) -> Option<Version> {
    parsed(&http::get(channel, "/version", BYTES_MAX).await?)
}

/// `not_decided` until a leader has counted the members.
fn parsed(bytes: &[u8]) -> Option<Version> {
    serde_json::from_slice::<Versions>(bytes).ok()?.etcdcluster.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_version_is_read() {
        let read = |text: &str| parsed(text.as_bytes());
        assert_eq!(read(r#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#), Some(Version::new(3, 4, 0)));
        let with_storage = r#"{"etcdserver":"3.6.1","etcdcluster":"3.6.0","storage":"3.6.0"}"#;
        assert_eq!(read(with_storage), Some(Version::new(3, 6, 0)));
        for unknown in [r#"{"etcdserver":"3.5.1","etcdcluster":"not_decided"}"#, "{}", "404 page not found", ""] {
            assert_eq!(read(unknown), None, "{unknown}");
        }
    }
}
