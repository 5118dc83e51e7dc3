//! Whose turn it is: in which order a change reaches the members, and whether one of them may be restarted now.

use std::collections::BTreeSet;

use crate::core::cluster::connections;
use crate::core::cluster::next_start;
use crate::core::cluster::process::is_untried;
use crate::core::cluster::quorum::{Health, Member, Membership};
use crate::core::cluster::room;
use crate::core::cluster::situation::Situation;
use crate::core::cluster::trust;
use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::count::count;
use crate::core::desired::{Desired, Downtime, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{Host, Observed, ServiceState};
use crate::core::plan::action::Action;
use crate::core::plan::ruling::{Blocked, Draft, Reason, Ruling};

/// Whether a member's configuration may be written now, and what it waits for otherwise.
///
/// In a cluster that serves it is one at a time, and none while another member has not taken what was written for it, or
/// is not well: Restart=always would bring up any member that crashes with a text that nobody has tried. A member that
/// does not serve waits for nobody.
pub fn turn(view: &View, name: &HostName) -> Result<(), Blocked> {
    let Some(membership) = view.membership() else { return Ok(()) };
    // One that does not answer us may still vote; one that systemd has not seen serve does not.
    if view.observed.host(name).is_some_and(|host| host.service.state != ServiceState::Active) {
        return Ok(());
    }
    if let Some(host) = view.observed.host(name)
        && let Some(why) =
            room::to_start(view.desired, name, host).or_else(|| next_start::overridden(view.desired, name, host))
    {
        return Err(why);
    }
    if let Some((who, full)) = membership.full_besides(name).filter(|_| !upheld(Guard::DiskNotFull, false)) {
        return Err(room::waits(who, full));
    }
    if let Some(gap) = membership.gap_besides(name).filter(|_| !upheld(Guard::PeersConnected, false)) {
        return Err(connections::waits(gap));
    }
    let untried = |host: &HostName| view.observed.host(host).is_some_and(|host| is_untried(view.desired, host));
    let other = membership.voters().find(|member| member.host != *name && (!member.is_well() || untried(&member.host)));
    match other {
        Some(other) if !upheld(Guard::OneConfigurationAtATime, false) => {
            let who = &other.host;
            let what = format!("the change on {name} waits: {who} must be healthy and updated first");
            let hint = match other.is_well() {
                true => format!(
                    "{who} has files on disk that it has not loaded: what keeps it from a restart is told beside this"
                ),
                false => format!("repair {who} first: `quorate status` shows its state"),
            };
            Err(Blocked::new(Code::NotHealthy, what).on(name).hint(hint))
        }
        _ => Ok(()),
    }
}

/// The hosts in the order in which a change reaches them: what is broken, then followers, then the leader.
pub fn in_turn<'a>(view: &View<'a>) -> Vec<(&'a HostName, &'a Host)> {
    sorted(view, view.hosts().collect())
}

/// The same with those on which a successor is laid ready before the failed member goes.
pub fn in_turn_to_lay_ready<'a>(view: &View<'a>) -> Vec<(&'a HostName, &'a Host)> {
    sorted(view, view.hosts_to_lay_ready().collect())
}

/// Without those whose data is not where it is declared: nothing that names that directory reaches them.
pub fn with_data<'a>(mut hosts: Vec<(&'a HostName, &'a Host)>) -> Vec<(&'a HostName, &'a Host)> {
    hosts.retain(|(_, host)| upheld(Guard::DataStaysWithMember, host.data_elsewhere.is_none()));
    hosts
}

fn sorted<'a>(view: &View, mut hosts: Vec<(&'a HostName, &'a Host)>) -> Vec<(&'a HostName, &'a Host)> {
    hosts.sort_by_key(|(name, _)| rank(view, name));
    hosts
}

/// Of the changes that are wanted, those that may be made now: on all hosts that do not serve together, or on one that does.
pub fn due(view: &View, wanted: Vec<(Action, Vec<Reason>)>) -> Ruling {
    let mut ruling = Ruling::default();
    let (mut idle, mut serving) = (Vec::new(), Vec::new());
    for (action, because) in wanted {
        let Some(host) = action.host() else { continue };
        if let Err(blocked) = turn(view, host) {
            ruling.blocked.push(blocked);
            continue;
        }
        let serves = view.observed.host(host).is_some_and(|host| host.service.state == ServiceState::Active);
        let alone = view.membership().is_some() && serves && !upheld(Guard::OneConfigurationAtATime, false);
        if alone { &mut serving } else { &mut idle }.push((action, because));
    }
    serving.truncate(1);
    let due = if idle.is_empty() { serving } else { idle };
    let (actions, reasons): (Vec<_>, Vec<_>) = due.into_iter().unzip();
    let mut because: Vec<Reason> = Vec::new();
    for reason in reasons.into_iter().flatten() {
        if !because.contains(&reason) {
            because.push(reason);
        }
    }
    ruling.step = (!actions.is_empty()).then_some(Draft { actions, because, needs: BTreeSet::new() });
    ruling
}

