//! What a check-up means: for each thing that was looked at, whether it is well, and how to mend it.

use core::net::IpAddr;
use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::cluster::others;
use crate::core::code::Code;
use crate::core::count::count;
use crate::core::desired::{Desired, Node};
use crate::core::names::HostName;
use crate::core::observed::checkup::{Checkup, Disk, Lookup, Network, Sudo, SudoOption, Way};
use crate::core::observed::{Cause, Host, Observed, Role, Seen};
use crate::core::span;

mod members;
mod space;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// From here to the host.
    Ssh,
    LoginShell,
    Sudo,
    /// The host's own name, and those of nodes.
    Names,
    Clock,
    /// The declared address, and from which one the host speaks to its peers.
    Addresses,
    /// From the host to the others.
    Ports,
    /// From its member to the others, for raft's messages, and how long those take.
    Peers,
    DiskSpace,
    DiskLatency,
    FileSystem,
    /// Who else listens where etcd is to.
    PortOwners,
    /// Every etcd there that is not quorate's.
    OtherEtcd,
    /// Whether the member's data is the same as the others': their HashKV at one revision.
    Data,
    /// What etcd complained of in the last hour.
    Journal,
}

impl Check {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::LoginShell => "login-shell",
            Self::Sudo => "sudo",
            Self::Names => "names",
            Self::Clock => "clock",
            Self::Addresses => "addresses",
            Self::Ports => "ports",
            Self::Peers => "peers",
            Self::DiskSpace => "disk-space",
            Self::DiskLatency => "disk-latency",
            Self::FileSystem => "file-system",
            Self::PortOwners => "port-owners",
            Self::OtherEtcd => "other-etcd",
            Self::Data => "data",
            Self::Journal => "journal",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Ok,
    /// It works, and will cost something one day.
    Warning,
    /// It does not work, or will not.
    Problem,
    /// It could not be looked at.
    Unknown,
}

/// What one check of one host has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    pub check: Check,
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do about it; `null` where nothing needs to be done.
    pub fix: Option<String>,
}

impl Outcome {
    fn ok(check: Check, seen: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, seen: seen.into(), fix: None }
    }

    fn warning(check: Check, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, seen: seen.into(), fix: Some(fix.into()) }
    }

    fn problem(check: Check, seen: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Problem, ..Self::warning(check, seen, fix) }
    }

    fn unknown(check: Check, Cause { summary, hint, .. }: &Cause) -> Self {
        Self { check, verdict: Verdict::Unknown, seen: summary.clone(), fix: hint.clone() }
    }
}

/// A host that could not be looked at.
pub fn unreachable(cause: &Cause) -> Vec<Outcome> {
    vec![Outcome { verdict: Verdict::Problem, ..Outcome::unknown(Check::Ssh, cause) }]
}

/// What was found out about `name`. `observed` is what a plan would see.
pub fn findings(desired: &Desired, observed: &Observed, name: &HostName, checkup: &Checkup) -> Vec<Outcome> {
    let host = &observed.hosts[name];
    let mut findings = vec![ssh(checkup)];
    findings.extend(account(checkup));
    findings.push(names(checkup));
    findings.push(clock(host, checkup));
    findings.push(addresses(desired, name, host, checkup));
    findings.extend(ports(desired, checkup));
    findings.extend(members::peers(desired, observed, name));
    findings.extend(space::space(desired, name, host));
    findings.extend(disk(checkup));
    findings.extend(host.known().map(port_owners));
    findings.extend(host.known().map(members::other_etcds));
    findings.extend(members::data(observed, name));
    findings.push(journal(checkup));
    if let Seen::Unknown(cause) = host
        && cause.code == Code::Sudo
    {
        told_once(&mut findings, cause);
    }
    findings
}

/// What sudo stands in the way of is not looked at: that, and what to do about it, is told in its own line alone.
fn told_once(findings: &mut [Outcome], cause: &Cause) {
    let Some(sudo) = findings.iter_mut().find(|outcome| outcome.check == Check::Sudo) else { return };
    *sudo = Outcome { verdict: Verdict::Problem, ..Outcome::unknown(Check::Sudo, cause) };
    for outcome in findings.iter_mut().filter(|outcome| outcome.verdict == Verdict::Unknown) {
        if outcome.seen.contains(&cause.summary) {
            (outcome.seen, outcome.fix) = ("not looked at: see sudo".to_owned(), None);
        }
    }
}

