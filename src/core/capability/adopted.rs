//! The settings of a service that somebody else has set up, and what quorate leaves to whoever that is.

use crate::core::cluster::adopted::{cannot_join, given_elsewhere, irreplaceable, may_hold_secret};
use crate::core::cluster::changed::{declared_at, readable};
use crate::core::cluster::first_start::FirstStart;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::standing::Standing;
use crate::core::cluster::view::View;
use crate::core::cluster::{bare, crash, first_start, layouts, next_start, quota, restart, setup, timing, trust, turn};
use crate::core::code::Code;
use crate::core::content::{adopted, form};
use crate::core::desired::{Desired, Layout, Place, Runtime};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, listed};
use crate::core::observed::{DataDirectory, File, Host, Observed, Seen};
use crate::core::plan::action::{Action, FileAction, ServiceAction};
use crate::core::plan::ruling::{Blocked, Finding, Reason, Ruling};
use crate::core::plan::step::{FileDiff, Step};
use crate::core::span::days;

/// Changes what is declared in the file that is there, one member at a time, and only where it can be done on all of them.
/// While no member says who belongs to the cluster, that is only done where none runs.
pub fn next(view: &View) -> Ruling {
    let mut wanted = Vec::new();
    let mut blocked = Vec::new();
    let unfit = quota::too_small(view.desired, view.observed);
    let unfit = unfit.or_else(|| timing::never_elects(view.desired, view.observed));
    for (name, host) in turn::with_data(turn::in_turn_to_lay_ready(view)) {
        let may_change = view.membership().is_some() || host.process.is_none();
        // A restore changes nothing of what is there.
        if view.desired.request.restore.is_some() && !bare::is_bare(host) {
            continue;
        }
        let first = first_start::first_start(view, name, host);
        let joins = !matches!(first, FirstStart::Not);
        // A manifest that was set aside is put back first; one of a member to come waits there.
        let is_aside = host.kubelet.as_ref().is_some_and(|kubelet| kubelet.manifest_aside);
        let is = host.text_of(File::Settings);
        // What a first start was refused for may be declared no more.
        let theirs = is.filter(|_| view.situation != Situation::New || !setup::is_here(view, name, host));
        let before = theirs.map(|text| Ok(text.to_owned())).or_else(|| first_start::model(view, name, host));
        let Some(before) = before.filter(|_| may_change && (joins || !is_aside)) else { continue };
        let changed = before.and_then(|before| Ok((first_start::settings(view.desired, &first, &before)?, before)));
        let (after, before) = match changed {
            // Nobody knows yet whom it joins.
            Ok(_) if is.is_none() && matches!(first, FirstStart::Waits) => continue,
            Ok((after, _)) if is == Some(after.as_str()) => continue,
            Ok(changed) => changed,
            Err(why) => {
                let path = &view.desired.paths.config;
                let what = format!("{path} on {name} cannot be changed without a guess: {why}");
                let hint = "make that change by hand, then run `quorate plan` again";
                let refusal = Blocked::new(Code::SettingsUnreadable, what).on(name).hint(hint);
                blocked.push(refusal.declared_at(Place::Etcd));
                continue;
            }
        };
        let could_not_start = || match joins {
            true => cannot_join(view.desired, view.observed, name, host),
            false => next_start::missing(view.desired, name, host),
        };
        let why = unfit
            .clone()
            .or_else(|| may_hold_secret(view.desired, name, &before))
            .or_else(|| given_elsewhere(view.desired, name, host))
            .or_else(|| irreplaceable(view.desired, name, host))
            .or_else(|| crash::is_past_mending(view.desired, name, host).filter(|_| !joins))
            .or_else(could_not_start);
        if let Some(why) = why {
            blocked.push(why);
            continue;
        }
        let changes = reasons(view, &before);
        let because = match (joins, is) {
            (true, None) => vec![view.reason("its manifest is missing", Place::Nodes)],
            (true, Some(_)) if changes.is_empty() => {
                vec![view.reason("its next start is the first one of a new member", Place::Node(name))]
            }
            _ => changes,
        };
        let is_in_place = !is_aside && is.is_some();
        let standing = view.standing(name).filter(|_| joins);
        let host = name.clone();
        let change = match (view.desired.cluster.runtime, standing) {
            (Runtime::Systemd, _) => Action::File(FileAction::Write { host, file: File::Settings, text: after }),
            (Runtime::StaticPod, _) if !is_in_place => {
                Action::Service(ServiceAction::LayManifest { host, text: after })
            }
            // It is stopped to be taken out, or not at all.
            (Runtime::StaticPod, Some(Standing::Failed(_))) => continue,
            // The kubelet would start it before it is in the member list.
            (Runtime::StaticPod, Some(Standing::Newcomer)) => Action::Service(ServiceAction::Stop { host }),
            (Runtime::StaticPod, _) => Action::Service(ServiceAction::ReplaceManifest { host, text: after }),
        };
        wanted.push((change, because));
    }
    let is_held = |one: &Blocked| matches!(one.code, Code::NotInLayout | Code::SettingsUnreadable | Code::CannotStart);
    if !blocked.is_empty() || view.blocked.iter().any(is_held) {
        return Ruling { step: None, blocked };
    }
    restart::due_with_it(view, wanted)
}

