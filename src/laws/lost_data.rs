//! The law of data that is gone: a member that has lost it, or its log alone, does not come back under its old id.

use super::{State, World};
use crate::core::code::Code;
use crate::core::names::Digest;
use crate::core::observed::departure::{Departure, departures};
use crate::core::observed::{Access, File, FileFact, Seen};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, MemberAction, ServiceAction};
use crate::core::planner::plan;
use crate::laws::sample;

/// Its old member goes first; a new one begins with the marker.
pub(super) fn is_never_started(world: &World, plan: &Plan) -> Option<String> {
    let mut hosts = world.desired.nodes.keys().zip(&world.states);
    hosts.find_map(|(name, state)| {
        let at = |is: &dyn Fn(&Action) -> bool| plan.actions().position(is);
        let started = at(&|action| matches!(action, Action::Service(ServiceAction::Start { host }) if host == name))?;
        let removed = at(&|action| matches!(action, Action::Member(MemberAction::Remove { host, .. }) if host == name));
        let is_lost = matches!(state, State::DataLost | State::LogLost);
        (is_lost && world.states.contains(&State::Healthy) && removed.is_none_or(|at| at > started))
            .then(|| format!("{name} has lost its data and is started"))
    })
}

/// Two of three that were given up are a quorum, and serve the old cluster when they come back while they cannot reach the
/// survivor. From here all three can be reached, and its record tells who went on.
#[test]
fn members_that_were_given_up_and_serve_by_themselves_are_recognised() {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    let (survivor, lost) = (sample::name(0), [1, 2].map(sample::name));
    let record = lost.clone().map(|name| Departure { peer_url: desired.peer_url(&name), name });
    let text = departures(&record);
    let host = observed.host_mut(&survivor).expect("it was seen");
    let note = FileFact { access: Access::new("644", "root", "root"), digest: Digest::of(&text), text: Some(text) };
    host.files.insert(File::Departures, note);
    let Seen::Known(Some(answer)) = &mut host.member else { panic!("it answers") };
    let own = answer.member;
    answer.members.known_mut().expect("it tells").retain(|entry| entry.id == own);
    answer.leader = Some(own);
    let answering: Vec<_> = observed.answers().map(|(name, _)| name).collect();
    assert_eq!(answering, [&survivor]);
    let planned = plan(&desired, &observed);
    assert!(!planned.blocked.iter().any(|one| one.code == Code::MembersDisagree), "{:?}", planned.blocked);
    // They are stopped before anything else is done to them, and their data is kept.
    let titles: Vec<_> = planned.steps.iter().map(|step| step.title()).collect();
    assert_eq!(titles[1..3], ["stop and disable etcd", "move the data directory aside"], "{titles:?}");
    assert_eq!(titles.iter().filter(|title| *title == "promote the learner to voter").count(), 2, "{titles:?}");
}
