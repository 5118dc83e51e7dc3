//! One way to wait for what comes by itself: look, and while it is not so yet, pause and look again, until a deadline.
//! Every wait says what it waits for: the operator while it goes on, or the failure that it ends with.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::diagnostic::Diagnostic;
use crate::core::render::event::{Event, Glimpse};

/// How long is paused between two looks.
#[derive(Clone, Copy, Debug)]
pub enum Pauses {
    Every(Duration),
    /// Half as long again each time.
    Growing {
        first: Duration,
        longest: Duration,
    },
    /// Each once; after the last one nothing is waited for any more.
    Listed(&'static [Duration]),
}

/// A wait.
#[derive(Debug)]
pub struct Patience {
    /// When the deadline began to run.
    begun: Instant,
    /// When the wait began.
    since: Instant,
    deadline: Duration,
    pauses: Pauses,
    /// Pauses that were made.
    made: usize,
    pause: Duration,
    shown_at: Instant,
}

/// How often is said what is waited for.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

impl Patience {
    pub fn new(deadline: Duration, pauses: Pauses) -> Self {
        let begun = Instant::now();
        let pause = match pauses {
            Pauses::Every(pause) => pause,
            Pauses::Growing { first, .. } => first,
            Pauses::Listed(listed) => listed.first().copied().unwrap_or_default(),
        };
        Self { begun, since: begun, deadline, pauses, made: 0, pause, shown_at: begun }
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// What is waited for is on its way: the deadline runs from now on.
    pub fn renew(&mut self) {
        self.begun = Instant::now();
    }

    /// How long it has been waited for.
    pub fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether nothing is waited for any more.
    pub fn is_over(&self) -> bool {
        let is_last = matches!(self.pauses, Pauses::Listed(listed) if self.made >= listed.len());
        is_last || self.begun.elapsed() >= self.deadline
    }

    /// Pauses before the next look; `false`, and at once, when it is over.
    pub async fn wait(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.made += 1;
        self.pause = match self.pauses {
            Pauses::Every(pause) => pause,
            Pauses::Growing { longest, .. } => (self.pause * 3 / 2).min(longest),
            Pauses::Listed(listed) => listed.get(self.made).copied().unwrap_or_default(),
        };
        true
    }

    /// After a try: `None`, and a pause, when it is to be tried again. Else how it ended: it is done, it is no use, or what
    /// it lacked has been waited for as long as that may take.
    pub async fn after<T>(&mut self, tried: Result<T, Failed>) -> Option<Result<T, Failed>> {
        if let Err(Failed::Yet(awaited)) = &tried {
            self.deadline = awaited.deadline;
            if self.wait().await {
                return None;
            }
        }
        Some(tried)
    }

    /// Says once a second what is waited for, and what was seen of it.
    pub fn show(&mut self, for_what: &str, seen: impl FnOnce() -> Vec<Glimpse>, emit: &(dyn Fn(Event) + Sync)) {
        if self.shown_at.elapsed() >= SHOWN_EVERY {
            self.shown_at = Instant::now();
            let seconds = self.since.elapsed().as_secs_f64();
            emit(Event::Waiting { for_what: for_what.to_owned(), seconds, seen: seen() });
        }
    }
}

/// Why a try did not bring what it was for.
#[derive(Debug)]
pub enum Failed {
    /// Trying again is no use.
    Now(Diagnostic),
    Yet(Awaited),
}

impl Failed {
    /// The failure, once nothing is waited for any more: `given_up` says it of what did not come in time.
    pub fn or(self, given_up: impl FnOnce(Awaited) -> Diagnostic) -> Diagnostic {
        match self {
            Self::Now(failure) => failure,
            Self::Yet(awaited) => given_up(awaited),
        }
    }
}

impl From<Diagnostic> for Failed {
    fn from(failure: Diagnostic) -> Self {
        Self::Now(failure)
    }
}

/// What is waited for until the next try, how long in all, and why it was not so.
#[derive(Debug)]
pub struct Awaited {
    pub until: &'static str,
    pub deadline: Duration,
    pub why: Diagnostic,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn pauses_of(mut patience: Patience) -> Vec<u128> {
        let mut pauses = Vec::new();
        loop {
            let before = Instant::now();
            if !patience.wait().await {
                return pauses;
            }
            pauses.push(before.elapsed().as_millis());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_its_deadline_or_its_last_pause() {
        let growing = Pauses::Growing { first: SECOND, longest: SECOND * 2 };
        assert_eq!(pauses_of(Patience::new(SECOND * 6, growing)).await, [1000, 1500, 2000, 2000]);
        assert_eq!(pauses_of(Patience::new(SECOND * 2, Pauses::Every(SECOND))).await, [1000, 1000]);
        const LISTED: &[Duration] = &[Duration::from_millis(200), SECOND];
        let listed = Pauses::Listed(LISTED);
        assert_eq!(pauses_of(Patience::new(Duration::MAX, listed)).await, [200, 1000]);
        assert!(pauses_of(Patience::new(Duration::ZERO, growing)).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_waited_for() {
        let mut patience = Patience::new(SECOND * 3, Pauses::Every(SECOND));
        for _ in 0..10 {
            assert!(patience.wait().await);
            patience.renew();
        }
        assert_eq!(patience.waited(), SECOND * 10);
        assert_eq!(pauses_of(patience).await, [1000, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_waited_for_is_said_once_a_second() {
        let said = Mutex::new(0);
        let count = |_| *said.lock().expect("nobody panics") += 1;
        let mut patience = Patience::new(SECOND * 3, Pauses::Every(SECOND / 4));
        while !patience.is_over() {
            patience.show("etcd-1 to serve", Vec::new, &count);
            patience.wait().await;
        }
        assert_eq!(*said.lock().expect("nobody panics"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_may_wait_as_long_as_what_it_lacks_takes() {
        let begun = Instant::now();
        let why = || Diagnostic::failure("not yet");
        let mut patience = Patience::new(Duration::MAX, Pauses::Every(SECOND));
        let ended = loop {
            let is_behind = begun.elapsed() < SECOND * 5;
            let (until, seconds) = if is_behind { ("it is in sync", 30) } else { ("a leader is there", 10) };
            let lacking = Failed::Yet(Awaited { until, deadline: SECOND * seconds, why: why() });
            if let Some(ended) = patience.after(Err::<(), _>(lacking)).await {
                break ended;
            }
        };
        let failure = ended.map_err(|failed| failed.or(|awaited| awaited.why.with_cause(awaited.until)));
        assert_eq!(failure, Err(why().with_cause("a leader is there")));
        assert_eq!(begun.elapsed(), SECOND * 10);
        let refused = patience.after(Err::<(), _>(why().into())).await.expect("it is no use");
        assert_eq!(refused.map_err(|failed| failed.or(|_| unreachable!("it is not waited for"))), Err(why()));
        assert!(matches!(patience.after(Ok(1)).await, Some(Ok(1))));
    }
}
