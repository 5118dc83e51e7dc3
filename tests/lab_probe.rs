//! The live fleet against real hosts: what a look costs and changes (nothing), and that each staging action brings about
//! what its effect predicts, also when it is done twice.

mod lab;

use std::path::Path;

use std::time::Duration;

use lab::{Lab, Series};
use quorate::apply::Stop;
use quorate::desired::{self, Desired};
use quorate::fleet::Fleet;
use quorate::live::Live;
use quorate::live::lock::Errand;

fn cluster(lab: &Lab, more: &str) -> Desired {
    let archive = lab::etcd_archive(Series::V3_5).unwrap_or_else(|skip| panic!("no etcd to test with: {skip:?}"));
    let nodes: String = lab
        .hosts()
        .iter()
        .filter(|host| host.is_on())
        .map(|host| format!("[nodes.{0}]\naddress = \"{1}\"\nssh = \"{0}\"\n", host.name(), host.address()))
        .collect();
    let text = format!(
        "[cluster]\nname = \"lab\"\nversion = \"{}\"\n{nodes}\n[ssh]\nconfig = {:?}\nknown-hosts = {:?}\n\
         [etcd.archive]\npath = {:?}\nsha256 = {{ amd64 = \"{}\" }}\n[ca]\nsource = \"generated\"\ndir = \"pki\"\n{more}",
        archive.version,
        lab.ssh_config(),
        lab.known_hosts(),
        archive.path,
        archive.sha256,
    );
    desired::parse(&text, "cluster.toml", &lab.dir(), Some(Path::new("/root")))
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(work)
}

#[test]
fn bare_hosts_are_seen_as_bare() {
    if !Lab::can_run("bare_hosts_are_seen_as_bare") {
        return;
    }
    let lab = Lab::up(3);
    let desired = cluster(&lab, "");
    let live = Live::new(desired.clone());
    let observed = block_on(live.observe());
    println!("{observed:#?}");
    assert!(observed.is_complete());
}

#[test]
fn three_bare_hosts_become_a_cluster() {
    if !Lab::can_run("three_bare_hosts_become_a_cluster") {
        return;
    }
    let lab = Lab::up(3);
    let desired = cluster(&lab, "");
    let live = Live::new(desired.clone());
    block_on(async {
        let begun = std::time::Instant::now();
        let lock = live.lock(Errand::new("test@lab", "apply"), Duration::ZERO, &|_, _| {}).await.expect("the lock");
        eprintln!("locked {:?}", begun.elapsed());
        let plan = quorate::plan::plan(&desired, &live.observe().await);
        eprintln!("planned {:?}", begun.elapsed());
        let emit = |event: quorate::event::Event| eprintln!("{:?} {event:?}", begun.elapsed());
        let report = quorate::apply::apply(&desired, &live, &plan, &Stop::default(), &emit).await;
        match report {
            Ok(report) => eprintln!("{:?}", report.left),
            Err(failure) => panic!("{failure}"),
        }
        drop(lock);
        for _ in 0..5 {
            let t = std::time::Instant::now();
            let o = live.observe().await;
            eprintln!("observe {:?} {}", t.elapsed(), o.is_complete());
        }
    });
    let ca = "--cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/healthcheck-client.crt --key /etc/etcd/pki/healthcheck-client.key";
    println!("{}", lab.host("etcd-1").sh(&format!("etcdctl {ca} endpoint health --cluster 2>&1; journalctl -t quorate --no-pager; ls -laR /etc/etcd /opt/etcd /usr/local/lib/etcd 2>/dev/null; ls -la /usr/local/bin")));
}
