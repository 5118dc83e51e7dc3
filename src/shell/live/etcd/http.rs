//! What etcd tells over HTTP alone.
//!
//! Its client port hands every HTTP/2 request that is no gRPC to its HTTP handlers (`grpcHandlerFunc` in embed/serve.go,
//! 3.4 to 3.7), so the question goes over the connection that is open anyhow.

use http_body_util::{BodyExt as _, Limited};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::Channel;
use tower::ServiceExt as _;

/// What is at `path`; `None` when it was not told, or is longer than that.
pub async fn get(channel: Channel, path: &str, bytes_max: usize) -> Option<Bytes> {
    let request = Request::get(path).body(Body::empty()).ok()?;
    let response = channel.oneshot(request).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    Some(Limited::new(response.into_body(), bytes_max).collect().await.ok()?.to_bytes())
}
