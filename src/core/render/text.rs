//! A plan for a terminal: what will happen, in order, and why; then every file that changes.

use std::fmt::Write as _;

use crate::core::names::{Architecture, HostName};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, AuthorityAction, HostAction, NO_IMPACT};
use crate::core::plan::overview::State;
use crate::core::plan::ruling::{Blocked, Finding, Reason};
use crate::core::plan::step::{Margin, Risk, Step, title_of};
use crate::core::render::palette::Palette;
use crate::core::render::{causes, clean, command, diff, words};

/// How much to say, and in which colours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub palette: Palette,
    /// Also every action of every host.
    pub verbose: bool,
    /// How long lines of prose may be; `None`: as long as they are.
    pub width: Option<usize>,
}

/// The whole plan. Ends with a newline.
pub fn plan(plan: &Plan, style: Style) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        findings(&mut out, &causes::findings(plan), style);
        no_changes(&mut out, plan, style);
        return out;
    }
    let Palette { heading, .. } = style.palette;
    let (cluster, versions) = (&plan.cluster, words::versions(plan.version, &plan.overview));
    let headline = format!("{heading}cluster {cluster} ({versions}):{heading:#} {}", words::health(plan));
    prose(&mut out, "", 2, &headline, style);
    out.push('\n');
    blocked(&mut out, plan, style);
    findings(&mut out, &causes::findings(plan), style);
    steps(&mut out, plan, style);
    diffs(&mut out, plan, style);
    let (summary, id) = (words::summary(plan), plan.id());
    prose(&mut out, &format!("{heading}Plan:{heading:#} "), 6, &format!("{summary}. Plan id {id}."), style);
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
    let text = format!("cluster {cluster} {matches} {file} ({checked}).");
    prose(out, &format!("{good}No changes:{good:#} "), 12, &text, style);
}

/// The steps with everything about each, without header, files and summary.
pub fn steps(out: &mut String, plan: &Plan, style: Style) {
    for (index, step) in plan.steps.iter().enumerate() {
        let heading = style.palette.heading;
        let numbered = words::step_line(index + 1, plan.steps.len(), &step.title(), step.hosts(), plan.hosts);
        prose(out, "", 8, &format!("{heading}{numbered}{heading:#}"), style);
        details(out, step, &plan.steps[index + 1..], plan.overview.state, style);
    }
    if let Some(order) = words::order(plan) {
        prose(out, "order: ", 7, &order, style);
    }
    if !plan.steps.is_empty() {
        out.push('\n');
    }
}

fn details(out: &mut String, step: &Step, later: &[Step], state: State, style: Style) {
    let palette = style.palette;
    let plain = anstyle::Style::new();
    let mut detail = |name: &str, text: &str, colour: anstyle::Style| {
        // Only the word in front: a line that is broken keeps its colour no further.
        prose(out, &format!("      {colour}{name}{colour:#}{}", " ".repeat(9 - name.len())), 15, text, style);
    };
    for (index, reason) in step.because.iter().enumerate() {
        let name = if index == 0 { "because" } else { "and" };
        detail(name, &format!("{} ({})", clean(&reason.what), clean(&reason.place)), plain);
    }
    // Nothing is worth no line.
    let effect = words::effect(step, later);
    if style.verbose || effect != NO_IMPACT {
        detail("effect", effect, effect_colour(step, palette));
    }
    if let Some(margin) = words::margin(step.margin, state) {
        detail("quorum", &margin, margin_colour(step, palette));
    }
    if let Some(risk) = words::risk(step) {
        detail("risk", &coloured_word(&risk, risk_colour(step.risk, palette)), plain);
    }
    if let Some(needs) = words::needs(step) {
        detail("needs", &needs, palette.caution);
    }
    if style.verbose {
        for action in &step.actions {
            let nowhere = if action.changes_access() { "etcd" } else { "here" };
            let host = action.host().map_or(nowhere, HostName::as_str);
            detail("action", &format!("{host}: {}", clean(&action_words(action, &step.because))), plain);
        }
    }
}

fn risk_colour(risk: Risk, palette: Palette) -> anstyle::Style {
    match risk {
        Risk::High => palette.danger,
        Risk::Medium => palette.caution,
        Risk::None | Risk::Low => anstyle::Style::new(),
    }
}

