//! A client that writes, again and again, each time over a new connection, and remembers what was acknowledged.
//!
//! ```text
//! put /walk/17 ─► etcd-2 ── failed ─► put /walk/17 ─► etcd-3 ── acknowledged: /walk/17 must never be missing again
//!                                                    └ failed:  nobody was promised anything, but it counts
//! ```

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::client::{Connection, Credentials, run};

/// From the end of one write to the beginning of the next.
const PAUSE: Duration = Duration::from_millis(25);
/// For one try, the connection included.
const TRY: Duration = Duration::from_secs(5);
/// A write that takes longer is told of, though it succeeded: an election takes as long, a restart does not.
const SLOW: Duration = Duration::from_secs(1);
/// Failures and slow writes that are kept word for word.
const QUOTED_MAX: usize = 10;

/// A member as clients know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    /// Tried in turn. Two while the client port moves, as a client's list of endpoints then has both.
    pub addresses: Vec<SocketAddr>,
}

/// What happened to the writes of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub acknowledged: usize,
    /// Acknowledged at the second try.
    pub retried: usize,
    /// Not acknowledged at the second try either.
    pub failed: usize,
    /// The longest that a client waited for the end of a write, tries and failures included.
    pub longest: Duration,
    /// What the first failures and slow writes met.
    pub quotes: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.acknowledged += other.acknowledged;
        self.retried += other.retried;
        self.failed += other.failed;
        self.longest = self.longest.max(other.longest);
        let room = QUOTED_MAX.saturating_sub(self.quotes.len());
        self.quotes.extend(other.quotes.iter().take(room).cloned());
    }
}

#[derive(Default)]
struct State {
    endpoints: Vec<Endpoint>,
    tally: Tally,
    acknowledged: BTreeSet<u64>,
    /// Writes that have ended, however.
    ended: u64,
}

struct Shared {
    prefix: String,
    credentials: Credentials,
    stop: AtomicBool,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// Writes until it is dropped.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins; nothing is written before there are endpoints to write to.
    pub fn begin(credentials: Credentials, prefix: &str) -> Writer {
        let state = Mutex::new(State::default());
        let shared = Shared { prefix: prefix.to_owned(), credentials, stop: AtomicBool::new(false), state };
        let shared = Arc::new(shared);
        let theirs = shared.clone();
        Writer { shared, thread: Some(std::thread::spawn(move || run(write_on(&theirs)))) }
    }

    /// Whom to write to from the next write on.
    pub fn aim(&self, endpoints: Vec<Endpoint>) {
        self.shared.state().endpoints = endpoints;
    }

    /// What happened since the last time this was asked.
    pub fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.shared.state().tally)
    }

    /// Waits until a write was acknowledged that began after this call, so that a stall is told of the operation that
    /// made it. False when that takes longer than `deadline`.
    pub fn settles(&self, deadline: Duration) -> bool {
        let begun = Instant::now();
        let before = self.shared.state().ended;
        let known = self.shared.state().acknowledged.last().copied();
        while begun.elapsed() < deadline {
            let state = self.shared.state();
            // The one under way ends first.
            if state.ended >= before + 2 && state.acknowledged.last().copied() > known {
                return true;
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// The numbers of all writes that were acknowledged until now.
    pub fn acknowledged(&self) -> BTreeSet<u64> {
        self.shared.state().acknowledged.clone()
    }

    pub fn key(&self, number: u64) -> String {
        key(&self.shared.prefix, number)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // Its panic would hide the test's own one.
            let _told_by_itself = thread.join();
        }
    }
}

/// In the order of the numbers, too.
fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:08}")
}

/// Another one for each key, so that a key with the value of another is found.
pub fn value(number: u64) -> String {
    format!("value {number}")
}

async fn write_on(shared: &Shared) {
    let mut number = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        let endpoints = shared.state().endpoints.clone();
        if !endpoints.is_empty() {
            number += 1;
            write(shared, &endpoints, number).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One write with one retry on the next member.
async fn write(shared: &Shared, endpoints: &[Endpoint], number: u64) {
    let begun = Instant::now();
    let first = usize::try_from(number).expect("a small number") % endpoints.len();
    let second = (first + 1) % endpoints.len();
    let retried = put(shared, &endpoints[first], number).await.err();
    let failed = match &retried {
        None => None,
        Some(_) => put(shared, &endpoints[second], number).await.err(),
    };
    let took = begun.elapsed();
    let mut state = shared.state();
    state.ended += 1;
    state.tally.longest = state.tally.longest.max(took);
    let met = [&retried, &failed].into_iter().flatten().cloned().collect::<Vec<_>>().join("; then ");
    if (failed.is_some() || took > SLOW) && state.tally.quotes.len() < QUOTED_MAX {
        let now = jiff::Timestamp::now().strftime("%H:%M:%S%.3f");
        state.tally.quotes.push(format!("write {number} ended at {now} after {} ms: {met}", took.as_millis()));
    }
    if failed.is_some() {
        state.tally.failed += 1;
    } else {
        state.tally.acknowledged += 1;
        state.tally.retried += usize::from(retried.is_some());
        state.acknowledged.insert(number);
    }
}

async fn put(shared: &Shared, endpoint: &Endpoint, number: u64) -> Result<(), String> {
    let attempt = async {
        let mut connection = Connection::open(&shared.credentials, &endpoint.addresses).await?;
        let put = connection.client.put(key(&shared.prefix, number), value(number), None);
        put.await.map(drop).map_err(|error| error.to_string())
    };
    let result = timeout(TRY, attempt).await.unwrap_or_else(|_| Err(format!("no answer in {TRY:?}")));
    result.map_err(|why| format!("{}: {why}", endpoint.name))
}
