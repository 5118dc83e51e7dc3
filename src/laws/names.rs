//! The law of files that get other names: nothing is put where a member has another file in use, nor half of a pair.

use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::observed::{File, Observed};
use crate::core::plan::Plan;
use crate::core::planner::plan;
use crate::laws::sample;

const FILES: [File; 5] = [File::Trust, File::ServerCertificate, File::ServerKey, File::PeerCertificate, File::PeerKey];

/// Three members under the usual names, and these are declared.
fn named(names: &[(File, &str)]) -> (Desired, Observed) {
    let mut desired = sample::desired(3);
    let observed = sample::healthy(&desired);
    desired.paths.names = names.iter().map(|(file, name)| (*file, (*name).to_owned())).collect();
    (desired, observed)
}

fn planned(names: &[(File, &str)]) -> Plan {
    let (desired, observed) = named(names);
    plan(&desired, &observed)
}

fn is_refused(plan: &Plan) -> bool {
    plan.steps.is_empty() && plan.blocked.iter().any(|blocked| blocked.code == Code::FileInUse)
}

/// Every file under the name that another one has, and every half of a pair.
fn crossed() -> impl Iterator<Item = Plan> {
    const USUAL: [&str; 5] = ["ca.crt", "server.crt", "server.key", "peer.crt", "peer.key"];
    let of_another = FILES.into_iter().flat_map(|file| USUAL.into_iter().zip(FILES).map(move |other| (file, other)));
    let of_another = of_another.filter(|(file, (_, other))| file != other);
    let swapped = of_another.map(|(file, (name, other))| planned(&[(file, name), (other, "a-third.pem")]));
    swapped.chain(FILES[1..].iter().map(|half| planned(&[(*half, "{member}.pem")])))
}

/// For the mutants.
pub(super) fn any_complaint() -> bool {
    crossed().any(|plan| !is_refused(&plan))
}

#[test]
fn no_file_is_put_where_another_one_is_in_use() {
    assert_eq!(crossed().count(), 5 * 4 + 4);
    assert!(!any_complaint());
    assert!(with_broken(Guard::NamesApart, any_complaint), "no law misses it");
}

#[test]
fn names_that_are_apart_are_taken() {
    let pair = [(File::ServerCertificate, "{member}.pem"), (File::ServerKey, "{member}-key.pem")];
    for names in [&pair as &[_], &[(File::Trust, "ca.pem")]] {
        let plan = planned(names);
        assert!(!plan.steps.is_empty() && plan.blocked.is_empty(), "{names:?}: {:?}", plan.blocked);
    }
}
