//! Proof that a port takes no client certificate of an authority that is no longer trusted.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Tls;
use super::onlooker::handshake;

/// Whether the port refuses our certificate. With TLS 1.3 it says so only after the handshake, at the first read.
///
/// # Errors
/// When neither can be told: a port that says nothing has proven nothing.
pub(in crate::shell::live) async fn is_refused(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    address: &str,
    tls: &Tls,
    deadline: Duration,
) -> Result<bool, String> {
    let attempt = async {
        let mut stream = match handshake(stream, address, tls).await {
            Ok(stream) => stream,
            Err(error) => return alert(&error),
        };
        // Both ports speak HTTP; /version asks for no user.
        let request = format!("GET /version HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        if let Err(error) = stream.write_all(request.as_bytes()).await {
            return alert(&error);
        }
        let mut first = [0];
        match stream.read(&mut first).await {
            Ok(0) => Err("the connection was closed without a reason".to_owned()),
            Ok(_) => Ok(false),
            Err(error) => alert(&error),
        }
    };
    timeout(deadline, attempt).await.map_err(|_| "no answer in time".to_owned())?
}

/// Only what is said of a certificate is a refusal of it.
fn alert(error: &std::io::Error) -> Result<bool, String> {
    use rustls::AlertDescription as Alert;
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::AlertReceived(
            Alert::BadCertificate | Alert::UnknownCA | Alert::CertificateUnknown | Alert::DecryptError,
        )) => Ok(true),
        _ => Err(error.to_string()),
    }
}