/// Longer is felt with every command that an operator types.
const LOGIN_SLOW_MS: u64 = 3_000;
const ANSWER_SLOW_MS: u64 = 500;

fn ssh(checkup: &Checkup) -> Outcome {
    let login = &checkup.login;
    let seen = format!("logged in within {}; a command takes {}", ms(login.connected_ms), ms(login.answered_ms));
    if login.connected_ms >= LOGIN_SLOW_MS {
        return Outcome::warning(
            Check::Ssh,
            seen,
            format!(
                "find what slows the login down: `ssh -vvv {} true` shows where it waits (often name lookups by sshd, \
                 `UseDNS no`, or a PAM module)",
                login.typed
            ),
        );
    }
    if login.answered_ms >= ANSWER_SLOW_MS {
        return Outcome::warning(
            Check::Ssh,
            seen,
            "find what the login shell's start-up files wait for, or why the way there is slow",
        );
    }
    Outcome::ok(Check::Ssh, seen)
}

fn account(checkup: &Checkup) -> Vec<Outcome> {
    let account = match &checkup.account {
        Seen::Known(account) => account,
        Seen::Unknown(cause) => return vec![Outcome::unknown(Check::LoginShell, cause)],
    };
    let seen = format!("{} has {}", account.user, account.shell);
    let shell = match account.chatter.trim() {
        "" => Outcome::ok(Check::LoginShell, seen),
        chatter => Outcome::warning(
            Check::LoginShell,
            format!("{seen}, which prints {chatter:?} before every command"),
            "let its start-up files print in interactive shells only: quorate copes, scp and rsync do not",
        ),
    };
    let sudo = account.sudo.as_ref().map(|sudo| self::sudo(&account.user, sudo));
    [shell].into_iter().chain(sudo).collect()
}

/// Longer is a lookup that runs out of time.
const SUDO_SLOW_MS: u64 = 1_000;

fn sudo(user: &str, sudo: &Sudo) -> Outcome {
    let took = ms(sudo.took_ms);
    if !sudo.is_allowed {
        return Outcome::problem(
            Check::Sudo,
            format!("{user} may not use it without a password: {}", sudo.said),
            format!("put `{user} ALL=(root) NOPASSWD: ALL` in /etc/sudoers.d/quorate, or log in as root"),
        );
    }
    let has = |option| sudo.options.contains(&option);
    if has(SudoOption::NoExec) || has(SudoOption::RequireTty) {
        let option = if has(SudoOption::NoExec) { "noexec" } else { "requiretty" };
        return Outcome::problem(
            Check::Sudo,
            format!("`{option}` is set for {user}, and no script can run"),
            format!("put `Defaults:{user} !{option}` in /etc/sudoers.d/quorate"),
        );
    }
    if sudo.took_ms >= SUDO_SLOW_MS {
        let said = if sudo.said.is_empty() { String::new() } else { format!(": {}", sudo.said) };
        return Outcome::warning(
            Check::Sudo,
            format!("it takes {took}{said}"),
            match sudo.said.contains("unable to resolve host") {
                true => "let the host know its own name: sudo looks it up each time (a line in /etc/hosts)",
                false => {
                    "find what it waits for: a lookup of its own name, a directory service, or a module in /etc/pam.d/sudo \
                     (`time sudo -n true` there)"
                }
            },
        );
    }
    let logs = [(SudoOption::LogInput, "input"), (SudoOption::LogOutput, "output")];
    let logs: Vec<_> = logs.into_iter().filter(|(option, _)| has(*option)).map(|(_, what)| what).collect();
    let logs = if logs.is_empty() { String::new() } else { format!("; it records {}", logs.join(" and ")) };
    Outcome::ok(Check::Sudo, format!("{user} needs no password; it takes {took}{logs}"))
}

