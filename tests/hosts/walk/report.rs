//! What a walk did and what its writer met, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::traffic::Tally;

/// One line of the report: all transitions of one kind.
#[derive(Default)]
struct Line {
    count: usize,
    kills: usize,
    tally: Tally,
    /// Failed writes of transitions during which the cluster, or one of its members, was meant to be away.
    excused: usize,
}

#[derive(Default)]
pub struct Report {
    lines: BTreeMap<String, Line>,
    /// One line a transition, in their order.
    trail: Vec<String>,
    /// What must not have happened and did not end the walk.
    pub problems: Vec<String>,
}

impl Report {
    /// Notes one transition. `excused`: writes may fail meanwhile.
    pub fn note(&mut self, kind: &str, detail: &str, kills: &[String], tally: &Tally, excused: bool, took: Duration) {
        let line = self.lines.entry(kind.to_owned()).or_default();
        line.count += 1;
        line.kills += kills.len();
        if excused {
            line.excused += tally.failed;
            line.tally.add(&Tally { failed: 0, ..tally.clone() });
        } else {
            line.tally.add(tally);
        }
        let failed = match (tally.failed, excused) {
            (0, _) => String::new(),
            (failed, true) => format!(", {failed} failed (excused)"),
            (failed, false) => format!(", {failed} FAILED"),
        };
        let killed = if kills.is_empty() { String::new() } else { format!(", killed {}", kills.join(" and ")) };
        let told = format!(
            "{:>3}  {kind}: {detail}{killed}, {:.1} s, {} writes, {} at the second try, longest {}{failed}",
            self.trail.len() + 1,
            took.as_secs_f64(),
            tally.acknowledged,
            tally.retried,
            milliseconds(tally.longest),
        );
        let quotes: String = tally.quotes.iter().map(|quote| format!("\n       {quote}")).collect();
        let told = if excused { told } else { told + &quotes };
        println!("{told}");
        self.trail.push(told);
        if !excused && tally.failed > 0 {
            let quotes = tally.quotes.join("\n    ");
            self.problem(format!("{} writes failed during {kind}: {detail}\n    {quotes}", tally.failed));
        }
    }

    pub fn problem(&mut self, what: String) {
        println!("PROBLEM: {what}");
        self.problems.push(what);
    }

    pub fn kills(&self) -> usize {
        self.lines.values().map(|line| line.kills).sum()
    }

    pub fn transitions(&self) -> usize {
        self.trail.len()
    }

    /// How often there was a transition of that kind.
    pub fn count(&self, kind: &str) -> usize {
        self.lines.get(kind).map_or(0, |line| line.count)
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<28} {:>5} {:>5} {:>7} {:>10} {:>6} {:>7} {:>9}\n",
            "transition", "count", "kills", "writes", "second try", "failed", "excused", "longest"
        );
        for (kind, line) in &self.lines {
            writeln!(
                text,
                "{kind:<28} {:>5} {:>5} {:>7} {:>10} {:>6} {:>7} {:>9}",
                line.count,
                line.kills,
                line.tally.acknowledged,
                line.tally.retried,
                line.tally.failed,
                line.excused,
                milliseconds(line.tally.longest)
            )
            .expect("a String takes every write");
        }
        text
    }

    pub fn trail(&self) -> String {
        self.trail.iter().map(|line| format!("{line}\n")).collect()
    }
}

pub fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
