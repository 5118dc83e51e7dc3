//! Long work in threads of its own, which ends when nobody waits for it any more.

use std::io::{self, Read};
use std::sync::{Arc, Weak};

/// Whether somebody waits.
#[derive(Clone, Debug)]
pub(in crate::shell::live) struct Wanted(Weak<()>);

impl Wanted {
    /// `from`, which fails when nobody waits any more.
    pub fn reading<R: Read>(&self, from: R) -> impl Read + use<R> {
        Watched { from, wanted: self.clone() }
    }
}

struct Watched<R> {
    from: R,
    wanted: Wanted,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wanted.0.strong_count() == 0 {
            return Err(io::Error::other("it is no longer needed"));
        }
        self.from.read(buffer)
    }
}

/// Runs `work` in a thread; dropping what this returns tells it to end. `None` when it panicked.
pub(in crate::shell::live) async fn while_wanted<T: Send + 'static>(
    work: impl FnOnce(Wanted) -> T + Send + 'static,
) -> Option<T> {
    let waits = Arc::new(());
    let wanted = Wanted(Arc::downgrade(&waits));
    let result = tokio::task::spawn_blocking(move || work(wanted)).await.ok();
    drop(waits);
    result
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_ends_when_nobody_waits() {
        let (ended, has_ended) = std::sync::mpsc::channel();
        let endless = while_wanted(move |wanted| {
            let read = io::copy(&mut wanted.reading(io::repeat(7)), &mut io::sink());
            let _ = ended.send(read.is_err());
        });
        let waited = tokio::time::timeout(Duration::from_millis(50), endless).await;
        assert!(waited.is_err(), "it ended by itself");
        let ended = tokio::task::spawn_blocking(move || has_ended.recv_timeout(Duration::from_secs(20))).await;
        assert_eq!(ended.expect("it does not panic"), Ok(true));
    }
}
