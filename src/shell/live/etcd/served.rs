//! The certificate that a port serves to whoever dials it now, whatever it is.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Tls;
use super::fault::Fault;

/// The serial number of what is served on `stream`, in hexadecimal. Nothing is said but the handshake.
///
/// # Errors
/// When the handshake fails or takes longer than `deadline`.
pub(in crate::shell::live) async fn serial<S>(
    stream: S,
    address: &str,
    tls: &Tls,
    deadline: Duration,
) -> Result<String, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let told = |fault: Fault| format!("{fault:?}");
    let name = ServerName::try_from(address.to_owned()).map_err(|error| error.to_string())?;
    let handshake = TlsConnector::from(tls.onlooker()).connect(name, stream);
    let stream = timeout(deadline, handshake).await.map_err(|_| told(Fault::HandshakeTimeout(deadline)))?;
    let stream = stream.map_err(|error| told(Fault::of(&error)))?;
    let served = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let serial = served.and_then(|der| crate::shell::live::pki::serial_of(der));
    serial.ok_or_else(|| "it serves no readable certificate".to_owned())
}

/// Takes any certificate whose key the server has. What is looked at here is not trusted with anything.
#[derive(Debug)]
pub(super) struct Onlooker(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
