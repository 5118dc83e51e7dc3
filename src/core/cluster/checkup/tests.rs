//! What is made of what a check-up has seen.

use super::*;
use crate::core::names::{RemotePath, UnixSeconds};
use crate::core::observed::checkup::{ClockSync, Complaint, Login, LoginAccount, Names};
use crate::core::observed::{Comparison, MemberHash, OtherEtcd, Peer, Runner};
use crate::core::planner::world;
use crate::laws::sample;

fn desired() -> Desired {
    let text = "[cluster]\nname = \"demo\"\nversion = \"3.6.16\"\n[nodes.a]\naddress = \"10.0.0.1\"\n\
                [nodes.b]\naddress = \"10.0.0.2\"\n";
    crate::core::desired::read::parse(text, "cluster.toml", std::path::Path::new("/x"), None).expect("it is valid")
}

fn cause() -> Cause {
    Cause { code: Code::ProbeFailed, summary: "it did not answer".to_owned(), hint: None }
}

fn lookup(name: &str, took_ms: u64, address: Option<&str>) -> Lookup {
    Lookup { name: name.to_owned(), took_ms, address: address.map(str::to_owned) }
}

fn well() -> Checkup {
    let b = HostName::new("b");
    Checkup {
        login: Login { typed: "-l ops etcd-1".to_owned(), connected_ms: 120, answered_ms: 8 },
        account: Seen::Known(LoginAccount {
            user: "ops".to_owned(),
            shell: "/bin/bash".to_owned(),
            chatter: String::new(),
            sudo: Some(Sudo { took_ms: 12, is_allowed: true, options: Default::default(), said: String::new() }),
        }),
        names: Seen::Known(Names { own: lookup("a-host", 1, Some("127.0.1.1")), declared: Vec::new() }),
        clock: Seen::Known(ClockSync { is_synchronized: Some(true) }),
        network: Seen::Known(Network {
            addresses: ["10.0.0.1".to_owned(), "127.0.0.1".to_owned()].into(),
            sources: [(b.clone(), "10.0.0.1".to_owned())].into(),
        }),
        ways: Seen::Known([((b.clone(), 2379), Way::Open), ((b, 2380), Way::Open)].into()),
        disk: Seen::Known(Disk {
            folder: "/var/lib/etcd".to_owned(),
            mount_point: "/".to_owned(),
            file_system: "ext4".to_owned(),
            options: "rw,relatime".to_owned(),
            syncs_us: vec![900; 100],
        }),
        journal: Seen::Known(Vec::new()),
    }
}

/// The outcomes of a host that nothing is known of but the check-up.
fn of(checkup: &Checkup) -> Vec<Outcome> {
    let mut observed = world::bare(&desired(), UnixSeconds(0));
    observed.hosts.values_mut().for_each(|host| *host = Seen::Unknown(cause()));
    findings(&desired(), &observed, &HostName::new("a"), checkup)
}

/// What became of one check after `change`; all others are as before.
#[track_caller]
fn after(check: Check, change: impl FnOnce(&mut Checkup)) -> Outcome {
    let mut checkup = well();
    change(&mut checkup);
    let (before, after) = (of(&well()), of(&checkup));
    let others = |all: &[Outcome]| all.iter().filter(|one| one.check != check).cloned().collect::<Vec<_>>();
    assert_eq!(others(&before), others(&after));
    after.into_iter().find(|one| one.check == check).expect("it was checked")
}

#[track_caller]
fn is(outcome: &Outcome, verdict: Verdict, words: &str) {
    assert_eq!(outcome.verdict, verdict, "{outcome:?}");
    assert!(outcome.seen.contains(words), "{outcome:?}");
    assert_eq!(outcome.fix.is_some(), matches!(verdict, Verdict::Warning | Verdict::Problem), "{outcome:?}");
}

#[test]
fn a_host_that_is_well() {
    // The clock and what is free are told by the look at the host, which there is none of here.
    let not_ok: Vec<_> = of(&well()).into_iter().filter(|one| one.verdict != Verdict::Ok).collect();
    assert_eq!(not_ok.iter().map(|one| one.check).collect::<Vec<_>>(), [Check::Clock, Check::DiskSpace]);
}

