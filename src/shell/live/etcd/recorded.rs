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
    failed_write: Option<io::Error>,
}

impl<S> Recorded<S> {
    pub fn new(stream: S, recorder: Recorder) -> Self {
        Self { stream, recorder, failed_write: None }
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

/// A member that refuses our certificate sends its alert and closes. When a write fails before the alert was read,
/// HTTP/2 gives up without another read, so the write is only told to have failed once all that came has been read.
impl<S: AsyncRead + AsyncWrite + Unpin> Recorded<S> {
    fn after_reading<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Poll::Ready(Err(error)) = written else { return written };
        self.failed_write = Some(error);
        self.poll_failure(context).map(Err)
    }

    /// The failure of a write before, once the stream has been read to its end.
    fn poll_failure(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let mut scratch = [0; 4096];
        for _ in 0..READS_MAX {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut *self).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        Poll::Ready(self.failed_write.take().unwrap_or_else(closed))
    }
}

/// What a member may have sent before it closed: settings, session tickets, the end of an answer.
const READS_MAX: usize = 16;

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Recorded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.failed_write.is_some() {
            return this.poll_failure(context).map(Err);
        }
        let written = Pin::new(&mut this.stream).poll_write(context, buffer);
        this.after_reading(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.failed_write.is_some() {
            return this.poll_failure(context).map(Err);
        }
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.after_reading(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.failed_write.is_some() {
            return this.poll_failure(context).map(Err);
        }
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, buffers);
        this.after_reading(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
