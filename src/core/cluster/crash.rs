//! etcd that exits by itself and is started again: whether waiting for it is of any use, and what its words ask for.
//!
//! systemd starts it again after two seconds, for ever. A member whose settings etcd refuses exits as often as it is started,
//! and one whose port is busy for a moment exits once or twice and then serves. So one exit proves nothing; it is sure
//! when systemd gives up, or when it has exited three times for the same reason. A reason that others may mend meanwhile
//! (a port, the network, peers that choose a leader) is given a minute besides.

use std::time::Duration;

use crate::core::code::Code;
use crate::core::complaint::{is_of_damaged_data, is_of_full_disk};
use crate::core::content::runtime;
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::{Host, Observed};
use crate::core::plan::ruling::{Blocked, Finding};

/// One end of a process that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The process that ended.
    pub pid: u32,
    /// How long it ran; `None` where systemd does not say.
    pub ran: Option<Duration>,
    /// Its own words, where its log has any.
    pub cause: Option<String>,
    /// systemd does not start it again.
    pub is_last: bool,
}

/// The exits of one member since it was started.
#[derive(Clone, Debug, Default)]
pub struct Exits {
    /// With the time at which it was seen.
    seen: Vec<(Duration, Exit)>,
}

/// Fewer may be chance.
const TIMES_MIN: usize = 3;
/// How long others are given to mend what a member exits for: an election, a host that boots.
const PASSING: Duration = Duration::from_secs(60);

impl Exits {
    /// Notes what was seen at a time; an exit that is known already is no other one.
    pub fn note(&mut self, exit: Exit, at: Duration) {
        match self.seen.last_mut().filter(|(_, last)| last.pid == exit.pid) {
            // Its words may come later than its end.
            Some((_, last)) => *last = exit,
            None => self.seen.push((at, exit)),
        }
    }

    pub fn last(&self) -> Option<&Exit> {
        self.seen.last().map(|(_, exit)| exit)
    }

    /// How often it has exited for the reason that it exited for last.
    pub fn times(&self) -> usize {
        self.of_the_last_reason().count()
    }

    /// Whether it will not come up, as far as anybody can tell at that time.
    pub fn are_a_loop(&self, now: Duration) -> bool {
        let Some(last) = self.last() else { return false };
        let since = self.of_the_last_reason().last().map_or(now, |(at, _)| *at);
        let is_old_enough = !may_pass(last.cause.as_deref()) || now.saturating_sub(since) >= PASSING;
        last.is_last || (self.times() >= TIMES_MIN && is_old_enough)
    }

    /// From the last one back.
    fn of_the_last_reason(&self) -> impl Iterator<Item = &(Duration, Exit)> {
        let reason = |exit: &Exit| exit.cause.as_deref().map(without_numbers);
        let last = self.last().map(reason);
        self.seen.iter().rev().take_while(move |(_, exit)| Some(reason(exit)) == last)
    }
}

/// Ports, addresses and times differ from one start to the next.
fn without_numbers(words: &str) -> String {
    words.chars().filter(|letter| !letter.is_ascii_hexdigit()).collect()
}

/// Whether the reason may go away by itself: it lies with others, or is not known.
fn may_pass(cause: Option<&str>) -> bool {
    const PASSING: [&str; 15] = [
        "address already in use",
        "cannot assign requested address",
        "connection refused",
        "connection reset",
        "no route to host",
        "network is unreachable",
        "timeout",
        "timed out",
        "deadline exceeded",
        "no such host",
        "temporary failure",
        "temporarily unavailable",
        "cluster information",
        "member count is unequal",
        "no leader",
    ];
    cause.is_none_or(|cause| says(cause, &PASSING))
}

/// What the operator can do about it. `again` is the command that goes on afterwards.
pub fn way_out(desired: &Desired, host: &HostName, cause: Option<&str>, again: &str) -> String {
    const REFUSED: [&str; 8] =
        ["unrecognized", "unknown", "invalid", "verify flags", "verifying flags", "yaml", "unmarshal", "must be"];
    let log = runtime::log(desired);
    let cause = cause.unwrap_or_default();
    let mend = if is_of_full_disk(cause) {
        format!("free space on {host} (`quorate explain {}` says what may go)", Code::DiskFull)
    } else if is_of_damaged_data(cause) {
        return replaced(desired, host);
    } else if says(cause, &["address already in use"]) {
        format!("see what has the port (`ss -ltnp` on {host}), and end that")
    } else if says(cause, &["permission denied"]) {
        format!("see who may use what it names (`ls -ld` on {host})")
    } else if says(cause, &REFUSED) {
        format!("if etcd refuses a setting, correct it in cluster.toml; else see `{log}` on {host}")
    } else {
        format!("see `{log}` on {host}, and mend what it says")
    };
    format!("{mend}; then run {again} again: it resumes from the current state")
}

/// Of a member with damaged data.
fn replaced(desired: &Desired, host: &HostName) -> String {
    let replace = format!(
        "if the other members serve, replace it: `quorate plan --lost={host}` shows how, and its data is kept aside"
    );
    if desired.cluster.layout.is_adopted() {
        return replace;
    }
    format!(
        "{replace}; if too few are left to be a quorum, move its data directory aside on the host first, then see `quorate \
         explain {}`",
        Code::NoQuorum
    )
}