#[test]
fn a_host_that_cannot_be_reached_has_one_line() {
    let outcomes = unreachable(&cause());
    assert_eq!(outcomes.len(), 1);
    assert_eq!((outcomes[0].check, outcomes[0].verdict), (Check::Ssh, Verdict::Problem));
}

#[test]
fn slow_logins_and_slow_answers() {
    let slow = after(Check::Ssh, |of| of.login.connected_ms = 3_000);
    is(&slow, Verdict::Warning, "3.0 s");
    assert!(slow.fix.as_ref().is_some_and(|fix| fix.contains("`ssh -vvv -l ops etcd-1 true`")), "{slow:?}");
    is(&after(Check::Ssh, |of| of.login.answered_ms = 500), Verdict::Warning, "500 ms");
    is(&after(Check::Ssh, |of| of.login.connected_ms = 2_999), Verdict::Ok, "8 ms");
}

fn sudo_of(checkup: &mut Checkup) -> &mut Sudo {
    checkup.account.known_mut().and_then(|account| account.sudo.as_mut()).expect("ops has it")
}

#[test]
fn what_stands_between_the_user_and_root() {
    let outcome = after(Check::Sudo, |of| sudo_of(of).is_allowed = false);
    is(&outcome, Verdict::Problem, "without a password");
    assert!(outcome.fix.expect("told").contains("ops ALL=(root) NOPASSWD: ALL"));
    // Where no password is needed, that is not what is told.
    let outcome = after(Check::Sudo, |of| sudo_of(of).options = [SudoOption::NoExec].into());
    is(&outcome, Verdict::Problem, "`noexec`");
    assert_eq!(outcome.fix.as_deref(), Some("put `Defaults:ops !noexec` in /etc/sudoers.d/quorate"));
    is(&after(Check::Sudo, |of| sudo_of(of).options = [SudoOption::RequireTty].into()), Verdict::Problem, "requiretty");
    is(&after(Check::Sudo, |of| sudo_of(of).options = [SudoOption::LogInput].into()), Verdict::Ok, "records input");
    let slow = |of: &mut Checkup| {
        sudo_of(of).took_ms = 20_000;
        sudo_of(of).said = "sudo: unable to resolve host a-host".to_owned();
    };
    is(&after(Check::Sudo, slow), Verdict::Warning, "20 s: sudo: unable to resolve host a-host");
}

#[test]
fn a_shell_that_prints() {
    let change = |of: &mut Checkup| of.account.known_mut().expect("it was seen").chatter = "Welcome\n".to_owned();
    is(&after(Check::LoginShell, change), Verdict::Warning, "\"Welcome\"");
}

#[test]
fn names_that_are_not_known_or_slow() {
    let names =
        |own: Lookup, declared: Vec<Lookup>| move |of: &mut Checkup| of.names = Seen::Known(Names { own, declared });
    let own = || lookup("a-host", 1, Some("127.0.1.1"));
    is(&after(Check::Names, names(lookup("a-host", 5000, None), vec![])), Verdict::Warning, "a-host is not known");
    let lost = vec![lookup("b.example.com", 10, None)];
    is(&after(Check::Names, names(own(), lost)), Verdict::Problem, "b.example.com is not known");
    let slow = vec![lookup("b.example.com", 4000, Some("10.0.0.2"))];
    is(&after(Check::Names, names(own(), slow)), Verdict::Warning, "4.0 s");
}

#[test]
fn a_host_that_speaks_from_another_address() {
    let speaks_from = |address: &str| {
        let address = address.to_owned();
        move |of: &mut Checkup| {
            let network = of.network.known_mut().expect("it was seen");
            network.sources.insert(HostName::new("b"), address);
        }
    };
    is(&after(Check::Addresses, speaks_from("10.0.0.99")), Verdict::Problem, "speaks to b from 10.0.0.99");
    let lost = |of: &mut Checkup| of.network.known_mut().expect("it was seen").sources.clear();
    is(&after(Check::Addresses, lost), Verdict::Problem, "no route to b");
    let moved = |of: &mut Checkup| {
        let network = of.network.known_mut().expect("it was seen");
        network.addresses = ["10.0.0.7".to_owned()].into();
    };
    is(&after(Check::Addresses, moved), Verdict::Warning, "10.0.0.1 is not among its own: 10.0.0.7");
}

