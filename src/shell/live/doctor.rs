//! A check-up of every host: what a plan does not ask, and what an operator would ask one host after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Live;
use super::cause;
use super::hosts::Hosts;
use super::probe::{Subject, checkup};
use super::remote::Remote;
use crate::core::code::Code;
use crate::core::names::HostName;
use crate::core::observed::checkup::{Checkup, Login, LoginAccount, Sudo, SudoOption};
use crate::core::observed::{Cause, Seen};

const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// For sudo to say what it allows: lookups that run out of time take long.
const ACCOUNT_DEADLINE: Duration = Duration::from_secs(60);

impl Live {
    /// Looks at every declared host at once. It changes nothing; with `measures_disk`, a scratch file is written beside the
    /// data directory, and removed again.
    pub async fn check_up(&self, measures_disk: bool) -> BTreeMap<HostName, Seen<Checkup>> {
        let look = |hosts: Arc<Hosts>, host: HostName| async move { of_host(&hosts, &host, measures_disk).await };
        self.hosts.each(look).await
    }
}

async fn of_host(hosts: &Hosts, host: &HostName, measures_disk: bool) -> Seen<Checkup> {
    let begun = Instant::now();
    let remote = match hosts.on(host).await {
        Ok(remote) => remote,
        Err(cause) => return Seen::Unknown(cause),
    };
    let connected_ms = since(begun);
    let begun = Instant::now();
    if let Err(error) = remote.connection.exec("exit 0", "", ANSWER_DEADLINE).await {
        return Seen::Unknown(cause::of_call(host, "running a command", &error));
    }
    let login = Login { typed: remote.connection.typed().to_owned(), connected_ms, answered_ms: since(begun) };
    // Who it is and what sudo does comes first: where sudo takes long, all that follows does.
    let account = account(&remote).await;
    let of = Subject { desired: &hosts.desired, host };
    let (names, clock, network, ways, journal) = tokio::join!(
        checkup::names(&remote, &of),
        checkup::clock(&remote, &of),
        checkup::network(&remote, &of),
        checkup::ways(&remote, &of),
        checkup::journal(&remote, &of),
    );
    // Alone: what else runs would be measured with it.
    let disk = checkup::disk(&remote, &of, measures_disk).await;
    Seen::Known(Checkup { login, account, names, clock, network, ways, disk, journal })
}

fn since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn account(remote: &Remote) -> Seen<LoginAccount> {
    let what = "asking who commands are run as";
    let (chatter, said) = match remote.as_user(what, include_str!("script/login.sh"), ACCOUNT_DEADLINE).await {
        Ok(said) => said,
        Err(error) => return Seen::Unknown(error.cause(&remote.host, what)),
    };
    match read_account(&said, chatter) {
        Some(account) => Seen::Known(account),
        None => {
            let summary = format!("{what} on {} failed: its answer is unreadable", remote.host);
            Seen::Unknown(Cause { code: Code::ProbeFailed, summary, hint: None })
        }
    }
}

fn read_account(said: &str, chatter: String) -> Option<LoginAccount> {
    let value = |key: &str| said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let sudo = value("sudo-status").map(|status| {
        let words =
            |prefix| -> Vec<_> { said.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::trim).collect() };
        let (words, listed) = (words("sudo: "), words("listed: "));
        let is_allowed = status == "0";
        // What it complains of, where it went on all the same.
        let said = words.iter().filter(|line| !line.is_empty() && (!is_allowed || line.starts_with("sudo: ")));
        let said = said.copied().collect::<Vec<_>>().join("; ");
        Some(Sudo { took_ms: value("sudo-ms")?.parse().ok()?, is_allowed, options: options(&listed), said })
    });
    Some(LoginAccount {
        user: value("user")?.to_owned(),
        shell: value("shell")?.to_owned(),
        chatter,
        sudo: match sudo {
            Some(sudo) => Some(sudo?),
            None => None,
        },
    })
}

/// Of the words of `sudo -l`: the options of `Defaults`, and the tags of commands.
fn options(words: &[&str]) -> BTreeSet<SudoOption> {
    let words = words.iter().flat_map(|line| line.split([' ', ',', ':', '\t']));
    let option = |word: &str| {
        Some(match word.to_ascii_lowercase().as_str() {
            "log_input" => SudoOption::LogInput,
            "log_output" => SudoOption::LogOutput,
            "noexec" => SudoOption::NoExec,
            "requiretty" => SudoOption::RequireTty,
            _ => return None,
        })
    };
    words.filter_map(option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sudo_is_told_is_found_in_its_own_list() {
        let said = "user=ops\nshell=/bin/tcsh\nsudo-status=0\nsudo-ms=20031\n\
                    sudo: sudo: unable to resolve host etcd-1: Name or service not known\n\
                    listed: Matching Defaults entries for ops on etcd-1:\n\
                    listed:     env_reset, !requiretty, secure_path=/usr/sbin\\:/usr/bin, log_input\n\
                    listed: User ops may run the following commands on etcd-1:\n\
                    listed:     (root) NOPASSWD: NOEXEC: ALL\n";
        let account = read_account(said, "Welcome".to_owned()).expect("it is an answer");
        let sudo = account.sudo.expect("it was asked");
        assert!(sudo.is_allowed);
        assert_eq!(sudo.took_ms, 20_031);
        assert_eq!(sudo.options, BTreeSet::from([SudoOption::LogInput, SudoOption::NoExec]));
        assert_eq!(sudo.said, "sudo: unable to resolve host etcd-1: Name or service not known");
    }

    #[test]
    fn a_password_that_is_required_is_told_in_sudos_words() {
        let said = "user=ops\nshell=/bin/sh\nsudo-status=1\nsudo-ms=9\nsudo: sudo: a password is required\n";
        let sudo = read_account(said, String::new()).and_then(|account| account.sudo).expect("it was asked");
        assert!(!sudo.is_allowed);
        assert_eq!(sudo.said, "sudo: a password is required");
    }

    /// sudo lists without a password as soon as one rule needs none, whatever the others ask for.
    #[test]
    fn what_may_be_listed_may_not_be_run() {
        let said = "user=ops\nshell=/bin/sh\nsudo-status=1\nsudo-ms=9\nsudo: sudo: a password is required\n\
                    listed: User ops may run the following commands on etcd-1:\n\
                    listed:     (root) NOPASSWD: /bin/systemctl\n";
        let sudo = read_account(said, String::new()).and_then(|account| account.sudo).expect("it was asked");
        assert_eq!((sudo.is_allowed, sudo.said.as_str()), (false, "sudo: a password is required"));
    }

    #[test]
    fn root_needs_none() {
        let account = read_account("user=root\nshell=/bin/bash\n", String::new()).expect("it is an answer");
        assert_eq!(account.sudo, None);
        assert_eq!(read_account("shell=/bin/bash\n", String::new()), None);
    }
}