fn damage(name: &HostName, host: &Host) -> Option<String> {
    let said = host.service.complaint.as_ref().filter(|words| host.process.is_none() && is_of_damaged_data(words))?;
    Some(format!("the data of {name} is damaged, as etcd there said when it ended: {said}"))
}

/// Why another setting is no help to one that does not run.
pub fn is_past_mending(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    let hint = || replaced(desired, name);
    damage(name, host).map(|what| Blocked::new(Code::CannotStart, what).on(name).hint(hint()))
}

/// Members whose data is damaged, as they said when they ended: a start is no way out for them.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let damaged = |(name, host): (&HostName, &Host)| {
        // Of a pod that its kubelet starts again and again, it is told as what keeps it from being started.
        let is_told = host.kubelet.as_ref().is_some_and(|kubelet| !kubelet.manifest_aside);
        let what = damage(name, host).filter(|_| !is_told)?;
        Some(Finding { code: Code::CannotStart, hosts: vec![name.clone()], what, hint: Some(replaced(desired, name)) })
    };
    observed.seen_hosts().filter_map(damaged).collect()
}

fn says(cause: &str, any: &[&str]) -> bool {
    let cause = cause.to_lowercase();
    any.iter().any(|words| cause.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::{Seen, ServiceState};
    use crate::laws::sample;

    const BOGUS: &str = "panic: unrecognized level: \"bogus\"";
    const BUSY: &str = "listen tcp 10.0.0.12:2380: bind: address already in use";

    fn exit(pid: u32, cause: &str) -> Exit {
        Exit { pid, ran: None, cause: Some(cause.to_owned()), is_last: false }
    }

    /// The second at which it is sure, of an etcd that exits every two seconds for these reasons in turn.
    fn sure_after(causes: &[&str]) -> Option<u64> {
        let mut exits = Exits::default();
        (0..100).find(|second| {
            let at = Duration::from_secs(*second);
            let number = *second / 2;
            exits.note(exit(number as u32, causes[number as usize % causes.len()]), at);
            exits.are_a_loop(at)
        })
    }

    #[test]
    fn a_crash_loop_is_sure_within_seconds_and_what_may_pass_is_given_a_minute() {
        assert_eq!(sure_after(&[BOGUS]), Some(4));
        assert_eq!(sure_after(&["panic: 0xc000b0 at 12", "panic: 0xd111e1 at 7"]), Some(4));
        assert_eq!(sure_after(&[BUSY]), Some(60));
        // One thing after the other: somebody works on it, or it gets further each time.
        assert_eq!(sure_after(&[BOGUS, "panic: permission denied"]), None);
    }

    #[test]
    fn one_that_systemd_gave_up_is_sure_at_once_and_one_exit_is_not() {
        let mut exits = Exits::default();
        assert!(!exits.are_a_loop(Duration::MAX));
        exits.note(exit(7, BOGUS), Duration::ZERO);
        exits.note(exit(7, BOGUS), Duration::from_secs(1));
        assert_eq!((exits.times(), exits.are_a_loop(Duration::from_secs(90))), (1, false));
        exits.note(Exit { is_last: true, ..exit(7, BUSY) }, Duration::from_secs(2));
        assert!(exits.are_a_loop(Duration::from_secs(2)));
        // Of one that says nothing nobody knows what it waits for.
        let mut silent = Exits::default();
        for pid in 0..5 {
            silent.note(Exit { cause: None, ..exit(pid, "") }, Duration::from_secs(u64::from(pid) * 2));
        }
        assert!(!silent.are_a_loop(Duration::from_secs(9)) && silent.are_a_loop(Duration::from_secs(60)));
    }

    #[test]
    fn the_way_out_is_that_of_the_cause() {
        let desired = sample::desired(1);
        let hint = |cause| way_out(&desired, &sample::name(0), Some(cause), "apply");
        assert!(hint(BOGUS).starts_with("if etcd refuses a setting, correct it in cluster.toml; else see `journalctl"));
        assert!(hint(BUSY).starts_with("see what has the port (`ss -ltnp` on etcd-1)"));
        assert!(
            hint("write: no space left on device").starts_with("free space on etcd-1 (`quorate explain disk-full`")
        );
        assert!(hint("panic: permission").starts_with("see `journalctl"));
        let damaged = hint("discovery failed: walpb: crc mismatch");
        assert!(
            damaged.starts_with("if the other members serve, replace it: `quorate plan --lost=etcd-1`"),
            "{damaged}"
        );
    }

    /// The plan starts it, and says that this may not be enough.
    #[test]
    fn damaged_data_is_told_beside_a_start() {
        let desired = sample::desired(3);
        let mut observed = sample::healthy(&desired);
        let host = observed.host_mut(&sample::name(1)).expect("it was seen");
        host.process = None;
        host.member = Seen::Known(None);
        host.service.state = ServiceState::Failed;
        host.service.complaint = Some("fatal error: fault".to_owned());
        let found: Vec<_> = findings(&desired, &observed).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, ["the data of etcd-2 is damaged, as etcd there said when it ended: fatal error: fault"]);
        assert!(findings(&desired, &sample::healthy(&desired)).is_empty());
    }
}
