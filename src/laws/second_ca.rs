//! The law of a second CA that is not here: certificates stay as they are while somebody else replaces ours by it.

use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::guard::{Guard, with_broken};
use crate::core::names::Digest;
use crate::core::observed::{Cause, Observed, Seen, ServiceState};
use crate::core::plan::Plan;
use crate::core::plan::action::Action;
use crate::core::planner::plan;
use crate::laws::sample;

/// A cluster of three that takes a second CA, whose files are not here: what each host trusts and has its certificates of.
fn succeeded(states: [(&[&str], &str); 3]) -> (Desired, Observed) {
    let desired = sample::desired(3);
    let mut observed = sample::healthy(&desired);
    let ours = observed.workstation.authority.known().cloned().flatten().expect("there is one").fingerprint;
    let fingerprint = |name: &str| if name == "ours" { ours } else { Digest::of(name) };
    for (index, (trusted, signer)) in states.into_iter().enumerate() {
        let host = observed.host_mut(&sample::name(index)).expect("it was seen");
        host.trusted = trusted.iter().map(|name| fingerprint(name)).collect();
        host.certificates.values_mut().for_each(|leaf| leaf.signed_by = Some(fingerprint(signer)));
        if signer != "ours" {
            let summary = "its server certificate was signed by a different CA".to_owned();
            host.member = Seen::Unknown(Cause { code: Code::MemberSilent, summary, hint: None });
        }
    }
    (desired, observed)
}

/// A rotation that was begun elsewhere is not undone, nor is a member given what the next one refuses.
#[test]
fn a_second_ca_that_is_not_here_keeps_certificates_as_they_are() {
    let both: &[&str] = &["ours", "theirs"];
    let serials = |host: &crate::core::observed::Host| {
        host.certificates.iter().map(|(role, leaf)| (*role, leaf.serial.clone())).collect()
    };
    let renew = |desired: &mut Desired, observed: &Observed| {
        desired.request.renewals =
            observed.seen_hosts().map(|(name, host)| (name.clone(), Some(serials(host)))).collect();
    };
    let touches = |plan: &Plan| {
        let actions = plan.steps.iter().flat_map(|step| &step.actions);
        actions.into_iter().any(|action| matches!(action, Action::Certificate(_)))
    };
    let waits = [(both, "theirs"); 3];
    let in_the_middle = [(both, "theirs"), (both, "ours"), (both, "ours")];
    let at_its_end = [(&["theirs"] as &[&str], "theirs"), (&["theirs"], "theirs"), (both, "theirs")];
    for (states, may_renew) in [(waits, true), (in_the_middle, true), (at_its_end, false)] {
        let (mut desired, observed) = succeeded(states);
        let planned = plan(&desired, &observed);
        assert!(!touches(&planned), "{:?}", planned.steps);
        let told = planned.blocked.iter().find(|one| one.what.contains("a second CA"));
        let told = told.unwrap_or_else(|| panic!("{:?}", planned.blocked));
        assert_eq!(told.code, Code::AuthorityDiffers);
        // Nobody is told to take out what others need.
        assert!(!planned.findings.iter().any(|one| one.code == Code::AuthorityDiffers), "{:?}", planned.findings);
        let hint = told.hint.as_deref().unwrap_or_default();
        assert_eq!(hint.contains("--renew-certs"), may_renew, "{hint}");
        renew(&mut desired, &observed);
        assert_eq!(touches(&plan(&desired, &observed)), may_renew);
        // One name is not the word for all of them.
        desired.request.renewals.retain(|name, _| *name == sample::name(0));
        assert_eq!(touches(&plan(&desired, &observed)), states == in_the_middle);
        let broken = with_broken(Guard::NoSecondAuthority, || touches(&plan(&sample::desired(3), &observed)));
        assert!(broken, "no law misses the guard");
    }
}

/// What is down is started all the same.
#[test]
fn a_second_ca_keeps_nobody_from_being_started() {
    let both: &[&str] = &["ours", "theirs"];
    let (desired, mut observed) = succeeded([(both, "theirs"); 3]);
    for host in observed.hosts.values_mut().filter_map(Seen::known_mut) {
        (host.process, host.member) = (None, Seen::Known(None));
        host.service.state = ServiceState::Inactive;
    }
    let titles: Vec<_> = plan(&desired, &observed).steps.iter().map(|step| step.title()).collect();
    assert_eq!(titles, ["start etcd"]);
}

/// One that somebody has added to a ca.crt has signed nothing, and is told.
#[test]
fn a_ca_that_is_trusted_beside_ours_is_told() {
    let told = |states| {
        let (desired, observed) = succeeded(states);
        let planned = plan(&desired, &observed);
        assert_eq!(planned.blocked, []);
        let findings = planned.findings.into_iter().filter(|finding| finding.code == Code::AuthorityDiffers);
        findings.map(|finding| finding.what).collect::<Vec<_>>()
    };
    let (ours, both): (&[&str], &[&str]) = (&["ours"], &["ours", "theirs"]);
    assert_eq!(told([(ours, "ours"); 3]), Vec::<String>::new());
    assert_eq!(
        told([(both, "ours"), (ours, "ours"), (ours, "ours")]),
        ["ca.crt on etcd-1 also holds a CA that is not in [ca]"]
    );
    let two = told([(both, "ours"), (both, "ours"), (ours, "ours")]);
    assert_eq!(two, ["the ca.crt files on etcd-1, etcd-2 also hold a CA that is not in [ca]"]);
}
