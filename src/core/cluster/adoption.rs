//! What a cluster.toml has to declare so that a plan of it changes nothing, from what the hosts of a cluster show.
//!
//! ```text
//! each member's host ─► its settings, unit, certificates ─► one declaration for all
//! ```
//!
//! Whether it is right, a plan of it says: nothing here is taken for certain that the plan would not find wrong.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use crate::core::cluster::layouts::{self, Kept};
use crate::core::cluster::leaf::BACKDATED_SECONDS;
use crate::core::content::declared;
use crate::core::content::settings::{Medium, Told};
use crate::core::desired::Layout;
use crate::core::names::{PeerUrl, RemotePath, Version, canonical};
use crate::core::observed::survey::{Asked, BackupUnits, KeptFiles, RunningEtcd, Survey};
use crate::core::observed::{Certificate, MemberEntry, Runner, Seen};
use crate::core::url;

mod theirs;

pub use theirs::{TLS_FIRST, in_words, without_tls};

type Values = BTreeMap<(&'static str, &'static str), Value>;

/// A member, with all that its host showed of it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What ssh connects to, where that is not the address of the member.
    pub ssh: Option<String>,
    pub survey: Survey,
    pub running: RunningEtcd,
    pub told: Result<Told, String>,
    pub asked: Asked,
    pub kept: KeptFiles,
}

/// What is to be declared.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub cluster: String,
    pub version: Version,
    pub nodes: Vec<DeclaredNode>,
    /// Of the other sections: the value of each key that is not to be the default, by section and key.
    pub values: Values,
    /// Settings that it does not say, and that stay as they are.
    pub left: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredNode {
    pub name: String,
    pub address: String,
    pub ssh: Option<String>,
    /// The host's own name, where its files have that in theirs.
    pub hostname: Option<String>,
    pub peer_names: Vec<String>,
}

impl DeclaredNode {
    /// With nothing but what every node needs.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self { name: name.into(), address: address.into(), ssh: None, hostname: None, peer_names: Vec::new() }
    }
}

/// Why `shown` cannot be kept, for the way in which it lies there; `None` where it can.
pub fn refusal(shown: &Shown) -> Option<String> {
    let layout = layouts::recognised(&shown.survey, &shown.running, shown.told.as_ref().ok());
    let host = &shown.survey.host;
    let without = shown.told.as_ref().ok().and_then(without_tls);
    match layout.kept {
        Kept::Yes => without.map(|setting| format!("the etcd on {host} has no TLS (`{setting}`): {TLS_FIRST}")),
        Kept::NotYet => Some(format!(
            "the etcd on {host} is {} [{}]: quorate keeps none that lies on a host in this way yet",
            layout.what, layout.name
        )),
        Kept::Never(why) => Some(format!(
            "the etcd on {host} is {} [{}], which is not quorate's to keep: {why}",
            layout.what, layout.name
        )),
    }
}

