//! etcd.yaml and the new-data marker: what is written whole and compared as text.

use super::done_when;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::adopted::cannot_join as adopted_refusal;
use crate::core::cluster::changed::{declared_at, readable};
use crate::core::cluster::situation::Situation;
use crate::core::cluster::view::View;
use crate::core::cluster::{first_start, former_life, quota, restoration, timing, turn, upgrade};
use crate::core::code::Code;
use crate::core::content::form::Form;
use crate::core::content::{self, adopted, layout};
use crate::core::desired::{Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{Digest, HostName, Token};
use crate::core::observed::{DataDirectory, File, FileFact, Folder, Host, Observed};
use crate::core::plan::action::{Action, FileAction, Readiness};
use crate::core::plan::ruling::{Blocked, Reason, Ruling};

/// Lets every host of a new cluster create its data directory, all under one token; and every newcomer to one that
/// serves.
pub fn new_data_marker(view: &View) -> Ruling {
    let (text, what) = match view.situation {
        // Somebody else's cluster is never begun.
        Situation::New if !view.desired.cluster.layout.is_set_up_by_us() => return Ruling::default(),
        Situation::New => {
            (content::new_data_marker(&first_start::token(view)), "no host has etcd data: this is a new cluster")
        }
        Situation::Serving(_) => {
            (content::new_data_marker(&Token::new(view.desired.cluster.name.as_str())), "this host joins the cluster")
        }
        Situation::Down | Situation::Closed => return Ruling::default(),
    };
    let without = view.hosts().filter(|(name, host)| {
        let is_new = view
            .membership()
            .is_none_or(|membership| membership.member_of(name).is_none_or(|member| member.entry.name.is_none()));
        let has_one = match view.situation {
            Situation::New => host.text_of(File::NewDataMarker) == Some(text.as_str()),
            _ => host.files.contains_key(&File::NewDataMarker),
        };
        let may = || adopted_refusal(view.desired, view.observed, name, host).is_none();
        is_new && host.account && host.data == DataDirectory::Empty && !has_one && may()
    });
    let write = |(name, _): (&HostName, _)| {
        Action::File(FileAction::Write { host: name.clone(), file: File::NewDataMarker, text: text.clone() })
    };
    let mut ruling = Ruling::steps_for(without.map(write).collect(), vec![view.reason(what, Place::Nodes)]);
    let begins_anew = view.situation == Situation::New && former_life::signs(view.desired, view.observed).is_some();
    if let Some(step) = ruling.step.as_mut().filter(|_| begins_anew && !upheld(Guard::NewClusterByName, false)) {
        step.needs.insert(Allowance::new(AllowKind::NewCluster, &view.desired.cluster.name));
    }
    ruling
}

/// What stands in the way of every etcd.yaml of a cluster that begins: it begins with a snapshot that its quota does not hold.
pub fn obstacles(view: &View) -> Ruling {
    let restored = view.desired.request.restore.as_ref();
    let restored = restored.filter(|_| restoration::under_way(view.desired, view.observed).is_some());
    let blocked = restored.and_then(|restore| quota::too_small_for_snapshot(view.desired, restore.bytes));
    Ruling { step: None, blocked: blocked.into_iter().collect() }
}

pub fn next(view: &View) -> Ruling {
    let mut wanted = Vec::new();
    let mut blocked = Vec::new();
    let prepared = |(_, host): &(&HostName, &Host)| host.folders.contains_key(&Folder::Config);
    let unfit = quota::too_small(view.desired, view.observed);
    let unfit = unfit.or_else(|| timing::never_elects(view.desired, view.observed));
    for (name, host) in turn::with_data(turn::in_turn_to_lay_ready(view)).into_iter().filter(prepared) {
        let Some(text) = first_start::etcd_yaml(view, name, host) else { continue };
        if host.text_of(File::Config) == Some(text.as_str()) {
            continue;
        }
        if let Some(unfit) = &unfit {
            blocked.push(unfit.clone());
            continue;
        }
        // What it runs now: the version is changed after the settings.
        let version = upgrade::starts(view, name, host);
        if let Some(key) = view.desired.etcd.unknown_to(version) {
            let what = format!("etcd {version} on {name} does not support the setting `{key}`");
            let hint = format!("upgrade to {} first, then add the setting", view.desired.cluster.version);
            let refusal = Blocked::new(Code::SettingTooNew, what).on(name).hint(hint);
            blocked.push(refusal.declared_at(Place::EtcdExtraKey(key)));
            continue;
        }
        let because = reasons(view, host.text_of(File::Config), &text);
        wanted.push((Action::File(FileAction::Write { host: name.clone(), file: File::Config, text }), because));
    }
    let mut ruling = turn::due(view, wanted);
    ruling.blocked.extend(blocked);
    ruling
}

/// Which declarations the text on the host contradicts.
fn reasons<'a>(view: &View, before: Option<&'a str>, after: &'a str) -> Vec<Reason> {
    let Some(before) = before else { return vec![view.reason("etcd.yaml is missing", Place::Nodes)] };
    let differing = |here: &'a str, there: &'a str| {
        let lines = here.lines().filter(move |line| !there.lines().any(|other| other == *line));
        lines.filter_map(|line| Some(line.split_once(':')?.0)).filter(|key| !key.starts_with('#'))
    };
    let mut keys: Vec<&str> = differing(after, before).collect();
    let gone = differing(before, after).filter(|key| !keys.contains(key));
    keys.extend(gone.collect::<Vec<_>>());
    let mut reasons: Vec<_> =
        keys.iter().map(|key| view.reason(change(key, before, after), declared_at(view.desired, key.trim()))).collect();
    if reasons.is_empty() {
        reasons.push(view.reason("etcd.yaml differs from cluster.toml", Place::Etcd));
    }
    reasons
}

/// `quota-backend-bytes: default → 8 GiB`; only the key where its values are long, or the key stands in a section.
fn change(key: &str, before: &str, after: &str) -> String {
    let value = |text: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(str::trim));
        value.map_or_else(|| "default".to_owned(), |value| readable(key, value))
    };
    let (old, new) = (value(before), value(after));
    let is_short = [&old, &new].iter().all(|value| !value.is_empty() && value.len() <= VALUE_SHOWN_BYTES);
    match is_short && old != new && !key.starts_with([' ', '-']) {
        true => format!("{key}: {old} → {new}"),
        false => format!("`{}` differs from cluster.toml", key.trim()),
    }
}

/// Longer values are in the difference of the file anyway.
const VALUE_SHOWN_BYTES: usize = 64;

pub fn readiness(observed: &Observed, name: &HostName, file: File, text: &str) -> Readiness {
    done_when(observed, name, |host| host.text_of(file) == Some(text))
}

pub fn effect(desired: &Desired, observed: &mut Observed, name: &HostName, file: File, text: &str) {
    let Some(host) = observed.host_mut(name) else { return };
    let access = layout::access_after(desired, file, host.files.get(&file));
    let fact = FileFact { access, digest: Digest::of(text), text: Some(text.to_owned()) };
    host.files.insert(file, fact);
    match (file, &mut host.scheduled) {
        (File::Unit, _) => host.service.needs_reload = false,
        (File::Settings, _) if adopted::form(desired) == Some(Form::Yaml) => {
            let with = host.process.as_mut().and_then(|process| process.started_with.as_mut());
            with.into_iter().for_each(|with| with.written_since = true);
        }
        (File::Settings, _) => host.service.needs_reload |= adopted::form(desired) == Some(Form::Flags),
        (File::BackupService | File::BackupTimer, Some(scheduled)) => scheduled.needs_reload = false,
        _ => {}
    }
}
