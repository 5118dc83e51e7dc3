//! A stream that remembers how it ended.
//!
//! With TLS 1.3 a member that refuses our certificate says so after the handshake. The call that is under way then
//! fails as "transport error" or "cancelled", whichever comes first; the alert itself is seen only here.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::fault::Fault;

/// How a connection ended; nothing while it lives.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Option<Fault>>>);

impl Recorder {
    pub fn has_ended(&self) -> bool {
        self.fault().is_some()
    }

    pub fn fault(&self) -> Option<Fault> {
        self.0.lock().expect("no one panics while holding it").clone()
    }

    /// Keeps the first: later ones follow from it.
    fn note(&self, fault: impl FnOnce() -> Fault) {
        self.0.lock().expect("no one panics while holding it").get_or_insert_with(fault);
    }
}

pub struct Recorded<S> {
    stream: S,
    recorder: Recorder,
}

impl<S> Recorded<S> {
    pub fn new(stream: S, recorder: Recorder) -> Self {
        Self { stream, recorder }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Recorded<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut this.stream).poll_read(context, buffer));
        match &result {
            Err(error) => this.recorder.note(|| Fault::of(error)),
            Ok(()) if buffer.filled().len() == before && buffer.remaining() > 0 => this.recorder.note(|| Fault::Closed),
            Ok(()) => {}
        }
        Poll::Ready(result)
    }
}

/// A failed write is not noted: the reason for it is about to be read.
impl<S: AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
