//! Whether everything lies on a host that a start of etcd needs.

use crate::core::cluster::version;
use crate::core::code::Code;
use crate::core::content::{layout, runtime};
use crate::core::desired::{Binaries, Desired};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{DataDirectory, File, Host, Role};
use crate::core::plan::ruling::Blocked;

/// One refusal for every port of ours that another program holds.
pub fn port_taken(name: &HostName, host: &Host) -> Vec<Blocked> {
    let refusal = |(port, holder): (&u16, &String)| {
        let what = format!("port {port} on {name} is in use by {holder}");
        Blocked::new(Code::PortTaken, what).on(name).hint("change [ports]; or, if that program is not needed, stop it")
    };
    host.taken_ports.iter().map(refusal).collect()
}

/// Everything that a start reads lies there.
pub fn is_staged(desired: &Desired, host: &Host) -> bool {
    missing(desired, host).is_none() && may_start(host)
}

/// What a start would not find.
pub enum Missing {
    Program(RemotePath),
    File(File),
}

impl Missing {
    pub fn path(&self, desired: &Desired, name: &HostName) -> RemotePath {
        match self {
            Self::Program(path) => path.clone(),
            Self::File(file) => layout::path(desired, name, *file),
        }
    }
}

/// The first program or file that a start would not find.
pub fn missing(desired: &Desired, host: &Host) -> Option<Missing> {
    let version = version::on_disk(desired, host);
    // That an image is on its node, the kubelet sees to.
    if desired.binaries != Binaries::Image && !host.installed.contains_key(&version) {
        return Some(Missing::Program(desired.binaries_folder_of(version).join("etcd")));
    }
    let pairs = [Role::Server, Role::Peer].into_iter().flat_map(|role| [role.certificate(), role.key()]);
    let mut files = runtime::needed_at_start(desired).iter().copied().chain(pairs);
    files.find(|file| !host.files.contains_key(file)).map(Missing::File)
}

/// It has its data, or the marker that allows it: what its unit asks for, too.
pub fn may_start(host: &Host) -> bool {
    let is_first = host.files.contains_key(&File::NewDataMarker) && !host.data.is_out_of_sight();
    upheld(Guard::NoStartWithoutData, host.data == DataDirectory::Member || is_first)
}
