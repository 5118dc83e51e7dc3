//! What is declared of a service that somebody else has set up: where it lies, and of its settings those that all members
//! have alike and cluster.toml can say. All others stay as they are.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::{Shown, Values, port, size, text_of};
use crate::core::content::settings::{Medium, Told, of_flags, of_variables};
use crate::core::content::{adopted, duration};
use crate::core::desired::{EtcdSettings, Layout, Runtime, Setting, SettingKind, etcd_settings, owner, setting_kind};
use crate::core::names::{RemotePath, Version};
use crate::core::observed::Runner;

/// The settings that name files of certificates, all in one folder.
const FILES: [&str; 5] = ["trusted-ca-file", "cert-file", "key-file", "peer-cert-file", "peer-key-file"];

/// A port of it that is spoken to without TLS, by the name of its setting.
pub fn without_tls(told: &Told) -> Option<&'static str> {
    let names = ["initial-advertise-peer-urls", "advertise-client-urls"];
    names.into_iter().find(|name| told.value(name).is_some_and(|urls| urls.starts_with("http://")))
}

/// What is to be done first where there is none.
pub const TLS_FIRST: &str = "give both ports certificates first, with the tool that set it up; or begin a new cluster with a snapshot of this one: \
                             `etcdctl snapshot save`, then `quorate restore` on other hosts";

/// Where the service and its files lie.
pub(super) fn places(shown: &Shown, told: &Told, layout: Layout) -> Result<Values, String> {
    let value = |name: &str| told.value(name).ok_or_else(|| format!("its settings have no `{name}`"));
    let folder = RemotePath::new(value("trusted-ca-file")?).parent();
    if let Some(elsewhere) =
        FILES.iter().find(|name| told.value(name).map(|at| RemotePath::new(at).parent()) != Some(folder.clone()))
    {
        return Err(format!("`{elsewhere}` is not in {folder}, where its CA's certificate is"));
    }
    let mut values = Values::from([
        (("cluster", "layout"), Value::String(layout.name().to_owned())),
        (("ports", "client"), port(value("advertise-client-urls")?)?),
        (("ports", "peer"), port(value("initial-advertise-peer-urls")?)?),
        (("paths", "data"), Value::String(value("data-dir")?.to_owned())),
        (("paths", "certificates"), text_of(&folder)),
    ]);
    match (&shown.running.runner, layout.runtime()) {
        (Runner::Unit(unit), Runtime::Systemd) => values.extend([
            (("paths", "config"), text_of(&settings_file(shown, told, layout, unit)?)),
            (("paths", "service"), Value::String(unit.clone())),
            (("etcd.archive", "preinstalled"), text_of(&programs(&shown.running.executable))),
        ]),
        (Runner::Kubelet(Some(manifest)), Runtime::StaticPod) if told.by == Medium::Flags => {
            values.insert(("paths", "config"), text_of(manifest));
        }
        (Runner::Kubelet(Some(manifest)), Runtime::StaticPod) => {
            return Err(format!("not all of its settings are flags in {manifest}"));
        }
        (_, Runtime::StaticPod) => return Err("which manifest its pod is of is not known".to_owned()),
        (_, Runtime::Systemd) => return Err("no unit of its host runs it".to_owned()),
    }
    if let Some(urls) = told.value("listen-metrics-urls") {
        values.insert(("ports", "metrics"), port(urls)?);
    }
    if shown.asked.authenticates {
        values.insert(("auth", "enabled"), Value::Boolean(true));
    }
    Ok(values)
}

/// The folder of its programs. That of a snap has a link that stays: `/snap/k8s/4565/bin` is `/snap/k8s/current/bin`.
fn programs(executable: &RemotePath) -> RemotePath {
    let folder = executable.parent();
    match folder.as_str().split('/').collect::<Vec<_>>()[..] {
        ["", "snap", name, revision, ref rest @ ..] if revision.bytes().all(|byte| byte.is_ascii_digit()) => {
            RemotePath::new(["/snap", name, "current"].iter().chain(rest).copied().collect::<Vec<_>>().join("/"))
        }
        _ => folder,
    }
}

