//! The cluster version: what every member can speak, which etcd tells over HTTP alone.
//!
//! ```text
//! GET /version ─► {"etcdserver":"3.5.30","etcdcluster":"3.5.0"}
//! ```
//!
//! etcd's client port hands every HTTP/2 request that is no gRPC to its HTTP handlers (`grpcHandlerFunc` in embed/serve.go,
//! 3.4 to 3.7), so the question goes over the connection that is open anyhow.

use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use tonic::body::Body;
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::Channel;
use tower::ServiceExt as _;

use crate::core::names::Version;

/// An answer has some 80 bytes.
const BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
struct Versions {
    etcdcluster: String,
}

/// `None` while the members have not decided, or when it was not told.
pub async fn cluster_version(channel: Channel) -> Option<Version> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let response = channel.oneshot(request).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let bytes = Limited::new(response.into_body(), BYTES_MAX).collect().await.ok()?.to_bytes();
    parsed(&bytes)
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
