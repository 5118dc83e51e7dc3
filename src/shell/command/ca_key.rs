//! What needs the key of the authority, where that is not here: refused before anything is begun.

use crate::core::cluster::trust;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::observed::{Lent, Observed, Unable};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthorityAction};
use crate::core::render::words;
use crate::shell::fleet::Need;

/// Enough to recognise what needs it.
const STEPS_TOLD: usize = 5;

/// # Errors
/// When the key is not here and the plan signs, acts as root, or nothing here shows whose nodes these are.
pub fn check(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), Diagnostic> {
    let Some(Lent { key, has_certificate, why: unable, .. }) = &observed.workstation.lent else { return Ok(()) };
    if matches!(unable, Unable::Encrypted(_)) {
        return Ok(());
    }
    let signed = plan.steps.iter().enumerate().filter(|(_, step)| step.actions.iter().any(Action::is_signed));
    let mut why: Vec<_> = signed
        .take(STEPS_TOLD)
        .map(|(index, step)| words::step_line(index + 1, plan.steps.len(), &step.title(), step.hosts(), plan.hosts))
        .collect();
    if !has_certificate {
        let without = if matches!(unable, Unable::Vault(_)) { "Vault" } else { "ca.crt here" };
        why.push(format!("without {without} nothing shows that these are the nodes of this cluster"));
    }
    if desired.auth.is_some() {
        why.push("with [auth], leadership is moved and users are changed as root".to_owned());
    }
    if why.is_empty() {
        return Ok(());
    }
    let (needs, hint) = match unable {
        Unable::Vault(missing) => (
            format!("this plan needs Vault: {missing}"),
            "nothing was changed; apply where Vault can be asked".to_owned(),
        ),
        Unable::NotHere | Unable::Encrypted(_) => (
            format!("this plan needs the key of the CA, and {key} is not here"),
            format!("nothing was changed; restore ca.crt and {key} from your backup, or apply where they are"),
        ),
    };
    Err(why.into_iter().fold(Diagnostic::new(Kind::Refused, needs), Diagnostic::with_cause).hint(hint))
}

