//! The certificate that a port serves to whoever dials it now, whatever it is.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::fault::Fault;
use super::onlooker::handshake;
use super::{Place, Tls};

/// The serial number of what is served on `stream`, in hexadecimal. Nothing is said but the handshake.
///
/// # Errors
/// When the handshake fails or takes longer than `deadline`.
pub(in crate::shell::live) async fn serial(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    place: &Place,
    tls: &Tls,
    deadline: Duration,
) -> Result<String, String> {
    let in_words = |fault: Fault| fault.why_and_hint(place).0;
    let ended = timeout(deadline, handshake(stream, &place.address, tls)).await;
    let stream =
        ended.map_err(|_| in_words(Fault::HandshakeTimeout(deadline)))?.map_err(|error| in_words(Fault::of(&error)))?;
    let served = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let serial = served.and_then(|der| crate::shell::live::pki::serial_of(der));
    serial.ok_or_else(|| "it serves no readable certificate".to_owned())
}
