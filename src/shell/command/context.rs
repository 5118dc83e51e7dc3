//! What every command knows besides its own arguments: the global options, and where its words go.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use terminal_size::{Width, terminal_size};

use crate::core::render::palette::Palette;
use crate::shell::stderr::Voice;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Path to the cluster file
    #[arg(short, long, value_name = "FILE", default_value = "cluster.toml", global = true)]
    pub file: PathBuf,

    /// Change to this directory first
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,

    /// When to use colour (NO_COLOR overrides this)
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub color: Colour,

    /// Print only results and errors: of plan, apply --yes and status one line
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Also list every action on every host, and new files in full
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Never prompt; fail if input would be needed
    #[arg(long, global = true)]
    pub no_input: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal
    #[default]
    Auto,
    Always,
    Never,
}

/// What every command knows besides its own arguments.
#[derive(Clone, Debug)]
pub struct Context {
    pub file: PathBuf,
    /// What was changed to first, as it was typed.
    pub directory: Option<String>,
    pub quiet: bool,
    pub verbose: bool,
    /// Never ask.
    pub no_input: bool,
    pub stdout_colour: bool,
    pub stderr_colour: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    /// Of stdout, where that is a terminal.
    pub width: Option<usize>,
}

/// Narrower than this, lines are broken by the terminal.
const WIDTH_MIN: usize = 60;

impl Context {
    pub fn new(global: &GlobalArgs) -> Self {
        let (stdout, stderr) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self {
            file: global.file.clone(),
            directory: global.directory.as_ref().map(|directory| directory.display().to_string()),
            quiet: global.quiet,
            verbose: global.verbose,
            no_input: global.no_input,
            stdout_colour: wants_colour(global.color, stdout),
            stderr_colour: wants_colour(global.color, stderr),
            stdout_is_terminal: stdout,
            stderr_is_terminal: stderr,
            width: stdout.then(terminal_size).flatten().map(|(Width(width), _)| WIDTH_MIN.max(width.into())),
        }
    }

    /// As in a pipe.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            file: PathBuf::from("cluster.toml"),
            directory: None,
            quiet: false,
            verbose: false,
            no_input: false,
            stdout_colour: false,
            stderr_colour: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            width: None,
        }
    }

    /// What is said beside the results.
    pub fn voice(&self) -> Voice {
        Voice { quiet: self.quiet, colour: self.stderr_colour }
    }

    /// The colours of stdout.
    pub fn palette(&self) -> Palette {
        if self.stdout_colour { Palette::coloured() } else { Palette::plain() }
    }
}

/// <https://no-color.org>: set and not empty, whatever its value.
pub(in crate::shell) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn wants_colour(colour: Colour, is_terminal: bool) -> bool {
    let is_dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match colour {
        _ if no_color() => false,
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => is_terminal && !is_dumb(),
    }
}