/// Has a member that joins, or was restored, start at boot, as what was stopped for that does not any more. A manifest in its
/// place needs nothing of the kind; and whether any other starts at boot, is for whoever set it up.
pub fn enable(view: &View) -> Ruling {
    let is_unit = view.desired.cluster.runtime == Runtime::Systemd;
    let was_stopped =
        |host: &Host| [File::NewDataMarker, File::RestoreNote].iter().any(|file| host.files.contains_key(file));
    let joins = |host: &Host| is_unit && was_stopped(host) && !host.service.enabled;
    let joining = view.hosts().filter(|(_, host)| joins(host));
    let actions = joining.map(|(name, _)| Action::Service(ServiceAction::Enable { host: name.clone() })).collect();
    Ruling::steps_for(actions, vec![view.reason("the service is not enabled", Place::Nodes)])
}

/// Has a start without data fail from now on: of a member that serves and was begun by quorate, whose pod no unit holds back. Then
/// the permission to begin goes. Until it serves nobody knows whether the others of a new cluster have begun with it.
pub fn close(view: &View) -> Ruling {
    let is_pod = view.desired.cluster.runtime == Runtime::StaticPod;
    let serves = |host: &Host| host.answer().is_some_and(|answer| answer.leader.is_some());
    let has_begun = |host: &Host| serves(host) && host.data == DataDirectory::Member;
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for (name, host) in turn::in_turn(view) {
        if !is_pod || !host.files.contains_key(&File::NewDataMarker) || !has_begun(host) {
            continue;
        }
        let Some(before) = host.text_of(File::Settings) else { continue };
        let may_change = irreplaceable(view.desired, name, host).is_none();
        match adopted::text_of_begun(view.desired, before, name) {
            Ok(text) if may_change && text != before => {
                let because =
                    vec![view.reason("it has its data now: without it, it is not to start again", Place::Node(name))];
                open.push((Action::Service(ServiceAction::ReplaceManifest { host: name.clone(), text }), because));
            }
            _ => closed.push(Action::File(FileAction::Remove { host: name.clone(), file: File::NewDataMarker })),
        }
    }
    if open.is_empty() || upheld(Guard::NoStartWithoutData, false) {
        return Ruling::steps_for(closed, vec![view.reason("the member serves", Place::Nodes)]);
    }
    restart::due_with_it(view, open)
}

fn reasons(view: &View, before: &str) -> Vec<Reason> {
    let declared = adopted::declared(view.desired).into_iter();
    let changed = declared.filter_map(|(setting, value)| {
        let is = adopted::setting(view.desired, before, &setting);
        (is.as_deref() != Some(value.as_str())).then(|| {
            let is = is.map_or_else(|| "not set".to_owned(), |is| readable(&setting, &is));
            view.reason(
                format!("{setting}: {is} → {}", readable(&setting, &value)),
                declared_at(view.desired, &setting),
            )
        })
    });
    changed.collect()
}

