//! `quorate status`: how the cluster is, once or again and again.

use std::time::Duration;

use super::context::Context;
use super::output::{Out, print};
use crate::core::cluster::overview::is_asked;
use crate::core::cluster::sameness;
use crate::core::code::Code;
use crate::core::content::settings;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::render::{check, found, status};
use crate::shell::command::load::named;
use crate::shell::fleet::Fleet;
use crate::shell::live::remote::Elevation;
use crate::shell::live::ssh::Target;
use crate::shell::live::survey::Surveyor;
use crate::shell::{progress, second_look};

/// Show members, leader, health, sizes, lag, alarms and certificate expiry
///
/// Changes nothing. Exits 6 if no host is reachable.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate status
  quorate status --watch
  quorate status --deep
  quorate status --check                         for monitoring
  quorate status --from-live cp-1 --ssh-user ops without a cluster.toml: whatever etcd runs there
  quorate status --json | jq '.members[] | select(.healthy | not)'")]
pub struct StatusArgs {
    /// Refresh every two seconds until ^C
    #[arg(short, long, conflicts_with = "deep")]
    pub watch: bool,

    /// Also compare the data of all members: HashKV at one revision
    ///
    /// While a member computes the hash it applies nothing: for some 2 s a GB, one member after the other. Exits 3 if they
    /// differ, 6 if a member could not be compared.
    #[arg(long)]
    pub deep: bool,

    /// Exit by how the cluster is: 0 well, 2 degraded, 3 no quorum, 6 not seen
    ///
    /// Degraded is a cluster that serves while a member does not, one is not declared, an alarm is active, the newest snapshot
    /// is too old, or the data that --deep has compared differs. No quorum is one in which members answer and none serves, or in
    /// which etcd runs nowhere.
    #[arg(long, conflicts_with = "watch")]
    pub check: bool,

    /// Read what runs on this host, without a cluster.toml: every etcd, whoever set it up, and its cluster
    ///
    /// HOST is what ssh takes: host, alias, or user@host:port. Tells how each etcd lies there (a static pod of kubeadm, the
    /// service of a package, …), who else writes its files, its settings and certificates, and the members of its cluster, asked
    /// through that host with a client certificate that lies there. Changes nothing. Exits 1 if no etcd runs there, 6 if a
    /// member could not be asked.
    #[arg(long, value_name = "HOST", conflicts_with_all = ["watch", "deep", "check"])]
    pub from_live: Option<String>,

    /// With --from-live: the user to log in as
    #[arg(long, value_name = "USER", requires = "from_live")]
    pub ssh_user: Option<String>,

    /// With --from-live: the ssh config to use [default: your own and the system's]
    #[arg(long, value_name = "FILE", requires = "from_live")]
    pub ssh_config: Option<String>,

    /// With --from-live: the host keys to trust [default: your own known_hosts]
    #[arg(long, value_name = "FILE", requires = "from_live")]
    pub known_hosts: Option<String>,

    /// Print JSON; `quorate schema status` describes it, `quorate schema from-live` that of --from-live
    #[arg(long)]
    pub json: bool,
}

/// As a `plan` that has changes: there is something to do.
const DEGRADED: u8 = 2;

const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Moves the cursor home and clears what is below it: no flicker, and nothing left of a longer table.
const REDRAW: &str = "\x1b[H\x1b[J";

/// Prints what `fleet` sees.
///
/// # Errors
/// When no host could be seen, or the result cannot be written.
pub async fn run(
    args: &StatusArgs,
    context: &Context,
    desired: &Desired,
    fleet: &impl Fleet,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let mut observed = progress::while_looking(context, desired, fleet, second_look::settled(desired, fleet)).await;
    if args.deep {
        observed.comparison = fleet.compare().await;
    }
    if !args.watch {
        let document = status::document(desired, &observed);
        print(stdout, &shown(args, context, &document))?;
        if args.check {
            return Ok(match check::verdict(&document) {
                check::Verdict::Well => 0,
                check::Verdict::Degraded => DEGRADED,
                check::Verdict::NoQuorum => Kind::Refused.exit_code(),
                check::Verdict::NotSeen => Kind::Unseen.exit_code(),
            });
        }
        let nothing_seen = observed.seen_hosts().next().is_none();
        // That is no answer of a member, good or bad.
        let not_asked = observed.seen_hosts().any(|(_, host)| !is_asked(host));
        if args.deep && sameness::difference(&observed).is_some() {
            return Ok(Code::DataDiffers.kind().exit_code());
        }
        let not_compared = args.deep && observed.comparison.as_ref().is_some_and(|made| !made.missed.is_empty());
        return Ok(if nothing_seen || not_asked || not_compared { Kind::Unseen.exit_code() } else { 0 });
    }
    loop {
        let redraw = if context.stdout_is_terminal && !args.json { REDRAW } else { "" };
        print(stdout, &format!("{redraw}{}", shown(args, context, &status::document(desired, &observed))))?;
        if stdout.is_closed() {
            return Ok(0);
        }
        tokio::time::sleep(WATCH_EVERY).await;
        observed = second_look::settled(desired, fleet).await;
    }
}

/// Prints what runs on `host`, of which nothing is declared.
///
/// # Errors
/// When the host cannot be looked at, no etcd runs there, or the result cannot be written.
pub async fn from_live(host: &str, args: &StatusArgs, context: &Context, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let file = |path: &Option<String>| path.as_deref().map(named).transpose();
    let target = Target::parse(host).map_err(|error| Diagnostic::new(Kind::Usage, error.to_string()))?;
    let target = Target {
        user: target.user.or_else(|| args.ssh_user.clone()),
        config: file(&args.ssh_config)?,
        known_hosts: file(&args.known_hosts)?,
        ..target
    };
    let surveyor = Surveyor::connect(&target, Elevation::Sudo).await?;
    let survey = surveyor.survey().await?;
    if survey.running.is_empty() {
        let hint = "name a host on which it runs; a stopped one is not looked for";
        return Err(Diagnostic::failure(format!("no etcd runs on {host}")).hint(hint));
    }
    let mut asked = Vec::with_capacity(survey.running.len());
    for running in &survey.running {
        let told = settings::told(running);
        let answers = surveyor.ask(running, told.as_ref().ok()).await;
        asked.push((running, told, answers));
    }
    let etcd = asked.iter().map(|(running, told, answers)| (*running, told, answers));
    let document = found::document(host, &survey, etcd);
    let text = if args.json { found::json(&document) } else { found::text(&document, context.palette()) };
    print(stdout, &text)?;
    Ok(if document.is_complete() { 0 } else { Kind::Unseen.exit_code() })
}

fn shown(args: &StatusArgs, context: &Context, document: &status::Document) -> String {
    match (args.json, args.watch) {
        // One line a look, so that a program can read them as they come.
        (true, true) => format!("{}\n", serde_json::to_string(document).expect("a status is plain data")),
        (true, false) => status::json(document),
        (false, _) if context.quiet => status::headline(document, context.palette()),
        (false, _) => status::text(document, context.palette(), context.width),
    }
}
