//! Whether a member that is waited for goes on: a start takes as long as its database is large, and no constant knows that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::core::names::HostName;
use crate::core::observed::{Observed, ServiceState, Work};

/// What was seen of the processes of members since a wait has begun.
#[derive(Debug, Default)]
pub struct Advance {
    looks: BTreeMap<HostName, Look>,
    /// Those that have ended and were started again: whatever the next process reads, it is no progress.
    ended: BTreeSet<HostName>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    pid: u32,
    work: Work,
}

/// Two looks that are closer tell nothing.
const APART: Duration = Duration::from_millis(900);
/// A disk that reads less in a second is not reading a database; etcd that waits for its peers reads some KiB.
const READ_A_SECOND: u64 = 256 << 10;
/// Of a hundred ticks in a second. etcd that waits for its peers takes one or two.
const TICKS_A_SECOND: u64 = 20;

impl Advance {
    /// Whether `host` is on its way since the last look: systemd has not come to etcd yet, or etcd reads or computes.
    pub fn is_made(&mut self, host: &HostName, observed: &Observed) -> bool {
        let Some(seen) = observed.host(host).filter(|seen| seen.answer().is_none()) else { return false };
        if seen.service.complaint.is_some() {
            self.ended.insert(host.clone());
        }
        let Some(process) = &seen.process else {
            // What a kubelet waits for, nobody tells.
            let is_begun = seen.service.state == ServiceState::Activating && seen.kubelet.is_none();
            return is_begun && !self.ended.contains(host);
        };
        let Some(work) = process.work else { return false };
        let now = Look { at: Instant::now(), pid: process.pid, work };
        let Some(before) = self.looks.get(host).copied() else {
            self.looks.insert(host.clone(), now);
            return false;
        };
        if before.pid != now.pid {
            self.ended.insert(host.clone());
        }
        let passed = now.at - before.at;
        if passed < APART {
            return false;
        }
        self.looks.insert(host.clone(), now);
        !self.ended.contains(host) && is_at_work(before.work, now.work, passed)
    }
}

fn is_at_work(before: Work, now: Work, passed: Duration) -> bool {
    let expected = |a_second: u64| u128::from(a_second) * passed.as_millis() / 1000;
    let read = now.read_bytes.saturating_sub(before.read_bytes);
    let ticks = now.cpu_ticks.saturating_sub(before.cpu_ticks);
    u128::from(read) >= expected(READ_A_SECOND) || u128::from(ticks) >= expected(TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::code::Code;
    use crate::core::observed::{Cause, Seen};
    use crate::laws::sample;

    const SECOND: Duration = Duration::from_secs(1);

    fn world(change: impl FnOnce(&mut crate::core::observed::Host)) -> Observed {
        let mut observed = sample::healthy(&sample::desired(1));
        let host = observed.host_mut(&sample::name(0)).expect("it was seen");
        let silent = Cause { code: Code::MemberSilent, summary: "no answer".to_owned(), hint: None };
        host.member = Seen::Unknown(silent);
        host.service.state = ServiceState::Activating;
        change(host);
        observed
    }

    fn at_work(pid: u32, read_bytes: u64, cpu_ticks: u64) -> Observed {
        world(|host| {
            let process = host.process.as_mut().expect("it runs");
            process.pid = pid;
            process.work = Some(Work { read_bytes, cpu_ticks, ..Work::default() });
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_or_computes_is_on_its_way_and_who_waits_is_not() {
        let host = sample::name(0);
        for (what, step, expected) in
            [("reads", (1 << 20, 1), true), ("computes", (0, 60), true), ("waits", (4096, 2), false)]
        {
            let mut advance = Advance::default();
            assert!(!advance.is_made(&host, &at_work(7, 0, 0)), "{what}: of one look nothing is known");
            for second in 1..5 {
                tokio::time::advance(SECOND).await;
                let (read, ticks) = (step.0 * second, step.1 * second);
                assert_eq!(advance.is_made(&host, &at_work(7, read, ticks)), expected, "{what}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_and_is_started_again_makes_no_progress() {
        let host = sample::name(0);
        let mut advance = Advance::default();
        let mut read = 0;
        let mut made = Vec::new();
        for pid in [7, 7, 8, 8, 9] {
            read += 100 << 20;
            made.push(advance.is_made(&host, &at_work(pid, read, 0)));
            tokio::time::advance(SECOND).await;
        }
        assert_eq!(made, [false, true, false, false, false]);
        // It says so itself.
        let mut advance = Advance::default();
        assert!(advance.is_made(&host, &world(|host| host.process = None)));
        let complains = world(|host| {
            host.process = None;
            host.service.complaint = Some("panic".to_owned());
        });
        assert!(!advance.is_made(&host, &complains));
        assert!(!advance.is_made(&host, &world(|host| host.process = None)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_systemd_does_before_etcd_is_waited_for_and_who_answers_is_not() {
        let host = sample::name(0);
        let mut advance = Advance::default();
        assert!(advance.is_made(&host, &world(|host| host.process = None)));
        let stopped = world(|host| {
            host.process = None;
            host.service.state = ServiceState::Inactive;
        });
        assert!(!advance.is_made(&host, &stopped));
        assert!(!advance.is_made(&host, &sample::healthy(&sample::desired(1))));
    }
}
