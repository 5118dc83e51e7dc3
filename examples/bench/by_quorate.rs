//! Each operation as an edit of cluster.toml and an apply.

use std::fs;

use crate::cluster::{Cluster, quorate};
use crate::operations::Operation;

/// Does it to a declaration that was edited already.
pub fn perform(cluster: &Cluster, operation: &Operation) {
    let text = cluster.declaration.text(&cluster.lab, &cluster.archives);
    fs::write(cluster.lab.dir().join("cluster.toml"), text).expect("the lab's folder can be written");
    let mut flags = vec!["apply".to_owned(), "--yes".to_owned()];
    match operation {
        Operation::Restart => {
            flags.extend(cluster.declaration.nodes.keys().map(|name| format!("--restart={name}")));
        }
        Operation::Remove { name, .. } => flags.extend(["--allow".to_owned(), format!("remove-member:{name}")]),
        Operation::Replace { name } => flags.extend(["--allow".to_owned(), format!("replace-member:{name}")]),
        Operation::Renew => flags.push("--renew-certs".to_owned()),
        // It goes on with the one that was made.
        Operation::Rotate => {}
        Operation::Setting | Operation::PeerPort | Operation::Add { .. } | Operation::Upgrade { .. } => {}
    }
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let output = quorate(&cluster.lab.dir(), &flags).output().expect("quorate runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{operation:?}: {flags:?}: {}\n{said}", String::from_utf8_lossy(&output.stdout));
}