const LOOKUP_SLOW_MS: u64 = 1_000;

fn names(checkup: &Checkup) -> Outcome {
    let names = match &checkup.names {
        Seen::Known(names) => names,
        Seen::Unknown(cause) => return Outcome::unknown(Check::Names, cause),
    };
    let lost = names.declared.iter().filter(|lookup| lookup.address.is_none());
    let lost: Vec<_> = lost.map(|lookup| lookup.name.as_str()).collect();
    if !lost.is_empty() {
        return Outcome::problem(
            Check::Names,
            format!("{} not known there", are(&lost)),
            "add the names to DNS, or to /etc/hosts there: etcd looks up its peers by them",
        );
    }
    if names.own.address.is_none() {
        return Outcome::warning(
            Check::Names,
            format!("its own name {} is not known there (looked up for {})", names.own.name, ms(names.own.took_ms)),
            format!("add it to /etc/hosts there, for example `127.0.1.1 {}`", names.own.name),
        );
    }
    let all = || std::iter::once(&names.own).chain(&names.declared);
    let slow = all().filter(|lookup| lookup.took_ms >= LOOKUP_SLOW_MS).max_by_key(|lookup| lookup.took_ms);
    if let Some(Lookup { name, took_ms, .. }) = slow {
        return Outcome::warning(
            Check::Names,
            format!("looking up {name} takes {}", ms(*took_ms)),
            "check the name servers in its /etc/resolv.conf, or add the names to /etc/hosts there",
        );
    }
    let slowest = all().map(|lookup| lookup.took_ms).max().unwrap_or_default();
    Outcome::ok(
        Check::Names,
        format!(
            "{} looked up in at most {}",
            count(all().map(|lookup| &lookup.name).collect::<BTreeSet<_>>().len(), "name"),
            ms(slowest)
        ),
    )
}

/// etcd itself warns from one second on.
const CLOCK_OFF_SECONDS: u64 = 2;

fn clock(host: &Seen<Host>, checkup: &Checkup) -> Outcome {
    let host = match host {
        Seen::Known(host) => host,
        Seen::Unknown(cause) => return Outcome::unknown(Check::Clock, cause),
    };
    let offset = host.clock_offset_seconds;
    let away = match offset {
        0 => "the same as here".to_owned(),
        1.. => format!("{offset} s ahead of the one here"),
        _ => format!("{} s behind the one here", offset.unsigned_abs()),
    };
    let is_kept = checkup.clock.known().and_then(|clock| clock.is_synchronized);
    let kept = match is_kept {
        Some(true) => "kept by NTP",
        Some(false) => "not kept by NTP",
        None => "it cannot be told whether NTP keeps it",
    };
    let seen = format!("{away}; {kept}");
    if offset.unsigned_abs() >= CLOCK_OFF_SECONDS {
        let fix = "set both clocks by NTP: certificates and leases are counted by them";
        return Outcome::warning(Check::Clock, seen, fix);
    }
    match is_kept {
        Some(false) => Outcome::warning(Check::Clock, seen, "run chrony or systemd-timesyncd there"),
        Some(true) | None => Outcome::ok(Check::Clock, seen),
    }
}