/// The declaration for all of `members`.
///
/// # Errors
/// All that cannot be declared, each with the host's name.
pub fn declaration(members: &[Shown]) -> Result<Declaration, Vec<String>> {
    let mut refused: Vec<String> = members.iter().filter_map(refusal).collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let mut read = Vec::with_capacity(members.len());
    for member in members {
        match Member::read(member) {
            Ok(member) => read.push(member),
            Err(why) => refused.push(format!("{}: {why}", member.survey.host)),
        }
    }
    if !refused.is_empty() || read.is_empty() {
        return Err(refused);
    }
    read.sort_by(|a, b| a.name.cmp(&b.name));
    let mut all = All { members: &read, refused };
    let cluster = all.same("the cluster is called", |member| member.cluster.clone(), String::clone);
    let version = all.same("etcd is", |member| member.version, Version::to_string);
    let mut values = BTreeMap::new();
    for key in read.iter().flat_map(|member| member.values.keys()).collect::<BTreeSet<_>>() {
        let (section, name) = *key;
        let is_declared = |member: &Member| member.values.get(key).cloned();
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
        if let Some(Some(value)) = all.same(&format!("`{name}` of [{section}] is"), is_declared, shown) {
            values.insert(*key, value);
        }
    }
    let is_adopted = values.contains_key(&("cluster", "layout"));
    let mut left = BTreeSet::new();
    let names = names(members, &mut all.refused);
    values.extend(names.values);
    match version.filter(|_| is_adopted) {
        Some(version) => {
            let (settings, others) = theirs::settings(members, version);
            values.extend(settings);
            values.extend(theirs::authority(members));
            values.extend(backup(members, &mut all.refused));
            if values.get(&("cluster", "layout")).and_then(Value::as_str) != Some(Layout::Kubeadm.name()) {
                values.extend(certificates(&read));
            }
            left = others;
        }
        None => {
            values.extend(backup(members, &mut all.refused));
            values.extend(certificates(&read));
        }
    }
    let (Some(cluster), Some(version), true) = (cluster, version, all.refused.is_empty()) else {
        return Err(all.refused);
    };
    let for_all = server_names(&read);
    if !for_all.is_empty() && !is_adopted {
        values.insert(("certificates", "server-names"), texts(&for_all));
    }
    let nodes = read.iter().map(|member| DeclaredNode {
        name: member.name.clone(),
        address: member.address.clone(),
        ssh: member.ssh.clone(),
        hostname: names.by_hostname.then(|| member.hostname.clone()),
        peer_names: member.peer_names.iter().filter(|_| !is_adopted).cloned().collect(),
    });
    Ok(Declaration { cluster, version, nodes: nodes.collect(), values, left })
}

/// What one member says that one declaration has to say for all.
struct Member {
    name: String,
    address: String,
    ssh: Option<String>,
    /// What the host calls itself.
    hostname: String,
    cluster: String,
    version: Version,
    values: Values,
    /// Names of its certificates that follow from nothing else.
    peer_names: BTreeSet<String>,
    /// All but those of the loopback.
    server_names: BTreeSet<String>,
    /// Its name and its address.
    own: BTreeSet<String>,
    /// How long its server certificate was issued for, in seconds.
    validity: Option<i64>,
}

impl Member {
    fn read(shown: &Shown) -> Result<Self, String> {
        let told = shown.told.as_ref().map_err(Clone::clone)?;
        let value = |name: &str| told.value(name).ok_or_else(|| format!("its settings have no `{name}`"));
        let layout = layouts::recognised(&shown.survey, &shown.running, Some(told));
        let layout = match layout.name {
            "canonical" => Some(Layout::CanonicalSnap),
            name => Layout::of_name(name),
        };
        if let Some(layout) = layout.filter(|layout| layout.is_adopted()) {
            let values = theirs::places(shown, told, layout)?;
            return Self::with(shown, told, theirs::cluster_name(told), values);
        }
        let (Medium::File(config), Runner::Unit(unit)) = (&told.by, &shown.running.runner) else {
            return Err("it takes its settings from no file, or no unit runs it".to_owned());
        };
        let text = shown.running.config.as_ref().and_then(|config| config.text.as_deref()).unwrap_or_default();
        let of_unit = shown.kept.unit.as_deref().and_then(declared::cluster_name);
        let cluster = of_unit.ok_or_else(|| format!("{unit} names no cluster in its Description"))?.to_owned();
        let certificates = RemotePath::new(value("trusted-ca-file")?).parent();
        let mut values = BTreeMap::from([
            (("ports", "client"), port(value("advertise-client-urls")?)?),
            (("ports", "peer"), port(value("initial-advertise-peer-urls")?)?),
            (("ports", "metrics"), port(value("listen-metrics-urls")?)?),
            (("paths", "config"), text_of(config)),
            (("paths", "data"), Value::String(value("data-dir")?.to_owned())),
            (("paths", "certificates"), text_of(&certificates)),
            (("paths", "service"), Value::String(unit.clone())),
        ]);
        let version = version(shown)?;
        values.extend(binaries(&shown.running.executable, version));
        values.extend(settings(told, text)?);
        if shown.asked.authenticates {
            values.insert(("auth", "enabled"), Value::Boolean(true));
        }
        if shown.kept.authority_key.as_ref().is_some_and(|key| key.name() == "ca.key") {
            values.insert(("ca", "source"), Value::String("node".to_owned()));
        }
        Self::with(shown, told, cluster, values)
    }

