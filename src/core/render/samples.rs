//! Plans of small worlds, for the tests of the formats.

use std::path::Path;

use crate::core::code::Code;
use crate::core::desired::{Desired, read};
use crate::core::names::HostName;
use crate::core::observed::{Cause, Observed, Seen};
use crate::core::plan::Plan;
use crate::core::planner;
use crate::laws::sample;

pub(crate) fn desired(etcd: &str) -> Desired {
    let zeros = "0".repeat(64);
    let text = format!(
        "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\n\n\
         [nodes]\netcd-1 = {{ address = \"10.0.0.11\" }}\netcd-2 = {{ address = \"10.0.0.12\" }}\n\
         etcd-3 = {{ address = \"10.0.0.13\" }}\n\n\
         [etcd]\n{etcd}\n\n\
         [etcd.archive]\npath = \"etcd-v{{version}}-linux-{{arch}}.tar.gz\"\nsha256 = {{ amd64 = \"{zeros}\" }}\n"
    );
    read::parse(&text, "cluster.toml", Path::new("/work"), None).expect("the sample is valid")
}

pub(crate) fn bootstrap() -> Plan {
    let desired = desired("");
    planner::plan(&desired, &sample::bare(&desired))
}

pub(crate) fn in_sync() -> Plan {
    let desired = desired("");
    planner::plan(&desired, &sample::healthy(&desired))
}

/// A quota is declared that the running cluster does not have.
pub(crate) fn drifted() -> Plan {
    let before = sample::healthy(&desired(""));
    planner::plan(&desired("quota-backend = \"8GiB\""), &before)
}

/// One host cannot be seen, one has a port taken.
pub(crate) fn blocked() -> Plan {
    let desired = desired("");
    let mut world = sample::bare(&desired);
    hide(&mut world, "etcd-2");
    let host = world.host_mut(&HostName::new("etcd-3")).expect("it is declared");
    host.taken_ports.insert(2379, "nginx\u{1b}[31m (pid 77)".to_owned());
    let path = crate::core::names::RemotePath::new("/etc/systemd/system/etcd.service.d/x.conf");
    host.service.drop_ins.insert(path, ["ExecStart".to_owned()].into());
    planner::plan(&desired, &world)
}

pub(crate) fn hide(world: &mut Observed, name: &str) {
    let cause = Cause {
        code: Code::HostUnreachable,
        summary: format!("could not reach {name} at 10.0.0.12:22: no route to host"),
        hint: Some("check the address and that sshd runs".to_owned()),
    };
    world.hosts.insert(HostName::new(name), Seen::Unknown(cause));
}
