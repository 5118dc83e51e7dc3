//! The closed language of scenarios: a text becomes lines, and a line that is none of them is an error.

use crate::core::names::HostName;
use crate::core::observed::DataDirectory;

/// A scenario without its goldens.
pub struct Script {
    /// The number of each line in the file, its text, and what it says.
    pub lines: Vec<(usize, String, Line)>,
}

pub enum Line {
    /// A comment, or nothing.
    Remark,
    Cluster(Cluster),
    Happens(Happening),
    /// In the middle of this step of the next apply.
    InStep(usize, InStep),
    Typed(Typed),
}

pub struct Cluster {
    pub healthy: bool,
    pub name: String,
    pub version: String,
    pub hosts: Vec<String>,
}

pub enum Happening {
    Declare(String),
    Undeclare(String),
    Kill(HostName),
    Revive(HostName),
    Replace(HostName),
    StopEtcd(HostName),
    HangEtcd(HostName),
    DeleteData(HostName),
    /// Of everything that is written there, which is on one disk of 100 GiB.
    Fill {
        host: HostName,
        free_mebibytes: u64,
    },
    /// By hand, from wherever it is.
    MoveData {
        host: HostName,
        to: String,
    },
    /// Of the member's data, only this goes.
    Lose {
        what: DataDirectory,
        host: HostName,
    },
    DeleteFile {
        file: String,
        host: HostName,
    },
    Edit {
        file: String,
        host: HostName,
        line: String,
    },
    /// An alarm, for a member or for nobody.
    Raise {
        kind: String,
        of: Option<HostName>,
    },
    Disarm,
    /// Its data becomes another, and nobody notices.
    Diverge(HostName),
    /// A finished snapshot of the cluster lies beside cluster.toml.
    Snapshot(String),
    /// What there is at an address that may be declared.
    Place {
        address: String,
        what: Place,
    },
    Pass {
        seconds: i64,
    },
}

#[derive(Clone, Copy)]
pub enum Place {
    BareMachine,
    Nobody,
    UnknownName,
}

pub enum InStep {
    KillQuorate,
    Happens(Happening),
}

/// What is typed at a prompt.
pub struct Typed {
    /// Without `# in full`.
    pub command: String,
    pub in_full: bool,
    pub fails: bool,
}

const GOLDEN_INDENT: &str = "    ";
const HOUR: i64 = 3600;

impl Script {
    /// # Errors
    /// The number of the first line that says nothing known, and what is wrong with it.
    pub fn read(text: &str) -> Result<Self, (usize, String)> {
        let mut lines = Vec::new();
        let mut blank = Vec::new();
        let mut in_golden = false;
        for (index, source) in text.lines().enumerate() {
            let number = index + 1;
            if source.is_empty() {
                blank.push((number, String::new(), Line::Remark));
                continue;
            }
            if source.starts_with(GOLDEN_INDENT) {
                if !in_golden {
                    return Err((number, "output stands under a command".to_owned()));
                }
                // Blank lines before it are of the same output.
                blank.clear();
                continue;
            }
            lines.append(&mut blank);
            let line = line(source).ok_or_else(|| (number, format!("unknown line: {source}\n{KNOWN}")))?;
            in_golden = matches!(line, Line::Typed(_));
            lines.push((number, source.to_owned(), line));
        }
        Ok(Self { lines })
    }
}

const KNOWN: &str = "known are `bare cluster`, `healthy cluster`, `declare`, `undeclare`, `kill`, `revive`, `replace`, \
                     `stop etcd on`, `hang etcd on`, `raise`, `disarm alarms`, `diverge`, `move data of`, `delete`, `disk of`, `unmount`, `edit`, `keep snapshot`, `bare machine at`, `nobody at`, `unknown name`, `pass`, `in step N:`, `$ quorate` and `! quorate`: \
                     see src/laws/scenarios/mod.rs";

fn line(source: &str) -> Option<Line> {
    if source.starts_with('#') {
        return Some(Line::Remark);
    }
    if let Some(command) = source.strip_prefix("$ ") {
        return typed(command, false);
    }
    if let Some(command) = source.strip_prefix("! ") {
        return typed(command, true);
    }
    if let Some(rest) = source.strip_prefix("in step ") {
        let (step, what) = rest.split_once(": ")?;
        let what = match what {
            "kill quorate" => InStep::KillQuorate,
            _ => InStep::Happens(on_machines(what)?),
        };
        return Some(Line::InStep(step.parse().ok()?, what));
    }
    if let Some(cluster) = cluster(source) {
        return Some(Line::Cluster(cluster));
    }
    elsewhere(source).or_else(|| on_machines(source)).map(Line::Happens)
}