    fn with(shown: &Shown, told: &Told, cluster: String, values: Values) -> Result<Self, String> {
        let value = |name: &str| told.value(name).ok_or_else(|| format!("its settings have no `{name}`"));
        let name = value("name")?.to_owned();
        let address = PeerUrl::new(value("initial-advertise-peer-urls")?).address().to_owned();
        let version = version(shown)?;
        let own = [canonical(&name), canonical(&address)];
        let names = |setting: &str| certificate(shown, setting).map(|facts| facts.names.clone()).unwrap_or_default();
        let loopback = ["localhost", "127.0.0.1", "::1"];
        let (mut peer_names, mut server_names) = (names("peer-cert-file"), names("cert-file"));
        peer_names.retain(|name| !own.contains(name));
        server_names.retain(|name| !loopback.contains(&name.as_str()));
        Ok(Self {
            peer_names,
            server_names,
            own: own.into(),
            validity: certificate(shown, "cert-file").map(|facts| facts.not_after.0 - facts.not_before.0),
            ssh: shown.ssh.clone().filter(|ssh| *ssh != address),
            hostname: shown.survey.host.clone(),
            name,
            address,
            cluster,
            version,
            values,
        })
    }
}

fn certificate<'a>(shown: &'a Shown, setting: &str) -> Option<&'a Certificate> {
    shown.asked.certificates.get(setting).and_then(Seen::known)
}

/// What the member itself says.
fn version(shown: &Shown) -> Result<Version, String> {
    let members = shown.asked.members.known().into_iter().flatten();
    let mut own = members.filter(|member| Some(member.entry.id) == shown.asked.member);
    let answer = own.next().and_then(|member| member.answer.known());
    answer.map(|answer| answer.version).ok_or_else(|| "it did not say which version it is".to_owned())
}

/// Where its program is: `/opt/etcd/3.6.16/etcd` is in the folder `/opt/etcd`, any other one in a folder of somebody else.
fn binaries(executable: &RemotePath, version: Version) -> Values {
    let folder = executable.parent();
    let is_ours = folder.as_str().rsplit('/').next() == Some(version.to_string().as_str());
    let declared = match is_ours {
        true => (("paths", "binaries"), text_of(&folder.parent())),
        false => (("etcd.archive", "preinstalled"), text_of(&folder)),
    };
    BTreeMap::from([declared])
}

/// `[etcd]`.
fn settings(told: &Told, text: &str) -> Result<Values, String> {
    let mut values = BTreeMap::new();
    let mut add = |key: &'static str, value: String| values.insert(("etcd", key), Value::String(value));
    if let Some(bytes) = told.value("quota-backend-bytes") {
        add("quota-backend", bytes.parse().map(size).map_err(|_| format!("{bytes:?} is no quota-backend-bytes"))?);
    }
    for name in ["heartbeat-interval", "election-timeout"] {
        if let Some(milliseconds) = told.value(name) {
            add(name, format!("{milliseconds}ms"));
        }
    }
    if let (Some(mode), Some(retention)) = (told.value("auto-compaction-mode"), told.value("auto-compaction-retention"))
    {
        values.insert(("etcd", "auto-compaction"), compaction(mode, retention));
    }
    let extra = declared::extra(text).ok_or("its settings cannot be read")?;
    if !extra.is_empty() {
        let extra = Value::try_from(extra).map_err(|error| format!("its settings cannot be declared: {error}"))?;
        values.insert(("etcd", "extra"), extra);
    }
    Ok(values)
}

/// `auto-compaction`: a number of revisions is one in cluster.toml, and a duration is text.
fn compaction(mode: &str, retention: &str) -> Value {
    let retention = match retention.parse() {
        Ok(revisions) if mode == "revision" => Value::Integer(revisions),
        _ => Value::String(retention.to_owned()),
    };
    let table = [("mode".to_owned(), Value::String(mode.to_owned())), ("retention".to_owned(), retention)];
    Value::Table(table.into_iter().collect())
}

/// The largest unit that needs no fraction.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

