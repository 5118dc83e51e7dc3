//! A plan for a terminal: what will happen, in order, and why; then every file that changes.

use std::fmt::Write as _;

use crate::core::names::{Architecture, HostName};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthorityAction, HostAction};
use crate::core::plan::ruling::{Blocked, Finding, Reason};
use crate::core::plan::step::{Step, title_of};
use crate::core::render::palette::Palette;
use crate::core::render::{clean, command, diff, words};

/// How much to say, and in which colours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub palette: Palette,
    /// Also every action of every host.
    pub verbose: bool,
}

/// The whole plan. Ends with a newline.
pub fn plan(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        findings(&mut out, &plan.findings, style);
        no_changes(&mut out, plan, style);
        return out;
    }
    let Palette { heading, .. } = style.palette;
    let (cluster, versions) = (&plan.cluster, words::versions(plan.version, &plan.overview));
    line(&mut out, format_args!("{heading}cluster {cluster} ({versions}):{heading:#} {}", words::health(plan)));
    out.push('\n');
    findings(&mut out, &plan.findings, style);
    steps(&mut out, plan, style);
    blocked(&mut out, plan, style);
    diffs(&mut out, plan, style);
    let (summary, id) = (words::summary(plan), plan.id());
    line(&mut out, format_args!("{heading}Plan:{heading:#} {summary}. Plan id {id}."));
    out
}

/// The whole plan in one line, for a log or a mail of cron.
pub fn brief(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    let found = match plan.findings.len() {
        0 => String::new(),
        count => format!("; {}", words::count(count, "finding")),
    };
    let Palette { heading, good, .. } = style.palette;
    let (cluster, health) = (&plan.cluster, words::health(plan));
    if plan.is_empty() {
        line(&mut out, format_args!("{good}No changes:{good:#} cluster {cluster}: {health}{found}."));
    } else {
        let (summary, id) = (words::summary(plan), plan.id());
        line(
            &mut out,
            format_args!("{heading}Plan:{heading:#} cluster {cluster}: {health}; {summary}{found}. Plan id {id}."),
        );
    }
    out
}

/// What is typed to apply the plan, where that is more than `quorate apply`.
pub fn to_apply(plan: &Plan, style: Style) -> String {
    let heading = style.palette.heading;
    command::plain(plan)
        .map_or_else(String::new, |command| format!("{heading}To apply:{heading:#} {}\n", clean(&command)))
}

fn no_changes(out: &mut String, plan: &Plan, style: Style) {
    let good = style.palette.good;
    let (cluster, file, checked) = (&plan.cluster, &plan.file, words::checked(plan));
    let matches = if plan.unseen == 0 { "matches" } else { "without what is lost matches" };
    line(out, format_args!("{good}No changes:{good:#} cluster {cluster} {matches} {file} ({checked})."));
}

/// The steps with everything about each, without header, files and summary.
pub fn steps(out: &mut String, plan: &Plan, style: Style) {
    for (index, step) in plan.steps.iter().enumerate() {
        let heading = style.palette.heading;
        let numbered = words::step_line(index + 1, plan.steps.len(), &step.title(), step.hosts(), plan.hosts);
        line(out, format_args!("{heading}{numbered}{heading:#}"));
        details(out, step, &plan.steps[index + 1..], style);
    }
    if let Some(order) = words::order(plan) {
        line(out, format_args!("order: {order}"));
    }
    if !plan.steps.is_empty() {
        out.push('\n');
    }
}

fn details(out: &mut String, step: &Step, later: &[Step], style: Style) {
    let mut detail = |name: &str, text: &str| line(out, format_args!("      {name:9}{text}"));
    for (index, reason) in step.because.iter().enumerate() {
        let name = if index == 0 { "because" } else { "and" };
        detail(name, &format!("{} ({})", clean(&reason.what), clean(&reason.place)));
    }
    detail("effect", words::effect(step, later));
    if let Some(margin) = words::margin(step.margin) {
        detail("quorum", &margin);
    }
    if let Some(risk) = words::risk(step) {
        detail("risk", &risk);
    }
    if let Some(needs) = words::needs(step) {
        detail("needs", &needs);
    }
    if style.verbose {
        for action in &step.actions {
            let nowhere = if action.changes_access() { "etcd" } else { "here" };
            let host = action.host().map_or(nowhere, HostName::as_str);
            detail("action", &format!("{host}: {}", clean(&action_words(action, &step.because))));
        }
    }
}

fn action_words(action: &Action, because: &[Reason]) -> String {
    let architecture = |architecture: &Architecture| format!("{action} ({architecture})");
    match action {
        Action::Host(HostAction::InstallBinaries { architecture: of, .. }) => architecture(of),
        // The line begins with where.
        Action::Authority(AuthorityAction::Create) => "create the CA".to_owned(),
        _ => title_of(action, because),
    }
}

