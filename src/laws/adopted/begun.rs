//! Static pods where nobody has set etcd up: a cluster begins, or a member joins, wherever a run is killed; and no cluster begins
//! where one was.

use std::collections::BTreeSet;

use crate::core::code::Code;
use crate::core::content::form::{self, Form};
use crate::core::desired::{AuthoritySource, Binaries, Desired, Layout};
use crate::core::guard::{Guard, with_broken};
use crate::core::names::{Digest, HostName, RemotePath};
use crate::core::observed::{
    Cause, DataDirectory, File, FileFact, Folder, Held, Host, Kubelet, Observed, Seen, ServiceState,
};
use crate::core::plan::action::{Action, FileAction, HostAction, MemberAction, ServiceAction};
use crate::core::plan::ruling::Blocked;
use crate::core::planner::{self, plan};
use crate::laws::adopted::worlds::{State, world};
use crate::laws::sample;

fn kubelet(desired: &Desired) -> Kubelet {
    Kubelet {
        runs: true,
        manifests: Some(desired.paths.config_folder()),
        manifest_aside: false,
        fixed: None,
        deaf_runtime: None,
        config_written_since: false,
        api_server: false,
        images: BTreeSet::new(),
    }
}

/// Three hosts with a kubelet and nothing else.
fn bare() -> (Desired, Observed) {
    let mut desired = sample::desired(3);
    desired.cluster.layout = Layout::Kubeadm;
    desired.cluster.runtime = Layout::Kubeadm.runtime();
    desired.binaries = Binaries::Image;
    desired.paths.config = RemotePath::new("/etc/kubernetes/manifests/etcd.yaml");
    desired.paths.certificates = RemotePath::new("/etc/kubernetes/pki/etcd");
    let mut observed = sample::bare(&desired);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        host.account = true;
        host.folders = [(Folder::Config, crate::core::content::layout::folder_access(Folder::Config))].into();
        host.kubelet = Some(kubelet(&desired));
    }
    (desired, observed)
}

/// One of three that serve is as a host is on which nobody has set etcd up.
fn to_join() -> (Desired, Observed) {
    let (desired, mut observed) = world([State::Healthy; 3], Layout::Kubeadm, false);
    let (bare_desired, bare) = bare();
    let name = sample::name(2);
    let url = desired.peer_url(&name);
    let mut newcomer = bare.host(&name).expect("it is there").clone();
    newcomer.kubelet = Some(Kubelet { manifests: Some(desired.paths.config_folder()), ..kubelet(&bare_desired) });
    *observed.host_mut(&name).expect("it is there") = newcomer;
    crate::core::cluster::model::edit_members(&mut observed, |members| {
        members.retain(|member| !member.peer_urls.contains(&url));
    });
    (desired, observed)
}

/// Done to the end; each rest, wherever it is cut off, leads there, too.
fn done(desired: &Desired, observed: &Observed) -> Observed {
    let whole = plan(desired, observed);
    assert!(whole.blocked.is_empty() && !whole.is_empty(), "{:?}", whole.blocked);
    let mut world = observed.clone();
    for action in whole.actions() {
        planner::effect(action, desired, &mut world);
        let mut cut_off = world.clone();
        let rest = plan(desired, &cut_off);
        assert!(rest.blocked.is_empty(), "after {action} on {:?}: {:?}", action.host(), rest.blocked);
        rest.actions().for_each(|action| planner::effect(action, desired, &mut cut_off));
        let left = plan(desired, &cut_off);
        assert!(left.is_empty(), "after {action} on {:?}: {:?} {:?}", action.host(), left.steps, left.blocked);
    }
    world
}

fn first(plan: &crate::core::plan::Plan, is: impl Fn(&Action) -> bool) -> usize {
    plan.actions().position(is).expect("it is done")
}