#[test]
fn ports_that_do_not_answer() {
    let to = |way: Way| {
        move |of: &mut Checkup| {
            let ways = of.ways.known_mut().expect("they were tried");
            ways.insert((HostName::new("b"), 2380), way);
        }
    };
    is(&after(Check::Ports, to(Way::Silent)), Verdict::Problem, "cannot connect to b:2380 (no answer)");
    let unrouted = Way::Failed("No route to host".to_owned());
    is(&after(Check::Ports, to(unrouted)), Verdict::Problem, "cannot connect to b:2380 (No route to host)");
    let refused = "1 of 2 ports of the others answer; nothing listens at b:2380";
    is(&after(Check::Ports, to(Way::Refused)), Verdict::Ok, refused);
    is(&after(Check::Ports, |of| of.ways = Seen::Unknown(cause())), Verdict::Unknown, "it did not answer");
}

fn disk_of(checkup: &mut Checkup) -> &mut Disk {
    checkup.disk.known_mut().expect("it was seen")
}

#[test]
fn disks_that_are_slow_full_or_no_disks() {
    // One slow write of a hundred is not yet what 99 of 100 are shorter than.
    is(
        &after(Check::DiskLatency, |of| disk_of(of).syncs_us[0] = 900_000),
        Verdict::Ok,
        "0.9 ms (median of 100 writes), 99 % within 0.9 ms",
    );
    let slow = |us: u64| move |of: &mut Checkup| disk_of(of).syncs_us[..2].fill(us);
    is(&after(Check::DiskLatency, slow(10_000)), Verdict::Warning, "99 % within 10.0 ms");
    is(&after(Check::DiskLatency, slow(100_000)), Verdict::Problem, "99 % within 100.0 ms");
    let on = |kind: &str| {
        let kind = kind.to_owned();
        move |of: &mut Checkup| disk_of(of).file_system = kind
    };
    is(&after(Check::FileSystem, on("tmpfs")), Verdict::Problem, "tmpfs");
    is(&after(Check::FileSystem, on("nfs4")), Verdict::Problem, "nfs4");
    is(&after(Check::FileSystem, |of| disk_of(of).options = "ro,relatime".to_owned()), Verdict::Problem, "read-only");
}

#[test]
fn each_file_system_is_told_with_what_is_free() {
    let desired = sample::desired(3);
    let of = |available: u64, used: u64| {
        let mut observed = sample::healthy(&desired);
        let host = observed.host_mut(&sample::name(0)).expect("it is there");
        sample::on_one_disk(host, available, used);
        findings(&desired, &observed, &sample::name(0), &well())
    };
    let space = |available, used| of(available, used).into_iter().find(|one| one.check == Check::DiskSpace);
    let is = |outcome: Option<Outcome>, verdict, seen| is(&outcome.expect("it is told"), verdict, seen);
    is(
        space(20 << 30, 20 << 30),
        Verdict::Ok,
        "20.0 GiB free on / (50% used, 50% of the inodes): /var/lib/etcd, /opt/etcd",
    );
    is(space(1 << 30, 1 << 30), Verdict::Warning, "the database may grow by");
    is(space(3 << 30, 40 << 30), Verdict::Warning, "94% used");
    is(space(1 << 20, 40 << 30), Verdict::Problem, "1.0 MiB free on / (100% used");
}

#[test]
fn a_disk_that_was_not_measured_has_no_latency() {
    let mut checkup = well();
    disk_of(&mut checkup).syncs_us.clear();
    assert!(of(&checkup).iter().all(|one| one.check != Check::DiskLatency));
}

