//! The live fleet against real hosts: what a look costs and changes (nothing), and that each staging action brings about
//! what its effect predicts, also when it is done twice.

mod lab;

use std::path::Path;

use lab::{Lab, Series, User};
use quorate::desired::{self, Desired};
use quorate::fleet::Fleet;
use quorate::live::Live;

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