/// The file that its settings stand in: one of variables that its unit reads, or the unit.
fn settings_file(shown: &Shown, told: &Told, layout: Layout, unit: &str) -> Result<RemotePath, String> {
    let files = &shown.running.variable_files;
    match (&told.by, files.as_slice()) {
        (Medium::File(path), _) if layout == Layout::Unit && adopted::is_yaml(path) => Ok(path.clone()),
        (Medium::File(path), _) if layout == Layout::Unit => Err(format!(
            "its settings are in {path}, whose name does not end in .yaml or .yml: quorate does not take it for YAML"
        )),
        (Medium::File(path), _) => Err(format!(
            "it takes its settings from the configuration file {path}, beside which etcd reads nothing of its layout's"
        )),
        (Medium::Flags, _) if layout == Layout::CanonicalSnap => Ok(RemotePath::new("/var/snap/k8s/common/args/etcd")),
        (Medium::Flags, _) if layout != Layout::Unit => {
            Err("its settings are flags of its unit, and none is in the file of its layout".to_owned())
        }
        // A variable that is given to every service of the host is nothing of its unit's.
        (Medium::Flags, _) | (Medium::FlagsAndVariables, []) if layout == Layout::Unit && shown.kept.unit.is_some() => {
            Ok(RemotePath::new("/etc/systemd/system").join(unit))
        }
        (Medium::Flags, _) => Err(format!("its flags are in {unit}, which is not in /etc/systemd/system")),
        // Of two that set one variable the last counts.
        (Medium::Variables | Medium::FlagsAndVariables, [.., file]) => Ok(file.clone()),
        (Medium::Variables | Medium::FlagsAndVariables, []) => {
            Err("its settings are variables of its unit, and in no file".to_owned())
        }
    }
}

/// `[ca]`, where the key of the authority lies on a host of a member.
pub(super) fn authority(members: &[Shown]) -> Values {
    let Some(key) = members.iter().find_map(|member| member.kept.authority_key.as_ref()) else { return Values::new() };
    let mut values = Values::from([(("ca", "source"), Value::String("node".to_owned()))]);
    if key.name() != "ca.key" {
        values.insert(("ca", "key"), text_of(key));
    }
    values
}

/// What is declared in `[etcd]`, and the names of the settings that are not.
pub(super) fn settings(members: &[Shown], version: Version) -> (Values, BTreeSet<String>) {
    let told: Vec<_> = members.iter().filter_map(|member| member.told.as_ref().ok()).collect();
    let names: BTreeSet<_> = told.iter().flat_map(|told| told.values.keys()).collect();
    let (mut values, mut extra, mut left) = (Values::new(), BTreeMap::new(), BTreeSet::new());
    let beside: BTreeSet<_> = members.iter().flat_map(beside_the_file).collect();
    for name in names.into_iter().filter(|name| !is_elsewhere(name)) {
        let first = told.first().and_then(|told| told.value(name));
        let is_common = told.iter().all(|told| told.value(name) == first) && !beside.contains(name);
        let Some(text) = first.filter(|_| is_common) else {
            left.insert(name.clone());
            continue;
        };
        let mut add = |key, value| drop(values.insert(("etcd", key), value));
        match (name.as_str(), text.parse::<u64>()) {
            ("quota-backend-bytes", Ok(bytes @ 1..)) => add("quota-backend", Value::String(size(bytes))),
            ("heartbeat-interval", Ok(_)) => add("heartbeat-interval", Value::String(format!("{text}ms"))),
            ("election-timeout", Ok(_)) => add("election-timeout", Value::String(format!("{text}ms"))),
            ("auto-compaction-mode" | "auto-compaction-retention", _) => {}
            _ => match declared(name, text, version) {
                Some(setting) => drop(extra.insert(name.clone(), setting)),
                None => drop(left.insert(name.clone())),
            },
        }
    }
    match compaction(&told) {
        Some(table) => drop(values.insert(("etcd", "auto-compaction"), table)),
        None => left.extend(
            ["auto-compaction-mode", "auto-compaction-retention"]
                .into_iter()
                .filter(|name| told.iter().any(|told| told.value(name).is_some()))
                .map(str::to_owned),
        ),
    }
    if let Some(extra) = Some(extra).filter(|extra| !extra.is_empty()).and_then(|extra| Value::try_from(extra).ok()) {
        values.insert(("etcd", "extra"), extra);
    }
    (values, left)
}

