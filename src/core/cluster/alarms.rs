//! The alarms that are active, each with the member that it is raised for.
//!
//! etcd keeps an alarm until it is disarmed, also when its member has been removed. Under CORRUPT, reads, the removal, addition
//! and promotion of members, snapshots and defragmenting go on; whatever writes a key is refused (tried on 3.4.23, 3.5.30 and
//! 3.7.3).

use crate::core::cluster::quorum::{Member, Membership};
use crate::core::cluster::quota;
use crate::core::code::Code;
use crate::core::count::size;
use crate::core::desired::Desired;
use crate::core::observed::{Alarm, Observed};
use crate::core::plan::ruling::Blocked;

/// One for each, with what to do about it.
pub fn active(desired: &Desired, observed: &Observed) -> Vec<Blocked> {
    let membership = Membership::of(desired, observed);
    let mut alarms: Vec<&Alarm> = observed.answers().flat_map(|(_, answer)| &answer.alarms).collect();
    alarms.sort();
    alarms.dedup();
    let blocked = |alarm: &Alarm| {
        let member = alarm.member.and_then(|id| membership.as_ref()?.by_id(id));
        match member {
            Some(member) => of_member(alarm, member, room_again(desired, observed, member)),
            None => of_nobody(alarm, membership.is_some()),
        }
    };
    alarms.into_iter().map(blocked).collect()
}

/// What its database has of how much, where that is less than what raises NOSPACE: it has been made smaller, or may be larger.
fn room_again(desired: &Desired, observed: &Observed, member: &Member) -> Option<String> {
    let host = observed.host(&member.host)?;
    let (has, quota) = (host.answer()?.database_bytes, quota::of_host(desired, host)?);
    (has < quota).then(|| format!("{} of {}", size(has), size(quota)))
}

fn of_member(alarm: &Alarm, member: &Member, room: Option<String>) -> Blocked {
    let Alarm { kind, .. } = alarm;
    let title = member.title();
    let (why, hint) = match kind.as_str() {
        "CORRUPT" => {
            let who = if member.declared { format!(": `quorate plan --lost={}`", member.host) } else { String::new() };
            let hint = format!(
                "run `quorate explain alarm`: compare the data of all members; if only {title} differs, replace it{who}; \
                 then disarm"
            );
            (": its data differs from the leader's".to_owned(), hint)
        }
        "NOSPACE" => match room {
            Some(room) => (
                format!(": its database had reached the quota, and has {room} now"),
                "once no member is near its quota, disarm it (`quorate explain alarm` has the command)".to_owned(),
            ),
            None => (": its database has reached the quota".to_owned(), EXPLAINED.to_owned()),
        },
        _ => (String::new(), EXPLAINED.to_owned()),
    };
    Blocked::new(Code::Alarm, format!("alarm {kind} is active for {title}{why}")).on(&member.host).hint(hint)
}

const EXPLAINED: &str = "run `quorate explain alarm` for the fix";

fn of_nobody(alarm: &Alarm, is_listed: bool) -> Blocked {
    let Alarm { kind, member } = alarm;
    match member {
        // One that is gone has taken the cause with it.
        Some(id) if is_listed => {
            let what = format!("alarm {kind} is active for member {id}, which has left");
            let hint = "its cause is gone: disarm it (`quorate explain alarm` has the command)";
            Blocked::new(Code::Alarm, what).hint(hint)
        }
        Some(id) => Blocked::new(Code::Alarm, format!("alarm {kind} is active for {id}")).hint(EXPLAINED),
        None => Blocked::new(Code::Alarm, format!("alarm {kind} is active, and names no member")).hint(EXPLAINED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sample;

    /// etcd keeps the alarm when the database has become smaller.
    #[test]
    fn a_database_that_has_room_again_is_not_said_to_be_full() {
        let desired = sample::desired(3);
        let told = |bytes: u64| {
            let mut observed = sample::healthy(&desired);
            let host = observed.host_mut(&sample::name(1)).expect("it was seen");
            let answer = host.member.known_mut().and_then(Option::as_mut).expect("it answers");
            answer.database_bytes = bytes;
            answer.alarms = [Alarm { kind: "NOSPACE".to_owned(), member: Some(answer.member) }].into();
            active(&desired, &observed).into_iter().map(|blocked| blocked.what).collect::<Vec<_>>()
        };
        assert_eq!(told(2 << 30), ["alarm NOSPACE is active for etcd-2: its database has reached the quota"]);
        assert_eq!(
            told(1 << 20),
            ["alarm NOSPACE is active for etcd-2: its database had reached the quota, and has 1.0 MiB of 2.0 GiB now"]
        );
    }
}
