//! A plan as a comment on a pull request: the verdict first, files folded away, never too long for a forge.

use std::fmt::Write as _;

use crate::core::plan::Plan;
use crate::core::plan::ruling::{Blocked, Reason};
use crate::core::plan::step::Step;
use crate::core::render::{causes, clean, command, diff, words};

/// GitHub and Gitea refuse comments of 65,536 characters; some room is left for what a pipeline adds.
pub const BYTES_MAX: usize = 60_000;

/// What is kept free for the notes about what was left out, and for the last line.
const BYTES_RESERVED: usize = 1_000;

/// The hidden first line by which a pipeline finds the comment that it must replace.
pub fn marker(plan: &Plan) -> String {
    format!("<!-- quorate:{} -->", plan.cluster)
}

/// The whole plan, shorter than [`BYTES_MAX`] whatever it holds.
pub fn plan(plan: &Plan) -> String {
    let mut page = Page { text: String::new(), bytes_max: BYTES_MAX - BYTES_RESERVED };
    page.text = format!("{}\n{}\n\n", marker(plan), verdict(plan));
    if !plan.is_empty() {
        page.text.push_str(&format!(
            "Cluster **{}** ({}): {}.\n\n",
            escape(plan.cluster.as_str()),
            words::versions(plan.version, &plan.overview),
            words::health(plan)
        ));
    }
    blocked(&mut page, plan);
    findings(&mut page, plan);
    steps(&mut page, plan);
    diffs(&mut page, plan);
    let id = plan.id();
    if !plan.steps.is_empty() {
        let command = command::expecting(plan);
        let fence = fence(&command);
        page.text
            .push_str(&format!("Plan id `{id}`. Apply exactly this plan with:\n\n{fence}sh\n{command}\n{fence}\n"));
    } else if !plan.blocked.is_empty() {
        page.text.push_str(&format!("Plan id `{id}`.\n"));
    }
    debug_assert!(page.text.len() < BYTES_MAX, "a page never exceeds what a forge takes");
    page.text
}

fn verdict(plan: &Plan) -> String {
    if plan.is_empty() {
        let file = escape(&plan.file);
        return format!(
            "**No changes:** cluster **{}** matches {file} ({}).",
            escape(plan.cluster.as_str()),
            words::checked(plan)
        );
    }
    let sign = match (plan.blocked.is_empty(), plan.steps.is_empty()) {
        (true, _) => "Changes",
        (false, false) => "Changes, with some blocked",
        (false, true) => "Blocked",
    };
    format!("**{sign}:** {}.", words::summary(plan))
}

/// Text that stops growing in time.
struct Page {
    text: String,
    bytes_max: usize,
}

impl Page {
    /// Adds `text` if it fits.
    fn add(&mut self, text: &str) -> bool {
        let fits = self.text.len() + text.len() <= self.bytes_max;
        if fits {
            self.text.push_str(text);
        }
        fits
    }

    /// Adds as many of `lines` as fit, and says how many did not.
    fn add_lines(&mut self, lines: impl ExactSizeIterator<Item = String>, noun: &str) {
        let total = lines.len();
        let added = lines.take_while(|line| self.add(line)).count();
        if added < total {
            // From what is reserved: at most a few such notes are written.
            let _ = writeln!(self.text, "\n… and {} more: see `quorate plan`.", words::count(total - added, noun));
        }
    }
}

fn blocked(page: &mut Page, plan: &Plan) {
    let blocked = causes::blocked(plan);
    page.add_lines(blocked.iter().map(cannot), "blocked change");
    end_list(page, blocked.len());
}

fn cannot(blocked: &Blocked) -> String {
    let place = blocked.place.as_ref().map_or(String::new(), |place| format!(" ({})", escape(place)));
    let hint = blocked.hint.as_ref().map_or(String::new(), |hint| format!("<br>hint: {}", escape(hint)));
    format!("- **blocked:** {} `[{}]`{place}{hint}\n", escape(&blocked.what), blocked.code)
}

fn findings(page: &mut Page, plan: &Plan) {
    let findings = causes::findings(plan);
    let lines = findings.iter().map(|finding| {
        let hint = finding.hint.as_ref().map_or(String::new(), |hint| format!("<br>hint: {}", escape(hint)));
        format!("- note: {} `[{}]`{hint}\n", escape(&finding.what), finding.code)
    });
    page.add_lines(lines, "finding");
    end_list(page, findings.len());
}

fn end_list(page: &mut Page, items: usize) {
    if items > 0 {
        page.text.push('\n');
    }
}

fn steps(page: &mut Page, plan: &Plan) {
    if plan.steps.is_empty() {
        return;
    }
    page.add("| # | step | because | effect | failures tolerated | risk |\n|--:|---|---|---|---|---|\n");
    let rows = plan.steps.iter().enumerate().map(|(index, step)| row(index, step, plan));
    page.add_lines(rows, "step");
    page.text.push('\n');
    if let Some(order) = words::order(plan) {
        page.add(&format!("Order: {}.\n\n", escape(&order)));
    }
}

