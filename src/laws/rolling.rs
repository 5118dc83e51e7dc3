//! The laws of changing members and versions.

use std::collections::BTreeSet;

use proptest::strategy::Strategy as _;

use super::{hosts_max, moves};
use crate::core::cluster::quorum::{Health, Membership, quorum};
use crate::core::content;
use crate::core::names::{HostName, PeerUrl, SnapshotReason, Version};
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::{
    Action, DepartureAction, FileAction, MemberAction, Readiness, RecoveryAction, ServiceAction,
};
use crate::core::plan::step::{Risk, Step};
use crate::core::planner::{self, plan};
use crate::laws::sample;

pub(crate) mod worlds;

use worlds::{STATES, State, VersionChange, World, can_be_seen, is_seen_well, is_voter, world, worlds};

/// Every law that this world's plan breaks.
pub(super) fn complaints(world: &World) -> Vec<String> {
    let plan = plan(&world.desired, &world.observed);
    let mut complaints: Vec<_> = walk(world, &plan);
    complaints.extend(the_declared_is_reached(world, &plan));
    complaints
}

/// The laws of single steps, each on the world before and after it.
fn walk(world: &World, whole: &Plan) -> Vec<String> {
    let laws = [
        quorum_is_kept,
        one_member_is_looked_for_where_it_does_not_listen,
        one_newcomer_at_a_time,
        nobody_is_added_while_a_voter_is_unwell,
        a_member_that_is_well_goes_last,
        nothing_is_removed_on_a_guess,
        what_is_dangerous_needs_the_operators_word,
        only_members_run,
        data_of_members_stays,
        minor_versions_are_neighbours,
        the_version_changes_among_healthy_members,
        a_snapshot_comes_before_an_upgrade,
        a_snapshot_comes_before_what_cannot_be_taken_back,
        no_old_entries_come_before_3_7,
        the_last_survivor_is_made_of_what_is_left,
    ];
    let mut observed = world.observed.clone();
    let mut complaints = Vec::new();
    for step in &whole.steps {
        let before = observed.clone();
        if let Some(action) =
            step.actions.iter().find(|action| planner::readiness(action, &world.desired, &before) != Readiness::Ready)
        {
            complaints.push(format!("not ready: {action:?}"));
        }
        for action in &step.actions {
            planner::effect(action, &world.desired, &mut observed);
        }
        if let Some(action) =
            step.actions.iter().find(|action| planner::readiness(action, &world.desired, &observed) != Readiness::Done)
        {
            complaints.push(format!("not done: {action:?}"));
        }
        let view = Around { world, step, before: &before, after: &observed };
        complaints.extend(laws.iter().filter_map(|law| law(&view)));
    }
    complaints
}

/// A step and the worlds around it.
struct Around<'a> {
    world: &'a World,
    step: &'a Step,
    before: &'a Observed,
    after: &'a Observed,
}

impl Around<'_> {
    fn members_before(&self) -> Option<Membership> {
        Membership::of(&self.world.desired, self.before)
    }

    fn members_after(&self) -> Option<Membership> {
        Membership::of(&self.world.desired, self.after)
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.step.actions.iter()
    }
}

/// Where the others look for it, a member listens or is about to.
fn one_member_is_looked_for_where_it_does_not_listen(around: &Around) -> Option<String> {
    let members = around.members_after()?;
    let astray: Vec<_> = members
        .members
        .iter()
        .filter(|member| {
            let Some(host) = around.after.host(&member.host) else { return false };
            let Some(process) = &host.process else { return false };
            let on_disk = host.files.get(&File::Config);
            let url = host.text_of(File::Config).and_then(content::advertised_peer_url);
            let moved =
                member.declared && member.entry.peer_urls.iter().eq([&around.world.desired.peer_url(&member.host)]);
            let loaded = on_disk.map(|fact| fact.digest) == process.loaded.get(&File::Config).copied();
            moved && !(loaded && url == member.entry.peer_urls.first().map(PeerUrl::as_str))
        })
        .map(|member| member.title())
        .collect();
    let changes = around.actions().any(|action| matches!(action, Action::Member(MemberAction::UpdatePeerUrl { .. })));
    (changes && astray.len() > 1).then(|| format!("nobody listens where {astray:?} are looked for"))
}

fn quorum_is_kept(around: &Around) -> Option<String> {
    let margin = around.step.margin;
    let lost = margin.before >= Some(0) && (margin.during < Some(0) || margin.after < Some(0));
    let forced =
        around.actions().any(|action| matches!(action, Action::Recovery(RecoveryAction::ForceNewCluster { .. })));
    (lost && !forced).then(|| format!("quorum is lost by {:?}", around.step.actions))
}

