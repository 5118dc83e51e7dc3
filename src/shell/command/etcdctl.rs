//! `quorate etcdctl`: etcdctl on a node, with the certificate that it needs.

use std::io::{Read as _, Write as _};

use super::certs::user_name;
use super::context::Context;
use super::live::operation;
use super::output::Out;
use super::request::declared;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::UnixSeconds;
use crate::shell::live::Live;
use crate::shell::live::attended::Attended;
use crate::shell::live::etcdctl::{Asked, needs_user};

/// Run etcdctl on a node, with a certificate for it
///
/// Runs on the first node whose member answers, or on the one of --node, as root, with the etcdctl of the version that
/// runs there and that member as its endpoint. Nothing needs to be installed here, and no port of etcd be reachable.
///
/// Without --as it uses the node's health check certificate, which may do everything while authentication is off. With
/// --as a certificate for that user is issued for an hour, kept in memory on the node, and removed when etcdctl exits.
///
/// etcdctl does what it is told: no plan is made, and no safety check of quorate stands before it. Files that it reads or
/// writes are the node's. The exit code is etcdctl's.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate etcdctl -- member list -w table
  quorate etcdctl -- endpoint status --cluster -w table
  quorate etcdctl --as root -- user list
  quorate etcdctl --as app --stdin -- put /app/config < config.json")]
pub struct EtcdctlArgs {
    /// The etcd user to run it as; needed when authentication is on
    #[arg(long = "as", value_name = "USER", value_parser = user_name)]
    pub user: Option<String>,

    /// The node to run it on [default: the first whose member answers]
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,

    /// Pass standard input on to etcdctl, up to 16 MiB
    #[arg(long)]
    pub stdin: bool,

    /// What etcdctl is to do
    #[arg(value_name = "ARGUMENTS", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

/// etcd takes no larger request than some MiB, and nothing else that etcdctl reads is large.
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// Runs it, and passes on what it prints.
///
/// # Errors
/// When it could not be started, or the host was lost.
pub async fn run(
    args: &EtcdctlArgs,
    context: &Context,
    desired: &Desired,
    fleet: &Live,
    at: UnixSeconds,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    if args.user.is_none() && needs_user(desired) {
        let refused = Diagnostic::new(Kind::Usage, "authentication is on, so etcd has to know who asks");
        return Err(refused.hint("add `--as USER`, with a user of cluster.toml, or `--as root`"));
    }
    let node = args.node.as_ref().map(|name| declared("--node", name, desired)).transpose()?;
    let input = if args.stdin { input()? } else { Vec::new() };
    let asked = Asked { node: node.as_ref(), user: args.user.as_deref(), words: &args.words, input: &input };
    let program = fleet.etcdctl(&asked, &operation("etcdctl"), at).await?;
    passed_on(program, context, stdout).await
}

fn input() -> Result<Vec<u8>, Diagnostic> {
    let mut input = Vec::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut input);
    read.map_err(|error| Diagnostic::failure("cannot read standard input").caused_by(&error))?;
    if input.len() as u64 > INPUT_BYTES_MAX {
        return Err(Diagnostic::failure("standard input is larger than 16 MiB"));
    }
    Ok(input)
}

/// Shows what a program prints as it comes; its exit code is ours.
///
/// # Errors
/// When the host was lost, or it cannot be shown.
pub(super) async fn passed_on(mut program: Attended, context: &Context, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let unwritable = |error: std::io::Error| Diagnostic::failure("cannot write the result").caused_by(&error);
    loop {
        let piece = program.next().await?;
        if piece.is_empty() {
            break;
        }
        stdout.write_all(piece).and_then(|()| stdout.flush()).map_err(unwritable)?;
        if stdout.is_closed() {
            // Nobody reads it any more, and dropping the program ends it.
            return Ok(0);
        }
    }
    let ended = program.end().await?;
    // Not a matter of --quiet: it is a part of the result.
    context.voice().pass_on(&ended.stderr);
    Ok(ended.status)
}
