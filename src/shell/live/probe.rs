//! The one look at a host: a fixed script that only reads, and the parser of its answer.
//!
//! The parser is pure and takes any bytes: a host may say anything. It reads a fact as absent only when the script has
//! said so; whatever it cannot make sense of is a [`Trouble`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::core::capability::raft_log;
use crate::core::content::layout::{self, Compared};
use crate::core::content::{LOADED_AT_START, LOADED_VARIABLE};
use crate::core::desired::{Binaries, Desired};
use crate::core::names::{Architecture, Digest, Occasion, RemotePath, UnixSeconds};
use crate::core::observed::{
    Access, DataDirectory, File, FileFact, Folder, Host, Process, Role, Seen, Service, ServiceState, Tools, V2Store,
};
use crate::shell::live::pki::{self, KnownAuthority};

mod answer;
mod scheduled;
mod complaint;
mod installed;
mod keys;
mod listeners;

use answer::{Answer, Stat};

const SCRIPT: &str = include_str!("script/probe.sh");

/// What one look has brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The host's clock while it was looked at.
    pub now: UnixSeconds,
    /// Everything but what other questions answer: `clock_offset_seconds` is 0 and `member` is `Known(None)`.
    pub host: Host,
    /// What systemd knows the machine by.
    pub machine_id: Option<String>,
    /// Where the running etcd listens, told only when that is not where it is declared to.
    pub own_ports: Vec<u16>,
}

