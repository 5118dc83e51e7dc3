//! `quorate apply`: shows the plan, asks, and carries it out.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::approval::confirm;
use super::ca_key;
use super::context::Context;
use super::output::{Out, print};
use super::plan::{Format, formatted, worst};
use super::request::{self, RequestArgs};
use super::show;
use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::quorum::Membership;
use crate::core::cluster::{locked, sameness, trust};
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::listed;
use crate::core::observed::Observed;
use crate::core::plan::ruling::Finding;
use crate::core::plan::{Plan, approved};
use crate::core::planner;
use crate::core::render::event::{Event, Run};
use crate::core::render::{clean, words};
use crate::shell::apply::Report;
use crate::shell::clock;
use crate::shell::fleet::{Fleet, Need};
use crate::shell::guard_writes::{self, Tally};
use crate::shell::operator;
use crate::shell::patience::{Patience, Pauses};
use crate::shell::progress::{self, Output, Progress};
use crate::shell::second_look;
use crate::shell::stop::Stop;

/// Apply the plan, one verified step at a time
///
/// Looks at the hosts, shows the plan and asks for "yes". It looks again before each step, and does only what the plan
/// shows. ^C ends a wait at once, and lets what is being done on a host finish; a second one ends everything. It is safe to
/// kill at any point: run it again, and it resumes from the current state.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  quorate apply
  quorate apply plan.json                 apply this saved plan and nothing else
  quorate apply --yes --expect ID         in a pipeline: exactly the plan that was reviewed
  quorate apply --yes --json              events as JSON, one object per line")]
pub struct ApplyArgs {
    /// Apply this plan, saved by `quorate plan -o FILE`, and nothing else
    #[arg(value_name = "FILE")]
    pub plan: Option<PathBuf>,

    /// Skip the confirmation prompt
    #[arg(short, long)]
    pub yes: bool,

    /// Stop unless the plan has this id, or nothing is left to do
    ///
    /// Plan with the same flags as the plan that was reviewed (--lost, --rotate-ca, --allow); the command under a Markdown plan
    /// has them all.
    #[arg(long, value_name = "PLAN_ID")]
    pub expect: Option<String>,

    /// How long to wait if another apply holds the lock
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    pub lock_timeout: Duration,

    /// How long to wait for the effect of a step without progress [default: 3m where etcd starts, else 30s]
    ///
    /// A member that is reading its database makes progress, however long that takes. The wait ends early if etcd keeps
    /// exiting.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,

    /// Print events as JSON, one object per line, instead of the plan
    #[arg(long)]
    pub json: bool,

    /// Keep writing a probe key (/quorate/guard), and stop the apply if a write fails or is too slow
    ///
    /// Each write uses a new connection.
    #[arg(long)]
    pub guard_writes: bool,

    /// How long a probe write may take
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "5s")]
    pub guard_limit: Duration,

    #[command(flatten)]
    pub request: RequestArgs,
}

impl ApplyArgs {
    /// The saved plan, if one is named. Read before any host is asked anything.
    ///
    /// # Errors
    /// When the file is not a plan as quorate saved it.
    pub fn saved_plan(&self) -> Result<Option<Plan>, Diagnostic> {
        self.plan.as_deref().map(show::read_saved).transpose()
    }
}

/// Where `lock` reports that it waits.
pub type Emit<'a> = &'a (dyn Fn(Event) + Sync);

