//! How a cluster stands in one word, for what watches it: `quorate status --check`.

use super::status::{Condition, Document, MemberStatus};
use crate::core::code::Code;
use crate::core::plan::overview::State;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every declared member is healthy, and nobody else is one.
    Well,
    /// It serves, and something of it does not.
    Degraded,
    /// Members answer, and none of them serves.
    NoQuorum,
    /// Nobody has said how it is.
    NotSeen,
}

/// What is wrong with a cluster that serves, beside its members.
const DEGRADING: [Code; 4] = [Code::Alarm, Code::DataDiffers, Code::BackupTooOld, Code::DiskFull];

pub fn verdict(document: &Document) -> Verdict {
    // One that is healthy has just read through a quorum.
    let serves = document.health.as_ref().is_some_and(|voters| voters.healthy > 0);
    let all_asked = document.complete && document.members.iter().all(|member| member.seen && member.asked);
    // As the headline has it.
    let lost = document.overview.state == State::NoQuorum;
    if !serves || lost {
        // Without a member list the hosts themselves are all there is to go by.
        let answers = |member: &MemberStatus| {
            member.seen
                && member.asked
                && (member.id.is_some() || matches!(member.condition, Condition::Healthy | Condition::Unhealthy))
        };
        let someone_answers = document.members.iter().any(answers);
        return if lost || all_asked || someone_answers { Verdict::NoQuorum } else { Verdict::NotSeen };
    }
    let is_well = |member: &MemberStatus| {
        member.host.is_some() && member.healthy && member.trouble.is_none() && member.alarms.is_empty()
    };
    let is_degraded = document.overview.not_connected.is_some()
        || document.overview.state != State::Serving
        || document.findings.iter().any(|finding| DEGRADING.contains(&finding.code));
    match all_asked && !is_degraded && document.members.iter().all(is_well) {
        true => Verdict::Well,
        false => Verdict::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::content::{self, Restoration};
    use crate::core::desired::Desired;
    use crate::core::names::{Digest, Token};
    use crate::core::observed::{
        Access, Cause, DataDirectory, File, FileFact, Host, Observed, Peer, Seen, ServiceState,
    };
    use crate::core::planner::plan;
    use crate::core::render::status::document;
    use crate::core::render::words;
    use crate::laws::sample;

    fn after(change: impl FnOnce(&Desired, &mut Observed)) -> Verdict {
        let desired = sample::desired(3);
        let mut observed = sample::healthy(&desired);
        change(&desired, &mut observed);
        verdict(&document(&desired, &observed))
    }

    fn unreachable(observed: &mut Observed, index: usize) {
        let summary = "no route to host".to_owned();
        let cause = Cause { code: Code::HostUnreachable, summary, hint: None };
        observed.hosts.insert(sample::name(index), Seen::Unknown(cause));
    }

    fn host(observed: &mut Observed, index: usize) -> &mut Host {
        observed.host_mut(&sample::name(index)).expect("it was seen")
    }

    fn stopped(observed: &mut Observed, index: usize) {
        let host = host(observed, index);
        host.service.state = ServiceState::Inactive;
        host.process = None;
        host.member = Seen::Known(None);
    }

    fn without_quorum(observed: &mut Observed, index: usize) {
        let Seen::Known(Some(answer)) = &mut host(observed, index).member else { panic!("it answers") };
        answer.reads = false;
        answer.leader = None;
    }

    #[test]
    fn a_cluster_is_well_where_all_are() {
        assert_eq!(after(|_, _| ()), Verdict::Well);
    }

    #[test]
    fn one_that_is_away_degrades_it() {
        assert_eq!(after(|_, observed| stopped(observed, 1)), Verdict::Degraded);
        assert_eq!(after(|_, observed| unreachable(observed, 1)), Verdict::Degraded);
    }

    #[test]
    fn who_answers_and_reads_nothing_has_no_quorum() {
        let lost = after(|_, observed| {
            stopped(observed, 1);
            stopped(observed, 2);
            without_quorum(observed, 0);
        });
        assert_eq!(lost, Verdict::NoQuorum);
        let lost = after(|_, observed| {
            unreachable(observed, 1);
            unreachable(observed, 2);
            without_quorum(observed, 0);
        });
        assert_eq!(lost, Verdict::NoQuorum);
        assert_eq!(after(|_, observed| (0..3).for_each(|index| stopped(observed, index))), Verdict::NoQuorum);
    }

    fn silent(observed: &mut Observed, index: usize) {
        let summary = "opening a tunnel took longer than 5 s".to_owned();
        host(observed, index).member = Seen::Unknown(Cause { code: Code::MemberSilent, summary, hint: None });
    }

    /// Two of three have their client ports closed, and take part in raft: the third one reads through them.
    #[test]
    fn who_reads_through_a_quorum_has_one_whoever_else_answers() {
        let desired = sample::desired(3);
        let mut observed = sample::healthy(&desired);
        let others = [0, 1].map(|index| host(&mut observed, index).answer().expect("it answers").member);
        let Seen::Known(Some(answer)) = &mut host(&mut observed, 2).member else { panic!("it answers") };
        let peer = Peer { is_active: true, is_reached: None, failures: 0, round_trip_us: None };
        answer.peers = others.map(|id| (id, peer)).into();
        silent(&mut observed, 0);
        silent(&mut observed, 1);
        let document = document(&desired, &observed);
        assert_eq!(verdict(&document), Verdict::Degraded);
        let headline = words::state(&document.overview, document.health.as_ref(), 3, 0);
        let expected = "SERVES (a read through a quorum succeeded), but 2 of 3 voters were not seen healthy";
        assert!(headline.starts_with(expected), "{headline}");
        let trouble = document.members[0].trouble.as_deref();
        let expected = "it does not answer here, while etcd on etcd-3 is connected to it for raft's messages";
        assert_eq!(trouble, Some(expected));
        // Nobody is told that the quorum is lost, and to give the others up.
        let told = plan(&desired, &observed).blocked;
        assert!(!told.iter().any(|blocked| blocked.code == Code::NoQuorum), "{told:?}");
        unreachable(&mut observed, 0);
        unreachable(&mut observed, 1);
        let told = plan(&desired, &observed).blocked;
        assert!(!told.iter().any(|blocked| blocked.code == Code::NoQuorum), "{told:?}");
    }

    /// It answers, and knows no list without a quorum.
    #[test]
    fn one_that_is_left_of_three_has_no_quorum() {
        let lost = after(|_, observed| {
            unreachable(observed, 1);
            unreachable(observed, 2);
            without_quorum(observed, 0);
            let Seen::Known(Some(answer)) = &mut host(observed, 0).member else { panic!("it answers") };
            let summary = "no leader".to_owned();
            answer.members = Seen::Unknown(Cause { code: Code::MemberSilent, summary, hint: None });
        });
        assert_eq!(lost, Verdict::NoQuorum);
    }

    #[test]
    fn what_serves_and_could_not_start_again_degrades_it() {
        let gone = |_: &Desired, observed: &mut Observed| host(observed, 1).data = DataDirectory::NoLog;
        assert_eq!(after(gone), Verdict::Degraded);
    }

    #[test]
    fn a_restore_that_is_unfinished_degrades_it() {
        let desired = sample::desired(3);
        let mut observed = sample::healthy(&desired);
        let restoration = Restoration { digest: Digest::of("snapshot"), token: Token::new("prod-1800000000") };
        let text = content::restore_note(&desired, &restoration);
        let note = FileFact { access: Access::new("644", "root", "root"), digest: Digest::of(&text), text: Some(text) };
        host(&mut observed, 0).files.insert(File::RestoreNote, note);
        let shown = document(&desired, &observed);
        assert_eq!((shown.overview.state, verdict(&shown)), (State::RestoreUnfinished, Verdict::Degraded));
    }

    #[test]
    fn of_whom_nobody_has_said_anything_nothing_is_known() {
        assert_eq!(after(|_, observed| (0..3).for_each(|index| unreachable(observed, index))), Verdict::NotSeen);
        let silent = after(|_, observed| {
            stopped(observed, 0);
            unreachable(observed, 1);
            unreachable(observed, 2);
        });
        assert_eq!(silent, Verdict::NotSeen);
    }

    #[test]
    fn bare_hosts_serve_nobody() {
        let desired = sample::desired(3);
        assert_eq!(verdict(&document(&desired, &sample::bare(&desired))), Verdict::NoQuorum);
    }
}
