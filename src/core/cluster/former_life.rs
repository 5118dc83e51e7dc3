//! Whether there was a cluster of this declaration before, where its hosts show nothing of it.

use crate::core::cluster::situation::{Situation, situation};
use crate::core::code::Code;
use crate::core::content::layout;
use crate::core::count::count;
use crate::core::desired::{AuthoritySource, Desired};
use crate::core::names::listed;
use crate::core::observed::{File, FormerLife, Host, Observed};
use crate::core::plan::ruling::Finding;

/// What shows it, in words; `None` where nothing does, and where a first start of a new cluster was cut off.
///
/// The new-data marker is laid before any certificate is issued, so a start that was cut off after that has left one.
pub fn signs(desired: &Desired, observed: &Observed) -> Option<Vec<String>> {
    let was_begun = observed.seen_hosts().any(|(_, host)| host.files.contains_key(&File::NewDataMarker));
    if was_begun || desired.request.restore.is_some() {
        return None;
    }
    let FormerLife { authority_has_signed, snapshots, .. } = &observed.workstation.former_life;
    let mut signs = Vec::new();
    if let (true, AuthoritySource::Generated { folder }) = (authority_has_signed, &desired.authority) {
        signs.push(format!("the CA in {} has issued certificates", folder.display()));
    }
    if let Some(newest) = snapshots.last() {
        signs.push(match snapshots.len() {
            1 => format!("there is a snapshot: {newest}"),
            several => format!("there are {}, the newest {newest}", count(several, "snapshot")),
        });
    }
    signs.extend(of_members(desired, observed));
    (!signs.is_empty()).then_some(signs)
}

/// Hosts whose certificates are those of members, where a cluster begins in a layout in which nothing else of one may be left: the
/// permission to begin is laid before the first certificate is issued.
fn of_members(desired: &Desired, observed: &Observed) -> Option<String> {
    let has_pair = |host: &Host| host.files.contains_key(&File::PeerCertificate);
    let hosts: Vec<_> = observed.seen_hosts().filter(|(_, host)| has_pair(host)).map(|(name, _)| name).collect();
    let is_sign = desired.cluster.layout.is_adopted() && !hosts.is_empty();
    is_sign.then(|| format!("{} on {} is a member's", layout::called(desired, File::PeerCertificate), listed(&hosts)))
}

/// Where a new cluster is about to begin.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let life = &observed.workstation.former_life;
    if life.is_empty() && of_members(desired, observed).is_none() || situation(desired, observed).0 != Situation::New {
        return Vec::new();
    }
    let name = &desired.cluster.name;
    let finding = |what, hint| Finding { code: Code::NewCluster, hosts: Vec::new(), what, hint: Some(hint) };
    if let Some(signs) = signs(desired, observed) {
        let what = format!("every host is bare, but cluster {name} has existed: {}", signs.join("; "));
        let hint = format!(
            "{}; only if an empty cluster is intended: `quorate apply --allow new-cluster:{name}`",
            restore_hint(desired, observed)
        );
        return vec![finding(what, hint)];
    }
    let unseen = life.unseen.iter().map(|why| {
        let what = format!("it is not known whether there are snapshots of cluster {name}: {why}");
        finding(what, "if this cluster has existed, restore it instead of starting an empty one".to_owned())
    });
    unseen.collect()
}

fn restore_hint(desired: &Desired, observed: &Observed) -> String {
    let newest = observed.workstation.former_life.snapshots.last();
    let snapshot = newest.map(|path| path.rsplit('/').next().unwrap_or(path)).unwrap_or("SNAPSHOT");
    format!("bring it back with `quorate restore {snapshot} --confirm {}`", desired.cluster.name)
}