/// Shows the plan, asks, takes the locks and carries it out. What `lock` gives is held until the end.
///
/// # Errors
/// When the plan is not the one expected, the operator does not approve, or it stops part-way.
pub async fn run<F: Fleet, G>(
    args: &ApplyArgs,
    saved: Option<Plan>,
    context: &Context,
    desired: &Desired,
    fleet: &F,
    lock: impl AsyncFnOnce(Duration, &str, Emit) -> Result<G, Diagnostic>,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    let output = Output::choose(args.json, context.quiet, context.stderr_is_terminal);
    let mut desired = args.request.added_to(desired)?;
    if let Some(saved) = &saved {
        desired = request::of_saved(&args.request, saved, desired)?;
    }
    fleet.open_keys(Need::Look).await?;
    let look =
        |patience| progress::while_looking(context, &desired, fleet, unlocked(patience, context, &desired, fleet));
    let (mut observed, mut waited) = look(args.lock_timeout).await?;
    if trust::is_shut_out(&desired, &observed) {
        fleet.open_keys(Need::LookAgain).await?;
        let (again, more) = look(args.lock_timeout.saturating_sub(waited)).await?;
        (observed, waited) = (again, waited + more);
    }
    // The fleet does not know of the request.
    if sameness::is_asked_for(&desired, &observed) {
        observed.comparison = fleet.compare().await;
    }
    request::bind(&mut desired, &observed)?;
    let desired = &desired;
    let fresh = planner::plan(desired, &observed);
    // Whoever is to approve it reads all of it; who wants one line reads how it ended.
    let is_brief = context.quiet && args.yes;
    if !args.json && (!is_brief || fresh.is_empty()) {
        let context = Context { quiet: is_brief, ..context.clone() };
        print(stdout, &formatted(&fresh, Format::Text, &context))?;
    }
    check(args, saved.as_ref(), &fresh)?;
    if fresh.steps.is_empty() {
        return nothing_to_do(args, context, desired, &fresh, stdout);
    }
    let allowed: BTreeSet<_> = saved.iter().flat_map(|saved| &saved.allowed).chain(&args.request.allow).collect();
    check_allowed(&allowed, &fresh)?;
    ca_key::check(desired, &observed, &fresh)?;
    approve(args, context, &fresh)?;
    if let Some(need) = ca_key::need(desired, &fresh) {
        fleet.open_keys(need).await?;
    }
    let writer: Box<dyn Write + Send> = if args.json { Box::new(Out::stdout()) } else { stdout.progress() };
    let progress = Progress::new(output, desired.nodes.len(), run_of(desired), context.stderr_colour, writer);
    let emit = |event: Event| progress.take(&event);
    let doing = if desired.request.restore.is_some() { "restore of" } else { "apply of" };
    let left = args.lock_timeout.saturating_sub(waited);
    let _held = lock(left, &format!("{doing} plan {}", fresh.id()), &emit).await?;
    emit(Event::Planned { plan_id: fresh.id(), steps: fresh.steps.len() });
    let membership = Membership::of(desired, &observed);
    let leader = membership.as_ref().and_then(Membership::leading_host).cloned();
    if let Some(text) = words::other_leader(&fresh, leader) {
        emit(Event::Warning { text });
    }
    let stop = Stop::default();
    let interrupted = || {
        // Behind the ^C that the terminal has shown; a bar draws over it.
        if context.stderr_is_terminal && output != Output::Bar {
            context.voice().end_line();
        }
    };
    let work = crate::shell::apply::apply(desired, fleet, &fresh, &stop, args.wait, &emit);
    let work = finish_step_on_interrupt(&stop, interrupted, work);
    let result = if args.guard_writes {
        let tally = Mutex::new(Tally::default());
        let watch = guard_writes::watch(desired, &observed, fleet, args.guard_limit, &stop, &tally);
        let result = tokio::select! { never = watch => match never {}, result = work => result };
        let Tally { writes, failed, longest } = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        emit(Event::GuardWrites { writes, failed, longest_seconds: longest.as_secs_f64() });
        result
    } else {
        work.await
    };
    drop(progress);
    conclude(args, &result?, stdout)
}

/// What is seen when nobody else is at work, and how long that was waited for: what somebody's run has half done is nothing
/// to plan from.
async fn unlocked(
    lock_timeout: Duration,
    context: &Context,
    desired: &Desired,
    fleet: &impl Fleet,
) -> Result<(Observed, Duration), Diagnostic> {
    let mut patience = Patience::new(lock_timeout, Pauses::Every(LOCK_LOOKED_AT_EVERY));
    let mut is_told = false;
    loop {
        let observed = second_look::settled(desired, fleet).await;
        let Some(Finding { what, .. }) = locked::findings(&observed).into_iter().next() else {
            return Ok((observed, if is_told { patience.waited() } else { Duration::ZERO }));
        };
        if patience.is_over() {
            let hint = "wait until it has finished (`--lock-timeout 5m` does so), and see `quorate lock status`; if it is \
                        stuck: `quorate lock break`";
            return Err(Diagnostic::new(Kind::Locked, format!("nothing was changed: {what}")).hint(hint));
        }
        if !std::mem::replace(&mut is_told, true) {
            context.voice().note(format_args!("waiting for the lock: {what}"));
        }
        patience.wait().await;
    }
}

