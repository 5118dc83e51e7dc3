//! Every etcd that was found on a host, for people and for programs.

use crate::core::render::pretty;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::table;
use crate::core::cluster::adoption::{TLS_FIRST, without_tls};
use crate::core::cluster::layouts::{self, Kept};
use crate::core::cluster::others;
use crate::core::cluster::quorum;
use crate::core::content::settings::{Medium, Told};
use crate::core::count::{count, size};
use crate::core::names::{MemberId, RemotePath, UnixSeconds};
use crate::core::observed::survey::{Asked, MemberSeen, RunningEtcd, Survey};
use crate::core::observed::{Alarm, Cause, Certificate, Seen};
use crate::core::render::clean;
use crate::core::render::json::rfc3339;
use crate::core::render::palette::Palette;
use crate::core::span;

/// What `status --from-live --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate status --from-live")]
pub struct Document {
    pub format_version: u64,
    /// As it was asked for.
    pub host: String,
    /// What it calls itself.
    pub host_name: String,
    /// RFC 3339, in UTC.
    pub at: String,
    pub etcd: Vec<Found>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Found {
    /// The way in which it lies there: `kubeadm`, `debian`, `default` for what quorate has set up.
    pub layout: String,
    pub what: String,
    /// Who else writes its files, and when.
    pub also_written_by: Option<String>,
    pub keeping: Keeping,
    /// Why quorate does not keep a cluster like this, and what does.
    pub why_not: Option<String>,
    pub pid: u32,
    pub run_by: String,
    pub executable: String,
    pub package: Option<String>,
    pub account: String,
    /// RFC 3339, in UTC.
    pub since: Option<String>,
    /// Where its settings stand.
    pub settings_in: Option<String>,
    /// By the names of etcd's flags; without what holds by default.
    pub settings: BTreeMap<String, String>,
    /// What is doubtful about them.
    pub settings_trouble: Option<String>,
    pub certificates: Vec<CertificateFound>,
    /// The file of the client certificate, on that host, that it was asked with; `null` where none was shown.
    pub asked_with: Option<String>,
    /// `null` when no member says who they are.
    pub members: Option<Vec<MemberFound>>,
    pub members_trouble: Option<Trouble>,
}

/// Whether quorate can keep a cluster that lies there in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keeping {
    Yes,
    NotYet,
    /// Another program owns it.
    Never,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateFound {
    /// The setting that names it: `cert-file`.
    pub setting: String,
    pub path: String,
    pub common_name: Option<String>,
    pub issuer: Option<String>,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    /// RFC 3339, in UTC.
    pub expires: Option<String>,
    pub days_left: Option<i64>,
    /// Why it is not known.
    pub trouble: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trouble {
    pub code: String,
    pub what: String,
    pub hint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemberFound {
    /// In hexadecimal, as etcdctl prints it.
    pub id: String,
    /// `null` for a member that was added and has not started.
    pub name: Option<String>,
    pub learner: bool,
    /// `null` when it was not asked or did not answer.
    pub leader: Option<bool>,
    /// `null` when it was not asked.
    pub healthy: Option<bool>,
    pub trouble: Option<String>,
    pub version: Option<String>,
    pub database_bytes: Option<u64>,
    pub alarms: Vec<String>,
    pub peer_urls: Vec<String>,
    pub client_urls: Vec<String>,
}

/// The document of what was found on `host`, and of what each was asked.
pub fn document<'a>(
    host: &str,
    survey: &'a Survey,
    etcd: impl IntoIterator<Item = (&'a RunningEtcd, &'a Result<Told, String>, &'a Asked)>,
) -> Document {
    Document {
        format_version: 1,
        host: host.to_owned(),
        host_name: survey.host.clone(),
        at: rfc3339(survey.at),
        etcd: etcd.into_iter().map(|(running, told, asked)| found(survey, running, told, asked)).collect(),
    }
}

fn found(survey: &Survey, running: &RunningEtcd, told: &Result<Told, String>, asked: &Asked) -> Found {
    let layout = layouts::recognised(survey, running, told.as_ref().ok());
    let (keeping, why_not) = match layout.kept {
        Kept::Yes if told.as_ref().is_ok_and(|told| without_tls(told).is_some()) => {
            (Keeping::NotYet, Some(format!("its ports have no TLS: {TLS_FIRST}")))
        }
        Kept::Yes => (Keeping::Yes, None),
        Kept::NotYet => (Keeping::NotYet, None),
        Kept::Never(why) => (Keeping::Never, Some(why.to_owned())),
    };
    let (settings_in, settings, trouble) = match told {
        Ok(Told { by, values }) => (Some(medium(by)), values.clone(), written_since(running)),
        Err(why) => (None, BTreeMap::new(), Some(why.clone())),
    };
    let (members, members_trouble) = match &asked.members {
        Seen::Known(members) => {
            // Every member tells those of all, whoever does not answer.
            let answers = || members.iter().filter_map(|one| one.answer.known());
            let leader = answers().filter(|answer| answer.reads).find_map(|answer| answer.leader);
            let alarms: BTreeSet<_> = answers().flat_map(|answer| &answer.alarms).collect();
            let mut members: Vec<_> = members.iter().map(|one| member(one, leader, &alarms)).collect();
            members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
            (Some(members), None)
        }
        Seen::Unknown(cause) => (None, Some(trouble_of(cause))),
    };
    Found {
        layout: layout.name.to_owned(),
        what: layout.what.to_owned(),
        also_written_by: layout.also.map(str::to_owned),
        keeping,
        why_not,
        pid: running.pid,
        run_by: others::by(&running.runner),
        executable: running.executable.to_string(),
        package: running.package.clone(),
        account: running.account.clone(),
        since: running.since.map(rfc3339),
        settings_in,
        certificates: asked
            .certificates
            .iter()
            .map(|(setting, seen)| certificate(setting, settings.get(setting), seen, survey.at))
            .collect(),
        settings,
        settings_trouble: trouble,
        asked_with: asked.with.as_ref().map(ToString::to_string),
        members,
        members_trouble,
    }
}

fn medium(medium: &Medium) -> String {
    match medium {
        Medium::Flags => "flags".to_owned(),
        Medium::Variables => "environment variables".to_owned(),
        Medium::FlagsAndVariables => "flags and environment variables".to_owned(),
        Medium::File(path) => path.to_string(),
    }
}

/// etcd has read its file once: what was written later is not what it runs with.
fn written_since(running: &RunningEtcd) -> Option<String> {
    // k3s writes it for the etcd that it has in itself.
    let config =
        running.config.as_ref().filter(|config| !config.path.is_within(&RemotePath::new("/var/lib/rancher")))?;
    // Both are told in whole seconds, from two clocks.
    let is_newer = config.written? > running.since?.plus_seconds(2);
    is_newer.then(|| format!("{} was written after etcd had started: it may run with other settings", config.path))
}

fn certificate(setting: &str, path: Option<&String>, seen: &Seen<Certificate>, at: UnixSeconds) -> CertificateFound {
    let known = seen.known();
    CertificateFound {
        setting: setting.to_owned(),
        path: path.cloned().unwrap_or_default(),
        common_name: known.map(|known| known.common_name.clone()),
        issuer: known.map(|known| known.issuer.clone()),
        names: known.map(|known| known.names.iter().cloned().collect()).unwrap_or_default(),
        expires: known.map(|known| rfc3339(known.not_after)),
        days_left: known.map(|known| span::days_left(known.not_after.0 - at.0)),
        trouble: seen.unknown().map(|cause| cause.summary.clone()),
    }
}

fn trouble_of(cause: &Cause) -> Trouble {
    Trouble { code: cause.code.to_string(), what: cause.summary.clone(), hint: cause.hint.clone() }
}

fn member(
    MemberSeen { entry, answer }: &MemberSeen,
    leader: Option<MemberId>,
    alarms: &BTreeSet<&Alarm>,
) -> MemberFound {
    let known = answer.known();
    let alarms: BTreeSet<_> =
        alarms.iter().filter(|alarm| alarm.member == Some(entry.id)).map(|alarm| alarm.kind.clone()).collect();
    let trouble = match answer {
        Seen::Unknown(cause) => Some(cause.summary.clone()),
        Seen::Known(answer) => quorum::trouble(answer, entry.learner, leader),
    };
    MemberFound {
        id: entry.id.to_string(),
        name: entry.name.as_ref().map(ToString::to_string),
        learner: entry.learner,
        leader: known.map(|answer| answer.leader == Some(entry.id)),
        healthy: known.map(|_| trouble.is_none()),
        trouble,
        version: known.map(|answer| answer.version.to_string()),
        database_bytes: known.map(|answer| answer.database_bytes),
        alarms: alarms.into_iter().collect(),
        peer_urls: entry.peer_urls.iter().map(ToString::to_string).collect(),
        client_urls: entry.client_urls.iter().map(ToString::to_string).collect(),
    }
}

impl Document {
    /// Whether every member of every etcd there was asked, and answered.
    pub fn is_complete(&self) -> bool {
        self.etcd.iter().all(|found| {
            found.members.as_ref().is_some_and(|members| members.iter().all(|member| member.healthy.is_some()))
        })
    }
}

/// The document as text, indented, with a newline at its end.
pub fn json(document: &Document) -> String {
    pretty(document)
}

/// A paragraph for each etcd. Ends with a newline.
pub fn text(document: &Document, palette: Palette) -> String {
    let mut out = String::new();
    for (index, found) in document.etcd.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        one(&mut out, document, found, palette);
    }
    out
}

/// The column of what each line is about.
const WORDS: usize = 17;

fn one(out: &mut String, document: &Document, found: &Found, palette: Palette) {
    let Palette { heading, .. } = palette;
    let _ = writeln!(
        out,
        "{heading}etcd on {}:{heading:#} {} [{}]",
        clean(&document.host),
        clean(&found.what),
        found.layout
    );
    let mut line = |word: &str, text: &str| {
        let _ = writeln!(out, "  {word:WORDS$}{}", clean(text));
    };
    if let Some(also) = &found.also_written_by {
        line("also written by", also);
    }
    match (found.keeping, &found.why_not) {
        (Keeping::Yes, _) => line("quorate", "keeps it"),
        (Keeping::NotYet, None) => line("quorate", "reads it, and cannot keep it yet"),
        (Keeping::NotYet, Some(why)) => line("quorate", &format!("reads it, and cannot keep it: {why}")),
        (Keeping::Never, why) => {
            line("quorate", &format!("reads it, and does not keep it: {}", why.as_deref().unwrap_or_default()));
        }
    }
    let package = found.package.as_ref().map_or_else(String::new, |package| format!(" (package {package})"));
    let since = found.since.as_ref().map_or_else(String::new, |since| format!(" since {since}"));
    line("process", &format!("{} as {}{since}, run {}", found.pid, found.account, found.run_by));
    line("program", &format!("{}{package}", found.executable));
    line("settings", found.settings_in.as_deref().unwrap_or("unknown"));
    if let Some(trouble) = &found.settings_trouble {
        line("", trouble);
    }
    for (name, value) in &found.settings {
        line("", &format!("{name}: {value}"));
    }
    // One pair for both ports is told once.
    for (index, certificate) in found.certificates.iter().enumerate() {
        let is_same = |other: &&CertificateFound| other.path == certificate.path;
        if found.certificates[..index].iter().any(|other| is_same(&other)) {
            continue;
        }
        let settings = found.certificates.iter().filter(is_same).map(|same| same.setting.as_str());
        line("certificate", &certificate_line(certificate, &settings.collect::<Vec<_>>().join(", ")));
    }
    members(out, found, palette);
}

fn certificate_line(found: &CertificateFound, settings: &str) -> String {
    let CertificateFound { path, common_name, issuer, expires, days_left, trouble, .. } = found;
    let (Some(name), Some(issuer), Some(expires), Some(days)) = (common_name, issuer, expires, days_left) else {
        return format!("{path} ({settings}): {}", trouble.as_deref().unwrap_or("unknown"));
    };
    let day = expires.split('T').next().unwrap_or(expires);
    let left = if *days < 0 { "EXPIRED".to_owned() } else { count(usize::try_from(*days).unwrap_or(0), "day") };
    format!("{path} ({settings}): CN {name}, issued by {issuer}, expires {day} ({left})")
}

fn members(out: &mut String, found: &Found, palette: Palette) {
    let Some(members) = &found.members else {
        if let Some(Trouble { code, what, hint }) = &found.members_trouble {
            let style = palette.code;
            let _ = writeln!(out, "\n{} [{style}{code}{style:#}]", clean(what));
            if let Some(hint) = hint {
                let _ = writeln!(out, "  hint: {}", clean(hint).replace('\n', "\n        "));
            }
        }
        return;
    };
    let voters: Vec<_> = members.iter().filter(|member| !member.learner).collect();
    let healthy = voters.iter().filter(|member| member.healthy == Some(true)).count();
    let asked = voters.iter().filter(|member| member.healthy.is_some()).count();
    let unasked = match voters.len() - asked {
        0 => String::new(),
        silent => format!(", {silent} not seen"),
    };
    let _ = writeln!(
        out,
        "\n{healthy} of {} healthy{unasked}, quorum {}",
        count(voters.len(), "voter"),
        quorum::quorum(voters.len())
    );
    let rows: Vec<_> = members.iter().map(row).collect();
    let (head, lines) = table::lines(["MEMBER", "ID", "ROLE", "HEALTH", "VERSION", "DB", "CLIENT URL"], &rows);
    let faint = palette.faint;
    let _ = writeln!(out, "{faint}{head}{faint:#}");
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    for member in members {
        let name = member.name.as_deref().unwrap_or(&member.id);
        if let Some(trouble) = &member.trouble {
            let _ = writeln!(out, "{}: {}", clean(name), clean(trouble));
        }
        for alarm in &member.alarms {
            let _ = writeln!(out, "{}: alarm {}", clean(name), clean(alarm));
        }
    }
}

fn row(member: &MemberFound) -> [String; 7] {
    let role = match (member.learner, member.leader) {
        (true, _) => "learner",
        (false, Some(true)) => "leader",
        (false, _) => "voter",
    };
    let health = match member.healthy {
        Some(true) => "healthy",
        Some(false) => "UNHEALTHY",
        None => "unknown",
    };
    let unknown = || "-".to_owned();
    [
        clean(member.name.as_deref().unwrap_or("(not started)")),
        member.id.clone(),
        role.to_owned(),
        health.to_owned(),
        member.version.clone().unwrap_or_else(unknown),
        member.database_bytes.map_or_else(unknown, size),
        clean(&member.client_urls.join(",")),
    ]
}
