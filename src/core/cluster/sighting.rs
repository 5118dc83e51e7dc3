//! What the last look saw of a host that is waited for, in the words in which it is said meanwhile.

use std::time::Duration;

use crate::core::cluster::crash::Exit;
use crate::core::code::Code;
use crate::core::count::size;
use crate::core::names::HostName;
use crate::core::observed::{Answer, Cause, Host, Observed, Process, Seen, ServiceState};
use crate::core::span;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// There is no way there.
    Unreachable {
        why: String,
    },
    /// There is, and it could not be looked at.
    Unseen {
        why: String,
    },
    Exited(Exit),
    /// systemd does not run the service, nor starts it.
    Inactive,
    /// systemd starts the service, and has not come to etcd yet.
    BeforeEtcd,
    /// Its manifest is there, and the kubelet has no etcd running: it lets some seconds pass after each change and each exit.
    BeforePod,
    /// The process that is to end, or to be replaced.
    OldProcess,
    Starting {
        disk_bytes: Option<u64>,
        database_bytes: Option<u64>,
    },
    Silent {
        why: String,
    },
    LacksLeader,
    /// It does not read through a quorum.
    LacksQuorum,
    Behind {
        entries: u64,
    },
    Answers,
}

/// A smaller database is read in a moment, and next to it what etcd reads besides it counts: its own program has 25 MiB.
const LARGE_BYTES: u64 = 256 << 20;

/// Of `host`; `old` is the process that ran there before the step, where that is to end.
pub fn of(observed: &Observed, name: &HostName, old: Option<u32>) -> Option<Sighting> {
    let host = match observed.sight(name)? {
        Seen::Known(host) => host,
        Seen::Unknown(cause) => return Some(not_seen(name, cause)),
    };
    if let Some(exit) = exit(host) {
        return Some(Sighting::Exited(exit));
    }
    Some(match (&host.process, &host.member) {
        (None, _) if host.service.state == ServiceState::Activating && host.kubelet.is_some() => Sighting::BeforePod,
        (None, _) if host.service.state == ServiceState::Activating => Sighting::BeforeEtcd,
        (None, _) => Sighting::Inactive,
        (Some(process), _) if old == Some(process.pid) => Sighting::OldProcess,
        (Some(_), Seen::Known(Some(answer))) => of_answer(observed, answer),
        (Some(process), _) if host.service.state == ServiceState::Activating => starting(process),
        (Some(_), Seen::Unknown(cause)) => Sighting::Silent { why: cause.summary.clone() },
        (Some(process), Seen::Known(None)) => starting(process),
    })
}

/// How its last process ended, where none runs, and nobody has stopped it.
pub fn exit(host: &Host) -> Option<Exit> {
    let service = &host.service;
    let ended = service.ended.as_ref().filter(|_| host.process.is_none())?;
    Some(Exit {
        pid: ended.pid,
        ran: ended.ran_ms.map(Duration::from_millis),
        cause: service.complaint.clone(),
        is_last: service.state == ServiceState::Failed,
    })
}

fn not_seen(name: &HostName, cause: &Cause) -> Sighting {
    let why = cause.summary.as_str();
    let why = [format!("cannot reach {name}: "), format!("could not reach {name}: "), format!("{name}: ")]
        .iter()
        .find_map(|prefix| why.strip_prefix(prefix.as_str()))
        .unwrap_or(why)
        .to_owned();
    match cause.code {
        Code::HostUnreachable => Sighting::Unreachable { why },
        _ => Sighting::Unseen { why },
    }
}

fn starting(process: &Process) -> Sighting {
    let work = process.work.as_ref();
    Sighting::Starting {
        disk_bytes: work.and_then(|work| work.disk_bytes),
        database_bytes: work.and_then(|work| work.database_bytes),
    }
}

fn of_answer(observed: &Observed, answer: &Answer) -> Sighting {
    let Some(leader) = answer.leader else { return Sighting::LacksLeader };
    let leading = observed.answers().map(|(_, other)| other).find(|other| other.member == leader);
    let entries = leading.map_or(0, |leading| leading.index.saturating_sub(answer.applied));
    match entries {
        0 if answer.reads => Sighting::Answers,
        0 => Sighting::LacksQuorum,
        entries => Sighting::Behind { entries },
    }
}