fn one_newcomer_at_a_time(around: &Around) -> Option<String> {
    let waiting = |members: Option<Membership>| {
        let members = members.map(|membership| membership.members).unwrap_or_default();
        members.iter().filter(|member| member.entry.learner || member.entry.name.is_none()).count()
    };
    let (before, after) = (waiting(around.members_before()), waiting(around.members_after()));
    (after > 1 && after > before).then(|| format!("{after} members that do not vote after {:?}", around.step.title()))
}

fn nobody_is_added_while_a_voter_is_unwell(around: &Around) -> Option<String> {
    let adds = around.actions().any(|action| matches!(action, Action::Member(MemberAction::Add { .. })));
    let unwell = around.members_before()?.voters().any(|member| member.health != Health::Healthy);
    let promoted = around.actions().find_map(|action| match action {
        Action::Member(MemberAction::Promote { host }) => Some(host),
        _ => None,
    });
    let members = around.members_before()?;
    let sick = promoted.filter(|host| members.member_of(host).is_some_and(|member| member.health != Health::Healthy));
    (adds && unwell)
        .then(|| "a member is added while a voter is not well".to_owned())
        .or_else(|| sick.map(|host| format!("{host} is promoted and not well")))
}

fn a_member_that_is_well_goes_last(around: &Around) -> Option<String> {
    let Action::Member(MemberAction::Remove { member: id, .. }) = around.step.actions.first()? else { return None };
    let membership = around.members_before()?;
    let member = membership.members.iter().find(|member| member.entry.id == *id)?;
    if membership.voters().count() == 1 && !member.entry.learner {
        return Some("the last voter is removed".to_owned());
    }
    let after = around.members_after()?;
    if after.margin() < 0 {
        return Some(format!("removing {} leaves a margin of {}", member.title(), after.margin()));
    }
    let well = member.health == Health::Healthy && !member.entry.learner;
    let unwell = membership.unwell_besides(&member.host);
    let under_way = membership.learners().any(|learner| learner.declared && learner.health == Health::Healthy);
    if under_way {
        return Some(format!("{} is removed while a replacement is under way", member.title()));
    }
    well.then_some(unwell)
        .flatten()
        .map(|unwell| format!("{} is removed and {} is not well", member.title(), unwell.title()))
}

fn nothing_is_removed_on_a_guess(around: &Around) -> Option<String> {
    moves::removes_on_a_guess(&around.world.desired, around.before, around.step)
}

fn what_is_dangerous_needs_the_operators_word(around: &Around) -> Option<String> {
    let names = |host: &HostName| around.step.needs.iter().any(|needs| host.as_str().starts_with(&needs.name));
    around.actions().find_map(|action| {
        let allowed = match action {
            Action::Member(MemberAction::Remove { host, .. })
            | Action::Departure(DepartureAction::SetDataAside { host }) => {
                names(host) || host.as_str().starts_with("member-") && !around.step.needs.is_empty()
            }
            Action::Recovery(RecoveryAction::ForceNewCluster { .. }) => {
                around.step.needs.iter().any(|needs| needs.name == around.world.desired.cluster.name.as_str())
            }
            _ => true,
        };
        (!allowed).then(|| format!("{action:?} needs nobody's word"))
    })
}

fn only_members_run(around: &Around) -> Option<String> {
    let members = around.members_before()?;
    around.actions().find_map(|action| {
        let Action::Service(ServiceAction::Start { host }) = action else { return None };
        members.member_of(host).is_none().then(|| format!("{host} is started and is no member"))
    })
}

fn data_of_members_stays(around: &Around) -> Option<String> {
    let members = around.members_before();
    around.actions().find_map(|action| {
        let Action::Departure(DepartureAction::SetDataAside { host } | DepartureAction::Retire { host }) = action
        else {
            return None;
        };
        let listed = members.as_ref().is_none_or(|members| members.member_of(host).is_some());
        listed.then(|| format!("{action:?}, and it is a member"))
    })
}

fn minors(observed: &Observed) -> BTreeSet<u16> {
    observed.answers().map(|(_, answer)| answer.version.minor).collect()
}

