//! The document of a status as a table for people, and what is worth a line below it.

use std::fmt::Write as _;

use super::{BackupStatus, Condition, DataStatus, Document, LastSnapshot, MemberRole, MemberStatus, RunStatus};
use crate::core::code::Code;
use crate::core::count::{count, size};
use crate::core::observed::Outcome;
use crate::core::render::palette::Palette;
use crate::core::render::{clean, table, words};
use crate::core::span;

/// How the cluster is, in one line.
pub fn headline(document: &Document, palette: Palette) -> String {
    let heading = palette.heading;
    let Document { cluster, declared_version, at, overview, .. } = document;
    let declared = || document.members.iter().filter(|member| member.host.is_some());
    let unseen = declared().filter(|member| !member.seen).count();
    let state = words::state(overview, document.health.as_ref(), declared().count(), unseen);
    let versions = words::versions(*declared_version, overview);
    format!("{heading}cluster {cluster} ({versions}):{heading:#} {state} (at {at})\n")
}

/// The table, in lines of `room` characters. Ends with a newline.
pub fn text(document: &Document, palette: Palette, room: Option<usize>) -> String {
    let mut out = headline(document, palette);
    let Palette { code, changed, .. } = palette;
    out.push('\n');
    members(&mut out, document, palette, room);
    if let Some(authority) = &document.authority {
        let _ = writeln!(out, "\nCA expires {} ({})", day(&authority.at), left(authority.days_left));
    }
    if let Some(rotation) = &document.rotation {
        let _ = writeln!(out, "CA rotation: {rotation}");
    }
    if let Some(backup) = &document.backup {
        let _ = writeln!(out, "last backup {}", last_backup(backup));
        for line in backup.runs.iter().filter_map(run_line) {
            let _ = writeln!(out, "  {line}");
        }
        let _ = writeln!(out, "last restore test {}", last_drill(backup));
    }
    if let Some(data) = document.data.as_ref() {
        let _ = writeln!(out, "{}", data_line(data));
    }
    // Who runs it is told below, with all that is known of it.
    let is_told = |member: &&MemberStatus| {
        !document
            .unseen
            .iter()
            .any(|unseen| unseen.code == Code::OtherEtcd && Some(&unseen.host) == member.host.as_ref())
    };
    let troubled = document.members.iter().filter(is_told);
    let troubled = troubled.filter_map(|member| Some((member, member.trouble.as_ref()?)));
    let mut notes: Vec<String> =
        troubled.map(|(member, why)| format!("{}: {}", clean(&member.name), clean(why))).collect();
    for unseen in &document.unseen {
        let hint = unseen
            .hint
            .as_ref()
            .map_or(String::new(), |hint| format!("\n  hint: {}", clean(hint).replace('\n', "\n        ")));
        let note = format!("{} [{code}{}{code:#}]{hint}", clean(&unseen.what), unseen.code);
        // What is wrong with the authority is the same for every member.
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    for finding in document.findings.iter().filter(|finding| finding.code != Code::NotHealthy) {
        // A plan tells what to do about the others; it does not compare data, and this is no time to look for another command.
        let hint = finding.hint.as_ref().filter(|_| matches!(finding.code, Code::DataDiffers | Code::NoQuorum));
        let hint = hint.map_or(String::new(), |hint| format!("\n  hint: {}", clean(hint).replace('\n', "\n        ")));
        notes.push(format!("{} [{changed}{}{changed:#}]{hint}", clean(&finding.what), finding.code));
    }
    if !notes.is_empty() {
        out.push('\n');
    }
    for note in notes {
        let _ = writeln!(out, "{note}");
    }
    out
}

fn data_line(data: &DataStatus) -> String {
    let missed: Vec<_> = data.missed.iter().map(|one| format!("; {}: {}", one.host, clean(&one.why))).collect();
    match data.hashes.first() {
        Some(first) if data.same => {
            format!(
                "data the same on {} at revision {}: HashKV {}{}",
                count(data.hashes.len(), "member"),
                data.revision,
                first.hash,
                missed.concat()
            )
        }
        _ => {
            let hashes: Vec<_> = data.hashes.iter().map(|one| format!("{} on {}", one.hash, one.host)).collect();
            format!("DATA DIFFERS at revision {}: HashKV {}{}", data.revision, hashes.join(", "), missed.concat())
        }
    }
}

const UNKNOWN: &str = "unknown: not every node was seen";

/// Of a run that was not as it should be.
fn run_line(run: &RunStatus) -> Option<String> {
    let RunStatus { host, age_seconds, outcome, why, .. } = run;
    let (age, why) = (span::age(*age_seconds), clean(why.as_deref().unwrap_or("see its journal")));
    match outcome {
        Outcome::Taken | Outcome::Left => None,
        Outcome::TakenAlone => {
            Some(format!("{host} took one {age} ago without the lock in etcd, which was refused: {why}"))
        }
        Outcome::Failed => Some(format!("{host} failed to take one {age} ago: {why}")),
    }
}

fn last_drill(backup: &BackupStatus) -> String {
    let Some(last) = &backup.last_drill else {
        return if backup.complete { "never (run `quorate backup verify`)" } else { UNKNOWN }.to_owned();
    };
    format!("{} ago: {}, passed", span::age(last.age_seconds), clean(&last.snapshot))
}

fn last_backup(backup: &BackupStatus) -> String {
    let Some(last) = &backup.last else {
        let none = || match &backup.first_due {
            Some(at) => format!("none yet: the first one is due {} (schedule {})", minute(at), clean(&backup.schedule)),
            None => format!("none yet (schedule {})", clean(&backup.schedule)),
        };
        return if backup.complete { none() } else { UNKNOWN.to_owned() };
    };
    let LastSnapshot { name, host, age_seconds, bytes, .. } = last;
    format!("{} ago: {} on {host}, {}", span::age(*age_seconds), clean(name), size(*bytes))
}

/// Of the columns, by their places, those that a narrow terminal does without, the first first.
const SPARED: [usize; 6] = [1, 6, 8, 7, 5, 4];

fn members(out: &mut String, document: &Document, palette: Palette, room: Option<usize>) {
    const HEAD: [&str; 11] =
        ["MEMBER", "ID", "ROLE", "HEALTH", "VERSION", "DB", "IN USE", "QUOTA", "DISK FREE", "LAG", "CERTS EXPIRE"];
    let rows: Vec<[String; 11]> = document.members.iter().map(row).collect();
    let (head, lines) = table::fitting(HEAD, &rows, room, &SPARED);
    let heading = palette.heading;
    let _ = writeln!(out, "{heading}{head}{heading:#}");
    for (line, member) in lines.iter().zip(&document.members) {
        let style = if member.healthy { anstyle::Style::new() } else { palette.code };
        let _ = writeln!(out, "{style}{line}{style:#}");
    }
}

fn row(member: &MemberStatus) -> [String; 11] {
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let role = match member.role {
        MemberRole::Leader => "leader",
        MemberRole::Voter => "voter",
        MemberRole::Learner => "learner",
        MemberRole::None => "-",
    };
    let health = match member.condition {
        // One that is not declared is no member to count on.
        Condition::Healthy if !member.healthy => "UNHEALTHY",
        Condition::Healthy => "healthy",
        Condition::Unhealthy => "UNHEALTHY",
        Condition::Silent => "NO ANSWER",
        Condition::Stopped => "STOPPED",
        Condition::DataLost => "DATA LOST",
        Condition::Empty => "EMPTY",
        Condition::Unknown => "UNKNOWN",
        Condition::Unreachable => "UNREACHABLE",
    };
    let mut health = health.to_owned();
    for alarm in &member.alarms {
        health.push_str(&format!(", alarm {}", clean(alarm)));
    }
    [
        clean(&member.name),
        or_dash(member.id.clone()),
        role.to_owned(),
        health,
        or_dash(member.version.map(|version| version.to_string())),
        or_dash(member.database_bytes.map(size)),
        or_dash(member.database_in_use_bytes.map(size)),
        or_dash(member.quota_used_percent.map(|percent| format!("{percent}%"))),
        or_dash(member.data_disk.as_ref().map(|disk| size(disk.available_bytes))),
        or_dash(member.raft_lag.map(|lag| lag.to_string())),
        or_dash(member.certificate.as_ref().map(|one| format!("{} ({})", day(&one.at), left(one.days_left)))),
    ]
}

/// `2026-11-20` of `2026-11-20T10:00:00Z`.
fn day(at: &str) -> &str {
    at.split('T').next().unwrap_or(at)
}

/// `2026-11-20 10:00 UTC` of `2026-11-20T10:00:00Z`.
fn minute(at: &str) -> String {
    let (day, time) = at.split_once('T').unwrap_or((at, ""));
    format!("{day} {} UTC", time.get(..5).unwrap_or_default())
}

fn left(days: i64) -> String {
    if days < 0 { "expired".to_owned() } else { format!("in {}", span::days(days.saturating_mul(24 * 3600))) }
}