fn addresses(desired: &Desired, name: &HostName, host: &Seen<Host>, checkup: &Checkup) -> Outcome {
    let network = match &checkup.network {
        Seen::Known(network) => network,
        Seen::Unknown(cause) => return Outcome::unknown(Check::Addresses, cause),
    };
    let peers: Vec<_> = desired.nodes.keys().filter(|peer| *peer != name).collect();
    let unrouted: Vec<_> =
        peers.iter().filter(|peer| !network.sources.contains_key(**peer)).map(|peer| peer.as_str()).collect();
    if !unrouted.is_empty() {
        return Outcome::problem(
            Check::Addresses,
            format!("it has no route to {}", unrouted.join(", ")),
            "add the route there, or correct the addresses in cluster.toml",
        );
    }
    let Node { address, .. } = &desired.nodes[name];
    if let Some((peer, source)) = stranger(desired, name, host.known(), checkup, network) {
        return Outcome::problem(
            Check::Addresses,
            format!("it speaks to {peer} from {source}, which its peer certificate does not name: {peer} refuses it"),
            match source == address {
                true => {
                    "its peer.crt is an old one, or another host's: `quorate plan` shows which, and the way".to_owned()
                }
                false => format!("let it speak from {address} (`ip route … src`), or declare that address"),
            },
        );
    }
    let is_literal = address.parse::<IpAddr>().is_ok();
    if is_literal && !network.addresses.is_empty() && !network.addresses.contains(address) {
        return Outcome::warning(
            Check::Addresses,
            format!("{address} is not among its own: {}", set(&network.addresses)),
            "etcd cannot listen on an address that the host does not have; declare one that it has",
        );
    }
    let from: BTreeSet<_> = network.sources.values().cloned().collect();
    match peers.is_empty() {
        true => Outcome::ok(Check::Addresses, format!("it has {address}")),
        false => Outcome::ok(Check::Addresses, format!("it speaks to its peers from {}", set(&from))),
    }
}

/// The first peer to which the host speaks from an address that its certificate does not name, or, before there is one,
/// that is not the declared one.
fn stranger<'a>(
    desired: &Desired,
    name: &HostName,
    host: Option<&Host>,
    checkup: &Checkup,
    network: &'a Network,
) -> Option<(&'a HostName, &'a String)> {
    let certificate = host.and_then(|host| host.certificates.get(&Role::Peer));
    let address = &desired.nodes[name].address;
    let lookups = checkup.names.known().map(|names| names.declared.as_slice()).unwrap_or_default();
    // What a name leads to is checked by etcd as an address that it has.
    let resolved = |named: &str| {
        let lookup = lookups.iter().find(|lookup| lookup.name == named);
        lookup.and_then(|lookup| lookup.address.clone())
    };
    let is_named = |source: &String| match certificate {
        Some(certificate) => {
            certificate.names.contains(source)
                || certificate.names.iter().any(|named| resolved(named).as_ref() == Some(source))
        }
        None => address == source || resolved(address).as_ref() == Some(source),
    };
    network.sources.iter().find(|(_, source)| !is_named(source))
}

fn ports(desired: &Desired, checkup: &Checkup) -> Option<Outcome> {
    let ways = match &checkup.ways {
        Seen::Known(ways) if ways.is_empty() => return None,
        Seen::Known(ways) => ways,
        Seen::Unknown(cause) => return Some(Outcome::unknown(Check::Ports, cause)),
    };
    let with = |wanted: fn(&Way) -> bool| -> Vec<String> {
        let ways = ways.iter().filter(move |(_, way)| wanted(way));
        ways.map(|((peer, port), _)| format!("{peer}:{port}")).collect()
    };
    let blocked = ways.iter().filter_map(|((peer, port), way)| match way {
        Way::Silent => Some(format!("{peer}:{port} (no answer)")),
        Way::Failed(said) => Some(format!("{peer}:{port} ({said})")),
        Way::Open | Way::Refused => None,
    });
    let blocked: Vec<_> = blocked.collect();
    if !blocked.is_empty() {
        let fix = format!(
            "let the firewalls of both sides pass TCP {} and {} between the nodes",
            desired.ports.client, desired.ports.peer
        );
        return Some(Outcome::problem(Check::Ports, format!("cannot connect to {}", blocked.join(", ")), fix));
    }
    let (open, refused) = (with(|way| *way == Way::Open), with(|way| *way == Way::Refused));
    let open = format!("{} of {} of the others answer", open.len(), count(ways.len(), "port"));
    // Nothing listens there before the first start; afterwards, the member's own health tells it.
    let nothing =
        if refused.is_empty() { String::new() } else { format!("; nothing listens at {}", refused.join(", ")) };
    Some(Outcome::ok(Check::Ports, open + &nothing))
}

/// Of its time to sync a write etcd's makers ask that 99 of 100 are shorter.
const SYNC_SLOW_US: u64 = 10_000;
/// From here on heartbeats are late, and leaders are lost.
const SYNC_TOO_SLOW_US: u64 = 100_000;

