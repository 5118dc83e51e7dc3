//! Another version where somebody else has set etcd up: their programs or images, in turn, and behind the same gates as ours.

use crate::core::code::Code;
use crate::core::desired::Layout;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{Digest, Version};
use crate::core::observed::{File, Installed, Observed, Seen, ServiceState};
use crate::core::plan::action::Readiness;
use crate::core::planner::{self, plan};
use crate::laws::adopted::worlds::{State, adopt, text, world};
use crate::laws::sample;

/// Whoever owns the programs puts the new ones there; the members take them one after the other, behind the same gates as ours.
#[test]
fn a_version_that_was_installed_and_is_declared_comes_in_turn() {
    let to = Version::new(3, 6, 4);
    let (mut desired, mut observed) = world([State::Healthy; 3], Layout::Kubespray, false);
    desired.cluster.version = to;
    let told = plan(&desired, &observed);
    assert!(told.steps.is_empty());
    let whats: Vec<_> = told.blocked.iter().map(|blocked| blocked.what.as_str()).collect();
    assert!(whats.iter().any(|what| what.contains("every member (3.5.16 now) must run 3.5.26")), "{whats:?}");
    desired.cluster.version = Version::new(3, 5, 30);
    let told = plan(&desired, &observed);
    assert!(told.steps.is_empty() && told.blocked.iter().all(|blocked| blocked.code == Code::BinariesUndeclared));
    let install = |observed: &mut Observed, version, hosts| {
        for host in observed.hosts.values_mut().filter_map(Seen::known_mut).take(hosts) {
            host.installed = [(version, Installed { archive: None })].into();
            host.process.as_mut().expect("it runs").executable_replaced = true;
        }
    };
    println!("not on all: nobody is restarted into it");
    let mut half = observed.clone();
    install(&mut half, desired.cluster.version, 1);
    let told = plan(&desired, &half);
    assert!(told.steps.is_empty(), "{:?}", told.steps);
    let lacks = "/usr/local/bin on etcd-2, etcd-3 does not contain etcd 3.5.30";
    assert!(told.blocked.iter().any(|blocked| blocked.what == lacks), "{:?}", told.blocked);
    install(&mut observed, desired.cluster.version, 3);
    let upgrade = plan(&desired, &observed);
    let titles: Vec<_> = upgrade.actions().map(ToString::to_string).collect();
    let restarts = titles.iter().filter(|title| *title == "restart etcd").count();
    assert!(titles[0].contains("snapshot") && restarts == 3 && titles.len() == 4, "{titles:?} {:?}", upgrade.blocked);
    for action in upgrade.actions() {
        planner::effect(action, &desired, &mut observed);
    }
    assert!(plan(&desired, &observed).is_empty());
    println!("a flag that the next minor version does not know");
    desired.cluster.version = to;
    install(&mut observed, to, 3);
    let is_ready = plan(&desired, &observed);
    assert!(is_ready.blocked.is_empty(), "{:?}", is_ready.blocked);
    desired.cluster.layout = Layout::Unit;
    desired.paths.config = desired.paths.unit();
    for index in 0..3 {
        let name = sample::name(index);
        let text = text(&desired, &name).replace("etcd \\", "etcd \\\n  --enable-v2=false \\");
        let host = observed.host_mut(&name).expect("it is there");
        host.files.insert(File::Config, host.files[&File::Settings].clone());
        adopt(&desired, host, text);
        host.installed = [(to, Installed { archive: None })].into();
        host.process.as_mut().expect("it runs").executable_replaced = true;
    }
    let told = plan(&desired, &observed);
    assert!(told.steps.is_empty());
    assert!(
        told.blocked.iter().any(|blocked| blocked.what.contains("does not know the setting `enable-v2`")),
        "{:?}",
        told.blocked
    );
}

/// What was pulled may be gone again by the time: the kubelet clears away an image that nothing runs.
pub(super) fn takes_an_image_that_is_gone() -> bool {
    let (mut desired, observed) = world([State::Healthy; 3], Layout::Kubeadm, false);
    desired.cluster.version = Version::new(3, 5, 30);
    let steps = plan(&desired, &observed).steps;
    let replace = steps[2].actions.first().expect("it has one");
    !matches!(planner::readiness(replace, &desired, &observed), Readiness::Refused(_))
}

/// Of static pods: every node has the image before the first member takes it, one after the other, and settings come first.
#[test]
fn an_image_is_on_every_node_before_the_first_member_takes_it() {
    let (mut desired, observed) = world([State::Healthy; 3], Layout::Kubeadm, false);
    desired.cluster.version = Version::new(3, 5, 30);
    let broken = |world: &Observed| {
        let plan = plan(&desired, world);
        let titles: Vec<_> = plan.steps.iter().map(|step| step.title()).collect();
        let expected = [
            "pull the image registry.k8s.io/etcd:3.5.30-0",
            "save a snapshot before the change to etcd 3.5.30",
            "change etcd's manifest",
            "change etcd's manifest",
            "change etcd's manifest",
        ];
        let mut after = world.clone();
        plan.actions().for_each(|action| planner::effect(action, &desired, &mut after));
        let texts = after.seen_hosts().filter_map(|(_, host)| host.text_of(File::Settings));
        let images = texts.filter(|text| text.contains("image: registry.k8s.io/etcd:3.5.30-0\n")).count();
        let is_as_it_should_be =
            titles == expected && plan.blocked.is_empty() && images == 3 && planner::plan(&desired, &after).is_empty();
        (!is_as_it_should_be)
            .then(|| format!("{titles:?} {:?} {:?}", plan.blocked, planner::plan(&desired, &after).steps))
    };
    assert_eq!(broken(&observed), None);
    assert!(!takes_an_image_that_is_gone());
    assert!(with_broken(Guard::ImageBeforeUpgrade, takes_an_image_that_is_gone), "no law misses it");
}

/// Within a minor version there is a way back from an image that does not run.
#[test]
fn an_image_that_does_not_run_is_put_back() {
    let (desired, mut observed) = world([State::Healthy, State::Healthy, State::Stopped], Layout::Kubeadm, false);
    let edit = |observed: &mut Observed, image: &str| {
        let host = observed.host_mut(&sample::name(2)).expect("it is there");
        host.service.state = ServiceState::Activating;
        host.kubelet.as_mut().expect("it has one").images.insert("registry.k8s.io/etcd:3.5.16-0".to_owned());
        let fact = host.files.get_mut(&File::Settings).expect("it has one");
        let text = fact.text.as_ref().expect("it is text").replace("etcd:3.5.16-0", image);
        (fact.digest, fact.text) = (Digest::of(&text), Some(text));
    };
    edit(&mut observed, "etcd:3.5.17-0");
    let back = plan(&desired, &observed);
    let titles: Vec<_> = back.actions().map(ToString::to_string).collect();
    assert_eq!(titles, ["change etcd's manifest"], "{:?}", back.blocked);
    assert!(back.steps[0].diffs[0].after.contains("image: registry.k8s.io/etcd:3.5.16-0"));
    println!("another minor version may have changed the data");
    let (_, mut observed) = world([State::Healthy, State::Healthy, State::Stopped], Layout::Kubeadm, false);
    edit(&mut observed, "etcd:3.6.4-0");
    let told = plan(&desired, &observed);
    assert!(told.steps.is_empty(), "{:?}", told.steps);
    assert!(told.blocked.iter().any(|blocked| blocked.what.contains("is for 3.6.4")), "{:?}", told.blocked);
}