/// Which key a plan needs, if any, where it is encrypted.
pub fn need(desired: &Desired, plan: &Plan) -> Option<Need> {
    let mut actions = plan.steps.iter().flat_map(|step| &step.actions);
    let makes =
        |action: &Action| matches!(action, Action::Authority(AuthorityAction::Create | AuthorityAction::CreateNext));
    match trust::needs_key(desired, &plan.steps) {
        true if actions.any(makes) => Some(Need::Make),
        true => Some(Need::Sign),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::code::Code;
    use crate::core::desired::{Age, Auth, AuthoritySource, Passphrase};
    use crate::core::observed::{Cause, OpenedBy, Seen};
    use crate::core::render::samples;
    use crate::laws::sample;

    fn auth() -> Auth {
        Auth { enabled: true, users: BTreeMap::new(), roles: BTreeMap::new() }
    }

    #[test]
    fn only_what_signs_asks_for_the_key() {
        let desired = samples::desired("");
        let mut observed = sample::healthy(&desired);
        let (signs, restarts) = (samples::bootstrap(), samples::drifted());
        assert_eq!(check(&desired, &observed, &signs), Ok(()));
        let lent = |has_certificate| {
            let key = "pki/ca.key".to_owned();
            Some(Lent { key, has_certificate, why: Unable::NotHere, reader: None })
        };
        observed.workstation.lent = lent(true);
        assert_eq!(check(&desired, &observed, &restarts), Ok(()));
        let refused = check(&desired, &observed, &signs).expect_err("it signs").to_string();
        assert!(refused.contains("pki/ca.key is not here\n  caused by: [ 1/13] create the CA"), "{refused}");
        assert!(refused.contains("restore ca.crt and pki/ca.key"), "{refused}");
        // Nothing is changed where only the nodes say which cluster they are.
        observed.workstation.lent = lent(false);
        let refused = check(&desired, &observed, &restarts).expect_err("it changes").to_string();
        assert!(refused.contains("the nodes of this cluster"), "{refused}");
    }

    /// What apply asks for is told by the plan that signs, and by no other.
    #[test]
    fn an_encrypted_key_is_opened_by_what_signs() {
        let mut desired = samples::desired("");
        let mut observed = sample::healthy(&desired);
        let (signs, restarts) = (samples::bootstrap(), samples::drifted());
        let key = "pki/ca.key".to_owned();
        let why = Unable::Encrypted(OpenedBy::Passphrase);
        observed.workstation.lent = Some(Lent { key, has_certificate: true, why, reader: None });
        assert_eq!(check(&desired, &observed, &signs), Ok(()));
        assert_eq!((need(&desired, &signs), need(&desired, &restarts)), (Some(Need::Make), None));
        let told = |desired: &Desired, observed: &Observed, signs| trust::opening(desired, observed, signs);
        assert_eq!(told(&desired, &observed, false), None);
        let asked = told(&desired, &observed, true).expect("it asks");
        assert_eq!(asked.what, "pki/ca.key is encrypted: apply needs its passphrase before the first step");
        assert!(asked.hint.expect("it says where").contains("on the terminal"));
        // The file tells how it is encrypted, whatever is declared for a new one.
        let age = Age { recipients: vec!["age1".to_owned()], identity: "keys.txt".into() };
        desired.authority_key.age = Some(age);
        let asked = told(&desired, &observed, true).expect("it asks");
        assert!(asked.what.contains("apply needs its passphrase"), "{asked:?}");
        desired.authority_key.age = None;
        let lent = observed.workstation.lent.as_mut().expect("it was set");
        lent.why = Unable::Encrypted(OpenedBy::Age);
        let asked = told(&desired, &observed, true).expect("it asks");
        assert_eq!(asked.what, "pki/ca.key is encrypted: apply runs age before the first step");
        // That of the CA that goes is opened as [ca.previous] says.
        let lent = observed.workstation.lent.as_mut().expect("it was set");
        (lent.key, lent.why) = ("old/ca.key".to_owned(), Unable::Encrypted(OpenedBy::Passphrase));
        desired.previous_authority = Some(AuthoritySource::Generated { folder: "old".into() });
        desired.previous_key.passphrase = Some(Passphrase::Environment("OLD".to_owned()));
        let asked = told(&desired, &observed, true).expect("it asks");
        assert_eq!(asked.hint.as_deref(), Some("it is read from the environment variable OLD"));
        desired.previous_authority = None;
        // Bare hosts: there is no key yet.
        observed.workstation.lent = None;
        observed.workstation.authority = Seen::Known(None);
        assert_eq!(told(&desired, &observed, true), None);
        desired.authority_key.passphrase = Some(Passphrase::Environment("CA_PASS".to_owned()));
        let asked = told(&desired, &observed, true).expect("it asks");
        assert!(asked.what.starts_with("the key of the new CA is encrypted"), "{asked:?}");
        assert_eq!(asked.hint.as_deref(), Some("it is read from the environment variable CA_PASS"));
    }

    /// With [auth] whatever is done needs the key, and the plan says what apply asks for.
    #[test]
    fn with_authentication_every_plan_tells_that_it_opens_the_key() {
        let mut desired = samples::desired("");
        let restarts = samples::drifted();
        let mut observed = sample::healthy(&desired);
        let (key, why) = ("pki/ca.key".to_owned(), Unable::Encrypted(OpenedBy::Passphrase));
        observed.workstation.lent = Some(Lent { key, has_certificate: true, why, reader: None });
        let told =
            |desired: &Desired, steps| trust::opening(desired, &observed, trust::needs_key(desired, steps)).is_some();
        assert!(!told(&desired, &restarts.steps));
        desired.auth = Some(auth());
        assert_eq!(need(&desired, &restarts), Some(Need::Sign));
        assert!(told(&desired, &restarts.steps) && !told(&desired, &[]));
    }

    /// Users that could not be read, too: they are not compared, and with the key they would be.
    #[test]
    fn a_look_that_is_not_let_in_is_known_as_one() {
        let mut desired = samples::desired("");
        let mut observed = sample::healthy(&desired);
        assert!(!trust::is_shut_out(&desired, &observed));
        let lent = |why| Some(Lent { key: "pki/ca.key".to_owned(), has_certificate: true, why, reader: None });
        observed.workstation.lent = lent(Unable::Encrypted(OpenedBy::Passphrase));
        assert!(!trust::is_shut_out(&desired, &observed));
        desired.auth = Some(auth());
        observed.auth = None;
        assert!(trust::is_shut_out(&desired, &observed));
        desired.auth = None;
        let denied = Cause { code: Code::AuthUnknown, summary: String::new(), hint: None };
        observed.host_mut(&sample::name(0)).expect("it is seen").member = Seen::Unknown(denied);
        assert!(trust::is_shut_out(&desired, &observed));
        // There is nothing to open.
        observed.workstation.lent = lent(Unable::NotHere);
        assert!(!trust::is_shut_out(&desired, &observed));
    }

    #[test]
    fn where_vault_was_not_asked_nothing_is_signed() {
        let desired = samples::desired("");
        let mut observed = sample::healthy(&desired);
        let why = Unable::Vault("the token of Vault is not here".to_owned());
        observed.workstation.lent = Some(Lent { key: "Vault".to_owned(), has_certificate: true, why, reader: None });
        assert_eq!(check(&desired, &observed, &samples::drifted()), Ok(()));
        let refused = check(&desired, &observed, &samples::bootstrap()).expect_err("it signs").to_string();
        assert!(refused.contains("this plan needs Vault: the token of Vault is not here"), "{refused}");
    }
}