/// Why an answer says nothing that can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The script did not run as root.
    NotRoot,
    /// A host that etcd cannot be kept on by us, and why.
    Unsupported(String),
    /// A file changed while it was read: looking again helps.
    Changed(String),
    /// The answer is cut off or is no answer at all.
    Unreadable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => f.write_str("the user is not root"),
            Self::Unsupported(what) => f.write_str(what),
            Self::Changed(path) => write!(f, "{path} changed while it was read"),
            Self::Unreadable(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Trouble {}

/// The script for the hosts of one cluster; the same for all of them. It goes to `sh -s` on stdin.
pub fn script(desired: &Desired) -> String {
    let words = |paths: &mut dyn Iterator<Item = RemotePath>| paths.map(|path| path.to_string()).collect::<Vec<_>>();
    let path = |file: &File| layout::path(desired, *file);
    let ports = desired.ports;
    let hex = |port: u16| format!("{port:04X}");
    let preinstalled = matches!(desired.binaries, Binaries::Preinstalled { .. });
    let binaries = if preinstalled { "" } else { desired.paths.binaries.as_str() };
    let is_key = |file: &File| layout::row(*file).compared == Compared::Unread;
    let (keys, texts): (Vec<File>, Vec<File>) = File::ALL.iter().partition(|file| is_key(file));
    let compressor = desired.backup.as_ref().and_then(|backup| backup.compression.program());
    let assignments = [
        ("q_folders", words(&mut Folder::ALL.iter().map(|folder| layout::folder_path(desired, *folder))).join(" ")),
        ("q_texts", words(&mut texts.iter().map(path)).join(" ")),
        ("q_keys", words(&mut keys.iter().map(path)).join(" ")),
        ("q_data", desired.paths.data.to_string()),
        ("q_binaries", binaries.to_owned()),
        ("q_folder", desired.binaries_folder().to_string()),
        ("q_preinstalled", if preinstalled { "yes" } else { "" }.to_owned()),
        ("q_tools", format!("{}/etcdctl", layout::TOOLS_FOLDER)),
        ("q_service", desired.paths.service.clone()),
        ("q_ports_hex", [ports.client, ports.peer, ports.metrics].map(hex).join("|")),
        ("q_client_port_hex", hex(ports.client)),
        ("q_snapshots", layout::SNAPSHOTS_FOLDER.to_owned()),
        ("q_v2store", if desired.cluster.version.minor > 5 { "yes" } else { "" }.to_owned()),
        ("q_log", if raft_log::needs_look(desired) { "yes" } else { "" }.to_owned()),
        ("q_backup", desired.backup.as_ref().map_or("", |backup| backup.directory.as_str()).to_owned()),
        ("q_compressor", compressor.unwrap_or_default().to_owned()),
        ("q_account", layout::ACCOUNT.to_owned()),
        ("q_loaded", LOADED_VARIABLE.to_owned()),
        ("q_config", desired.paths.config.to_string()),
    ];
    let mut script = String::new();
    for (name, value) in assignments {
        script.push_str(&format!("{name}={}\n", super::remote::quoted(&value)));
    }
    script + SCRIPT
}

/// Reads an answer to [`script`]. `known` are the authorities by which certificates are recognised, besides those that
/// the host itself trusts.
///
/// # Errors
/// When the answer says nothing that can be relied on. Parts that are missing are never read as facts.
pub fn parse(desired: &Desired, known: &[KnownAuthority], bytes: &[u8]) -> Result<Sight, Trouble> {
    let answer = Answer::read(bytes)?;
    if answer.has("not-root") {
        return Err(Trouble::NotRoot);
    }
    if let Some(program) = answer.lines("missing").next() {
        return Err(Trouble::Unsupported(format!("it has no {program}")));
    }
    let said = |key: &str| answer.value("host", key);
    let machine = said("machine").ok_or_else(|| missing("its architecture"))?;
    let architecture = Architecture::from_uname(machine)
        .ok_or_else(|| Trouble::Unsupported(format!("it is a {machine}, which etcd is not published for")))?;
    if answer.has("no-systemd") {
        let init = said("init").unwrap_or("something else");
        return Err(Trouble::Unsupported(format!("it is run by {init}, not by systemd")));
    }
    let now = said("now").and_then(|text| text.parse().ok()).ok_or_else(|| missing("its time"))?;
    let files = files(desired, &answer)?;
    let service = service(&answer)?;
    let process = process(desired, &answer, &files, service.state)?;
    let trust = text(desired, &answer, File::Trust);
    let authorities: Vec<_> = known.iter().cloned().chain(trust.map(pki::authorities).unwrap_or_default()).collect();
    let keys = keys::public_digests(&answer);
    let certificate = |role: Role| {
        let pem = text(desired, &answer, role.certificate())?;
        let key = keys.get(layout::path(desired, role.key()).as_str()).copied();
        Some((role, pki::certificate_facts(pem, key, &authorities)?))
    };
    let host = Host {
        architecture,
        clock_offset_seconds: 0,
        account: match answer.value("account", "account") {
            Some("present") => true,
            Some("absent") => false,
            _ => return Err(missing("whether there is the account that etcd runs as")),
        },
        folders: folders(desired, &answer),
        certificates: Role::ALL.into_iter().filter_map(certificate).collect(),
        trusted: trust.map(pki::trusted).unwrap_or_default(),
        installed: installed::installed(desired, &answer),
        tools: tools(desired, &answer),
        taken_ports: listeners::taken_ports(desired, &answer, process.as_ref().and_then(|process| process.uid)),
        process: process.map(|process| process.process),
        data: match said("data") {
            Some("empty") => DataDirectory::Empty,
            Some("member") => DataDirectory::Member,
            Some("foreign") => DataDirectory::Foreign,
            _ => return Err(missing("its data directory")),
        },
        service,
        files,
        member: Seen::Known(None),
        snapshots: snapshots(&answer),
        pushed: pushed(desired, &answer),
        v2store: v2store(&answer),
        scheduled: scheduled::scheduled(&answer),
        log_version: answer.value("log", "version").and_then(|version| version.parse().ok()),
    };
    let machine_id = said("machine-id").filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(Sight { now: UnixSeconds(now), host, machine_id, own_ports: listeners::own_ports(&answer) })
}

fn missing(what: &str) -> Trouble {
    Trouble::Unreadable(format!("the answer does not say {what}"))
}

fn folders(desired: &Desired, answer: &Answer) -> BTreeMap<Folder, Access> {
    let seen = |folder: &Folder| Some(answer.stats.get(layout::folder_path(desired, *folder).as_str())?.access.clone());
    Folder::ALL.iter().filter_map(|folder| Some((*folder, seen(folder)?))).collect()
}

/// The text of a file that is no key; `None` when it is not there or is no text.
fn text<'a>(desired: &Desired, answer: &Answer<'a>, file: File) -> Option<&'a str> {
    core::str::from_utf8(answer.bodies.get(layout::path(desired, file).as_str())?).ok()
}

