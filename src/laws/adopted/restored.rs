//! A snapshot restored where somebody else has set etcd up: the data is another one, and nothing else is.

use crate::core::desired::{Desired, Layout};
use crate::core::names::HostName;
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::action::Action;
use crate::core::planner::{effect, plan};
use crate::laws::adopted::worlds::{State, world};
use crate::laws::sample;

/// What is theirs on a host: the files, and whether etcd starts at boot.
fn theirs(observed: &Observed, name: &HostName) -> (Vec<(File, String)>, bool) {
    const OURS: [File; 2] = [File::RestoreNote, File::RestoreMark];
    let host = observed.host(name).expect("it was seen");
    let files = host.files.iter().filter(|(file, _)| !OURS.contains(file));
    (files.map(|(file, fact)| (*file, format!("{fact:?}"))).collect(), host.service.enabled)
}

fn titles(desired: &Desired, observed: &Observed) -> Vec<String> {
    plan(desired, observed).actions().map(Action::to_string).collect()
}

#[test]
fn only_the_data_is_another_one() {
    for layout in [Layout::Kubespray, Layout::Unit, Layout::Kubeadm] {
        // One is stopped, as after a disaster.
        for states in [[State::Healthy; 3], [State::Healthy, State::Stopped, State::DataLost], [State::DataLost; 3]] {
            let (desired, observed) = world(states, layout, false);
            let restoring = sample::restoring(&desired);
            let restore = plan(&restoring, &observed);
            assert!(restore.blocked.is_empty(), "{layout:?} {:?}", restore.blocked);
            let told = titles(&restoring, &observed);
            let at = |what: &str| {
                told.iter().position(|title| title.contains(what)).unwrap_or_else(|| panic!("{what}: {told:?}"))
            };
            let last = |what: &str| {
                told.iter().rposition(|title| title.contains(what)).unwrap_or_else(|| panic!("{what}: {told:?}"))
            };
            // All is laid ready before the first one stops, and none starts before all have the same data.
            assert!(
                last("store snapshot") < at("stop and disable") && last("under way") < at("stop and disable"),
                "{told:?}"
            );
            assert!(last("stop and disable") < at("restore the data") && last("restore the data") < at("start etcd"));
            let mut world = observed.clone();
            // Whatever a run that is killed has done so far, the next one goes on to the same end.
            for action in restore.actions() {
                effect(action, &restoring, &mut world);
                let rest = plan(&restoring, &world);
                assert!(rest.blocked.is_empty(), "{layout:?} after {action}: {:?}", rest.blocked);
            }
            assert!(
                plan(&restoring, &world).is_empty() && plan(&desired, &world).is_empty(),
                "{:?}",
                titles(&desired, &world)
            );
            for index in 0..3 {
                let name = sample::name(index);
                assert_eq!(theirs(&world, &name).0, theirs(&observed, &name).0, "{layout:?}");
                assert!(theirs(&world, &name).1, "{layout:?}: etcd starts at boot");
                assert!(world.host(&name).is_some_and(Host::has_data));
            }
        }
    }
}
