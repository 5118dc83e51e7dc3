//! The command line, as typed. What each command takes lives beside the command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::shell::command::{
    apply::ApplyArgs, backup::BackupArgs, certs::CertsArgs, completions::CompletionsArgs, explain::ExplainArgs,
    export::ExportArgs, init::InitArgs, lock::LockArgs, man::ManArgs, plan::PlanArgs, restore::RestoreArgs,
    schema::SchemaArgs, show::ShowArgs, status::StatusArgs, validate::ValidateArgs,
};

/// Keep etcd clusters as their cluster.toml says
///
/// quorate looks at the hosts of a cluster over SSH, compares them with cluster.toml, and shows what it would do, in
/// order, and what each step does to quorum. Then it does that, one gated step at a time. There is no state file: the
/// live hosts and the live cluster are the state, so it is safe to kill anywhere and run again.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  quorate init etcd-1=10.0.0.11 etcd-2=10.0.0.12 etcd-3=10.0.0.13
  quorate plan                        what would change, in order; reads only
  quorate apply                       do it, after a \"yes\"
  quorate plan --detailed-exitcode    the drift check in CI: 0 in sync, 2 changes

Exit codes:
  0   done; with --detailed-exitcode: nothing to change
  1   error: config, remote command, I/O
  2   only plan --detailed-exitcode: there are changes; certs list --within: something ends
  3   refused by a guard
  4   the plan differs from --expect or from the saved plan
  5   locked by someone else
  6   could not see enough to plan safely
  7   apply stopped part-way; the cluster serves (in a restore it may not); run it again
  64  wrong usage")]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The declaration of the cluster
    #[arg(short, long, value_name = "FILE", default_value = "cluster.toml", global = true)]
    pub file: PathBuf,

    /// Change to this folder first
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,

    /// When to use colours; NO_COLOR wins
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub color: Colour,

    /// Print results and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more: every action of every host
    #[arg(short, long, global = true)]
    pub verbose: bool,

    /// Never ask
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

#[derive(Debug, Subcommand)]
pub enum Command {
    Init(InitArgs),
    Validate(ValidateArgs),
    Plan(PlanArgs),
    Show(ShowArgs),
    Apply(ApplyArgs),
    Status(StatusArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Certs(CertsArgs),
    Lock(LockArgs),
    Export(ExportArgs),
    Schema(SchemaArgs),
    Explain(ExplainArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
