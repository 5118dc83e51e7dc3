//! Whether everything lies on a host that a start of etcd needs.

use crate::core::cluster::version;
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{DataDirectory, File, Host, Role};
use crate::core::plan::ruling::Blocked;

/// One refusal for every port of ours that another program holds.
pub fn port_taken(name: &HostName, host: &Host) -> Vec<Blocked> {
    let refusal = |(port, holder): (&u16, &String)| {
        let what = format!("port {port} on {name} is in use by {holder}");
        Blocked::new(Code::PortTaken, what).on(name).hint("stop that program, or change [ports]")
    };
    host.taken_ports.iter().map(refusal).collect()
}

/// Everything that a start reads lies there.
pub fn is_staged(desired: &Desired, host: &Host) -> bool {
    let files = runtime::loaded_at_start(desired)
        .iter()
        .copied()
        .chain([Role::Server, Role::Peer].into_iter().flat_map(|role| [role.certificate(), role.key()]));
    host.installed.contains_key(&version::on_disk(desired, host))
        && files.into_iter().all(|file| host.files.contains_key(&file))
        && may_start(host)
}

/// It has its data, or the marker that allows it: what its unit asks for, too.
pub fn may_start(host: &Host) -> bool {
    let has_data = host.data == DataDirectory::Member || host.files.contains_key(&File::NewDataMarker);
    upheld(Guard::NoStartWithoutData, has_data)
}
