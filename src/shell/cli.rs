//! The command line: what may be typed, and the command that it runs. What each command takes lives beside the command.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::Duration;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::shell::clock;
use crate::shell::command::context::{Context, GlobalArgs, no_color};
use crate::shell::command::output::Out;
use crate::shell::command::{
    apply, backup, certs, completions, doctor, etcdctl, explain, export, init, live, load, lock, logs, man,
    move_leader, plan, restore, schema, show, status, validate,
};
use crate::shell::live::Live;
use crate::shell::{progress, second_look};

use crate::shell::command::{
    apply::ApplyArgs, backup::BackupArgs, certs::CertsArgs, completions::CompletionsArgs, doctor::DoctorArgs,
    etcdctl::EtcdctlArgs, explain::ExplainArgs, export::ExportArgs, init::InitArgs, lock::LockArgs, logs::LogsArgs,
    man::ManArgs, move_leader::MoveLeaderArgs, plan::PlanArgs, restore::RestoreArgs, schema::SchemaArgs,
    show::ShowArgs, status::StatusArgs, validate::ValidateArgs,
};

/// Manage etcd clusters declaratively: plan and apply over SSH
///
/// quorate looks at the hosts of a cluster over SSH, compares them with cluster.toml, and shows what it would change, in
/// order, and how many failures the cluster tolerates during each step. Then it applies the plan one step at a time,
/// checking the cluster before each step. There is no state file: the live hosts and the live cluster are the state, so it
/// is safe to kill at any point and run again.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  quorate init etcd-1=10.0.0.11 etcd-2=10.0.0.12 etcd-3=10.0.0.13
  quorate plan                        show what would change; changes nothing
  quorate apply                       apply it, after you confirm with \"yes\"
  quorate plan --detailed-exitcode    drift check for CI: 0 in sync, 2 changes

Exit codes:
  0   success; with --detailed-exitcode: no changes
  1   error: configuration, remote command, I/O
  2   plan --detailed-exitcode: there are changes; --fail-on: findings; certs list --within: a
      certificate expires; status --check: degraded
  3   refused by a safety check; status --check: no quorum
  4   the plan differs from --expect or from the saved plan
  5   another apply holds the lock
  6   too much is unreachable to plan safely
  7   apply stopped part-way; the cluster serves (during a restore it may not); run it again
  64  wrong usage
  130 ended by ^C: run apply or restore again to continue")]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Validate(ValidateArgs),
    Plan(PlanArgs),
    Show(ShowArgs),
    Apply(ApplyArgs),
    Status(StatusArgs),
    Doctor(DoctorArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Certs(CertsArgs),
    Etcdctl(EtcdctlArgs),
    Logs(LogsArgs),
    MoveLeader(MoveLeaderArgs),
    Lock(LockArgs),
    Export(ExportArgs),
    Schema(SchemaArgs),
    Explain(ExplainArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
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
        context.voice().error(&diagnostic);
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
        Diagnostic::failure("cannot change to the directory").at(folder.display().to_string()).caused_by(&error)
    })
}

fn run(command: &Command, context: &Context, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let desired = || load::load(&context.file, context.stderr_colour, &mut std::io::stderr().lock());
    match command {
        Command::Init(args) if !args.from_live.is_empty() => {
            live::block_on(init::from_live::run(args, context, stdout))
        }
        Command::Init(args) => init::run(args, &context.file, stdout),
        Command::Validate(args) => {
            validate::run(args, &context.file, context.stderr_colour, stdout, &mut std::io::stderr().lock())
        }
        Command::Plan(args) => {
            let desired = desired()?;
            let observe = async |desired: &Desired| {
                let fleet = live::fleet(desired, context)?;
                let look = second_look::settled(desired, &fleet);
                Ok(progress::while_looking(context, desired, &fleet, look).await)
            };
            live::block_on(plan::run(args, context, &desired, observe, stdout))
        }
        Command::Show(args) => show::run(args, context, stdout),
        Command::Apply(args) => {
            let saved = args.saved_plan()?;
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            let lock = async |patience: Duration, purpose: &str, emit: apply::Emit<'_>| {
                live::lock(&fleet, patience, purpose, emit).await
            };
            live::block_on(apply::run(args, saved, context, &desired, &fleet, lock, stdout))
        }
        Command::Status(args) if let Some(host) = &args.from_live => {
            live::block_on(status::from_live(host, args, context, stdout))
        }
        Command::Status(args) => {
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            live::block_on(status::run(args, context, &desired, &fleet, stdout))
        }
        Command::Doctor(args) => {
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            live::block_on(doctor::run(args, context, &desired, &fleet, stdout))
        }
        Command::Backup(args) => {
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            let work = backup::run(args, context, &desired, &fleet, stdout);
            if args.leaves_files_when_killed() {
                live::block_on_unless_ended(context.voice(), work)
            } else {
                live::block_on(work)
            }
        }
        Command::Restore(args) => {
            let desired = desired()?;
            live::block_on(restore::run(args, context, &desired, stdout))
        }
        Command::Certs(args) => {
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            live::block_on(certs::run(args, context, &desired, &fleet, clock::now(), stdout))
        }
        Command::Etcdctl(args) => {
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            live::block_on(etcdctl::run(args, context, &desired, &fleet, clock::now(), stdout))
        }
        Command::Logs(args) => {
            let desired = desired()?;
            let fleet = Live::new(desired.clone());
            live::block_on(logs::run(args, context, &desired, &fleet, stdout))
        }
        Command::MoveLeader(args) => {
            let desired = desired()?;
            let fleet = live::fleet(&desired, context)?;
            live::block_on(move_leader::run(args, context, &desired, &fleet, stdout))
        }
        Command::Lock(args) => {
            let fleet = Live::new(desired()?);
            live::block_on(lock::run(args, context, &fleet, stdout))
        }
        Command::Export(args) => export::run(args, context, &desired()?, stdout),
        Command::Schema(args) => schema::run(args, stdout),
        Command::Explain(args) => explain::run(args, context, stdout),
        Command::Completions(args) => completions::run(args, Cli::command(), stdout),
        Command::Man(args) => man::run(args, Cli::command(), stdout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n  quorate "), "{}", command.get_name());
        }
    }
}
