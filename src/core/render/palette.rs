//! The colours. They only decorate: every output says the same without them.

use anstyle::{AnsiColor, Style};

/// One style for each thing that is decorated. Write `{style}text{style:#}`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Palette {
    pub added: Style,
    pub removed: Style,
    pub changed: Style,
    pub code: Style,
    pub heading: Style,
    pub faint: Style,
    pub good: Style,
    /// What deserves a second look, of a step: its risk, what it needs.
    pub caution: Style,
    pub danger: Style,
}

impl Palette {
    /// No escape sequence at all.
    pub fn plain() -> Self {
        Self::default()
    }

    pub fn coloured() -> Self {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        Self {
            added: colour(AnsiColor::Green),
            removed: colour(AnsiColor::Red),
            changed: colour(AnsiColor::Yellow),
            code: colour(AnsiColor::Red).bold(),
            heading: Style::new().bold(),
            faint: Style::new().dimmed(),
            good: colour(AnsiColor::Green).bold(),
            caution: colour(AnsiColor::Yellow),
            danger: colour(AnsiColor::Red),
        }
    }
}
