//! Unified diffs of the files that a plan writes, each distinct one once.

use similar::TextDiff;

use crate::core::names::{Digest, HostName, RemotePath};
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
    /// Unified, with its two header lines: of the first host. Where others have another name or address in its place, that is
    /// in `‹›`.
    pub text: String,
    /// Whether there is something in `‹›`.
    pub is_marked: bool,
    /// The digests of what is written, one a host, in their order.
    pub digests: Vec<Digest>,
    /// How many lines the file has.
    pub lines: usize,
}

/// In the order of the plan. Files that differ elsewhere (each names its own host) still share one diff when what
/// changes, and the lines around it, are the same but for the host's own name and address.
pub fn shared(plan: &Plan) -> Vec<SharedDiff> {
    let mut shared: Vec<(SharedDiff, String)> = Vec::new();
    let own = |host: &HostName| Own { name: host.to_string(), address: plan.addresses.get(host).cloned() };
    for file in plan.steps.iter().flat_map(|step| &step.diffs) {
        let text = unified(file);
        let (access, is_new) = (access(file), file.before.is_none());
        let alike = shared.iter_mut().find_map(|(diff, first)| {
            let is_alike = diff.path == file.path && diff.is_new == is_new && diff.access == access;
            let marked = is_alike.then(|| marked(&diff.text, first, &own(&diff.hosts[0]), &text, &own(&file.host)));
            Some((diff, marked.flatten()?))
        });
        let digest = Digest::of(&file.after);
        if let Some((diff, marked)) = alike {
            diff.is_marked |= marked != diff.text;
            diff.text = marked;
            diff.hosts.push(file.host.clone());
            diff.digests.push(digest);
            continue;
        }
        let diff = SharedDiff {
            path: file.path.clone(),
            hosts: vec![file.host.clone()],
            is_new,
            access,
            text: text.clone(),
            is_marked: false,
            digests: vec![digest],
            lines: file.after.lines().count(),
        };
        shared.push((diff, text));
    }
    shared.into_iter().map(|(diff, _)| diff).collect()
}

/// What a text of a host has of its own.
struct Own {
    name: String,
    address: Option<String>,
}

impl Own {
    /// `line` with the host's own words as `mark` makes them.
    fn with(&self, line: &str, mark: impl Fn(&str, &str) -> String) -> String {
        let mut text = replaced(line, &self.name, &mark("name", &self.name));
        if let Some(address) = self.address.as_ref().filter(|address| **address != self.name) {
            text = replaced(&text, address, &mark("address", address));
        }
        text
    }
}

/// `shown` (the first host's text, as far as it is marked by now) with marks where the two differ in their own words; `None`
/// where they differ in more.
fn marked(shown: &str, first: &str, own: &Own, other: &str, others: &Own) -> Option<String> {
    if first.lines().count() != other.lines().count() {
        return None;
    }
    // No text has it: a file is written as text, without control characters.
    let neutral = |what: &str, _: &str| format!("\u{1}{what}\u{1}");
    let mut text = String::with_capacity(shown.len());
    for ((shown, first), other) in shown.split_inclusive('\n').zip(first.lines()).zip(other.lines()) {
        if first == other {
            text.push_str(shown);
        } else if own.with(first, neutral) == others.with(other, neutral) {
            let end = if shown.ends_with('\n') { "\n" } else { "" };
            text.push_str(&own.with(first, |_, word| format!("‹{word}›")));
            text.push_str(end);
        } else {
            return None;
        }
    }
    Some(text)
}

/// Whole words only: `etcd-1` is no part of `etcd-10`.
pub(super) fn replaced(line: &str, word: &str, by: &str) -> String {
    let is_of_word = |character: char| character.is_alphanumeric() || "-_.".contains(character);
    let mut text = String::with_capacity(line.len());
    let mut rest = 0;
    for (at, _) in line.match_indices(word) {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        if at < rest || before.is_some_and(is_of_word) || after.is_some_and(is_of_word) {
            continue;
        }
        text.push_str(&line[rest..at]);
        text.push_str(by);
        rest = at + word.len();
    }
    text + &line[rest..]
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

    fn own(name: &str, address: &str) -> Own {
        Own { name: name.to_owned(), address: Some(address.to_owned()) }
    }

    #[test]
    fn texts_that_differ_in_own_words_are_one_and_these_are_marked() {
        let text = |name: &str, address: &str, quota: u8| {
            format!("+name: {name}\n+url: https://{address}:2379\n+all: a-1=10.0.0.1,a-2=10.0.0.11\n+quota: {quota}\n")
        };
        let (one, two) = (text("a-1", "10.0.0.1", 8), text("a-2", "10.0.0.11", 8));
        let shown = marked(&one, &one, &own("a-1", "10.0.0.1"), &two, &own("a-2", "10.0.0.11"));
        let expected = "+name: ‹a-1›\n+url: https://‹10.0.0.1›:2379\n+all: a-1=10.0.0.1,a-2=10.0.0.11\n+quota: 8\n";
        assert_eq!(shown.as_deref(), Some(expected));
        // What else differs is no word of its own.
        let other = text("a-2", "10.0.0.11", 9);
        assert_eq!(marked(&one, &one, &own("a-1", "10.0.0.1"), &other, &own("a-2", "10.0.0.11")), None);
        let strange = text("a-3", "10.0.0.11", 8);
        assert_eq!(marked(&one, &one, &own("a-1", "10.0.0.1"), &strange, &own("a-2", "10.0.0.11")), None);
    }

    #[test]
    fn only_whole_words_are_own() {
        assert_eq!(replaced("a-1 a-10 xa-1 a-1.b [a-1]:2 a-1", "a-1", "N"), "N a-10 xa-1 a-1.b [N]:2 N");
    }
}
