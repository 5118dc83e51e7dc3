//! An etcd that runs on a host and is not our unit's. What another program runs is that program's: nothing on such a host is
//! touched where ours would be in its place, and where it is only beside ours, it is told.

use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::{Desired, Runtime};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, RemotePath, listed};
use crate::core::observed::{Host, Observed, OtherEtcd, Runner};
use crate::core::plan::ruling::{Blocked, Finding};

/// Those that have what is declared to be ours. What only might start is in nobody's place while ours runs.
pub fn in_our_place(host: &Host) -> impl Iterator<Item = &OtherEtcd> {
    let runs = host.process.is_some();
    host.others.iter().filter(move |other| other.in_our_place && (other.runs() || !runs))
}

/// Whether our own would be in the way of another, which is not to be touched.
pub fn is_taken(host: &Host) -> bool {
    !upheld(Guard::OthersEtcd, in_our_place(host).next().is_none())
}

/// One refusal a host.
pub fn refusals(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let taken = observed.seen_hosts().filter(|(_, host)| is_taken(host));
    let refusal = |(name, host): (&HostName, &Host)| {
        let other = in_our_place(host).next()?;
        if let (true, Runner::Unit(unit)) = (other.is_own, &other.runner) {
            return Some(under_another_name(desired, name, unit));
        }
        let verb = if other.runs() { "is run" } else { "is to be run" };
        let what = format!("etcd on {name} {verb} {}, not by quorate: {}", by(&other.runner), details(other));
        let beside = |path: &RemotePath| path.parent() == desired.paths.config_folder();
        if let (Runtime::StaticPod, Runner::Kubelet(Some(manifest))) = (desired.cluster.runtime, &other.runner)
            && beside(manifest)
        {
            let hint = format!("the kubelet runs every file in that folder: move {manifest} out of it");
            return Some(Blocked::new(Code::OtherEtcd, what).on(name).hint(hint));
        }
        let hint = format!(
            "nothing on {name} is changed: quorate does not take over an etcd that another program runs. Declare another \
             host; or, to run {} beside it, other [ports] and another `data`, `config`, `certificates` and `service` in \
             [paths]",
            runtime::name(desired)
        );
        Some(Blocked::new(Code::OtherEtcd, what).on(name).hint(hint))
    };
    taken.filter_map(refusal).collect()
}

/// Nothing tells a unit's new name to what else names it (dependencies of other units, alerts, people), and two units of one
/// member would both start at the next boot.
fn under_another_name(desired: &Desired, name: &HostName, unit: &str) -> Blocked {
    let declared = runtime::name(desired);
    let what = format!(
        "the member on {name} is that of {unit}, which quorate keeps, and [paths] declares {declared}: the unit of a member is \
         not renamed"
    );
    let hint = format!("set `service = \"{unit}\"` in [paths]");
    Blocked::new(Code::OtherEtcd, what).on(name).hint(hint)
}

/// Whether it is others who run the members that answer: then the cluster is theirs, with all that is in it.
pub fn have_the_cluster(observed: &Observed) -> bool {
    observed.seen_hosts().any(|(_, host)| host.answer().is_some() && is_taken(host))
}

/// Those that are beside ours.
pub fn findings(observed: &Observed) -> Vec<Finding> {
    let of_host = |(name, host): (&HostName, &Host)| {
        let beside = host.others.iter().filter(|other| !in_our_place(host).any(|taken| taken == *other));
        let told = beside.map(|other| Finding {
            code: Code::OtherEtcd,
            hosts: vec![name.clone()],
            what: match other.runs() {
                true => format!("another etcd runs on {name} {}: {}", by(&other.runner), details(other)),
                false => format!("another etcd can be started on {name} {}: {}", by(&other.runner), details(other)),
            },
            hint: Some("it is left alone: its ports and its data are not those of this cluster".to_owned()),
        });
        told.collect::<Vec<_>>()
    };
    observed.seen_hosts().flat_map(of_host).collect()
}

/// `by the kubelet (a pod)`
pub fn by(runner: &Runner) -> String {
    match runner {
        Runner::Unit(name) => format!("by {name}"),
        Runner::Kubelet(Some(manifest)) => format!("by the kubelet ({manifest})"),
        Runner::Kubelet(None) => "by the kubelet (in a pod)".to_owned(),
        Runner::Container(engine) => format!("in a container of {engine}"),
        Runner::Session => "by somebody who has logged in".to_owned(),
        Runner::Unknown => "by another program".to_owned(),
    }
}

pub fn details(other: &OtherEtcd) -> String {
    let mut details = Vec::new();
    if let Some(pid) = other.pid {
        let executable = other.executable.as_ref().map_or(String::new(), |path| format!(" of {path}"));
        details.push(format!("process {pid}{executable}"));
    }
    if let Some(data) = &other.data {
        details.push(format!("its data in {data}"));
    }
    if !other.ports.is_empty() {
        let word = if other.ports.len() == 1 { "port" } else { "ports" };
        details.push(format!("{word} {}", listed(&other.ports)));
    }
    if details.is_empty() { "it does not run".to_owned() } else { details.join(", ") }
}