#[test]
fn complaints_of_etcd() {
    let said = Complaint { text: "slow fdatasync".to_owned(), count: 12 };
    let outcome = after(Check::Journal, |of| of.journal = Seen::Known(vec![said]));
    is(&outcome, Verdict::Warning, "slow fdatasync (12×)");
}

#[test]
fn what_could_not_be_looked_at_is_not_well() {
    for (check, change) in [
        (Check::Names, (|of| of.names = Seen::Unknown(cause())) as fn(&mut Checkup)),
        (Check::Addresses, |of| of.network = Seen::Unknown(cause())),
        (Check::Journal, |of| of.journal = Seen::Unknown(cause())),
    ] {
        is(&after(check, change), Verdict::Unknown, "it did not answer");
    }
}

/// The outcome of a check that goes by what a plan sees, on the first of three healthy members.
fn of_member(check: Check, change: impl FnOnce(&mut Observed)) -> Option<Outcome> {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    change(&mut observed);
    let found = findings(&desired, &observed, &sample::name(0), &well());
    found.into_iter().find(|one| one.check == check)
}

#[test]
fn etcds_of_others() {
    let other = |in_our_place| OtherEtcd {
        runner: Runner::Kubelet(None),
        pid: Some(812),
        executable: Some(RemotePath::new("/usr/local/bin/etcd")),
        data: Some(RemotePath::new("/var/lib/etcd")),
        ports: [2379, 2380].into(),
        in_our_place,
        is_own: false,
    };
    let seen = |others: Vec<OtherEtcd>| {
        let change = |observed: &mut Observed| match observed.hosts.get_mut(&sample::name(0)) {
            Some(Seen::Known(host)) => host.others = others,
            _ => panic!("it was seen"),
        };
        of_member(Check::OtherEtcd, change).expect("it is always told")
    };
    is(&seen(Vec::new()), Verdict::Ok, "no etcd but quorate's");
    is(&seen(vec![other(false)]), Verdict::Ok, "an etcd runs by the kubelet (in a pod): process 812");
    is(&seen(vec![other(false), other(true)]), Verdict::Problem, "in the place of this cluster's");
    let renamed = OtherEtcd { runner: Runner::Unit("etcd-old.service".to_owned()), is_own: true, ..other(true) };
    let renamed = seen(vec![renamed]);
    is(&renamed, Verdict::Problem, "whose unit has another name");
    assert_eq!(renamed.fix.as_deref(), Some("set `service = \"etcd-old.service\"` in [paths]"));
    // What serves is nothing to stop.
    let owners = |taken: &[(u16, &str)]| {
        let change = |observed: &mut Observed| {
            let host = observed.host_mut(&sample::name(0)).expect("it was seen");
            host.others = vec![other(true)];
            host.taken_ports = taken.iter().map(|(port, holder)| (*port, (*holder).to_owned())).collect();
        };
        of_member(Check::PortOwners, change).expect("it is always told")
    };
    is(&owners(&[]), Verdict::Ok, "nothing else listens");
    is(&owners(&[(2379, "etcd (process 812)")]), Verdict::Ok, "nothing but another program's etcd");
    is(&owners(&[(2379, "etcd (process 812)"), (2381, "nginx")]), Verdict::Problem, "taken by others: 2381 (nginx)");
}

#[test]
fn data_that_differs() {
    let compared = |hashes: &[u32], missed: &[usize]| {
        of_member(Check::Data, |observed| {
            let member = |index| observed.host(&sample::name(index)).and_then(Host::answer).expect("it answers").member;
            let of =
                |(index, hash): (usize, &u32)| (member(index), MemberHash { host: sample::name(index), hash: *hash });
            let hashes = hashes.iter().enumerate().filter(|(index, _)| !missed.contains(index)).map(of).collect();
            let missed = missed.iter().map(|index| (sample::name(*index), "timed out".to_owned())).collect();
            observed.comparison = Some(Comparison { revision: 812, hashes, missed });
        })
        .expect("it was compared")
    };
    is(&compared(&[7, 7, 7], &[]), Verdict::Ok, "HashKV 00000007 at revision 812");
    is(&compared(&[7, 7, 8], &[]), Verdict::Ok, "the same as the other members'");
    is(&compared(&[8, 7, 7], &[]), Verdict::Problem, "HashKV 00000008");
    is(&compared(&[7, 8, 9], &[]), Verdict::Problem, "no hash is a majority's");
    is(&compared(&[7, 7, 7], &[0]), Verdict::Unknown, "timed out");
    assert_eq!(of_member(Check::Data, |_| ()), None, "nothing was compared");
}