fn port(urls: &str) -> Result<Value, String> {
    let url = urls.split(',').next().unwrap_or_default();
    let port = url.rsplit_once(':').and_then(|(_, port)| port.trim_end_matches('/').parse::<u16>().ok());
    port.map(|port| Value::Integer(port.into())).ok_or_else(|| format!("{url:?} has no port"))
}

fn text_of(path: &RemotePath) -> Value {
    Value::String(path.to_string())
}

fn texts<'a>(names: impl IntoIterator<Item = &'a String>) -> Value {
    Value::Array(names.into_iter().map(|name| Value::String(name.clone())).collect())
}

/// What every server certificate names. A name that one alone has is none of `server-names`, which are for all.
fn server_names(members: &[Member]) -> BTreeSet<String> {
    // That of each member is in its own certificate alone, unless it is declared for all. One member declares none.
    let own = if let [only] = members { only.own.clone() } else { BTreeSet::new() };
    let sets = members.iter().map(|member| &member.server_names - &own);
    sets.reduce(|all, of_one| &all & &of_one).unwrap_or_default()
}

/// Those that were issued for another time than by default. An authority that ends before may have cut one short, so it is the
/// longest.
fn certificates(members: &[Member]) -> Values {
    const HOUR: i64 = 60 * 60;
    const DEFAULT: i64 = 365 * 24 * HOUR;
    const LONGEST_HOURS: i64 = 3650 * 24;
    let longest = members.iter().filter_map(|member| member.validity).max().unwrap_or(DEFAULT) - BACKDATED_SECONDS;
    // Who else issues dates back by less.
    let (hours, minutes) = ((longest + HOUR / 4) / HOUR, longest / 60);
    let validity = match hours {
        _ if (longest - DEFAULT).abs() < HOUR => return BTreeMap::new(),
        hours if hours > LONGEST_HOURS => format!("{}d", LONGEST_HOURS / 24),
        0..=3 => format!("{minutes}m"),
        hours if hours % 24 == 0 => format!("{}d", hours / 24),
        hours => format!("{hours}h"),
    };
    BTreeMap::from([(("certificates", "validity"), Value::String(validity))])
}

/// The key of `names`, the setting that names the file, and the file's usual name.
const NAMED: [(&str, &str, &str); 5] = [
    ("ca", "trusted-ca-file", "ca.crt"),
    ("server", "cert-file", "server.crt"),
    ("server-key", "key-file", "server.key"),
    ("peer", "peer-cert-file", "peer.crt"),
    ("peer-key", "peer-key-file", "peer.key"),
];

/// `names` of `[paths]`: what the files are called on all members, with a placeholder where each has one of its own.
fn names(members: &[Shown], refused: &mut Vec<String>) -> Named {
    let mut declared = toml::Table::new();
    let mut by_hostname = false;
    for (key, setting, usual) in NAMED {
        let name = |shown: &Shown| {
            let path = shown.told.as_ref().ok()?.value(setting)?;
            Some(RemotePath::new(path).name().to_owned())
        };
        let of_member = |shown: &Shown| shown.told.as_ref().ok()?.value("name").map(str::to_owned);
        let of_host = |shown: &Shown| shown.ssh.as_deref().map(|ssh| url::host_of(ssh).to_owned());
        let of_host_itself = |shown: &Shown| Some(shown.survey.host.clone());
        let in_words = |own: &dyn Fn(&Shown) -> Option<String>, placeholder: &str| {
            let general = |shown: &Shown| with_placeholder(&name(shown)?, &own(shown)?, placeholder);
            same_of_all(members, general)
        };
        let is_of_a_member = key != "ca";
        let found = same_of_all(members, name);
        let found = found.or_else(|| in_words(&of_member, "{member}").filter(|_| is_of_a_member));
        let found = found.or_else(|| in_words(&of_host, "{host}").filter(|_| is_of_a_member));
        let itself = found.is_none().then(|| in_words(&of_host_itself, "{host}").filter(|_| is_of_a_member)).flatten();
        by_hostname |= itself.is_some();
        match found.or(itself) {
            Some(name) if name == usual => {}
            Some(name) => drop(declared.insert(key.to_owned(), Value::String(name))),
            None => refused.push(format!("the files of `{setting}` have names that nothing common is found in")),
        }
    }
    let values =
        if declared.is_empty() { Values::new() } else { [(("paths", "names"), Value::Table(declared))].into() };
    Named { values, by_hostname }
}