fn files(desired: &Desired, answer: &Answer) -> Result<BTreeMap<File, FileFact>, Trouble> {
    // What is there but could not be measured must not look absent.
    if let Some(path) = answer.lines("known").find(|path| !answer.stats.contains_key(path)) {
        return Err(Trouble::Changed(path.to_owned()));
    }
    let mut files = BTreeMap::new();
    for &file in File::ALL {
        let path = layout::path(desired, file);
        let Some(Stat { access, bytes, .. }) = answer.stats.get(path.as_str()) else { continue };
        let digest = *answer.sums.get(path.as_str()).ok_or_else(|| Trouble::Changed(path.to_string()))?;
        let body = answer.bodies.get(path.as_str());
        let is_key = layout::row(file).compared == Compared::Unread;
        match body {
            Some(body) if Digest::of(body) != digest => return Err(Trouble::Changed(path.to_string())),
            None if !is_key => {
                return Err(Trouble::Unreadable(format!("{path} has {bytes} bytes; that is no file of ours")));
            }
            _ => {}
        }
        let is_compared = layout::row(file).compared == Compared::AsText;
        let text = body.filter(|_| is_compared).map(|body| String::from_utf8_lossy(body).into_owned());
        files.insert(file, FileFact { access: access.clone(), digest, text });
    }
    Ok(files)
}

fn service(answer: &Answer) -> Result<Service, Trouble> {
    let said = |key: &str| answer.value("unit", key);
    let state = match said("ActiveState") {
        Some("inactive") => ServiceState::Inactive,
        Some("activating") => ServiceState::Activating,
        // On its way out it still serves; the next look will tell.
        Some("active" | "reloading" | "refreshing" | "deactivating") => ServiceState::Active,
        Some("failed" | "maintenance") => ServiceState::Failed,
        _ => return Err(missing("what systemd thinks of the service")),
    };
    let drop_ins = said("DropInPaths").unwrap_or_default().split_whitespace();
    Ok(Service {
        state,
        enabled: said("UnitFileState") == Some("enabled"),
        needs_reload: said("NeedDaemonReload") == Some("yes"),
        drop_ins: drop_ins.filter(|path| !is_for_all(path)).map(RemotePath::new).collect(),
        complaint: complaint::complaint(answer.lines("complaint")),
    })
}

/// A distribution's own drop-in for every service (Fedora has one) says nothing about ours.
fn is_for_all(drop_in: &str) -> bool {
    ["/usr/lib/systemd/system/service.d/", "/lib/systemd/system/service.d/"].iter().any(|all| drop_in.starts_with(all))
}

struct SeenProcess {
    process: Process,
    uid: Option<u32>,
}

fn process(
    desired: &Desired,
    answer: &Answer,
    files: &BTreeMap<File, FileFact>,
    state: ServiceState,
) -> Result<Option<SeenProcess>, Trouble> {
    let said = |key: &str| answer.value("process", key);
    let pid = answer.value("unit", "MainPID").and_then(|text| text.parse().ok()).unwrap_or(0);
    // It may have ended between two lines of the answer.
    let (1.., Some(executable)) = (pid, said("executable")) else { return Ok(None) };
    let path = executable.strip_suffix(" (deleted)").unwrap_or(executable);
    // The unit's shell takes the digests first, and becomes etcd then: until that it is no etcd yet.
    if state == ServiceState::Activating && !path.ends_with("/etcd") {
        return Ok(None);
    }
    let started = answer.value("unit", "ExecMainStartTimestamp").and_then(instant);
    let started = started.ok_or_else(|| missing("when etcd was started"))?;
    let process = Process {
        pid,
        started,
        executable: RemotePath::new(path),
        executable_replaced: said("replaced").is_some(),
        foreign_config: said("foreign-config").is_some(),
        loaded: loaded(desired, answer, files, started),
        served: BTreeMap::new(),
    };
    Ok(Some(SeenProcess { process, uid: said("uid").and_then(|text| text.parse().ok()) }))
}

