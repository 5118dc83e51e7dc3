//! Every file in examples/ is valid, and means what its first lines say.

use std::path::{Path, PathBuf};
use std::{env, fs};

use quorate::core::desired::read::{parse, render};
use quorate::core::desired::{Binaries, Desired, Downtime};

fn read(file: &Path) -> Desired {
    let text = fs::read_to_string(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    parse(&text, name, Path::new("/ops"), Some(Path::new("/home/me")))
        .unwrap_or_else(|problems| panic!("{}", render(&problems, &text, name, false)))
}

fn example(name: &str) -> Desired {
    read(&folder().join(name))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_example_is_valid() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            read(&file);
            count += 1;
        }
    }
    assert!(count >= 4, "{count} examples");
}

#[test]
fn every_key_that_is_its_default_may_be_left_out() {
    let (all, least) = (example("three-nodes.toml"), example("minimal.toml"));
    assert_eq!((all.cluster, all.ports, all.paths), (least.cluster, least.ports, least.paths));
    assert_eq!(all.authority, least.authority);
    let mut bare = all.backup.expect("it has them all");
    let least_of = "[cluster]\nname = \"a\"\nversion = \"3.6.16\"\n[nodes.a]\naddress = \"h\"\n[backup]\nschedule = \"0 * * * *\"\n";
    let default = parse(least_of, "f", Path::new("/ops"), None).unwrap().backup.expect("it is declared");
    (bare.max_age_seconds, bare.metrics, bare.offsite) = (None, None, None);
    bare.nodes = default.nodes.clone();
    assert_eq!(bare, default);
    assert_eq!(all.certificates.renew_before_seconds, least.certificates.renew_before_seconds);
}

#[test]
fn the_others_differ_where_they_say() {
    let single = example("single-node.toml");
    assert_eq!(single.cluster.downtime, Downtime::Allowed);
    assert_eq!(single.binaries_folder().as_str(), "/usr/bin");
    assert_eq!(example("minimal.toml").binaries, Binaries::Undeclared);
    let canonical = example("canonical.toml").paths;
    assert_eq!(canonical.data.as_str(), "/var/snap/k8s/common/var/lib/etcd/data");
    assert_eq!(canonical.unit().as_str(), "/etc/systemd/system/snap.k8s.etcd.service");
}