#[test]
fn a_cluster_begins_on_bare_kubelets() {
    let (mut desired, observed) = bare();
    for authority in [
        desired.authority.clone(),
        AuthoritySource::Node {
            certificate: desired.paths.certificates.join("ca.crt"),
            key: desired.paths.certificates.join("ca.key"),
        },
    ] {
        desired.authority = authority;
        let mut observed = observed.clone();
        let on_nodes = matches!(desired.authority, AuthoritySource::Node { .. });
        if on_nodes {
            let nothing = |name: &HostName| (name.clone(), Held::Nothing);
            observed.workstation.ca_keys = desired.nodes.keys().map(nothing).collect();
        }
        let begin = plan(&desired, &observed);
        println!("the image is there before anything is written, and the permission before the first file of etcd");
        let pull = first(&begin, |action| matches!(action, Action::Host(HostAction::PullImage { .. })));
        let permit =
            first(&begin, |action| matches!(action, Action::File(FileAction::Write { file: File::NewDataMarker, .. })));
        let lay = first(&begin, |action| matches!(action, Action::Service(ServiceAction::LayManifest { .. })));
        let certificate = first(&begin, |action| matches!(action, Action::Certificate(_)));
        assert!(pull == 0 && permit < certificate && certificate < lay, "{:?}", begin.steps);
        let world = done(&desired, &observed);
        for name in desired.nodes.keys() {
            let host = world.host(name).expect("it is there");
            let text = host.text_of(File::Settings).expect("it has a manifest");
            let settings = form::read(Form::Manifest, text).expect("it can be read");
            let of = |name: &str| settings[name].value.clone().expect("it is plain");
            println!("a start without data is to fail from now on");
            let open = with_broken(Guard::NoStartWithoutData, || plan(&desired, &observed).actions().count());
            assert!(open < begin.actions().count());
            assert_eq!(of("initial-cluster"), format!("{name}-has-begun={}", desired.peer_url(name).as_str()));
            assert_eq!((of("initial-cluster-state").as_str(), of("name").as_str()), ("existing", name.as_str()));
            assert!(!host.files.contains_key(&File::NewDataMarker));
        }
        assert_eq!(world.workstation.ca_keys.len(), if on_nodes { 3 } else { 0 });
    }
}

/// A start that reached one host alone: that one waits for the others, which begin with it.
#[test]
fn a_cluster_of_which_one_member_has_begun_goes_on() {
    let (desired, observed) = bare();
    let begin = plan(&desired, &observed);
    let mut world = observed.clone();
    let laid = begin.actions().take_while(|action| !matches!(action, Action::Service(ServiceAction::Start { .. })));
    laid.for_each(|action| planner::effect(action, &desired, &mut world));
    let name = sample::name(0);
    crate::core::cluster::model::run(&desired, &mut world, &name);
    let host = world.host_mut(&name).expect("it is there");
    host.service.state = ServiceState::Active;
    host.member = Seen::Unknown(Cause { code: Code::MemberSilent, summary: "it waits".to_owned(), hint: None });
    let rest = plan(&desired, &world);
    let titles: Vec<_> = rest.actions().map(|action| (action.to_string(), action.host().cloned())).collect();
    let starts = titles.iter().filter(|(title, _)| title == "start etcd").count();
    // Then each is closed, and the permission of all goes.
    assert_eq!((starts, titles.len()), (2, 2 + 3 + 3), "{titles:?}");
    rest.actions().for_each(|action| planner::effect(action, &desired, &mut world));
    assert!(plan(&desired, &world).is_empty());
}

#[test]
fn a_member_joins_on_a_bare_kubelet() {
    let (desired, observed) = to_join();
    let world = done(&desired, &observed);
    let text =
        |index| world.host(&sample::name(index)).and_then(|host| host.text_of(File::Settings)).expect("it has one");
    let [address, own] = [0, 2].map(|index| desired.nodes[&sample::name(index)].address.clone());
    assert!(text(2).contains(&own) && text(2).contains("--log-level=warn"), "as the others have it: {}", text(2));
    let names =
        |text: &str| form::read(Form::Manifest, text).expect("it can be read").into_keys().collect::<BTreeSet<_>>();
    let added = names(text(2)).difference(&names(text(0))).cloned().collect::<Vec<_>>();
    assert_eq!(added, ["initial-cluster", "initial-cluster-state"]);
    let others = text(2).replace(&format!("etcd-1=https://{address}"), "");
    assert!(!others.contains(&format!("{address}:")), "{others}");
}

/// After a disaster: on three new machines, or on one beside two that are as they were set up.
#[test]
fn a_snapshot_is_restored_on_bare_kubelets() {
    for bare_hosts in [3, 1] {
        let (desired, observed) = match bare_hosts {
            3 => bare(),
            _ => {
                let (desired, mut observed) = world([State::DataLost; 3], Layout::Kubeadm, false);
                let (_, bare) = bare();
                let mut host = bare.host(&sample::name(2)).expect("it is there").clone();
                host.kubelet = Some(kubelet(&desired));
                *observed.host_mut(&sample::name(2)).expect("it is there") = host;
                (desired, observed)
            }
        };
        let restoring = sample::restoring(&desired);
        let titles: Vec<_> = plan(&restoring, &observed).actions().map(ToString::to_string).collect();
        let laid = titles.iter().filter(|title| *title == "write etcd's manifest").count();
        assert_eq!(laid, bare_hosts, "{titles:?}");
        let world = done(&restoring, &observed);
        assert!(
            plan(&desired, &world).is_empty()
                && world.hosts.values().all(|host| host.known().is_some_and(Host::has_data))
        );
        println!("where it cannot end on one host, it is begun on none");
        let mut without = observed.clone();
        without.host_mut(&sample::name(2)).and_then(|host| host.kubelet.as_mut()).expect("it has one").manifests = None;
        let told = plan(&restoring, &without);
        assert!(told.steps.is_empty() && !told.blocked.is_empty(), "{:?}", told.steps);
    }
}