#[test]
fn what_sudo_refuses_is_told_once_whatever_it_lists() {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    let summary = "sudo on etcd-1 refused: sudo: a password is required".to_owned();
    let cause = Cause { code: Code::Sudo, summary: summary.clone(), hint: Some("allow it".to_owned()) };
    observed.hosts.insert(sample::name(0), Seen::Unknown(cause.clone()));
    let mut checkup = well();
    let summary = format!("looking at its journal on etcd-1 failed: {summary}");
    checkup.journal = Seen::Unknown(Cause { summary, ..cause });
    let found = findings(&desired, &observed, &sample::name(0), &checkup);
    let of = |check| found.iter().find(|one| one.check == check).expect("it was looked at");
    is(of(Check::Sudo), Verdict::Problem, "a password is required");
    assert_eq!(of(Check::Sudo).fix.as_deref(), Some("allow it"));
    for check in [Check::Journal, Check::Clock] {
        is(of(check), Verdict::Unknown, "not looked at: see sudo");
        assert_eq!(of(check).fix, None);
    }
}

#[test]
fn the_ways_of_raft() {
    let found = |peers: &[(usize, bool, Option<u64>)], election_ms: Option<u64>| {
        let mut desired = sample::desired(3);
        desired.etcd.election_timeout_ms = election_ms;
        let mut observed = sample::healthy(&desired);
        let id = |index| observed.host(&sample::name(index)).and_then(Host::answer).expect("it answers").member;
        let peer = |(index, is_active, round_trip_us): &(usize, bool, Option<u64>)| {
            (
                id(*index),
                Peer {
                    is_active: *is_active,
                    is_reached: (!is_active).then_some(false),
                    failures: 0,
                    round_trip_us: *round_trip_us,
                },
            )
        };
        let peers = peers.iter().map(peer).collect();
        let first = observed.host_mut(&sample::name(0)).expect("it was seen");
        first.member.known_mut().and_then(Option::as_mut).expect("it answers").peers = peers;
        let found = findings(&desired, &observed, &sample::name(0), &well());
        found.into_iter().find(|one| one.check == Check::Peers)
    };
    let told = |peers: &[_], election_ms| found(peers, election_ms).expect("there are peers");
    is(&told(&[(1, true, Some(1_250)), (2, true, Some(900))], None), Verdict::Ok, "2 peers; a round trip takes 1.2 ms");
    is(&told(&[(1, true, None), (2, true, None)], None), Verdict::Ok, "connected to 2 peers");
    is(&told(&[(1, true, Some(900)), (2, false, Some(900))], None), Verdict::Problem, "no connection to etcd-3");
    is(&told(&[(1, true, Some(100_000))], None), Verdict::Ok, "100.0 ms");
    let slow = told(&[(1, true, Some(100_500))], None);
    is(&slow, Verdict::Warning, "`election-timeout` is 1000 ms, less than ten of them");
    assert!(
        slow.fix
            .expect("there is a way")
            .contains("`heartbeat-interval = \"101ms\"` and `election-timeout = \"1010ms\"`")
    );
    // What is longer between two heartbeats is late, whatever an election may take.
    is(&told(&[(1, true, Some(100_500))], Some(5_000)), Verdict::Warning, "`heartbeat-interval` is 100 ms");
    is(&told(&[(1, true, Some(60_000))], Some(500)), Verdict::Warning, "500 ms");
    assert_eq!(found(&[], None), None, "a cluster of one");
}
