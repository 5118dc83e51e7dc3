//! What is free on the file systems that etcd and quorate write on.

use super::{Check, Outcome};
use crate::core::cluster::quota;
use crate::core::cluster::room::{self, FileSystem};
use crate::core::count::size;
use crate::core::desired::Desired;
use crate::core::names::HostName;
use crate::core::observed::{Host, Seen, Stored};

pub(super) fn space(desired: &Desired, name: &HostName, host: &Seen<Host>) -> Vec<Outcome> {
    let host = match host {
        Seen::Known(host) => host,
        Seen::Unknown(cause) => return vec![Outcome::unknown(Check::DiskSpace, cause)],
    };
    room::file_systems(host).map(|shared| of_one(desired, name, host, &shared)).collect()
}

fn of_one(desired: &Desired, name: &HostName, host: &Host, shared: &FileSystem) -> Outcome {
    let room = shared.room;
    let mut seen = format!("{} free on {} ({}% used", size(room.available_bytes), room.mount, room.used_percent());
    if room.inodes > 0 {
        seen.push_str(&format!(", {}% of the inodes", room.used_inodes_percent()));
    }
    seen.push_str(&format!("): {}", shared.folders(desired, host)));
    let has = host.answer().map_or(0, |answer| answer.database_bytes);
    let grows = quota::declared(desired).saturating_sub(has);
    let has_data = shared.stored.contains(&Stored::Data);
    if has_data {
        seen.push_str(&format!("; the database may grow by {}", size(grows)));
    }
    if shared.is_full() {
        return Outcome::problem(Check::DiskSpace, seen, room::make_room(room, name));
    }
    if has_data && room.available_bytes < grows {
        let fix = "make room, or declare a smaller `quota-backend` in [etcd]";
        return Outcome::warning(Check::DiskSpace, seen, fix);
    }
    match shared.is_filling() {
        true => Outcome::warning(Check::DiskSpace, seen, room::make_room(room, name)),
        false => Outcome::ok(Check::DiskSpace, seen),
    }
}