/// The settings of a member that are not in the file of the others: flags where that has variables, and the other way round.
fn beside_the_file(member: &Shown) -> BTreeSet<String> {
    // Beside a configuration file nothing counts.
    if member.running.config.is_some() {
        return BTreeSet::new();
    }
    let (flags, variables) = (of_flags(&member.running.arguments), of_variables(&member.running.variables));
    let has_file = !member.running.variable_files.is_empty() && !variables.is_empty();
    if has_file { flags } else { variables }.into_keys().collect()
}

/// What other sections say, and what etcd reads only at its first start.
fn is_elsewhere(name: &str) -> bool {
    let of_others = [
        "name",
        "data-dir",
        "advertise-client-urls",
        "listen-client-urls",
        "listen-client-http-urls",
        "listen-peer-urls",
        "listen-metrics-urls",
        "client-cert-auth",
        "peer-client-cert-auth",
        "peer-trusted-ca-file",
    ];
    name.starts_with("initial-") && name != "initial-election-tick-advance"
        || of_others.contains(&name)
        || FILES.contains(&name)
}

/// As `extra` takes it; `None` of what it does not.
fn declared(name: &str, text: &str, version: Version) -> Option<Setting> {
    if owner(name).is_some() || !etcd_settings().any(|(known, _, _)| known == name) {
        return None;
    }
    let integer = || text.parse::<i64>().ok().filter(|number| number.to_string() == text).map(Setting::Integer);
    let setting = match setting_kind(name)? {
        SettingKind::Bool => Setting::Bool(text.parse().ok()?),
        SettingKind::Integer => integer()?,
        SettingKind::Unsigned => integer().filter(|_| !text.starts_with('-'))?,
        SettingKind::Nanoseconds => Setting::Integer(duration::nanoseconds(text)?),
        SettingKind::Text => Setting::Text(text.to_owned()),
        SettingKind::Texts => Setting::List(text.split(',').map(|one| Setting::Text(one.to_owned())).collect()),
        SettingKind::Table => return None,
    };
    let settings =
        EtcdSettings { extra: BTreeMap::from([(name.to_owned(), setting.clone())]), ..EtcdSettings::default() };
    settings.unknown_to(version).is_none().then_some(setting)
}

/// `auto-compaction`, where it is written as cluster.toml would write it.
fn compaction(told: &[&Told]) -> Option<Value> {
    let both = |told: &Told| -> Option<[String; 2]> {
        Some([told.value("auto-compaction-mode")?.to_owned(), told.value("auto-compaction-retention")?.to_owned()])
    };
    let first = both(told.first()?)?;
    if told.iter().any(|one| both(one).as_ref() != Some(&first)) {
        return None;
    }
    let [mode, retention] = first;
    let digits = retention.trim_end_matches(['h', 'm', 's']);
    let number = digits.parse::<i64>().ok().filter(|number| *number > 0 && number.to_string() == digits)?;
    let is_so_written = match (mode.as_str(), &retention[digits.len()..]) {
        ("revision", "") | ("periodic", "h") => true,
        ("periodic", "m" | "s") => number % 60 != 0,
        _ => false,
    };
    is_so_written.then(|| super::compaction(&mode, &retention))
}

/// A name for the cluster: what its members call it, where that is not only what etcd calls every one.
pub(super) fn cluster_name(told: &Told) -> String {
    let token = told.value("initial-cluster-token").filter(|token| *token != "etcd-cluster");
    let is_name = |token: &&str| crate::core::desired::read::check_name(token).is_ok();
    // quorate's own begins with the name, and ends in the time at which the cluster began.
    let begun = |token: &str| token.len() == 10 && token.bytes().all(|byte| byte.is_ascii_digit());
    let without_time = |token: &str| match token.rsplit_once('-') {
        Some((name, time)) if begun(time) => name.to_owned(),
        _ => token.to_owned(),
    };
    token.filter(is_name).map_or_else(|| "etcd".to_owned(), without_time)
}

/// What the declaration says of `left`, for whoever reads the file.
pub fn in_words(left: &BTreeSet<String>) -> Option<String> {
    let names: Vec<_> = left.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| {
        format!("Settings that are not declared stay as they are on each host; so do these, which it cannot say for all: {}.", names.join(", "))
    })
}