fn row(index: usize, step: &Step, plan: &Plan) -> String {
    let reason = |reason: &Reason| format!("{} ({})", escape(&reason.what), escape(&reason.place));
    let because: Vec<_> = step.because.iter().map(reason).collect();
    let margin = words::margin(step.margin, plan.overview.state)
        .map_or_else(String::new, |text| text.replacen("tolerates ", "", 1));
    let risk = step.risk.word();
    let risk = words::needs(step)
        .map_or_else(|| risk.to_owned(), |needs| format!("{risk}; needs <code>{}</code>", escape_plain(&needs)));
    let title = escape(&words::with_hosts(&step.title(), step.hosts(), plan.hosts));
    let (number, because) = (index + 1, because.join("<br>"));
    let effect = words::effect(step, &plan.steps[number..]);
    format!("| {number} | {title} | {because} | {effect} | {margin} | {risk} |\n")
}

fn diffs(page: &mut Page, plan: &Plan) {
    let shared = diff::shared(plan);
    for (index, diff) in shared.iter().enumerate() {
        let hosts: Vec<_> = diff.hosts.iter().collect();
        let sign = if diff.is_new { "new" } else { "changed" };
        let on = words::hosts(&hosts, plan.hosts);
        let marked = if diff.is_marked { "; in ‹›: each host's own name or address" } else { "" };
        let summary = format!("{sign}: <code>{}</code> on {}{marked}", escape(diff.path.as_str()), escape(&on));
        let text = clean(&diff.text);
        let fence = fence(&text);
        let head = format!("<details><summary>{summary}</summary>\n\n{fence}diff\n");
        let tail = format!("{fence}\n\n</details>\n\n");
        if page.add(&format!("{head}{text}{tail}")) {
            continue;
        }
        let cut = "… truncated: see `quorate plan`\n";
        let room = page.bytes_max.saturating_sub(page.text.len() + head.len() + cut.len() + tail.len());
        let begun = whole_lines(&text, room);
        if !begun.is_empty() {
            page.add(&format!("{head}{begun}{cut}{tail}"));
        }
        let left = shared.len() - index - usize::from(!begun.is_empty());
        if left > 0 {
            let _ = writeln!(page.text, "… and {} more: see `quorate plan`.\n", words::count(left, "file difference"));
        }
        return;
    }
}

/// As many whole lines of `text` as fit into `bytes`.
fn whole_lines(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let window = &text[..end];
    window.rfind('\n').map_or("", |end| &window[..=end])
}

/// A fence that nothing inside can close: longer than every run of backticks in `text`.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// `text` as text: no markup, no HTML, no mention of a user, no second table cell. What is between a pair of backticks
/// stays code.
fn escape(text: &str) -> String {
    let text = clean(text).replace(['\n', '\t'], " ");
    let parts: Vec<_> = text.split('`').collect();
    if parts.len() % 2 == 0 {
        return parts.iter().map(|part| escape_plain(part)).collect::<Vec<_>>().join("\\`");
    }
    let part = |(index, part): (usize, &&str)| {
        let escaped = escape_plain(part);
        if index % 2 == 1 { format!("<code>{escaped}</code>") } else { escaped }
    };
    parts.iter().enumerate().map(part).collect()
}

fn escape_plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // An empty comment keeps a forge from notifying whoever has this name.
            '@' => out.push_str("@<!-- -->"),
            '\\' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::render::samples;

    #[test]
    fn what_comes_from_hosts_is_only_text() {
        let escaped = escape("a|b <img src=x> @root `x`y` *z*\n# end");
        assert_eq!(escaped, "a\\|b &lt;img src=x&gt; @<!-- -->root \\`x\\`y\\` \\*z\\* \\# end");
        assert_eq!(escape("`quota-backend-bytes` is"), "<code>quota-backend-bytes</code> is");
    }

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fence("no ticks"), "```");
        assert_eq!(fence("some ```` ticks `"), "`````");
    }

    #[test]
    fn it_is_never_too_long() {
        for lines in [10, 1_000, 3_000, 20_000] {
            let mut long = samples::drifted();
            for diff in long.steps.iter_mut().flat_map(|step| &mut step.diffs) {
                diff.after.push_str(&format!("# {} é\n", diff.host).repeat(lines));
            }
            assert!(plan(&long).len() < BYTES_MAX, "{lines} lines");
        }
        let mut wide = samples::drifted();
        wide.blocked = vec![samples::blocked().blocked[0].clone(); 2_000];
        wide.findings = samples::blocked().findings.iter().cycle().take(2_000).cloned().collect();
        let step = wide.steps[0].clone();
        wide.steps.extend(std::iter::repeat_n(step, 2_000));
        assert!(plan(&wide).len() < BYTES_MAX);
        let mut one_line = samples::drifted();
        one_line.blocked = samples::blocked().blocked;
        one_line.blocked[0].what = "é".repeat(100_000);
        assert!(plan(&one_line).len() < BYTES_MAX);
    }
}
