//! Answers of the scripts, as hosts give them.

use super::super::answer::Answer;
use super::*;
use crate::core::desired::Desired;
use crate::core::names::HostName;

fn desired() -> Desired {
    let text = "[cluster]\nname = \"demo\"\nversion = \"3.6.16\"\n[nodes.a]\naddress = \"10.0.0.1\"\n\
                [nodes.b]\naddress = \"b.example.com\"\n";
    crate::core::desired::read::parse(text, "cluster.toml", std::path::Path::new("/x"), None).expect("it is valid")
}

fn read<S: Section>(lines: &str) -> Result<S::Fact, Trouble> {
    let (desired, host) = (desired(), HostName::new("a"));
    let bytes = format!("quorate-probe 1\n{lines}quorate-end\n");
    let answer = Answer::read(bytes.as_bytes())?;
    S::read(&Subject { desired: &desired, host: &host }, &answer)
}

#[test]
fn the_own_name_is_the_first_and_only_names_of_nodes_are_looked_up() {
    let (desired, host) = (desired(), HostName::new("a"));
    let words = names::Look::words(&Subject { desired: &desired, host: &host });
    assert_eq!(words, Some(vec![("q_names", "b.example.com".to_owned())]));
    let names = read::<names::Look>("[names]\n6003 a-host \n4 b.example.com 10.0.0.2\n").expect("it is an answer");
    assert_eq!((names.own.name.as_str(), names.own.took_ms, names.own.address), ("a-host", 6003, None));
    assert_eq!(names.declared[0].address.as_deref(), Some("10.0.0.2"));
    // A host that is declared by the name that it calls itself is asked for that once.
    let names = read::<names::Look>("[names]\n3 b.example.com 10.0.0.2\n").expect("it is an answer");
    assert_eq!(names.declared, [names.own]);
    assert!(read::<names::Look>("[names]\n").is_err());
    assert!(read::<names::Look>("[names]\nsoon a\n").is_err());
}

#[test]
fn a_clock_that_nobody_can_tell_of_is_not_taken_for_a_kept_one() {
    let said = |lines| read::<clock::Look>(lines).expect("it is an answer").is_synchronized;
    assert_eq!(said("[clock]\nNTPSynchronized=yes\n"), Some(true));
    assert_eq!(said("[clock]\nNTPSynchronized=no\n"), Some(false));
    assert_eq!(said("[clock]\n"), None);
}

#[test]
fn a_peer_without_a_route_has_no_source() {
    let network =
        read::<network::Look>("[network]\nown=10.0.0.1\nown=::1\npeer=b 10.0.0.9\n").expect("it is an answer");
    assert_eq!(network.addresses.len(), 2);
    assert_eq!(network.sources[&HostName::new("b")], "10.0.0.9");
    assert!(read::<network::Look>("[network]\n").expect("it is an answer").sources.is_empty());
}

#[test]
fn each_sync_is_told_in_microseconds() {
    let lines = "[disk]\nfolder=/var/lib\n/ ext4 rw,relatime\n\
                 2300 bytes (2.3 kB, 2.2 KiB) copied, 0.00123456 s, 1.9 MB/s\n\
                 2300 bytes (2.3 kB, 2.2 KiB) copied, 1.2e-05 s, 190 MB/s\n";
    let disk = read::<disk::Look<true>>(lines).expect("it is an answer");
    assert_eq!(disk.syncs_us, [1235, 12]);
    assert_eq!((disk.mount_point.as_str(), disk.file_system.as_str()), ("/", "ext4"));
    assert!(read::<disk::Look<false>>("[disk]\nfolder=/var/lib\n").is_err());
}

#[test]
fn complaints_come_with_how_often_they_came() {
    let said = read::<journal::Look>("[journal]\n     12 \"msg\":\"slow fdatasync\"\n").expect("it is an answer");
    assert_eq!(said, [Complaint { text: "slow fdatasync".to_owned(), count: 12 }]);
}

#[test]
fn every_port_was_tried_or_nothing_is_known() {
    let lines = "[ways]\n0 b 2379 \n1 b 2380 Connection refused\n";
    let ways = read::<ways::Look>(lines).expect("it is an answer");
    assert_eq!(ways[&(HostName::new("b"), 2379)], Way::Open);
    assert_eq!(ways[&(HostName::new("b"), 2380)], Way::Refused);
    let way = |line: &str| read::<ways::Look>(&format!("[ways]\n0 b 2379\n{line}\n")).expect("it is an answer");
    assert_eq!(way("124 b 2380 ")[&(HostName::new("b"), 2380)], Way::Silent);
    assert_eq!(
        way("1 b 2380 No route to host")[&(HostName::new("b"), 2380)],
        Way::Failed("No route to host".to_owned())
    );
    assert!(read::<ways::Look>("[ways]\n0 b 2379 \n").is_err());
    assert!(read::<ways::Look>("[ways]\nno-bash\n").is_err());
}