const LOCK_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Refuses a plan that is not the approved one, before anything is begun.
fn check(args: &ApplyArgs, saved: Option<&Plan>, fresh: &Plan) -> Result<(), Diagnostic> {
    let again = "review the new plan, then apply it";
    let id = saved.map_or_else(|| fresh.id(), Plan::id);
    // Where nothing is left to do, it was done: nothing can be done that was not expected.
    let is_done = saved.is_none() && fresh.is_empty();
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != id && !is_done) {
        let what = format!("the plan id is {id}, but --expect says {expected}");
        return Err(Diagnostic::new(Kind::PlanChanged, what).hint(again));
    }
    let Some(saved) = saved else { return Ok(()) };
    if saved.cluster != fresh.cluster {
        let what =
            format!("the saved plan is for cluster {}, but {} declares {}", saved.cluster, fresh.file, fresh.cluster);
        return Err(Diagnostic::new(Kind::PlanChanged, what));
    }
    let changes = approved::changes(saved, fresh);
    if changes.is_empty() {
        return Ok(());
    }
    let what = "the saved plan is stale: the hosts or cluster.toml have changed since it was saved";
    let mut diagnostic = Diagnostic::new(Kind::PlanChanged, what);
    let more = changes.len().saturating_sub(OTHERS_TOLD);
    for change in changes.into_iter().take(OTHERS_TOLD) {
        diagnostic = diagnostic.with_cause(change);
    }
    if more > 0 {
        diagnostic = diagnostic.with_cause(format!("and {more} more"));
    }
    Err(diagnostic.hint(again))
}

/// Refuses before anything is begun what is dangerous and was not allowed by name.
fn check_allowed(allowed: &BTreeSet<&Allowance>, plan: &Plan) -> Result<(), Diagnostic> {
    let missing: Vec<_> = plan.needs().difference(allowed).copied().collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let steps =
        plan.steps.iter().enumerate().filter(|(_, step)| step.needs.iter().any(|needs| missing.contains(&needs)));
    let mut diagnostic = Diagnostic::new(Kind::Refused, format!("this plan needs --allow {first}"));
    for (index, step) in steps.take(OTHERS_TOLD) {
        let line = words::step_line(index + 1, plan.steps.len(), &step.title(), step.hosts(), plan.hosts);
        diagnostic = diagnostic.with_cause(line);
    }
    let flags: Vec<_> = missing.iter().map(|missing| format!("--allow {missing}")).collect();
    let is_new = missing.iter().any(|missing| missing.kind == AllowKind::NewCluster);
    let first = match is_new {
        true => format!("; to bring the cluster back, `quorate restore SNAPSHOT --confirm {}`", plan.cluster),
        false => String::new(),
    };
    let intended = if is_new { "only if an empty cluster is intended" } else { "if that is intended" };
    Err(diagnostic.hint(format!("nothing was changed{first}; {intended}, add {}", flags.join(" "))))
}

/// Enough to recognise what happened.
const OTHERS_TOLD: usize = 5;

/// Who runs this, for its events.
fn run_of(desired: &Desired) -> Run {
    Run { cluster: desired.cluster.name.to_string(), operator: operator::operator() }
}

fn nothing_to_do(
    args: &ApplyArgs,
    context: &Context,
    desired: &Desired,
    plan: &Plan,
    stdout: &mut Out,
) -> Result<u8, Diagnostic> {
    if args.json {
        let left = plan.blocked.len();
        let finished = Event::Finished { steps: 0, seconds: 0.0, left };
        print(stdout, &format!("{}\n", run_of(desired).json_line(&finished, clock::now())))?;
    }
    match worst(plan) {
        None => {
            if !args.json && (args.plan.is_some() || args.expect.is_some()) {
                print(stdout, "Nothing left to do.\n")?;
            }
            Ok(0)
        }
        Some(kind) if args.json || (context.quiet && args.yes) => Err(left_over(plan, kind)),
        // Why has just been shown, each with its way out.
        Some(kind) => {
            let codes: BTreeSet<_> = plan.blocked.iter().map(|blocked| blocked.code).collect();
            Err(Diagnostic::new(kind, format!("nothing was changed: the plan above is blocked [{}]", listed(codes))))
        }
    }
}

