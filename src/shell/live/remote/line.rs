//! The one line that every login shell is given, and what comes on stdin behind it.
//!
//! ```text
//! login shell ─ env -i ─ sh ◄─ one line of script, and then what that reads: 412 bytes of another script, its data
//! ```
//!
//! sh, csh, fish and all others read this line alike: no newline, no `!`, which csh takes for its history in quotes, too,
//! and within its single quotes neither a quote nor a backslash, which fish takes for itself. What is done stands on stdin
//! alone: sudo logs command lines, and shells differ in what they make of a long one.
//!
//! Nothing of the session's environment goes on. /etc/environment, PAM, sudoers and login scripts give every session
//! variables that change what programs do: `ETCDCTL_ENDPOINTS`, `TAR_OPTIONS`, `SYSTEMD_LOG_LEVEL`, a proxy.

use std::borrow::Cow;

use zeroize::Zeroizing;

use crate::shell::live::ssh::{Line, Stdin};

/// Reads a line, and runs it; one without its end is not begun. A shell that reads its own script reads ahead, and `read`
/// takes bytes one by one, so that the rest is left.
macro_rules! reader {
    () => {
        r#"read -r s && eval "$s""#
    };
}

/// A shell that reads its script from stdin and has nothing of the environment that it is started in.
macro_rules! clean_shell {
    () => {
        concat!(
            "/usr/bin/env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC HOME=/root sh -c '",
            $crate::shell::live::remote::line::reader!(),
            "'"
        )
    };
}

pub(super) use {clean_shell, reader};

/// What a login shell runs, whatever is done.
const LINE: &str = concat!("exec ", clean_shell!());

/// The line, under the name of what is done.
pub(super) fn line(what: &str) -> Line {
    Line { text: LINE.to_owned(), name: Some(what.to_owned()) }
}

/// One word of a shell's command line.
pub fn quoted(word: &str) -> String {
    // It refuses only a NUL, and none of our words holds one.
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned)
}

/// A script that knows its arguments.
pub fn with_arguments<S: AsRef<str>>(script: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let mut text = "set --".to_owned();
    for argument in arguments {
        text.push(' ');
        text.push_str(&quoted(argument.as_ref()));
    }
    format!("{text}\n{script}")
}

/// A script as [`reader`] takes it. One that did not arrive whole is not begun; head takes no more than it is told.
pub(super) fn packed(script: &str) -> String {
    // The shell drops newlines at the end of what it has read, and would find it too short.
    let script = script.trim_end_matches('\n');
    format!("s=$(head -c {0}) && [ \"${{#s}}\" = {0} ] && eval \"$s\"\n{script}", script.len())
}

/// A short one as [`reader`] takes it, for which no program need be started. Its lines are such that a space may stand
/// between them.
pub(super) fn one_line(script: &str) -> String {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.collect::<Vec<_>>().join(" ") + "\n"
}

/// Scripts, and then what the last of them reads.
pub(super) fn before(scripts: String, stdin: Stdin) -> Stdin {
    match stdin {
        Stdin::Empty => Stdin::Bytes(Zeroizing::new(scripts.into_bytes())),
        Stdin::Bytes(body) => Stdin::Bytes(joined(&scripts, &body)),
        Stdin::Open(body) => Stdin::Open(joined(&scripts, &body)),
        Stdin::Reader { reader, progress } => {
            let reader = Box::new(std::io::Read::chain(std::io::Cursor::new(scripts), reader));
            Stdin::Reader { reader, progress }
        }
    }
}

fn joined(scripts: &str, body: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut both = Zeroizing::new(Vec::with_capacity(scripts.len() + body.len()));
    both.extend_from_slice(scripts.as_bytes());
    both.extend_from_slice(body);
    both
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// What the line prints when a shell runs it with `stdin` and `variables`; `None` where there is no such shell.
    fn run_by(shell: &str, variables: &[(&str, &str)], stdin: &[u8]) -> Option<String> {
        let mut command = Command::new(shell);
        command.args(["-c", LINE]).envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        child.stdin.take().expect("piped").write_all(stdin).expect("it reads");
        Some(String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text"))
    }

    #[test]
    fn no_shell_has_anything_to_read_in_it_in_its_own_way() {
        assert!(!LINE.contains(['!', '\n', '\\']), "{LINE}");
        assert_eq!(LINE.matches('\'').count(), 2, "{LINE}");
        let (outside, inside) = LINE.split_once('\'').expect("it is quoted");
        assert!(outside.chars().all(|letter| letter.is_ascii_alphanumeric() || " /:=_-".contains(letter)), "{outside}");
        assert!(inside.ends_with('\''), "{inside}");
    }

    #[test]
    fn every_shell_runs_it() {
        let script = with_arguments("echo \"$2!\"; cat", ["one", "it's $HOME\n!x"]);
        let stdin = format!("{}body\n", packed(&script));
        for shell in ["sh", "dash", "bash", "zsh", "ksh", "mksh", "tcsh", "csh", "fish"] {
            if let Some(said) = run_by(shell, &[], stdin.as_bytes()) {
                assert_eq!(said, "it's $HOME\n!x!\nbody\n", "{shell}");
            }
        }
    }

    #[test]
    fn nothing_of_the_session_comes_through() {
        let variables = [("ETCDCTL_ENDPOINTS", "http://x"), ("BASH_ENV", "/nowhere"), ("LC_ALL", "tr_TR.UTF-8")];
        let said = run_by("sh", &variables, packed("env").as_bytes()).expect("there is a sh");
        let mut names: Vec<_> = said.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        // Some shells set these themselves.
        names.retain(|name| !["_", "PWD", "OLDPWD", "SHLVL"].contains(name));
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TZ"]);
        assert!(said.contains("LC_ALL=C\n"), "{said}");
    }

    #[test]
    fn a_script_is_whole_or_not_begun() {
        let script = packed("echo begun; true");
        assert_eq!(run_by("sh", &[], script.as_bytes()).as_deref(), Some("begun\n"));
        assert_eq!(run_by("sh", &[], &script.as_bytes()[..script.len() - 1]).as_deref(), Some(""));
        assert_eq!(run_by("sh", &[], b"").as_deref(), Some(""));
        assert_eq!(run_by("sh", &[], packed("echo begun\n\n").as_bytes()).as_deref(), Some("begun\n"));
        // Bytes are counted, not letters.
        assert_eq!(run_by("sh", &[], packed("echo 'é'").as_bytes()).as_deref(), Some("é\n"));
    }

    #[test]
    fn a_word_stays_one_word_in_any_shell() {
        for word in ["", "plain", "two words", "it's", "$HOME `id` \"x\" \\", "-n", "a\nb", "!", "*"] {
            let output = Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))).output();
            assert_eq!(output.expect("there is a sh").stdout, word.as_bytes(), "{word:?}");
        }
    }
}