/// What interrupts a member that serves.
fn effect_colour(step: &Step, palette: Palette) -> anstyle::Style {
    match words::Effect::of(step) {
        words::Effect::Restart | words::Effect::Stop => risk_colour(step.risk, palette),
        words::Effect::None | words::Effect::Start | words::Effect::Membership | words::Effect::Access => {
            anstyle::Style::new()
        }
    }
}

/// Red where quorum is lost at some point, yellow where one more failure would do it.
fn margin_colour(step: &Step, palette: Palette) -> anstyle::Style {
    let Margin { before, during, after } = step.margin;
    match [before, during, after].into_iter().flatten().min() {
        Some(..0) => palette.danger,
        Some(0) => palette.caution,
        Some(1..) | None => anstyle::Style::new(),
    }
}

/// `high: …`, of which only the first word is coloured.
fn coloured_word(text: &str, colour: anstyle::Style) -> String {
    match text.split_once(':') {
        Some((word, rest)) => format!("{colour}{word}{colour:#}:{rest}"),
        None => text.to_owned(),
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
        let what = format!("{} [{code}{}{code:#}]", clean(&finding.what), finding.code);
        prose(out, "note: ", 6, &what, style);
        if let Some(hint) = &finding.hint {
            prose(out, "      hint: ", 12, &clean(hint), style);
        }
    }
    if !findings.is_empty() {
        out.push('\n');
    }
}

fn blocked(out: &mut String, plan: &Plan, style: Style) {
    for blocked in &causes::blocked(plan) {
        cannot(out, blocked, plan.hosts, style);
    }
    if !plan.blocked.is_empty() {
        out.push('\n');
    }
}

/// One thing that may not be done: what, its code, where, and the way out.
fn cannot(out: &mut String, blocked: &Blocked, declared: usize, style: Style) {
    let code = style.palette.code;
    let what = format!("{} [{code}{}{code:#}]", clean(&blocked.what), blocked.code);
    prose(out, &format!("{code}blocked:{code:#} "), 8, &what, style);
    if !blocked.hosts.is_empty() {
        let hosts: Vec<_> = blocked.hosts.iter().collect();
        line(out, format_args!("        host: {}", words::hosts(&hosts, declared)));
    }
    if let Some(place) = &blocked.place {
        line(out, format_args!("        declared: {}", clean(place)));
    }
    if let Some(hint) = &blocked.hint {
        prose(out, "        hint: ", 14, &clean(hint), style);
    }
}

/// A longer one is that of a program of ours, whose text nobody has read there.
const DIFF_LINES_MAX: usize = 100;

