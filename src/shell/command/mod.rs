//! One file per verb: each wires the core to the shell.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};

use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::render::palette::Palette;
use crate::shell::cli::{Cli, Colour, Command, GlobalArgs};
use crate::shell::fleet::Fleet as _;
use crate::shell::live::Live;
use output::Out;

pub mod apply;
pub mod approval;
pub mod backup;
pub mod certs;
pub mod completions;
pub mod explain;
pub mod export;
pub mod init;
pub mod live;
pub mod load;
pub mod lock;
pub mod man;
pub mod output;
pub mod passphrase;
pub mod plan;
pub mod request;
pub mod restore;
pub mod schema;
pub mod show;
pub mod status;
pub mod validate;

/// What every command knows besides its own arguments.
#[derive(Clone, Debug)]
pub struct Context {
    pub file: PathBuf,
    pub quiet: bool,
    pub verbose: bool,
    /// Never ask.
    pub no_input: bool,
    pub stdout_colour: bool,
    pub stderr_colour: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
}

impl Context {
    fn new(global: &GlobalArgs) -> Self {
        let (stdout, stderr) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self {
            file: global.file.clone(),
            quiet: global.quiet,
            verbose: global.verbose,
            no_input: global.no_input,
            stdout_colour: wants_colour(global.color, stdout),
            stderr_colour: wants_colour(global.color, stderr),
            stdout_is_terminal: stdout,
            stderr_is_terminal: stderr,
        }
    }

    /// As in a pipe, and quiet.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self {
            file: PathBuf::from("cluster.toml"),
            quiet: true,
            verbose: false,
            no_input: false,
            stdout_colour: false,
            stderr_colour: false,
            stdout_is_terminal: false,
            stderr_is_terminal: false,
        }
    }

    /// The colours of stdout.
    pub fn palette(&self) -> Palette {
        if self.stdout_colour { Palette::coloured() } else { Palette::plain() }
    }
}

/// <https://no-color.org>: set and not empty, whatever its value.
fn no_color() -> bool {
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

/// The whole program: reads the command line, runs the command, and gives the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = Cli::command()
        .color(help_colour(&args))
        .try_get_matches_from(args)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, all else to stderr; one that nobody reads is no failure.
            let _ = error.print();
            return if error.use_stderr() { Kind::Usage.exit_code() } else { 0 };
        }
    };
    let context = Context::new(&cli.global);
    let mut stdout = Out::stdout();
    let result = enter(&cli.global).and_then(|()| run(&cli.command, &context, &mut stdout));
    let result = result.and_then(|code| {
        stdout.flush().map_err(|error| Diagnostic::failure("cannot write the result").caused_by(&error))?;
        Ok(code)
    });
    result.unwrap_or_else(|diagnostic| {
        report(&diagnostic, context.stderr_colour);
        diagnostic.kind.exit_code()
    })
}

/// Clap prints help and usage errors before the command line is understood, so `--color` is looked for by hand.
fn help_colour(args: &[OsString]) -> ColorChoice {
    let words: Vec<_> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let value = words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix("--color") {
        Some("") => words.get(index + 1).copied(),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    match value {
        _ if no_color() => ColorChoice::Never,
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

fn enter(global: &GlobalArgs) -> Result<(), Diagnostic> {
    let Some(folder) = &global.directory else { return Ok(()) };
    std::env::set_current_dir(folder).map_err(|error| {
        Diagnostic::failure("cannot change to the folder").at(folder.display().to_string()).caused_by(&error)
    })
}

fn report(diagnostic: &Diagnostic, colour: bool) {
    let style = if colour { Palette::coloured().code } else { Palette::plain().code };
    // There is nowhere left to say that stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{style}error:{style:#} {diagnostic}");
}

/// The real hosts, and what opens the authority's key.
fn fleet(desired: &Desired, context: &Context) -> Result<Live, Diagnostic> {
    Ok(Live::with_openers(desired.clone(), passphrase::openers(desired, context)?))
}

fn run(command: &Command, context: &Context, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let desired = || load::load(&context.file, context.stderr_colour, &mut std::io::stderr().lock());
    match command {
        Command::Init(args) => init::run(args, &context.file, stdout),
        Command::Validate(args) => {
            validate::run(args, &context.file, context.stderr_colour, stdout, &mut std::io::stderr().lock())
        }
        Command::Plan(args) => {
            let desired = desired()?;
            let observe = async |desired: &Desired| Ok(fleet(desired, context)?.observe().await);
            live::block_on(plan::run(args, context, &desired, observe, stdout))
        }
        Command::Show(args) => show::run(args, context, stdout),
        Command::Apply(args) => {
            let saved = args.saved_plan()?;
            let desired = desired()?;
            let fleet = fleet(&desired, context)?;
            let lock = async |patience: Duration, purpose: &str, emit: apply::Emit<'_>| {
                live::lock(&fleet, patience, purpose, emit).await
            };
            live::block_on(apply::run(args, saved, context, &desired, &fleet, lock, stdout))
        }
        Command::Status(args) => {
            let desired = desired()?;
            let fleet = fleet(&desired, context)?;
            live::block_on(status::run(args, context, &desired, &fleet, stdout))
        }
        Command::Backup(args) => {
            let desired = desired()?;
            let fleet = fleet(&desired, context)?;
            let work = backup::run(args, context, &desired, &fleet, stdout);
            if args.leaves_files_when_killed() { live::block_on_unless_ended(work) } else { live::block_on(work) }
        }
        Command::Restore(args) => {
            let desired = desired()?;
            live::block_on(restore::run(args, context, &desired, stdout))
        }
        Command::Certs(args) => {
            let desired = desired()?;
            let fleet = fleet(&desired, context)?;
            live::block_on(certs::run(args, context, &desired, &fleet, live::now(), stdout))
        }
        Command::Lock(args) => {
            let fleet = Live::new(desired()?);
            live::block_on(lock::run(args, context, &fleet, stdout))
        }
        Command::Export(args) => export::run(args, &desired()?, stdout),
        Command::Schema(args) => schema::run(args, stdout),
        Command::Explain(args) => explain::run(args, context, stdout),
        Command::Completions(args) => completions::run(args, stdout),
        Command::Man(args) => man::run(args, stdout),
    }
}
