//! What needs the key of the authority, where that is not here: refused before anything is begun.

use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::observed::{Lent, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::Action;
use crate::core::render::words;

/// Enough to recognise what needs it.
const STEPS_TOLD: usize = 5;

/// # Errors
/// When the key is not here and the plan signs, acts as root, or nothing here shows whose nodes these are.
pub fn check(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), Diagnostic> {
    let Some(Lent { key, has_certificate }) = &observed.workstation.lent else { return Ok(()) };
    let signed = plan.steps.iter().enumerate().filter(|(_, step)| step.actions.iter().any(Action::is_signed));
    let mut why: Vec<_> = signed
        .take(STEPS_TOLD)
        .map(|(index, step)| words::step_line(index + 1, plan.steps.len(), &step.title(), step.hosts(), plan.hosts))
        .collect();
    if !has_certificate {
        why.push("without ca.crt here nothing shows that these are the nodes of this cluster".to_owned());
    }
    if desired.auth.is_some() {
        why.push("with [auth], leadership is moved and users are changed as root".to_owned());
    }
    if why.is_empty() {
        return Ok(());
    }
    let needed = Diagnostic::new(Kind::Refused, format!("this plan needs the key of the CA, and {key} is not here"));
    let needed = why.into_iter().fold(needed, Diagnostic::with_cause);
    Err(needed.hint(format!("nothing was changed; restore ca.crt and {key} from your backup, or apply where they are")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::render::samples;
    use crate::laws::sample;

    #[test]
    fn only_what_signs_asks_for_the_key() {
        let desired = samples::desired("");
        let mut observed = sample::healthy(&desired);
        let (signs, restarts) = (samples::bootstrap(), samples::drifted());
        assert_eq!(check(&desired, &observed, &signs), Ok(()));
        let lent = |has_certificate| Some(Lent { key: "pki/ca.key".to_owned(), has_certificate });
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
}