/// What is asked for, and stays with whoever has set etcd up.
pub fn obstacles(view: &View) -> Ruling {
    let mut blocked: Vec<_> = asked_in_vain(view).into_iter().collect();
    if !view.desired.request.renewals.is_empty()
        && has_none(view.observed)
        && !view.is_blocked_by(Code::AuthorityMissing)
    {
        let what = "`--renew-certs` was asked for, and the CA in [ca] is not there";
        let hint = "put its certificate and key where [ca] has them";
        blocked.push(Blocked::new(Code::AuthorityMissing, what).hint(hint).declared_at(Place::Ca));
    }
    let layout = view.desired.cluster.layout.name();
    let refused =
        |what: String, hint: &str, place: Place| Blocked::new(Code::NotInLayout, what).hint(hint).declared_at(place);
    let is_set_up = view.desired.cluster.layout.is_set_up_by_us();
    if view.situation == Situation::New && view.desired.request.restore.is_none() && !is_set_up {
        let what = format!("no member of this cluster was found, and in the layout {layout} quorate sets up none");
        let hint = "set the cluster up with the tool of that layout; or use `layout = \"default\"`, which sets it up";
        blocked.push(refused(what, hint, Place::Nodes));
    }
    let is_to_begin = |host: &Host| {
        let is_restored = view.desired.request.restore.is_some();
        view.situation == Situation::New && is_set_up && (!is_restored || bare::is_bare(host))
    };
    let is_to_join = |name: &HostName| {
        matches!(view.standing(name), Some(Standing::Newcomer | Standing::Removed | Standing::Failed(_)))
    };
    let to_join = view.all_hosts().into_iter().filter(|(name, host)| is_to_begin(host) || is_to_join(name));
    blocked.extend(to_join.filter_map(|(name, host)| cannot_join(view.desired, view.observed, name, host)));
    Ruling { step: None, blocked }
}

/// What the command line asks for.
fn asked_in_vain(view: &View) -> Option<Blocked> {
    let request = &view.desired.request;
    let is_down = view.situation == Situation::Down;
    let asked = [
        (is_down && !request.lost.is_empty(), "--lost", "makes no new cluster of the members that are left"),
        (!request.consumer_renewals.is_empty(), "--renew-certs", "issues no certificate of a consumer"),
        (request.rotation.is_some(), "--rotate-ca", "replaces no CA"),
    ];
    let (_, option, does) = asked.into_iter().find(|(is_asked, _, _)| *is_asked)?;
    let what =
        format!("`{option}` was asked for: in the layout {} quorate {does} yet", view.desired.cluster.layout.name());
    let hint = "use the tool that set the cluster up, or etcdctl and etcdutl on its hosts";
    Some(Blocked::new(Code::NotInLayout, what).hint(hint).declared_at(Place::Nodes))
}

/// Who else writes the file that these steps change: the next run of that may take the change back.
pub fn second_owner(desired: &Desired, steps: &[Step]) -> Option<Finding> {
    // What only a first start reads may be taken back by anybody.
    let is_change = |diff: &FileDiff| {
        let is = diff.path == desired.paths.config;
        let image = |text: &str| form::pod(text).ok().and_then(|pod| pod.image);
        let differs = |before: &str| {
            adopted::text(desired, before).as_deref() != Ok(before) || image(before) != image(&diff.after)
        };
        is && diff.before.as_deref().is_some_and(differs)
    };
    let also = layouts::also_written_by(desired.cluster.layout.name())?;
    steps.iter().flat_map(|step| &step.diffs).any(is_change).then(|| Finding {
        code: Code::AlsoWritten,
        hosts: Vec::new(),
        what: format!("{} is also written by others: {also}", desired.paths.config),
        hint: Some(match desired.cluster.layout {
            Layout::Kubeadm => {
                "give kubeadm what `quorate export kubeadm` prints, or its next upgrade takes the change back"
                    .to_owned()
            }
            _ => "make the same change there, or the next run takes it back".to_owned(),
        }),
    })
}

/// Certificates that are due, and that quorate renews only once it has the key of their CA.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let key = trust::without_key(observed).map(|lent| format!("at {}", lent.key));
    let key = key.or_else(|| has_none(observed).then(|| "where [ca] has it".to_owned()));
    let Some(key) = key.filter(|_| desired.cluster.layout.is_adopted()) else { return Vec::new() };
    let soon = i64::try_from(desired.certificates.renew_before_seconds).unwrap_or(i64::MAX);
    let of_host = observed.seen_hosts().filter_map(|(name, host)| {
        let first = host.certificates.values().map(|certificate| certificate.not_after.0 - observed.at.0).min()?;
        (first > 0 && first < soon).then(|| (name.clone(), first))
    });
    let due: Vec<_> = of_host.collect();
    let Some(first) = due.iter().map(|(_, left)| *left).min() else { return Vec::new() };
    let hosts: Vec<_> = due.into_iter().map(|(name, _)| name).collect();
    let what = format!("certificates of etcd on {} expire in {}", listed(&hosts), days(first));
    let hint =
        format!("renew them with the tool that issued them; or put the CA's key {key}, and `quorate apply` does");
    vec![Finding { code: Code::CertificateExpires, hosts, what, hint: Some(hint) }]
}

/// Nobody has the CA.
fn has_none(observed: &Observed) -> bool {
    observed.workstation.authority == Seen::Known(None)
}
