//! What systemd says of the unit: etcd's, or the kubelet's where that runs etcd.

use std::collections::BTreeSet;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, account, missing, pod};
use crate::core::content::layout;
use crate::core::desired::Runtime;
use crate::core::names::RemotePath;
use crate::core::observed::{Ended, Restricted, Restriction, Service, ServiceState};

pub(super) struct Look;

impl Section for Look {
    /// Without what its log says.
    type Fact = Service;

    const SHELL: &'static str = include_str!("unit.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_service", of.desired.paths.service.clone()), ("q_account", account::declared(of))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Service, Trouble> {
        if of.desired.cluster.runtime == Runtime::StaticPod {
            return Ok(pod::service(of, answer));
        }
        let said = |key: &str| answer.value("unit", key);
        let state = match said("ActiveState") {
            Some("inactive") => ServiceState::Inactive,
            Some("activating") => ServiceState::Activating,
            // On its way out it still serves; the next look will tell.
            Some("active" | "reloading" | "refreshing" | "deactivating") => ServiceState::Active,
            Some("failed" | "maintenance") => ServiceState::Failed,
            _ => return Err(missing("the state of the service")),
        };
        let drop_ins = said("DropInPaths").unwrap_or_default().split_whitespace();
        let unread = answer.values("unit", "drop-in-unread");
        let settings: Vec<_> = answer.values("unit", "drop-in").filter_map(|line| line.split_once(' ')).collect();
        let drop_in = |path: &str| {
            let settings = settings.iter().filter(|(of, _)| *of == path).map(|(_, key)| key.trim().to_owned());
            (RemotePath::new(path), settings.collect::<BTreeSet<_>>())
        };
        // Without any, our unit does only what it says, which is known; another's is replaced.
        let is_ours = said("FragmentPath") == Some(of.desired.paths.unit().as_str());
        let is_adopted = of.desired.cluster.layout.is_adopted();
        let is_changed = is_adopted || is_ours && drop_ins.clone().next().is_some();
        let restrictions = if is_changed { restrictions(said) } else { Vec::new() };
        let runs_as = match is_adopted {
            true => said("account").map(str::to_owned),
            false => said("User").filter(|user| is_changed && *user != layout::ACCOUNT).map(str::to_owned),
        };
        Ok(Service {
            state,
            enabled: said("UnitFileState") == Some("enabled"),
            needs_reload: said("NeedDaemonReload") == Some("yes"),
            drop_ins: drop_ins.chain(unread).filter(|path| !is_for_all(path)).map(drop_in).collect(),
            restrictions,
            runs_as,
            complaint: None,
            ended: ended(said, answer),
        })
    }
}

/// Whether it has failed, or is about to be started again.
pub(super) fn is_over<'a>(said: impl Fn(&str) -> Option<&'a str>) -> bool {
    said("ActiveState") == Some("failed") || said("SubState").is_some_and(|state| state.starts_with("auto-restart"))
}

/// How the last process ended, of a unit that has failed or is about to be started again: etcd's, or that of a command that a
/// drop-in has run before it.
fn ended<'a>(said: impl Fn(&str) -> Option<&'a str>, answer: &Answer<'_>) -> Option<Ended> {
    if !is_over(&said) {
        return None;
    }
    let number = |key: &str| said(key).and_then(|text| text.parse::<u64>().ok());
    let Some(pid) = number("ExecMainPID").and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0) else {
        return failed_before(answer).map(|before| Ended { pid: before.pid, ran_ms: None });
    };
    // In microseconds since the host was started; 0 of what has not happened.
    let at = |key| number(key).filter(|at| *at != 0);
    let ran = at("ExecMainExitTimestampMonotonic").zip(at("ExecMainStartTimestampMonotonic"));
    let ran_ms = ran.and_then(|(end, begin)| Some(end.checked_sub(begin)? / 1000));
    Some(Ended { pid, ran_ms })
}

/// A command before etcd that failed.
pub(super) struct Before {
    pub pid: u32,
    pub program: String,
    /// `exited with status 3`
    pub how: String,
}

/// Of a start that has not come to etcd.
///
/// `ExecStartPre={ path=/bin/x ; argv[]=… ; ignore_errors=no ; … ; pid=20 ; code=exited ; status=3 }`, one line a command.
pub(super) fn failed_before(answer: &Answer<'_>) -> Option<Before> {
    if answer.value("unit", "ExecMainPID") != Some("0") {
        return None;
    }
    let failed = |line: &str| {
        let value =
            |key: &str| Some(line.rsplit_once(&format!("{key}="))?.1.split(" ;").next()?.trim_end_matches(" }"));
        let path = line.split_once("path=")?.1.split(" ;").next()?;
        let status = value("; status")?.split('/').next()?;
        let how = match value("; code")? {
            "exited" if status != "0" => format!("exited with status {status}"),
            "killed" | "dumped" => format!("was ended by signal {status}"),
            _ => return None,
        };
        Some(Before { pid: value("; pid")?.parse().ok().filter(|pid| *pid != 0)?, program: path.to_owned(), how })
    };
    answer.values("unit", "ExecStartPre").filter_map(failed).last()
}

/// What the unit takes from etcd together with its drop-ins. Source: systemd.exec(5).
fn restrictions<'a>(said: impl Fn(&str) -> Option<&'a str>) -> Vec<Restriction> {
    const HOMES: &[&str] = &["/home", "/root", "/run/user"];
    let mut found = Vec::new();
    let mut add = |effect: Restricted, paths: &[&str], line: String| {
        let of = |path: &&str| Restriction { effect, path: RemotePath::new(*path), line: line.clone() };
        found.extend(paths.iter().map(of));
    };
    for (key, effect, values) in [
        ("ProtectHome", Restricted::Hidden, [("yes", HOMES), ("tmpfs", HOMES), ("", &[])]),
        ("ProtectHome", Restricted::ReadOnly, [("read-only", HOMES), ("", &[]), ("", &[])]),
        (
            "ProtectSystem",
            Restricted::ReadOnly,
            [("yes", &["/usr", "/boot"]), ("full", &["/usr", "/boot", "/etc"]), ("strict", &["/"])],
        ),
    ] {
        for (value, paths) in values {
            if said(key) == Some(value) {
                add(effect, paths, format!("{key}={value}"));
            }
        }
    }
    for (key, effect) in [
        ("InaccessiblePaths", Restricted::Hidden),
        ("TemporaryFileSystem", Restricted::Hidden),
        ("ReadOnlyPaths", Restricted::ReadOnly),
        ("ReadWritePaths", Restricted::Writable),
        ("BindPaths", Restricted::Writable),
        ("StateDirectory", Restricted::Writable),
        ("NoExecPaths", Restricted::NoExec),
        ("ExecPaths", Restricted::Exec),
    ] {
        for word in said(key).unwrap_or_default().split_whitespace() {
            let path = word.trim_start_matches(['-', '+']);
            let path = match key {
                "BindPaths" => path.split(':').nth(1).unwrap_or(path).to_owned(),
                "StateDirectory" => format!("/var/lib/{path}"),
                _ => path.split(':').next().unwrap_or(path).to_owned(),
            };
            add(effect, &[path.as_str()], format!("{key}={word}"));
        }
    }
    found
}

/// A distribution's own drop-in for every service (Fedora has one) says nothing about ours.
fn is_for_all(drop_in: &str) -> bool {
    ["/usr/lib/systemd/system/service.d/", "/lib/systemd/system/service.d/"].iter().any(|all| drop_in.starts_with(all))
}
