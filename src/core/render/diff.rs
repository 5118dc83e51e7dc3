//! Unified diffs of the files that a plan writes, each distinct one once.

use similar::TextDiff;

use crate::core::names::{HostName, RemotePath};
use crate::core::plan::Plan;
use crate::core::plan::step::FileDiff;

/// One difference and the hosts that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedDiff {
    pub path: RemotePath,
    pub hosts: Vec<HostName>,
    pub is_new: bool,
    /// `666 root:root → 644 root:root`, where what is replaced may be read or written by others than what comes.
    pub access: Option<String>,
    /// Unified, with its two header lines.
    pub text: String,
}

/// In the order of the plan. Files that differ elsewhere (each names its own host) still share one diff when what
/// changes, and the lines around it, are the same.
pub fn shared(plan: &Plan) -> Vec<SharedDiff> {
    let mut shared: Vec<SharedDiff> = Vec::new();
    for file in plan.steps.iter().flat_map(|step| &step.diffs) {
        let text = unified(file);
        let access = access(file);
        let is_alike = |diff: &&mut SharedDiff| diff.path == file.path && diff.text == text && diff.access == access;
        match shared.iter_mut().find(is_alike) {
            Some(diff) => diff.hosts.push(file.host.clone()),
            None => shared.push(SharedDiff {
                path: file.path.clone(),
                hosts: vec![file.host.clone()],
                is_new: file.before.is_none(),
                access,
                text,
            }),
        }
    }
    shared
}

fn access(file: &FileDiff) -> Option<String> {
    let (before, after) = (file.access_before.as_ref()?, file.access.as_ref()?);
    (before != after).then(|| format!("{before} → {after}"))
}

/// As `diff -u` prints it, with three lines around each change.
pub fn unified(file: &FileDiff) -> String {
    let before_name = if file.before.is_some() { file.path.as_str() } else { "/dev/null" };
    let before = file.before.as_deref().unwrap_or_default();
    TextDiff::from_lines(before, &file.after)
        .unified_diff()
        .context_radius(3)
        .header(before_name, file.path.as_str())
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(before: Option<&str>, after: &str) -> FileDiff {
        FileDiff {
            host: HostName::new("a"),
            path: RemotePath::new("/etc/x"),
            before: before.map(str::to_owned),
            after: after.to_owned(),
            access_before: None,
            access: None,
        }
    }

    #[test]
    fn a_new_file_is_all_additions() {
        assert_eq!(unified(&file(None, "one\ntwo\n")), "--- /dev/null\n+++ /etc/x\n@@ -0,0 +1,2 @@\n+one\n+two\n");
    }

    #[test]
    fn a_missing_newline_at_the_end_is_told() {
        let text = unified(&file(Some("one"), "one\n"));
        assert_eq!(text, "--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-one\n\\ No newline at end of file\n+one\n");
    }
}
