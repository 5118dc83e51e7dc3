//! The alarms that are active, each with the member that it is raised for.
//!
//! etcd keeps an alarm until it is disarmed, also when its member has been removed. Under CORRUPT, reads, the removal, addition
//! and promotion of members, snapshots and defragmenting go on; whatever writes a key is refused (tried on 3.4.23, 3.5.30 and
//! 3.7.3).

use crate::core::cluster::quorum::{Member, Membership};
use crate::core::code::Code;
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
            Some(member) => of_member(alarm, member),
            None => of_nobody(alarm, membership.is_some()),
        }
    };
    alarms.into_iter().map(blocked).collect()
}

fn of_member(alarm: &Alarm, member: &Member) -> Blocked {
    let Alarm { kind, .. } = alarm;
    let title = member.title();
    let (why, hint) = match kind.as_str() {
        "CORRUPT" => {
            let who = if member.declared { format!(": `quorate plan --lost={}`", member.host) } else { String::new() };
            let hint = format!(
                "run `quorate explain alarm`: compare the data of all members; if only {title} differs, replace it{who}; \
                 then disarm"
            );
            (": its data differs from the leader's", hint)
        }
        "NOSPACE" => (": its database has reached the quota", EXPLAINED.to_owned()),
        _ => ("", EXPLAINED.to_owned()),
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
