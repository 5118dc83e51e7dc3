//! The image of a static pod: on every node before the first member takes it, and then taken by one member after the other.

use super::done_when;
use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::adopted::irreplaceable;
use crate::core::cluster::image::has;
use crate::core::cluster::view::View;
use crate::core::cluster::{bare, first_start, restart, turn, upgrade};
use crate::core::code::Code;
use crate::core::content::runtime::version_in;
use crate::core::content::{adopted, form};
use crate::core::desired::{Binaries, Place};
use crate::core::names::{HostName, Version};
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::action::{Action, HostAction, Readiness, ServiceAction};
use crate::core::plan::ruling::{Blocked, Draft, Ruling};

/// Fetches what the first start of a member is to run.
pub fn pull_first(view: &View) -> Ruling {
    if view.desired.binaries != Binaries::Image {
        return Ruling::default();
    }
    let image = |(name, host): (&HostName, &Host)| {
        let text = first_start::model(view, name, host).filter(|_| bare::is_bare(host))?.ok()?;
        let image = form::pod(&text).ok()?.image?;
        (!has(host, &image)).then(|| Action::Host(HostAction::PullImage { host: name.clone(), image }))
    };
    let actions = view.hosts_to_lay_ready().filter_map(image).collect();
    Ruling::steps_for(actions, vec![view.reason("it is not on the node", Place::Version)])
}

/// Fetches what the members are to run next. With the old pod gone, the kubelet would be as long as that without etcd, or for
/// ever.
pub fn pull(view: &View) -> Ruling {
    let Some(stop) = upgrade::next_allowed(view).filter(|_| view.desired.binaries == Binaries::Image) else {
        return Ruling::default();
    };
    let mut ruling = Ruling::default();
    let mut actions = Vec::new();
    for (name, host) in view.hosts() {
        let Some(text) = host.text_of(File::Settings) else { continue };
        if version_in(view.desired, text) == Some(stop) {
            continue;
        }
        match adopted::image(view.desired, text, stop) {
            Some(image) if has(host, &image) => {}
            Some(image) => actions.push(Action::Host(HostAction::PullImage { host: name.clone(), image })),
            None => ruling.blocked.push(nameless(view, name, stop)),
        }
    }
    if ruling.blocked.is_empty() {
        ruling.step = Ruling::steps_for(actions, vec![view.reason("it is not on the node", Place::Version)]).step;
    }
    ruling
}

fn nameless(view: &View, name: &HostName, stop: Version) -> Blocked {
    let path = &view.desired.paths.config;
    let what =
        format!("which image has etcd {stop} is not known: {path} on {name} names one without a version in its tag");
    let hint = "declare `image` in [etcd], with {version} in its tag";
    Blocked::new(Code::NotInLayout, what).on(name).hint(hint).declared_at(Place::Etcd)
}

/// Changes the image in the manifest of the next member, which its kubelet then restarts.
pub fn change(view: &View) -> Ruling {
    let mut ruling = Ruling::default();
    if view.desired.binaries != Binaries::Image || view.membership().is_none() {
        return ruling;
    }
    let mut wanted = Vec::new();
    for (name, host) in turn::with_data(turn::in_turn(view)) {
        let Some(before) = host.text_of(File::Settings).filter(|_| host.process.is_some()) else { continue };
        let version = upgrade::wanted(view, name, host);
        let Some(is) = version_in(view.desired, before).filter(|is| *is != version) else { continue };
        let Some(image) = adopted::image(view.desired, before, version) else { continue };
        let text = match form::with_image(before, &image) {
            Ok(text) => text,
            Err(why) => {
                let what = format!("{} on {name} cannot be changed without a guess: {why}", view.desired.paths.config);
                let hint = "write `image` in one line, as kubeadm does";
                let refusal = Blocked::new(Code::SettingsUnreadable, what).on(name).hint(hint);
                ruling.blocked.push(refusal.declared_at(Place::Version));
                continue;
            }
        };
        if let Some(why) = irreplaceable(view.desired, name, host) {
            ruling.blocked.push(why);
            continue;
        }
        let because = vec![view.reason(format!("etcd version: {is} → {version}"), Place::Version)];
        wanted.push((Action::Service(ServiceAction::ReplaceManifest { host: name.clone(), text }), because));
    }
    let due = restart::due_with_it(view, wanted);
    ruling.blocked.extend(due.blocked);
    ruling.step = due.step;
    if let Some(step) = &mut ruling.step
        && step.actions.iter().any(|action| upgrade::goes_back(view, action))
    {
        step.needs.insert(Allowance::new(AllowKind::Downgrade, &view.desired.cluster.name));
    }
    ruling
}

/// Puts the declared image back where another one of the same minor version does not run: a mistake in its name, or one that cannot
/// run there. Nobody else runs it.
pub fn back(view: &View) -> Ruling {
    let declared = view.desired.cluster.version;
    let others = view.observed.answers().all(|(_, answer)| answer.version == declared);
    if view.desired.binaries != Binaries::Image || view.membership().is_none() || !others {
        return Ruling::default();
    }
    for (name, host) in turn::with_data(turn::in_turn(view)) {
        let is_in_place = host.kubelet.as_ref().is_some_and(|kubelet| !kubelet.manifest_aside);
        let idle = host.process.is_none() && is_in_place && host.has_data();
        let Some(before) = host.text_of(File::Settings).filter(|_| idle) else { continue };
        let is = version_in(view.desired, before)
            .filter(|is| *is != declared && (is.major, is.minor) == (declared.major, declared.minor));
        let (Some(is), Some(image)) = (is, adopted::image(view.desired, before, declared)) else { continue };
        let Ok(text) = form::with_image(before, &image) else { continue };
        if has(host, &image) && irreplaceable(view.desired, name, host).is_none() {
            let because = view.reason(format!("etcd {is} does not run: {is} → {declared}"), Place::Version);
            let action = Action::Service(ServiceAction::ReplaceManifest { host: name.clone(), text });
            return Ruling::step(Draft::of(action, because));
        }
    }
    Ruling::default()
}

pub fn readiness(observed: &Observed, name: &HostName, image: &str) -> Readiness {
    done_when(observed, name, |host| has(host, image))
}

pub fn effect(observed: &mut Observed, name: &HostName, image: &str) {
    let kubelet = observed.host_mut(name).and_then(|host| host.kubelet.as_mut());
    if let Some(kubelet) = kubelet {
        kubelet.images.insert(image.to_owned());
    }
}