fn findings(out: &mut String, findings: &[Finding], style: Style) {
    let code = style.palette.changed;
    for finding in findings {
        line(out, format_args!("note: {} [{code}{}{code:#}]", clean(&finding.what), finding.code));
        if let Some(hint) = &finding.hint {
            line(out, format_args!("      hint: {}", clean(hint)));
        }
    }
    if !findings.is_empty() {
        out.push('\n');
    }
}

fn blocked(out: &mut String, plan: &Plan, style: Style) {
    for blocked in &plan.blocked {
        cannot(out, blocked, plan.hosts, style);
    }
    if !plan.blocked.is_empty() {
        out.push('\n');
    }
}

/// One thing that may not be done: what, its code, where, and the way out.
fn cannot(out: &mut String, blocked: &Blocked, declared: usize, style: Style) {
    let code = style.palette.code;
    line(out, format_args!("{code}blocked:{code:#} {} [{code}{}{code:#}]", clean(&blocked.what), blocked.code));
    if !blocked.hosts.is_empty() {
        let hosts: Vec<_> = blocked.hosts.iter().collect();
        line(out, format_args!("        host: {}", words::hosts(&hosts, declared)));
    }
    if let Some(place) = &blocked.place {
        line(out, format_args!("        declared: {}", clean(place)));
    }
    if let Some(hint) = &blocked.hint {
        line(out, format_args!("        hint: {}", clean(hint)));
    }
}

fn diffs(out: &mut String, plan: &Plan, style: Style) {
    for diff in diff::shared(plan) {
        let hosts: Vec<_> = diff.hosts.iter().collect();
        let sign = if diff.is_new { '+' } else { '~' };
        let colour = if diff.is_new { style.palette.added } else { style.palette.changed };
        let (path, on) = (clean(diff.path.as_str()), words::hosts(&hosts, plan.hosts));
        let access = diff.access.as_ref().map_or(String::new(), |access| format!(" ({})", clean(access)));
        line(out, format_args!("{colour}{sign}{colour:#} {path} on {on}{access}"));
        for text in diff.text.lines() {
            let colour = diff_colour(text, style.palette);
            line(out, format_args!("{colour}{}{colour:#}", clean(text)));
        }
        out.push('\n');
    }
}

fn diff_colour(line: &str, palette: Palette) -> anstyle::Style {
    match line.as_bytes().first() {
        Some(b'+') => palette.added,
        Some(b'-') => palette.removed,
        Some(b'@') => palette.faint,
        _ => anstyle::Style::new(),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{text}").expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::render::samples;

    #[test]
    fn brief_is_one_line_with_what_matters() {
        let brief = |plan: &Plan| brief(plan, Style { palette: Palette::plain(), verbose: false });
        let drifted = samples::drifted();
        let told = brief(&drifted);
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.starts_with(&format!("Plan: cluster {}: ", drifted.cluster)), "{told}");
        assert!(told.contains(&words::summary(&drifted)) && told.contains(&drifted.id()), "{told}");
        let told = brief(&samples::in_sync());
        assert!(told.starts_with("No changes: cluster ") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn no_changes_is_one_line() {
        assert_eq!(
            plan(&samples::in_sync(), Style::default()),
            "No changes: cluster prod matches cluster.toml (3 hosts: binaries, certificates, etcd.yaml, unit, service, \
             running process; 3 of 3 voters healthy, etcd 3.5.16).\n"
        );
    }

    #[test]
    fn colour_only_decorates() {
        let coloured = Style { palette: Palette::coloured(), ..Style::default() };
        for sample in [samples::bootstrap(), samples::drifted(), samples::blocked(), samples::in_sync()] {
            let (plain, colour) = (plan(&sample, Style::default()), plan(&sample, coloured));
            assert!(!plain.contains('\u{1b}'), "{plain}");
            assert!(colour.contains('\u{1b}'));
            assert_eq!(anstream::adapter::strip_str(&colour).to_string(), plain);
        }
    }

    #[test]
    fn more_is_said_when_asked() {
        let verbose = Style { verbose: true, ..Style::default() };
        let text = plan(&samples::bootstrap(), verbose);
        assert!(text.contains("      action   etcd-2: install etcd 3.5.16 (amd64)\n"), "{text}");
        assert!(text.contains("      action   here: create the CA\n"), "{text}");
    }

    #[test]
    fn what_drives_a_terminal_is_made_visible() {
        let text = plan(&samples::blocked(), Style::default());
        assert!(text.contains("nginx\\u{1b}[31m"), "{text}");
    }
}