fn disk(checkup: &Checkup) -> Vec<Outcome> {
    let disk = match &checkup.disk {
        Seen::Known(disk) => disk,
        Seen::Unknown(cause) => return vec![Outcome::unknown(Check::FileSystem, cause)],
    };
    [Some(file_system(disk)), latency(disk)].into_iter().flatten().collect()
}

/// What etcd's promises do not hold on.
const OVER_A_NETWORK: [&str; 6] = ["nfs", "cifs", "smb", "9p", "fuse", "ceph"];
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

fn file_system(disk: &Disk) -> Outcome {
    let Disk { folder, mount_point, file_system, options, .. } = disk;
    let seen = format!("{folder} is on {file_system}, mounted at {mount_point}");
    if IN_MEMORY.contains(&file_system.as_str()) {
        return Outcome::problem(
            Check::FileSystem,
            seen,
            "put `[paths] data` on a disk: this one is empty after a boot",
        );
    }
    if OVER_A_NETWORK.iter().any(|kind| file_system.starts_with(kind)) {
        let fix = "put `[paths] data` on a local disk: etcd needs its syncs to be true and fast";
        return Outcome::problem(Check::FileSystem, seen, fix);
    }
    if options.split(',').any(|option| option == "ro") {
        return Outcome::problem(Check::FileSystem, format!("{seen}, read-only"), "mount it read-write");
    }
    Outcome::ok(Check::FileSystem, seen)
}

fn latency(disk: &Disk) -> Option<Outcome> {
    let mut sorted = disk.syncs_us.clone();
    sorted.sort_unstable();
    let of = |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let (half, most) = (of(50)?, of(99)?);
    let shown = |us: u64| format!("{}.{} ms", us / 1000, us % 1000 / 100);
    let seen = format!(
        "a synced write takes {} (median of {}), 99 % within {}",
        shown(half),
        count(sorted.len(), "write"),
        shown(most)
    );
    let fix = "put `[paths] data` on a faster disk, or one that nothing else writes to";
    Some(match most {
        SYNC_TOO_SLOW_US.. => Outcome::problem(Check::DiskLatency, seen, fix),
        SYNC_SLOW_US.. => Outcome::warning(Check::DiskLatency, seen, fix),
        _ => Outcome::ok(Check::DiskLatency, seen),
    })
}

fn port_owners(host: &Host) -> Outcome {
    // An etcd of another program is told as that, and is nothing to stop.
    let has = |port: &u16| others::in_our_place(host).any(|other| other.runs() && other.ports.contains(port));
    let taken = host.taken_ports.iter().filter(|(port, _)| !has(port));
    let taken: Vec<_> = taken.map(|(port, holder)| format!("{port} ({holder})")).collect();
    match (taken.is_empty(), host.taken_ports.is_empty()) {
        (true, true) => Outcome::ok(Check::PortOwners, "nothing else listens on etcd's ports"),
        (true, false) => Outcome::ok(Check::PortOwners, "nothing but another program's etcd listens on etcd's ports"),
        (false, _) => Outcome::problem(
            Check::PortOwners,
            format!("taken by others: {}", taken.join(", ")),
            "find out what it is, stop it if it may go, or declare other [ports]",
        ),
    }
}

fn journal(checkup: &Checkup) -> Outcome {
    let complaints = match &checkup.journal {
        Seen::Known(complaints) => complaints,
        Seen::Unknown(cause) => return Outcome::unknown(Check::Journal, cause),
    };
    let told: Vec<_> = complaints.iter().map(|one| format!("{} ({}×)", one.text, one.count)).collect();
    match told.is_empty() {
        true => Outcome::ok(Check::Journal, "no complaint of etcd in the last hour"),
        false => Outcome::warning(
            Check::Journal,
            format!("etcd complained in the last hour: {}", told.join("; ")),
            "read its log; slow syncs and lost heartbeats mean a slow disk, a busy host or a slow network",
        ),
    }
}

fn ms(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { span::measured(ms as f64 / 1000.0) }
}

fn set(items: &BTreeSet<String>) -> String {
    items.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// `a is`, `a, b are`
fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests;