impl Sighting {
    /// Whether it is more than what takes its time.
    pub fn is_trouble(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unseen { .. } | Self::Exited(_))
    }

    /// A fragment to be said of the host. It has been so for a while; an exit was one of so many.
    pub fn words(&self, so_long: Duration, exits: usize) -> String {
        let so_long = match so_long.as_secs() {
            0 => String::new(),
            seconds => format!(" for {}", span::age(i64::try_from(seconds).unwrap_or(i64::MAX))),
        };
        match self {
            Self::Unreachable { why } => format!("does not answer SSH{so_long}: {why}"),
            Self::Unseen { why } => format!("could not be looked at{so_long}: {why}"),
            Self::Exited(exit) => exited(exit, exits),
            Self::Inactive => "its service is not running".to_owned(),
            Self::BeforeEtcd => "systemd is starting its service".to_owned(),
            Self::BeforePod => "the kubelet has not started it yet".to_owned(),
            Self::OldProcess => "the etcd from before this step has not ended yet".to_owned(),
            Self::Starting { disk_bytes: Some(read), database_bytes: Some(database) }
                if *read > 0 && *database >= LARGE_BYTES =>
            {
                let percent = (u128::from(*read) * 100 / u128::from((*database).max(1))).min(100);
                let [read, database] = [*read, *database].map(size);
                format!("etcd is starting: {read} read from disk, its database has {database} ({percent} %)")
            }
            Self::Starting { .. } if so_long.is_empty() => "etcd is starting, and does not answer yet".to_owned(),
            Self::Starting { .. } => format!("etcd has been starting{so_long}, and does not answer yet"),
            Self::Silent { why } => format!("etcd runs, and does not answer{so_long}: {why}"),
            Self::LacksLeader => "answers, and knows no leader".to_owned(),
            Self::LacksQuorum => "answers, and could not read through a quorum".to_owned(),
            Self::Behind { entries: 1 } => "answers, 1 entry behind the leader".to_owned(),
            Self::Behind { entries } => format!("answers, {entries} entries behind the leader"),
            Self::Answers => "answers".to_owned(),
        }
    }
}