fn typed(command: &str, fails: bool) -> Option<Line> {
    let (command, in_full) = match command.strip_suffix("# in full") {
        Some(command) => (command.trim_end(), true),
        None => (command, false),
    };
    command.starts_with("quorate ").then(|| Line::Typed(Typed { command: command.to_owned(), in_full, fails }))
}

fn cluster(source: &str) -> Option<Cluster> {
    let words: Vec<_> = source.split(' ').collect();
    let [how, "cluster", name, version, hosts @ ..] = words.as_slice() else { return None };
    let healthy = match *how {
        "healthy" => true,
        "bare" => false,
        _ => return None,
    };
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    Some(Cluster { healthy, name: (*name).to_owned(), version: (*version).to_owned(), hosts })
}

/// What happens to cluster.toml and to the time of day.
fn elsewhere(source: &str) -> Option<Happening> {
    let (verb, rest) = source.split_once(' ')?;
    match verb {
        "declare" => Some(Happening::Declare(rest.to_owned())),
        "undeclare" => Some(Happening::Undeclare(rest.to_owned())),
        "pass" => {
            let (count, unit) = rest.split_once(' ')?;
            let unit = match unit {
                "days" => 24 * HOUR,
                "hours" => HOUR,
                _ => return None,
            };
            Some(Happening::Pass { seconds: count.parse::<i64>().ok()?.checked_mul(unit)? })
        }
        _ => None,
    }
}

fn on_machines(source: &str) -> Option<Happening> {
    if let Some(rest) = source.strip_prefix("edit ") {
        let (file, rest) = rest.split_once(" on ")?;
        let (host, line) = rest.split_once(": ")?;
        return Some(Happening::Edit { file: file.to_owned(), host: HostName::new(host), line: line.to_owned() });
    }
    let words: Vec<_> = source.split(' ').collect();
    match words.as_slice() {
        ["kill", host] => Some(Happening::Kill(HostName::new(*host))),
        ["revive", host] => Some(Happening::Revive(HostName::new(*host))),
        ["replace", host] => Some(Happening::Replace(HostName::new(*host))),
        ["stop", "etcd", "on", host] => Some(Happening::StopEtcd(HostName::new(*host))),
        ["hang", "etcd", "on", host] => Some(Happening::HangEtcd(HostName::new(*host))),
        ["raise", kind, "for", "nobody"] => Some(Happening::Raise { kind: (*kind).to_owned(), of: None }),
        ["raise", kind, "for", host] => {
            Some(Happening::Raise { kind: (*kind).to_owned(), of: Some(HostName::new(*host)) })
        }
        ["bare", "machine", "at", address] => {
            Some(Happening::Place { address: (*address).to_owned(), what: Place::BareMachine })
        }
        ["nobody", "at", address] => Some(Happening::Place { address: (*address).to_owned(), what: Place::Nobody }),
        ["unknown", "name", address] => {
            Some(Happening::Place { address: (*address).to_owned(), what: Place::UnknownName })
        }
        ["keep", "snapshot", name] => Some(Happening::Snapshot((*name).to_owned())),
        ["disarm", "alarms"] => Some(Happening::Disarm),
        ["move", "data", "of", host, "to", to] => {
            Some(Happening::MoveData { host: HostName::new(*host), to: (*to).to_owned() })
        }
        ["diverge", host] => Some(Happening::Diverge(HostName::new(*host))),
        ["disk", "of", host, "is", percent, "full"] => {
            let percent = percent.strip_suffix('%')?.parse().ok().filter(|percent: &u64| *percent <= 100)?;
            Some(Happening::Fill { host: HostName::new(*host), free_mebibytes: (100 - percent) * 1024 })
        }
        ["disk", "of", host, "has", free, "MiB", "free"] => {
            Some(Happening::Fill { host: HostName::new(*host), free_mebibytes: free.parse().ok()? })
        }
        ["delete", "data", "of", host] => Some(Happening::DeleteData(HostName::new(*host))),
        ["delete", what @ ("log" | "database"), "of", host] => {
            let what = if *what == "log" { DataDirectory::NoLog } else { DataDirectory::NoDatabase };
            Some(Happening::Lose { what, host: HostName::new(*host) })
        }
        ["unmount", "data", "of", host] => {
            Some(Happening::Lose { what: DataDirectory::NotMounted, host: HostName::new(*host) })
        }
        ["delete", file, "of", host] => {
            Some(Happening::DeleteFile { file: (*file).to_owned(), host: HostName::new(*host) })
        }
        _ => None,
    }
}
