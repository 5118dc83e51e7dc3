//! What etcd tells over HTTP alone.
//!
//! Its client port hands every HTTP/2 request that is no gRPC to its HTTP handlers (`grpcHandlerFunc` in embed/serve.go,
//! 3.4 to 3.7), so the question goes over the connection that is open anyhow.

use std::io::Read as _;

use flate2::read::GzDecoder;
use http_body_util::{BodyExt as _, Limited};
use tonic::body::Body;
use tonic::codegen::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::Channel;
use tower::ServiceExt as _;

/// What is at `path`; `None` when it was not told, or is longer than that. Metrics come packed, a twelfth as long.
pub async fn get(channel: Channel, path: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let request = Request::get(path).header(ACCEPT_ENCODING, "gzip").body(Body::empty()).ok()?;
    let response = channel.oneshot(request).await.ok()?;
    if response.status() != StatusCode::OK {
        return None;
    }
    let is_packed = response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let bytes = Limited::new(response.into_body(), bytes_max).collect().await.ok()?.to_bytes();
    if is_packed { unpacked(&bytes, bytes_max) } else { Some(bytes.to_vec()) }
}

fn unpacked(bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    GzDecoder::new(bytes).take(bytes_max as u64 + 1).read_to_end(&mut text).ok()?;
    (text.len() <= bytes_max).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_is_longer_than_asked_for_is_not_unpacked() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&[b'a'; 1000]).expect("memory takes it");
        let packed = packed.finish().expect("memory takes it");
        assert_eq!(unpacked(&packed, 1000).map(|text| text.len()), Some(1000));
        assert_eq!(unpacked(&packed, 999), None);
        assert_eq!(unpacked(b"no gzip", 999), None);
    }
}
