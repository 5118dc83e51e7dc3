//! What ends an apply from outside: ^C, or a writer that fails.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Once it is requested, what is being done on the hosts is finished, and no further step begun. ^C also ends a wait.
#[derive(Debug, Default)]
pub struct Stop {
    why: OnceLock<String>,
    is_interrupted: AtomicBool,
    interrupt: Notify,
}

impl Stop {
    /// The first ^C.
    pub fn interrupt(&self) {
        self.request("interrupted".to_owned());
        self.is_interrupted.store(true, Ordering::SeqCst);
        self.interrupt.notify_waiters();
    }

    /// The first reason is the one that is told.
    pub fn request(&self, why: String) {
        let _ = self.why.set(why);
    }

    pub fn reason(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    pub fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::SeqCst)
    }

    /// Comes with the first ^C, and at once after it.
    pub async fn interrupted(&self) {
        // Whoever asks first and listens then may miss it.
        let interrupt = self.interrupt.notified();
        if !self.is_interrupted() {
            interrupt.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interrupt_is_told_to_who_waits_and_to_who_asks_later() {
        let stop = Stop::default();
        stop.request("a write failed".to_owned());
        assert!(!stop.is_interrupted());
        let wait = async {
            tokio::join!(stop.interrupted(), async { stop.interrupt() });
            stop.interrupted().await;
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), wait).await.expect("it comes");
        assert_eq!(stop.reason(), Some("a write failed"));
    }
}