/// `etcd exited within 1 s of its start (3 times): panic: unrecognized level: "bogus"`
pub fn exited(exit: &Exit, times: usize) -> String {
    let ran = match exit.ran {
        None => String::new(),
        Some(ran) if ran < Duration::from_secs(1) => " within 1 s of its start".to_owned(),
        Some(ran) => format!(" {} after its start", span::measured(ran.as_secs_f64())),
    };
    let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
    let last = if exit.is_last { ", and systemd does not start it again" } else { "" };
    match &exit.cause {
        Some(cause) => format!("etcd exited{ran}{times}{last}: {cause}"),
        None => format!("etcd exited{ran}{times}{last}; its log does not say why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::{Ended, Work};
    use crate::laws::sample;

    const NOW: Duration = Duration::ZERO;

    fn seen(change: impl FnOnce(&mut Host)) -> Sighting {
        let mut observed = sample::healthy(&sample::desired(3));
        change(observed.host_mut(&sample::name(1)).expect("it was seen"));
        of(&observed, &sample::name(1), Some(99)).expect("it is declared")
    }

    fn unseen(code: Code, summary: &str) -> Sighting {
        let mut observed = sample::healthy(&sample::desired(3));
        let cause = Cause { code, summary: summary.to_owned(), hint: None };
        observed.hosts.insert(sample::name(1), Seen::Unknown(cause));
        of(&observed, &sample::name(1), None).expect("it is declared")
    }

    fn silent(host: &mut Host, state: ServiceState) {
        let summary = "etcd on etcd-2 refuses connections on port 2379".to_owned();
        host.member = Seen::Unknown(Cause { code: Code::MemberSilent, summary, hint: None });
        host.service.state = state;
    }

    #[test]
    fn a_host_that_is_away_is_told_with_what_ssh_says() {
        let refused =
            unseen(Code::HostUnreachable, "cannot reach etcd-2: connecting to 10.0.0.12:22 failed: connection refused");
        assert!(refused.is_trouble());
        let words = "does not answer SSH for 12 s: connecting to 10.0.0.12:22 failed: connection refused";
        assert_eq!(refused.words(Duration::from_millis(12_900), 0), words);
        let login = unseen(Code::SshAuthentication, "cannot log in to etcd-2 as ops; tried: nothing");
        assert_eq!(login.words(NOW, 0), "could not be looked at: cannot log in to etcd-2 as ops; tried: nothing");
    }

    #[test]
    fn an_exit_is_told_with_its_cause_and_how_often() {
        let exited = |state, complaint: Option<&str>| {
            seen(|host| {
                host.process = None;
                host.member = Seen::Known(None);
                host.service.state = state;
                host.service.complaint = complaint.map(str::to_owned);
                host.service.ended = Some(Ended { pid: 7, ran_ms: Some(1040) });
            })
        };
        let bogus = exited(ServiceState::Activating, Some("panic: unrecognized level"));
        assert!(bogus.is_trouble());
        assert_eq!(bogus.words(NOW, 3), "etcd exited 1.0 s after its start (3 times): panic: unrecognized level");
        assert_eq!(
            exited(ServiceState::Failed, None).words(NOW, 1),
            "etcd exited 1.0 s after its start, and systemd does not start it again; its log does not say why"
        );
    }

    #[test]
    fn a_start_is_told_by_how_far_it_is() {
        let starting = |disk_bytes, database_bytes| {
            seen(|host| {
                silent(host, ServiceState::Activating);
                let process = host.process.as_mut().expect("it runs");
                process.work = Some(Work { disk_bytes, database_bytes, ..Work::default() });
            })
        };
        let reading = starting(Some(2 << 29), Some(5 << 29));
        let words = "etcd is starting: 1.0 GiB read from disk, its database has 2.5 GiB (40 %)";
        assert_eq!(reading.words(NOW, 0), words);
        assert!(!reading.is_trouble());
        // From memory, or not known: nobody can tell.
        for unknown in [starting(Some(0), Some(5 << 29)), starting(Some(9 << 20), Some(8 << 20)), starting(None, None)]
        {
            assert_eq!(unknown.words(NOW, 0), "etcd is starting, and does not answer yet");
            let words = "etcd has been starting for 12 s, and does not answer yet";
            assert_eq!(unknown.words(Duration::from_secs(12), 0), words);
        }
        let before = seen(|host| (host.process, host.service.state) = (None, ServiceState::Activating));
        assert_eq!(before.words(NOW, 0), "systemd is starting its service");
        let stopped = seen(|host| (host.process, host.service.state) = (None, ServiceState::Inactive));
        assert_eq!(stopped.words(NOW, 0), "its service is not running");
        let old = seen(|host| host.process.as_mut().expect("it runs").pid = 99);
        assert_eq!(old.words(NOW, 0), "the etcd from before this step has not ended yet");
    }

    #[test]
    fn a_member_that_runs_is_told_by_what_it_answers() {
        let answering = |change: fn(&mut Answer)| {
            let sighting = seen(|host| {
                let Seen::Known(Some(answer)) = &mut host.member else { panic!("it answers") };
                change(answer);
            });
            sighting.words(NOW, 0)
        };
        assert_eq!(answering(|_| {}), "answers");
        assert_eq!(answering(|answer| answer.leader = None), "answers, and knows no leader");
        assert_eq!(answering(|answer| answer.reads = false), "answers, and could not read through a quorum");
        let hung = seen(|host| silent(host, ServiceState::Active));
        let words = "etcd runs, and does not answer for 5 s: etcd on etcd-2 refuses connections on port 2379";
        assert_eq!(hung.words(Duration::from_secs(5), 0), words);
        let mut observed = sample::healthy(&sample::desired(3));
        let leader = observed.answers().find_map(|(_, answer)| answer.leader).expect("one leads");
        let names: Vec<_> = observed.answers().map(|(name, answer)| (name.clone(), answer.member)).collect();
        let (leading, _) = names.iter().find(|(_, member)| *member == leader).expect("it answers");
        let (following, _) = names.iter().find(|(_, member)| *member != leader).expect("it answers");
        let Some(Seen::Known(Some(answer))) = observed.host_mut(leading).map(|host| &mut host.member) else { panic!() };
        answer.index += 120;
        let behind = of(&observed, following, None).expect("it is declared");
        assert_eq!(behind.words(NOW, 0), "answers, 120 entries behind the leader");
    }
}