fn minor_versions_are_neighbours(around: &Around) -> Option<String> {
    let minors = minors(around.after);
    let (first, last) = (minors.first()?, minors.last()?);
    if last - first > 1 {
        return Some(format!("members of 3.{first} and of 3.{last}"));
    }
    let raised = around.after.answers().filter_map(|(_, answer)| answer.cluster_version).max()?;
    if raised.minor > *first {
        return Some(format!("a member of 3.{first} in a cluster that has reached {raised}"));
    }
    let lacks_stop = around.before.answers().any(|(_, answer)| answer.version < Version::new(3, 5, 26));
    let starts_new = around.actions().any(|action| match action {
        Action::Service(ServiceAction::Restart { host } | ServiceAction::Start { host }) => {
            around.after.host(host).and_then(Host::answer).is_some_and(|answer| answer.version.minor >= 6)
        }
        _ => false,
    });
    (lacks_stop && starts_new).then(|| "3.6 beside a 3.5 that is too old for it".to_owned())
}

/// The version that a step's unit brings to a member that had another.
fn version_changed(around: &Around) -> Option<(HostName, Version)> {
    around.actions().find_map(|action| {
        let Action::File(FileAction::Write { host, file: File::Unit, text }) = action else { return None };
        let version = |text: &str| content::runtime::version_in(&around.world.desired, text);
        let member = around.members_before()?;
        member.member_of(host).filter(|member| member.entry.name.is_some())?;
        let was = version(around.before.host(host)?.text_of(File::Unit)?)?;
        version(text).filter(|is| *is != was).map(|is| (host.clone(), is))
    })
}

fn the_version_changes_among_healthy_members(around: &Around) -> Option<String> {
    let (host, version) = version_changed(around)?;
    let members = around.members_before()?;
    let unwell = members.members.iter().find(|member| member.health != Health::Healthy);
    let joining = members.learners().next();
    unwell.or(joining).map(|other| format!("{host} gets {version} while {} is not well or joins", other.title()))
}

fn a_snapshot_comes_before_an_upgrade(around: &Around) -> Option<String> {
    let (host, version) = version_changed(around)?;
    let saved =
        around.before.seen_hosts().any(|(_, host)| host.snapshots.contains_key(&SnapshotReason::Upgrade(version)));
    let begun = around.before.answers().any(|(_, answer)| answer.version == version);
    (!saved && !begun).then(|| format!("{host} gets {version} without a snapshot"))
}

/// Wherever a member could be asked for one.
fn a_snapshot_comes_before_what_cannot_be_taken_back(around: &Around) -> Option<String> {
    let Step { actions, needs, risk, .. } = around.step;
    let is_final = *risk == Risk::High || !needs.is_empty();
    // That one keeps all that the member has.
    if !is_final
        || actions.iter().any(|action| matches!(action, Action::Recovery(RecoveryAction::ForceNewCluster { .. })))
    {
        return None;
    }
    let declared = |name: &HostName| around.world.desired.nodes.contains_key(name);
    let asked = around.before.answers().find(|(name, answer)| declared(name) && !answer.learner)?;
    let saved = around.before.seen_hosts().any(|(_, host)| !host.snapshots.is_empty());
    (!saved).then(|| format!("{} without a snapshot, which {} could give", around.step.title(), asked.0))
}

/// A member of 3.7 does not start on a log that one of 3.5 has written to.
fn no_old_entries_come_before_3_7(around: &Around) -> Option<String> {
    let (host, version) = version_changed(around)?;
    let log = around.before.host(&host)?.log_version;
    (version.minor >= 7 && log < Some(Version::new(3, 6, 0)))
        .then(|| format!("{host} gets {version} with a log of {log:?}"))
}

fn the_last_survivor_is_made_of_what_is_left(around: &Around) -> Option<String> {
    let Action::Recovery(RecoveryAction::ForceNewCluster { host }) = around.step.actions.first()? else { return None };
    let states = &around.world.states;
    let of = |name: &HostName| {
        states.iter().enumerate().find(|(index, _)| sample::name(*index) == *name).map(|(_, state)| *state)
    };
    let lost = &around.world.desired.request.lost;
    let reachable = lost.keys().find(|name| of(name) != Some(State::Lost));
    if let Some(name) = reachable {
        return Some(format!("{name} was called lost and is there"));
    }
    let unseen =
        around.world.desired.nodes.keys().find(|name| !lost.contains_key(*name) && around.before.host(name).is_none());
    if let Some(name) = unseen {
        return Some(format!("{host} goes on alone, and {name} was not seen"));
    }
    let voters = states.iter().filter(|state| is_voter(**state)).count();
    let may_serve = |state: State| is_seen_well(state) || matches!(state, State::Stopped | State::Alone);
    let left = states.iter().filter(|state| may_serve(**state)).count();
    if left >= quorum(voters) {
        return Some(format!("{host} goes on alone, and a quorum is left"));
    }
    let survives = |name: &&HostName| {
        !lost.contains_key(*name) && !matches!(of(name), Some(State::Learner | State::SilentLearner))
    };
    let survivors: Vec<_> = around.world.desired.nodes.keys().filter(survives).collect();
    let index = |name: &HostName| around.before.host(name).and_then(Host::answer).map(|answer| answer.index);
    let unranked = survivors.len() > 1 && survivors.iter().any(|name| index(name).is_none());
    unranked.then(|| "survivors that cannot be ranked".to_owned())
}