fn approve(args: &ApplyArgs, context: &Context, plan: &Plan) -> Result<(), Diagnostic> {
    if args.yes {
        return Ok(());
    }
    if context.no_input || args.json {
        let by = if context.no_input { "--no-input" } else { "--json" };
        let (verb, hint) = match plan.request.restore {
            None => ("apply", "add --yes, and --expect PLAN_ID to pin the plan"),
            Some(_) => ("restore", "add --yes"),
        };
        let what = format!("{verb} needs approval, and cannot ask for it with {by}");
        return Err(Diagnostic::new(Kind::Usage, what).hint(hint));
    }
    let steps = words::count(plan.steps.len(), "step");
    let these = if plan.steps.len() == 1 { "this step".to_owned() } else { format!("these {steps}") };
    // What cannot be taken back is confirmed by the name of what it is done to.
    let is_final = plan.needs().iter().any(|needs| needs.kind == AllowKind::LoseQuorum);
    let expected = if is_final { plan.cluster.as_str() } else { "yes" };
    let what = if is_final { "Type the cluster's name" } else { "Type \"yes\"" };
    let question = format!("Apply {these} to cluster {}? {what}", plan.cluster);
    confirm(context, &question, expected, "nothing was changed")
}

/// The first ^C asks to stop after the step at hand. A second one ends the process: that is safe, too.
async fn finish_step_on_interrupt<T>(stop: &Stop, tell: impl Fn(), work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut interrupted = false;
    loop {
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = tokio::signal::ctrl_c(), if !interrupted => {
                interrupted = true;
                stop.interrupt();
                tell();
                restore_interrupt();
            }
        }
    }
}

/// Lets the next ^C end the process, as if nobody had listened.
fn restore_interrupt() {
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(128 + 2);
        }
    });
}

fn conclude(args: &ApplyArgs, report: &Report, stdout: &mut Out) -> Result<u8, Diagnostic> {
    let left = &report.left;
    if !args.json {
        let steps = words::count(report.steps, "step");
        let said = match left.request.restore {
            Some(_) if left.is_empty() => format!("Restored: {steps}. Every member has the data of the snapshot.\n"),
            _ => format!("Applied: {steps}. {}\n", remains(left)),
        };
        print(stdout, &said)?;
    }
    match worst(left) {
        Some(kind) => Err(left_over(left, kind)),
        None if left.steps.is_empty() => Ok(0),
        None => Err(Diagnostic::new(Kind::Stopped, "the hosts differ from cluster.toml again")
            .hint("run `quorate plan` to see what differs")),
    }
}

fn remains(left: &Plan) -> String {
    if left.is_empty() && left.unseen == 0 {
        return format!("Cluster {} matches {}: {}.", left.cluster, left.file, words::checked(left));
    }
    if left.is_empty() {
        return format!("Cluster {} serves without what is lost: {}.", left.cluster, words::health(left));
    }
    if left.steps.is_empty() {
        return format!("Remaining: {} blocked.", left.blocked.len());
    }
    format!("Remaining: {}.", words::summary(left))
}

/// What could not be done, as the error that decides the exit code.
fn left_over(plan: &Plan, kind: Kind) -> Diagnostic {
    let mut blocked = plan.blocked.iter().filter(|blocked| blocked.kind() == kind);
    let mut diagnostic = Diagnostic::new(kind, "apply is incomplete");
    for blocked in blocked.by_ref().take(OTHERS_TOLD) {
        diagnostic = diagnostic.with_cause(format!("{} [{}]", clean(&blocked.what), blocked.code));
        if diagnostic.hint.is_none() {
            diagnostic.hint.clone_from(&blocked.hint);
        }
    }
    if blocked.next().is_some() {
        diagnostic = diagnostic.with_cause("and more");
    }
    diagnostic
}

#[cfg(test)]
mod tests;
