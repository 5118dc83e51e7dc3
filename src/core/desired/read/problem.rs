//! One thing wrong in cluster.toml: where, what, and what would be right; and how it is shown.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A problem, as a place in the text and four short texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the text that are wrong; empty at the place where something is missing.
    pub span: Range<usize>,
    /// One line, a lower-case fragment.
    pub summary: String,
    /// A few words under the caret; may be empty.
    pub label: String,
    /// What would be right, or what to do.
    pub hint: Option<String>,
    /// A second place that explains the first, and the words under it.
    pub related: Option<Box<(Range<usize>, String)>>,
}

impl Problem {
    pub fn new(span: Range<usize>, summary: impl Into<String>) -> Self {
        Self { span, summary: summary.into(), label: String::new(), hint: None, related: None }
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some(Box::new((span, label.into())));
        self
    }

    /// The line and the column (in characters), both from 1, where the problem starts in `text`.
    pub fn position(&self, text: &str) -> (usize, usize) {
        let before = &text[..within(text, &self.span).start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line_of(text, before.len()), before[line_start..].chars().count() + 1)
    }
}

/// The line, from 1, of the byte at `offset`.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// All `problems` as rustc would show them, each with its line and a caret. Ends with a newline.
pub fn render(problems: &[Problem], text: &str, file: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for problem in problems {
        let mut snippet = Snippet::source(text).path(file).annotation(
            AnnotationKind::Primary.span(within(text, &problem.span)).label(
                // An empty label would leave a trailing space.
                (!problem.label.is_empty()).then_some(problem.label.as_str()),
            ),
        );
        if let Some((span, label)) = problem.related.as_deref() {
            snippet = snippet.annotation(AnnotationKind::Context.span(within(text, span)).label(label.as_str()));
        }
        let mut group = Level::ERROR.primary_title(problem.summary.as_str()).element(snippet);
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out.pop();
    out
}

/// `span` moved to character boundaries inside `text`.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let boundary =
        |offset: usize| (0..=offset.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let start = boundary(span.start);
    start..boundary(span.end).max(start)
}
