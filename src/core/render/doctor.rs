//! What `quorate doctor` found, as lines for people and a document for programs.

use crate::core::render::pretty;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::cluster::checkup::{self, Outcome, Verdict};
use crate::core::count::count;
use crate::core::desired::Desired;
use crate::core::names::{ClusterName, HostName};
use crate::core::observed::checkup::Checkup;
use crate::core::observed::{Observed, Seen};
use crate::core::render::clean;
use crate::core::render::json::rfc3339;
use crate::core::render::palette::Palette;

/// What `doctor --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate doctor")]
pub struct Document {
    pub format_version: u64,
    pub cluster: ClusterName,
    /// RFC 3339, in UTC.
    pub at: String,
    /// Whether every host was reached and everything there could be looked at.
    pub complete: bool,
    /// The declared hosts.
    pub hosts: Vec<HostOutcomes>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostOutcomes {
    pub host: HostName,
    pub checks: Vec<Outcome>,
}

impl Document {
    fn all(&self) -> impl Iterator<Item = &Outcome> {
        self.hosts.iter().flat_map(|host| &host.checks)
    }

    /// Whether there is something to mend.
    pub fn is_well(&self) -> bool {
        self.all().all(|outcome| !matches!(outcome.verdict, Verdict::Warning | Verdict::Problem))
    }
}

/// The document of what was found on every declared host.
pub fn document(desired: &Desired, observed: &Observed, checkups: &BTreeMap<HostName, Seen<Checkup>>) -> Document {
    let hosts = checkups.iter().map(|(name, checkup)| HostOutcomes {
        host: name.clone(),
        checks: match checkup {
            Seen::Known(checkup) => checkup::findings(desired, observed, name, checkup),
            Seen::Unknown(cause) => checkup::unreachable(cause),
        },
    });
    let hosts: Vec<_> = hosts.collect();
    let is_unknown = |host: &HostOutcomes| host.checks.iter().any(|outcome| outcome.verdict == Verdict::Unknown);
    Document {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        at: rfc3339(observed.at),
        complete: checkups.values().all(|checkup| checkup.known().is_some()) && !hosts.iter().any(is_unknown),
        hosts,
    }
}

/// The document as text, indented, with a newline at its end.
pub fn json(document: &Document) -> String {
    pretty(document)
}

/// A line for each check. Ends with a newline.
pub fn text(document: &Document, palette: Palette) -> String {
    let mut out = String::new();
    let Palette { heading, .. } = palette;
    let _ = writeln!(out, "{heading}cluster {}:{heading:#} {}", document.cluster, summary(document));
    let width = document.all().map(|outcome| outcome.check.as_str().len()).max().unwrap_or(0);
    for HostOutcomes { host, checks } in &document.hosts {
        let _ = writeln!(out, "\n{heading}{host}{heading:#}");
        for Outcome { check, verdict, seen, fix } in checks {
            let (word, style) = match verdict {
                Verdict::Ok => ("ok", palette.good),
                Verdict::Warning => ("WARNING", palette.changed),
                Verdict::Problem => ("PROBLEM", palette.code),
                Verdict::Unknown => ("UNKNOWN", palette.changed),
            };
            let _ = writeln!(out, "  {style}{word:7}{style:#}  {:width$}  {}", check.as_str(), clean(seen));
            if let Some(fix) = fix {
                let _ = writeln!(out, "           {:width$}  fix: {}", "", clean(fix));
            }
        }
    }
    out
}

fn summary(document: &Document) -> String {
    let of = |verdict| document.all().filter(|outcome| outcome.verdict == verdict).count();
    let counted: Vec<_> = [(Verdict::Problem, "problem"), (Verdict::Warning, "warning")]
        .into_iter()
        .filter(|(verdict, _)| of(*verdict) > 0)
        .map(|(verdict, noun)| count(of(verdict), noun))
        .collect();
    let found = if counted.is_empty() { "all is well".to_owned() } else { counted.join(", ") };
    let checks = format!("{} on {}", count(document.all().count(), "check"), count(document.hosts.len(), "host"));
    match of(Verdict::Unknown) {
        0 => format!("{found} ({checks})"),
        unknown if counted.is_empty() => format!("{unknown} unknown, the rest is well ({checks})"),
        unknown => format!("{found}, {unknown} unknown ({checks})"),
    }
}