/// From systemd's `Fri 2026-11-20 23:17:03 UTC`.
fn instant(text: &str) -> Option<UnixSeconds> {
    let (_, date_and_time) = text.split_once(' ')?;
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S UTC", date_and_time).ok()?;
    Some(UnixSeconds(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()))
}

/// What the process has loaded: as its environment says, or, if someone else's unit started it, whatever was not
/// written since.
fn loaded(
    desired: &Desired,
    answer: &Answer,
    files: &BTreeMap<File, FileFact>,
    started: UnixSeconds,
) -> BTreeMap<File, Digest> {
    let path = |file| layout::path(desired, file);
    let recorded = answer.lines("loaded").filter_map(digest_and_path);
    let of_file = |(digest, name): (Digest, &str)| {
        let file = LOADED_AT_START.into_iter().find(|file| path(*file).as_str() == name)?;
        Some((file, digest))
    };
    let recorded: BTreeMap<_, _> = recorded.filter_map(of_file).collect();
    if !recorded.is_empty() {
        return recorded;
    }
    let guess = |file: File| {
        let modified = answer.stats.get(path(file).as_str())?.modified;
        let on_disk = files.get(&file)?.digest;
        Some((file, if modified > started { SOMETHING_ELSE } else { on_disk }))
    };
    LOADED_AT_START.into_iter().filter_map(guess).collect()
}

/// Not the digest of anything that lies there now.
const SOMETHING_ELSE: Digest = Digest::from_bytes([0; 32]);

/// A line of sha256sum.
fn digest_and_path(line: &str) -> Option<(Digest, &str)> {
    let (digest, path) = line.split_once("  ")?;
    Some((digest.parse().ok()?, path))
}

/// The newest snapshot before each version.
fn snapshots(answer: &Answer) -> BTreeMap<Occasion, UnixSeconds> {
    let mut newest = BTreeMap::new();
    for line in answer.lines("snapshots") {
        let Some((at, path)) = line.split_once(' ') else { continue };
        let name = path.rsplit('/').next().unwrap_or(path);
        let occasion = name.strip_prefix("before-").and_then(|rest| rest.split('-').next()?.parse().ok());
        let (Some(occasion), Ok(at)) = (occasion, at.parse()) else { continue };
        let kept = newest.entry(occasion).or_insert(UnixSeconds(at));
        *kept = (*kept).max(UnixSeconds(at));
    }
    newest
}

/// The snapshots for a restore, by their names; one is there whole or not at all.
fn pushed(desired: &Desired, answer: &Answer) -> BTreeSet<Digest> {
    let before = format!("{}.restore-", desired.paths.data);
    let digest = |path: &str| path.strip_prefix(&before)?.strip_suffix(".db")?.parse().ok();
    answer.lines("pushed").filter_map(digest).collect()
}

/// What `timeout` ends with when it had to end the program.
const TIMED_OUT: &str = "124";

/// etcdutl says `Error: detected custom content in v2store` and ends with 1; when there is none it ends with 0 (3.5.30).
fn v2store(answer: &Answer) -> Option<V2Store> {
    let status = answer.value("v2store", "status")?;
    if status == "0" {
        return Some(V2Store::Clean);
    }
    if status == TIMED_OUT {
        return Some(V2Store::Refused("`etcdutl check v2store` did not end within 10 s".to_owned()));
    }
    let said: Vec<_> = answer.lines("v2store").filter(|line| !line.starts_with("status=")).collect();
    Some(V2Store::Refused(
        said.last().map_or_else(|| format!("the check ended with {status}"), |said| (*said).to_owned()),
    ))
}

fn tools(desired: &Desired, answer: &Answer) -> Tools {
    match answer.value("host", "tools") {
        None => Tools::Absent,
        Some(target) => match target.strip_suffix("/etcdctl") {
            Some(folder) if folder.starts_with(&format!("{}/", desired.paths.binaries)) => {
                Tools::Link(RemotePath::new(folder))
            }
            _ => Tools::Foreign,
        },
    }
}

#[cfg(test)]
mod tests;