/// What the files are called.
struct Named {
    values: Values,
    /// `{host}` is what each host calls itself, which is not what ssh connects to.
    by_hostname: bool,
}

/// `word` stands in a name where neither a letter nor a digit is beside it.
fn with_placeholder(name: &str, word: &str, placeholder: &str) -> Option<String> {
    let is_part = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let (at, _) = name.rmatch_indices(word).find(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| name.as_bytes().get(at).copied());
        !is_part(before) && !is_part(name.as_bytes().get(at + word.len()).copied())
    })?;
    Some(format!("{}{placeholder}{}", &name[..at], &name[at + word.len()..]))
}

fn same_of_all(members: &[Shown], of: impl Fn(&Shown) -> Option<String>) -> Option<String> {
    let mut all = members.iter().map(of);
    let first = all.next()??;
    all.all(|one| one.as_ref() == Some(&first)).then_some(first)
}

/// `[backup]`: the units say the same on every node that has them.
fn backup(members: &[Shown], refused: &mut Vec<String>) -> Values {
    let mut values = BTreeMap::new();
    let with = || members.iter().filter_map(|member| Some((member, member.kept.backup.as_ref()?)));
    let Some((first, units)) = with().next() else { return values };
    let policy = |units: &BackupUnits| declared::schedule(&units.service, &units.timer);
    if let Some((other, _)) = with().find(|(_, theirs)| policy(theirs) != policy(units)) {
        refused.push(format!(
            "the backup units on {} differ from those on {}: [backup] declares one policy",
            other.survey.host, first.survey.host
        ));
    }
    let Some(schedule) = policy(units) else {
        refused.push(format!("the backup units on {} do not say their schedule", first.survey.host));
        return values;
    };
    let mut add = |key: &'static str, value: Value| values.insert(("backup", key), value);
    add("schedule", Value::String(schedule.cron.clone()));
    if let Some(keep) = schedule.variable("KEEP").and_then(|keep| keep.parse().ok()) {
        add("keep", Value::Integer(keep));
    }
    for (key, variable) in [("compression", "COMPRESSION"), ("directory", "DIRECTORY"), ("metrics", "METRICS")] {
        let value = schedule.variable(variable).filter(|value| *value != crate::core::desired::METRICS_FOLDER);
        if let Some(value) = value {
            add(key, Value::String(value.to_owned()));
        }
    }
    if schedule.variable("MOUNT").is_some() {
        add("mount", Value::Boolean(true));
    }
    if with().count() < members.len() {
        let names = with().filter_map(|(member, _)| member.told.as_ref().ok()?.value("name").map(str::to_owned));
        add("nodes", texts(&names.collect::<Vec<_>>()));
    }
    values
}

/// The members, and where they do not agree on what one cluster.toml declares for all.
struct All<'a> {
    members: &'a [Member],
    refused: Vec<String>,
}

impl All<'_> {
    /// What all of them say; else the first two that differ are told.
    fn same<T: PartialEq>(&mut self, what: &str, of: impl Fn(&Member) -> T, shown: impl Fn(&T) -> String) -> Option<T> {
        let first = self.members.first()?;
        let value = of(first);
        let other = self.members.iter().find(|member| of(member) != value);
        if let Some(other) = other {
            let (here, there) = (&first.name, &other.name);
            let (is, theirs) = (shown(&value), shown(&of(other)));
            self.refused.push(format!("{here} and {there} differ: {what} {is} on {here}, and {theirs} on {there}"));
            return None;
        }
        Some(value)
    }
}

/// What `ssh` may know the host of a member by: the address at which its peers reach it, and its name; that first where
/// another host was given by its member's name.
pub fn ways(entry: &MemberEntry, by_name: bool) -> Vec<String> {
    let addresses: Vec<_> = entry.peer_urls.iter().map(|url| url.address().to_owned()).collect();
    let name = entry.name.as_ref().map(ToString::to_string).into_iter().collect();
    let mut ways: Vec<String> = Vec::new();
    for way in if by_name { [name, addresses] } else { [addresses, name] }.into_iter().flatten() {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}
