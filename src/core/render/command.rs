//! The command that applies a plan, whole: it works as it stands.

use std::borrow::Cow;

use crate::core::allowance::{AllowKind, Allowance};
use crate::core::plan::Plan;

/// `quorate apply --expect f789d8856835 --rotate-ca`: what plans the same again, and applies it only if it is the same.
pub fn expecting(plan: &Plan) -> String {
    let mut words = begun(plan);
    words.extend(["--expect".to_owned(), plan.id()]);
    words.extend(asked(plan));
    words.join(" ")
}

/// `quorate apply --allow remove-member:etcd-1`; `None` where `quorate apply` is all, and where what was asked for is blocked.
pub fn plain(plan: &Plan) -> Option<String> {
    let asked = asked(plan);
    let is_blocked = !plan.blocked.is_empty() && plan.needs().is_empty();
    if plan.steps.is_empty() || asked.is_empty() || is_blocked {
        return None;
    }
    Some(begun(plan).into_iter().chain(asked).collect::<Vec<_>>().join(" "))
}

/// `quorate apply plan.json`, with what is to be allowed besides.
pub fn of_saved(plan: &Plan, file: &str) -> String {
    let missing = plan.needs().into_iter().filter(|needs| !plan.allowed.contains(needs));
    let words = begun(plan).into_iter().chain([quoted(file).into_owned()]).chain(missing.map(allow));
    words.collect::<Vec<_>>().join(" ")
}

/// `quorate restore snapshot.db --confirm prod`: what carries out a plan that restores.
pub fn restoring(plan: &Plan, snapshot: &str) -> String {
    let mut words = to(plan, "restore");
    words.extend([quoted(snapshot).into_owned(), "--confirm".to_owned(), quoted(plan.cluster.as_str()).into_owned()]);
    words.extend(asked(plan));
    if plan.request.restore.as_ref().is_some_and(|restore| restore.again) {
        words.push("--again".to_owned());
    }
    words.join(" ")
}

fn begun(plan: &Plan) -> Vec<String> {
    to(plan, "apply")
}

fn to(plan: &Plan, verb: &str) -> Vec<String> {
    let mut words = vec!["quorate".to_owned()];
    if let Some(directory) = &plan.directory {
        words.extend(["-C".to_owned(), quoted(directory).into_owned()]);
    }
    if plan.file != "cluster.toml" {
        words.extend(["-f".to_owned(), quoted(&plan.file).into_owned()]);
    }
    words.push(verb.to_owned());
    words
}

/// The flags without which another plan would be made.
fn asked(plan: &Plan) -> Vec<String> {
    let request = &plan.request;
    let mut words = Vec::new();
    words.extend(request.restarts.keys().map(|host| format!("--restart={host}")));
    words.extend(request.lost.keys().map(|host| format!("--lost={host}")));
    match request.consumer_renewals.is_empty() {
        true => words.extend(request.renewals.keys().map(|host| format!("--renew-certs={host}"))),
        // Only without a node the consumers' are renewed, too.
        false => words.push("--renew-certs".to_owned()),
    }
    if request.rotation.is_some() {
        words.push("--rotate-ca".to_owned());
    }
    if request.no_snapshot {
        words.push("--no-snapshot".to_owned());
    }
    let users = request.remove_users.iter().map(|user| Allowance::new(AllowKind::RemoveUser, user));
    let allowed: std::collections::BTreeSet<_> = plan.needs().into_iter().cloned().chain(users).collect();
    words.extend(allowed.iter().map(allow));
    words
}

fn allow(allowance: &Allowance) -> String {
    format!("--allow {}", quoted(&allowance.to_string()))
}

fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::core::desired::{Request, Rotation};
    use crate::core::names::{HostName, UserName};
    use crate::core::render::samples;

    #[test]
    fn it_is_whole() {
        let mut plan = samples::drifted();
        assert_eq!(plain(&plan), None);
        assert_eq!(expecting(&plan), format!("quorate apply --expect {}", plan.id()));
        plan.request = Request {
            lost: BTreeMap::from([(HostName::new("etcd-2"), None)]),
            rotation: Some(Rotation::default()),
            remove_users: [UserName::new("old app")].into(),
            no_snapshot: true,
            ..Request::default()
        };
        plan.directory = Some("clusters/prod".to_owned());
        plan.file = "other.toml".to_owned();
        let remove = Allowance::new(AllowKind::RemoveMember, "etcd-4");
        plan.steps[0].needs.insert(remove.clone());
        let flags =
            "--lost=etcd-2 --rotate-ca --no-snapshot --allow remove-member:etcd-4 --allow 'remove-user:old app'";
        let begun = "quorate -C clusters/prod -f other.toml apply";
        assert_eq!(plain(&plan), Some(format!("{begun} {flags}")));
        assert_eq!(expecting(&plan), format!("{begun} --expect {} {flags}", plan.id()));
        assert_eq!(of_saved(&plan, "my plan"), format!("{begun} 'my plan' --allow remove-member:etcd-4"));
        plan.allowed.insert(remove);
        assert_eq!(of_saved(&plan, "plan.json"), format!("{begun} plan.json"));
    }
}