fn diffs(out: &mut String, plan: &Plan, style: Style) {
    let mut is_hidden = false;
    for diff in diff::shared(plan) {
        let hosts: Vec<_> = diff.hosts.iter().collect();
        let sign = if diff.is_new { '+' } else { '~' };
        let colour = if diff.is_new { style.palette.added } else { style.palette.changed };
        let (path, on) = (clean(diff.path.as_str()), words::hosts(&hosts, plan.hosts));
        let access = diff.access.as_ref().map_or(String::new(), |access| format!(" ({})", clean(access)));
        let is_long = diff.text.lines().count() > DIFF_LINES_MAX;
        if (diff.is_new || is_long) && !style.verbose {
            let mut digests: Vec<_> = diff.digests.iter().map(|digest| digest.to_string()[..12].to_owned()).collect();
            digests.dedup();
            let (lines, digests) = (words::count(diff.lines, "line"), digests.join(", "));
            let how = if diff.is_new { "new" } else { "replaced" };
            let text = format!("{path} on {on}{access}: {how}, {lines}, SHA-256 {digests}");
            prose(out, &format!("{colour}{sign}{colour:#} "), 2, &text, style);
            is_hidden = true;
            continue;
        }
        line(out, format_args!("{colour}{sign}{colour:#} {path} on {on}{access}"));
        if diff.is_marked {
            let first = &diff.hosts[0];
            line(out, format_args!("  as on {first}: what is in ‹› is each host's own name or address"));
        }
        for text in diff.text.lines() {
            let colour = diff_colour(text, style.palette);
            line(out, format_args!("{colour}{}{colour:#}", clean(text)));
        }
        out.push('\n');
    }
    if is_hidden {
        line(out, format_args!("  -v shows these files in full\n"));
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

/// Text behind `head`, its lines as long as they may be, and all but the first indented. What is in backticks is typed as it
/// stands, so it is not broken.
fn prose(out: &mut String, head: &str, indent: usize, text: &str, style: Style) {
    let margin = " ".repeat(indent);
    // What begins with spaces is a command or a line for a file, and is taken as it stands.
    let is_kept = |line: &str| line.starts_with("  ");
    let mut head = head;
    for paragraph in text.split('\n') {
        match style.width.filter(|_| !is_kept(paragraph)) {
            Some(width) => wrapped(out, head, &margin, paragraph, width),
            None => line(out, format_args!("{head}{paragraph}")),
        }
        head = &margin;
    }
}

/// One paragraph of [`prose`].
fn wrapped(out: &mut String, head: &str, indent: &str, text: &str, width: usize) {
    // What is in backticks stands at the odd places.
    let parts = text.split('`').enumerate();
    let kept = parts.map(|(place, part)| if place % 2 == 1 { part.replace(' ', KEPT) } else { part.to_owned() });
    let kept = kept.collect::<Vec<_>>();
    let options = textwrap::Options::new(width)
        .initial_indent(head)
        .subsequent_indent(indent)
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    for wrapped in textwrap::wrap(&kept.join("`"), options) {
        line(out, format_args!("{}", wrapped.replace(KEPT, " ")));
    }
}

/// A space at which no line is broken, until it is one again. No message has it.
const KEPT: &str = "\u{a0}";

fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{text}").expect("a String takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::render::samples;

    #[test]
    fn lines_fit_the_terminal_and_commands_stay_whole() {
        for width in [60, 80, 100] {
            let style = Style { width: Some(width), ..Style::default() };
            for sample in [samples::bootstrap(), samples::drifted(), samples::blocked()] {
                for line in plan(&sample, style).lines().take_while(|line| !line.starts_with(['+', '~'])) {
                    let is_prose = line.starts_with([' ', 'n', 'b']);
                    assert!(!is_prose || line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
        let mut out = String::new();
        let style = Style { width: Some(60), ..Style::default() };
        prose(&mut out, "note: ", 6, "all of it is lost: run `quorate restore SNAPSHOT --confirm CLUSTER` now", style);
        assert_eq!(out, "note: all of it is lost: run\n      `quorate restore SNAPSHOT --confirm CLUSTER` now\n");
    }

    /// A line that is copied into a file must stay one.
    #[test]
    fn a_hint_of_several_lines_keeps_its_indent() {
        let key = "etcd-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINcF8sRO8fOqRGwKCr6tCFZ8uA9ZWc5PlUW0nr5X/liY";
        let hint = format!("if it is the same, add this line to known_hosts:\n  {key}\nand look again");
        for width in [None, Some(60)] {
            let mut out = String::new();
            prose(&mut out, "        hint: ", 14, &hint, Style { width, ..Style::default() });
            assert!(out.contains(&format!("\n                {key}\n              and look again\n")), "{out}");
        }
    }

    #[test]
    fn what_deserves_a_second_look_is_coloured() {
        let palette = Palette::coloured();
        let text = plan(&samples::drifted(), Style { palette, ..Style::default() });
        let caution = palette.caution;
        assert!(text.contains(&format!("      risk     {caution}medium{caution:#}: ")), "{text}");
        assert!(text.contains(&format!("      {caution}effect{caution:#}   restarts etcd")), "{text}");
        assert_eq!(risk_colour(Risk::High, palette), palette.danger);
        assert_eq!(risk_colour(Risk::Low, palette), anstyle::Style::new());
        let colour = |before, during, after| {
            let mut step = samples::drifted().steps.remove(0);
            step.margin = Margin { before, during, after };
            margin_colour(&step, palette)
        };
        assert_eq!(colour(Some(1), Some(0), Some(1)), palette.caution);
        assert_eq!(colour(Some(0), Some(-1), Some(0)), palette.danger);
        assert_eq!([colour(Some(1), Some(1), Some(1)), colour(None, None, None)], [anstyle::Style::new(); 2]);
    }

    #[test]
    fn brief_is_one_line_with_what_matters() {
        let brief = |plan: &Plan| brief(plan, Style { palette: Palette::plain(), ..Style::default() });
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