/// 0 for a member that is not healthy, 1 for a follower, 2 for the leader.
pub fn rank(view: &View, name: &HostName) -> u8 {
    let member = view.membership().and_then(|membership| Some((membership.member_of(name)?, membership)));
    match member {
        Some((member, _)) if !member.is_well() => 0,
        Some((member, membership)) if comes_last(view.desired, membership, member) => 2,
        Some(_) => 1,
        None => 0,
    }
}

/// Whether it leads, or led when the plan was made: leadership moves by itself, and the order that was shown stays.
pub fn comes_last(desired: &Desired, membership: &Membership, member: &Member) -> bool {
    match &desired.pinned.leader {
        Some(led) => *led == member.host,
        None => membership.leader == Some(member.entry.id),
    }
}

/// The gate before a member is stopped: the others must be a quorum, and all that can be asked must be well.
pub fn may_restart(
    desired: &Desired,
    observed: &Observed,
    situation: &Situation,
    name: &HostName,
) -> Result<(), Blocked> {
    let has_served = observed.host(name).is_some_and(|host| host.service.state == ServiceState::Active);
    if let Some(why) = observed.host(name).and_then(|host| next_start::overridden(desired, name, host)) {
        return Err(why);
    }
    match situation {
        Situation::New => Ok(()),
        Situation::Closed => Err(Blocked::new(Code::NotHealthy, format!("{name} must not be changed")).on(name)),
        // Not one member says who belongs to the cluster. One that has never found a quorum loses nothing.
        Situation::Down if !has_served => Ok(()),
        Situation::Down => {
            let answers = observed.host(name).is_some_and(|host| host.answer().is_some());
            let lacks = if answers { "has no leader" } else { "is running but does not answer" };
            let what = format!("etcd on {name} {lacks}, so the effect of a restart on quorum is unknown");
            let has_old_trust = observed.host(name).is_some_and(|host| !trust::has_loaded_trust(host));
            let hint = match has_old_trust && !observed.answers().any(|(_, answer)| answer.reads) {
                true => format!(
                    "etcd reads ca.crt only when it starts, and here it was replaced since: run `{}` on every node, then \
                     `quorate apply`, which starts them together",
                    runtime::stop(desired)
                ),
                false => format!("run `{}` on the host", runtime::log(desired)),
            };
            Err(Blocked::new(Code::MemberSilent, what).on(name).hint(hint))
        }
        Situation::Serving(membership) => may_restart_member(desired, membership, name),
    }
}

fn may_restart_member(desired: &Desired, membership: &Membership, name: &HostName) -> Result<(), Blocked> {
    let total = membership.voters().count();
    let healthy = membership.member_of(name).is_some_and(|member| member.health == Health::Healthy);
    let without = membership.margin_without(name);
    let quorum_stays = without >= 0;
    let full = membership.full_besides(name).filter(|_| healthy && !upheld(Guard::DiskNotFull, false));
    if let Some((who, full)) = full {
        return Err(room::waits(who, full));
    }
    let gap = membership.gap_besides(name).filter(|_| healthy && !upheld(Guard::PeersConnected, false));
    if let Some(gap) = gap {
        return Err(connections::waits(gap));
    }
    let unwell = membership.unwell_besides(name).filter(|_| healthy);
    if let Some(unwell) = unwell.filter(|_| !upheld(Guard::HealthyBeforeRestart, false)) {
        let (who, why) = (&unwell.host, unwell.trouble().unwrap_or_default());
        let what = format!("{name} is not restarted while {who} is unhealthy: {why}");
        return Err(Blocked::new(Code::NotHealthy, what).on(name).hint(format!(
            "repair {who} first: `quorate status` \
                                                                               shows its state"
        )));
    }
    // A cluster that is to grow is restarted when it has grown.
    let small = total <= 2 && desired.nodes.len() <= 2;
    if small && healthy && !upheld(Guard::DowntimeAllowed, desired.cluster.downtime == Downtime::Allowed) {
        let what = format!("restarting {name} means an outage: the cluster has {}", count(total, "voter"));
        let hint = "if an outage is acceptable, set `downtime = \"allowed\"` in [cluster]";
        return Err(Blocked::new(Code::DowntimeNeeded, what).on(name).hint(hint).declared_at(Place::Downtime));
    }
    if !upheld(Guard::QuorumWithoutTheOneThatStops, quorum_stays || (small && healthy)) {
        let what = format!(
            "restarting {name} would leave fewer than {} of {total} voters, which loses quorum",
            membership.quorum()
        );
        return Err(Blocked::new(Code::QuorumAtRisk, what).on(name).hint("repair the other members first"));
    }
    Ok(())
}
