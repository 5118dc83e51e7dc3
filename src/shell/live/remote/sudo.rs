//! What stands in the way to root, from sudo's own words and from what `sudo -n -l` lists.

use crate::core::code::Code;
use crate::core::names::HostName;
use crate::core::observed::Cause;

/// What `sudo -n -l` has said to the user who logs in, behind a line with that user's name.
#[derive(Debug, Default)]
pub(super) struct Listed {
    user: String,
    said: String,
}

/// Options that have sudo keep what passes through it, and the tags of a rule that do the same.
const RECORDING: [&str; 7] =
    ["log_input", "log_stdin", "log_ttyin", "log_output", "log_stdout", "LOG_INPUT:", "LOG_OUTPUT:"];

impl Listed {
    pub fn parse(text: &str) -> Self {
        let (user, said) = text.split_once('\n').unwrap_or_default();
        Self { user: user.trim().to_owned(), said: said.to_owned() }
    }

    fn user(&self) -> &str {
        if self.user.is_empty() { "USER" } else { &self.user }
    }

    /// Which of `words` is among the options and tags that hold for this user. One that is switched off has a `!`.
    fn has(&self, words: &[&'static str]) -> Option<&'static str> {
        let mut listed = self.said.split(|letter: char| letter == ',' || letter.is_whitespace());
        listed.find_map(|word| words.iter().find(|one| **one == word)).copied()
    }

    /// Which option or tag has sudo record what passes through it.
    pub fn records(&self) -> Option<&'static str> {
        self.has(&RECORDING)
    }
}

/// Root's rights were asked for and not given. `said`: by sudo, or by what it started.
pub(super) fn refused(host: &HostName, said: &str, listed: &Listed) -> Cause {
    let summary = format!("sudo on {host} refused: {said}");
    Cause { code: Code::Sudo, summary, hint: Some(way_out(said, listed)) }
}

fn way_out(said: &str, listed: &Listed) -> String {
    let user = listed.user();
    let option = |name: &str| {
        format!(
            "the option `{name}` of sudoers is in the way, not a password: add the line `Defaults:{user} !{name}` to \
             /etc/sudoers.d/quorate, behind the one that sets it; or log in as root"
        )
    };
    if said.contains("must have a tty") {
        return option("requiretty");
    }
    let has_run = !said.starts_with("sudo: ") || said.contains("Permission denied");
    match listed.has(&["noexec", "NOEXEC:"]) {
        Some("NOEXEC:") if has_run => {
            return format!(
                "the tag NOEXEC of the rule is in the way, not a password: `{user} ALL=(root) EXEC: NOPASSWD: ALL` as the \
                 last rule in /etc/sudoers.d/quorate; or log in as root"
            );
        }
        Some(name) if has_run => return option(name),
        _ => {}
    }
    // `sudo: setsid: command not found` is sudo's own, of what it was to run.
    let is_sudo_missing = said.contains("sudo: not found") || said.contains("sudo: command not found");
    if is_sudo_missing || (!said.starts_with("sudo: ") && said.contains("No such file")) {
        return "install sudo on the host, or log in as root".to_owned();
    }
    if said.contains("not allowed to execute") || said.contains("may not run") || said.contains("not in the sudoers") {
        return format!(
            "quorate runs scripts, so a rule for some programs is not enough: `{user} ALL=(root) NOPASSWD: ALL` in \
             /etc/sudoers.d/quorate; or log in as root"
        );
    }
    if said.contains("password is required") || said.contains("read the password") {
        return format!(
            "allow `{user}` to run everything without a password, for example `{user} ALL=(root) NOPASSWD: ALL` in \
             /etc/sudoers.d/quorate; or log in as root"
        );
    }
    format!("see on the host, as {user}, what `sudo -n -u root true` and `sudo -n -l` say; or log in as root")
}

/// sudo gave no answer for so long.
pub(super) fn slow(host: &HostName, after: &str, said: &str) -> Cause {
    let so_far = if said.is_empty() { "and said nothing".to_owned() } else { format!("and said so far: {said}") };
    let hint = "see how long `time sudo -n true` takes on the host: most often its own name does not resolve (put it into \
                /etc/hosts), or a directory service does not answer";
    let summary = format!("sudo on {host} took longer than {after}, {so_far}");
    Cause { code: Code::Sudo, summary, hint: Some(hint.to_owned()) }
}

/// sudo would have to be used for every command, and keeps what passes through it.
pub(super) fn recorded(host: &HostName, option: &str, why: &str, listed: &Listed) -> Cause {
    let user = listed.user();
    let summary = format!(
        "sudo on {host} records what passes through it (`{option}`), and keys would have to pass through it: {why}"
    );
    let hint = format!(
        "allow more sessions on a connection (MaxSessions in sshd_config, 10 by default): then sudo is asked once and no \
         key passes through it; or `Defaults:{user} !log_input, !log_output` in sudoers; or log in as root"
    );
    Cause { code: Code::Sudo, summary, hint: Some(hint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "ops\nMatching Defaults entries for ops on etcd-1:\n    env_reset, !log_output, use_pty,\n    \
                          secure_path=/usr/sbin\\:/usr/bin\n\nUser ops may run the following commands on etcd-1:\n    \
                          (ALL : ALL) NOPASSWD: ALL\n";

    #[track_caller]
    fn hints(said: &str, listed: &str, word: &str) {
        let cause = refused(&HostName::new("etcd-1"), said, &Listed::parse(listed));
        let hint = cause.hint.expect("there is one");
        assert!(hint.contains(word), "{said}: {hint}");
        assert_eq!(word.contains("NOPASSWD"), hint.contains("NOPASSWD"), "{said}: {hint}");
    }

    #[test]
    fn what_stands_in_the_way_is_named_with_the_line_that_changes_it() {
        hints("sudo: a password is required", LISTED, "ops ALL=(root) NOPASSWD: ALL");
        hints("sudo: a terminal is required to read the password", LISTED, "ops ALL=(root) NOPASSWD: ALL");
        hints("sudo: sorry, you must have a tty to run sudo", "", "Defaults:USER !requiretty");
        let noexec = LISTED.replace("use_pty", "noexec");
        hints("/usr/bin/env: 'sh': Permission denied", &noexec, "Defaults:ops !noexec");
        let tagged = LISTED.replace("NOPASSWD:", "NOEXEC: NOPASSWD:");
        hints("/usr/bin/env: 'sh': Permission denied", &tagged, "ops ALL=(root) EXEC: NOPASSWD: ALL");
        hints("Sorry, user ops is not allowed to execute '/usr/bin/env' as root", LISTED, "NOPASSWD: ALL");
        hints("sh: 1: exec: sudo: not found", "", "install sudo");
        hints("bash: line 1: sudo: command not found", "", "install sudo");
        hints("sudo: setsid: command not found", LISTED, "sudo -n -l");
        hints("sudo: unable to open the audit system", LISTED, "sudo -n -l");
    }

    #[test]
    fn sudo_records_only_what_it_is_told_to() {
        assert_eq!(Listed::parse(LISTED).records(), None);
        assert_eq!(Listed::parse(&LISTED.replace("use_pty", "log_input")).records(), Some("log_input"));
        assert_eq!(Listed::parse(&LISTED.replace("NOPASSWD:", "LOG_INPUT: NOPASSWD:")).records(), Some("LOG_INPUT:"));
    }
}