/// Where nothing stands in the way, the plan ends with the declared members, all of them voters, in the declared version.
fn the_declared_is_reached(world: &World, plan: &Plan) -> Option<String> {
    let helpless = |state: &State| {
        matches!(
            state,
            State::Unreachable
                | State::Lost
                | State::LostAndWell
                | State::Absent
                | State::Ahead
                | State::Alone
                | State::SilentLearner
        )
    };
    let repairable =
        |state: &&State| matches!(state, State::Wiped | State::Stopped | State::Returned | State::LeaverGone);
    let well = world.states.iter().filter(|state| is_seen_well(**state)).count();
    let listed = world.states.iter().filter(|state| is_voter(**state)).count();
    let sick = world.states.iter().filter(repairable).count();
    let hopeful = well >= 3 && well >= quorum(listed) && sick <= 1 && !world.states.iter().any(helpless);
    let versions = world.version_change == VersionChange::Stays;
    if !hopeful || !versions {
        return None;
    }
    let mut observed = world.observed.clone();
    for action in plan.actions() {
        planner::effect(action, &world.desired, &mut observed);
    }
    if !plan.blocked.is_empty() {
        return Some(format!("what can be reached is blocked: {:#?}", plan.blocked));
    }
    let membership = Membership::of(&world.desired, &observed)?;
    let urls: BTreeSet<PeerUrl> = membership.voters().flat_map(|member| member.entry.peer_urls.clone()).collect();
    let declared: BTreeSet<PeerUrl> = world.desired.nodes.keys().map(|name| world.desired.peer_url(name)).collect();
    (urls != declared || membership.margin_is_reduced()).then(|| format!("the plan ends with {urls:?}"))
}

impl Membership {
    fn margin_is_reduced(&self) -> bool {
        self.voters().any(|member| member.health != Health::Healthy) || self.learners().next().is_some()
    }
}

const THREADS: usize = 2;

#[test]
fn every_rolling_change_keeps_the_laws() {
    // One thread takes every other world.
    let share = |first: usize| {
        let mut count = 0;
        for world in worlds(hosts_max().max(4)).skip(first).step_by(THREADS) {
            count += 1;
            let complaints = complaints(&world);
            assert!(complaints.is_empty(), "{:?} {:?}: {complaints:#?}", world.states, world.version_change);
        }
        count
    };
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || share(first))).collect();
        threads.into_iter().map(|thread| thread.join().expect("every world keeps the laws")).sum::<usize>()
    });
    println!("{counts} worlds");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(150))]

    /// Larger clusters, sampled, most of them well: there additions and removals go through.
    #[test]
    fn sampled_rolling_changes_keep_the_laws(
        mut states in proptest::collection::vec(proptest::sample::select(STATES.to_vec()), 1..=4),
        well in 1..=5_usize,
        version_change in proptest::sample::select(VersionChange::ALL.to_vec()),
    ) {
        states.resize(states.len() + well, State::Member);
        let world = world(&states, version_change);
        let complaints = complaints(&world);
        proptest::prop_assert!(complaints.is_empty(), "{:?} {:?}: {:#?}", states, version_change, complaints);
    }

    /// The same of any states at all.
    #[test]
    fn sampled_rolling_changes_of_broken_clusters_keep_the_laws(
        states in proptest::collection::vec(proptest::sample::select(STATES.to_vec()), 5..=9)
            .prop_filter("it can be seen", |states| can_be_seen(states)),
        version_change in proptest::sample::select(VersionChange::ALL.to_vec()),
    ) {
        let world = world(&states, version_change);
        let complaints = complaints(&world);
        proptest::prop_assert!(complaints.is_empty(), "{:?} {:?}: {:#?}", states, version_change, complaints);
    }
}