/// What a host shows of a cluster that was, or of a Kubernetes that has one.
type Sign = (&'static str, fn(&mut Host));

fn signs() -> Vec<Sign> {
    fn manifest(host: &mut Host) {
        let access = crate::core::content::layout::access(File::Settings);
        let text = "kind: Pod\n".to_owned();
        let fact = FileFact { access, digest: Digest::of(&text), text: Some(text) };
        host.files.insert(File::Settings, fact);
        host.service.enabled = true;
    }
    vec![
        ("a manifest, and no data", manifest),
        ("data, and no manifest", |host| host.data = DataDirectory::Member),
        ("what is left of data", |host| host.data = DataDirectory::NoLog),
        ("an API server", |host| host.kubelet.as_mut().expect("it has one").api_server = true),
        ("a kubelet that does not run", |host| host.kubelet.as_mut().expect("it has one").runs = false),
        ("a kubelet of which nobody knows where it looks", |host| {
            host.kubelet.as_mut().expect("it has one").manifests = None;
        }),
        ("a kubelet that may go by something else", |host| {
            host.kubelet.as_mut().expect("it has one").config_written_since = true;
        }),
        ("an address that it has not", |host| host.lacks_address = true),
        ("a kubelet that looks elsewhere", |host| {
            host.kubelet.as_mut().expect("it has one").manifests = Some(RemotePath::new("/etc/kubelet.d"));
        }),
    ]
}

#[test]
fn no_cluster_begins_where_one_was_or_none_could_run() {
    for (sign, change) in signs() {
        for index in 0..3 {
            let (desired, mut observed) = bare();
            change(observed.host_mut(&sample::name(index)).expect("it is there"));
            let plan = plan(&desired, &observed);
            assert!(plan.steps.is_empty(), "{sign}: {:?}", plan.steps);
            assert!(
                !plan.blocked.is_empty() && plan.blocked.iter().all(|one| one.hint.is_some()),
                "{:?}",
                plan.blocked
            );
        }
    }
    println!("where a member's certificate is all that is left, it needs a word");
    let (desired, mut observed) = bare();
    let needs = |observed: &Observed| plan(&desired, observed).steps.iter().any(|step| !step.needs.is_empty());
    assert!(!needs(&observed));
    let access = crate::core::content::layout::access(File::PeerCertificate);
    let pair = FileFact { access, digest: Digest::of("one"), text: None };
    observed.host_mut(&sample::name(1)).expect("it is there").files.insert(File::PeerCertificate, pair);
    assert!(needs(&observed) && !with_broken(Guard::NewClusterByName, || needs(&observed)));
    let (desired, mut observed) = bare();
    observed.host_mut(&sample::name(0)).and_then(|host| host.kubelet.as_mut()).expect("it has one").api_server = true;
    assert!(with_broken(Guard::KubeletRunsIt, || !plan(&desired, &observed).steps.is_empty()));
}

/// What only `kubeadm join` sets up is left to it; and a member that has its own address where nobody looks is not copied.
#[test]
fn nobody_joins_where_more_than_etcd_is_missing() {
    let refused = |desired: &Desired, observed: &Observed| -> Vec<Blocked> {
        let plan = plan(desired, observed);
        assert!(plan.steps.is_empty(), "{:?}", plan.steps);
        plan.blocked
    };
    let (desired, mut observed) = to_join();
    observed.host_mut(&sample::name(0)).and_then(|host| host.kubelet.as_mut()).expect("it has one").api_server = true;
    let told = refused(&desired, &observed);
    let hints: Vec<_> = told.iter().filter_map(|one| one.hint.as_deref()).collect();
    assert!(hints.len() == 1 && hints[0].contains("kubeadm join --control-plane"), "{told:?}");
    let (desired, mut observed) = to_join();
    for index in 0..2 {
        let host = observed.host_mut(&sample::name(index)).expect("it is there");
        let fact = host.files.get_mut(&File::Settings).expect("it has one");
        let text = fact.text.as_ref().expect("it is text");
        let listens = Some("https://192.0.2.7:2380".to_owned());
        let text = form::with(Form::Manifest, text, &[("listen-peer-urls".to_owned(), listens)].into());
        fact.text = Some(text.expect("it can be set"));
    }
    let told = refused(&desired, &observed);
    let told: Vec<_> = told.into_iter().filter(|one| one.code == Code::SettingsUnreadable).collect();
    assert!(told.len() == 1 && told[0].what.contains("listen-peer-urls has 192.0.2.7"), "{told:?}");
    let joins = |action: &Action| matches!(action, Action::Member(MemberAction::Add { .. }));
    let (desired, observed) = to_join();
    assert!(plan(&desired, &observed).actions().any(joins));
}
