//! `quorate apply`: shows the plan, asks, and carries it out.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::approval::confirm;
use super::context::Context;
use super::output::{Out, print};
use super::plan::{Format, formatted, worst};
use super::request::{self, RequestArgs};
use super::show;
use crate::core::allowance::{AllowKind, Allowance};
use crate::core::cluster::sameness;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::listed;
use crate::core::plan::Plan;
use crate::core::plan::action::Action;
use crate::core::planner;
use crate::core::render::event::Event;
use crate::core::render::{clean, words};
use crate::shell::apply::{Report, Stop};
use crate::shell::fleet::Fleet;
use crate::shell::guard_writes::{self, Tally};
use crate::shell::progress::{self, Output, Progress};

/// Apply the plan, one verified step at a time
///
/// Looks at the hosts, shows the plan and asks for "yes". It looks again before each step, and does only what the plan
/// shows. The first ^C finishes the current step and stops. It is safe to kill at any point: run it again, and it resumes
/// from the current state.
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

    /// Stop unless the plan has this id
    #[arg(long, value_name = "PLAN_ID")]
    pub expect: Option<String>,

    /// How long to wait if another apply holds the lock
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "0s")]
    pub lock_timeout: Duration,

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
        desired.request = request::of_saved(&args.request, &saved.request)?;
    }
    let mut observed = progress::while_looking(output == Output::Bar, &desired, fleet.observe()).await;
    // The fleet does not know of the request.
    if sameness::is_asked_for(&desired, &observed) {
        observed.comparison = fleet.compare().await;
    }
    request::bind(&mut desired, &observed)?;
    let desired = &desired;
    let fresh = planner::plan(desired, &observed);
    if !args.json {
        print(stdout, &formatted(&fresh, Format::Text, context))?;
    }
    check(args, saved.as_ref(), &fresh)?;
    if fresh.steps.is_empty() {
        return nothing_to_do(args, &fresh, stdout);
    }
    check_allowed(&args.request.allow, &fresh)?;
    approve(args, context, &fresh)?;
    let writer: Box<dyn Write + Send> = if args.json { Box::new(Out::stdout()) } else { stdout.progress() };
    let progress = Progress::new(output, desired.nodes.len(), context.stderr_colour, writer);
    let emit = |event: Event| progress.take(&event);
    let doing = if desired.request.restore.is_some() { "restore by" } else { "apply of" };
    let _held = lock(args.lock_timeout, &format!("{doing} plan {}", fresh.id()), &emit).await?;
    emit(Event::Planned { plan_id: fresh.id(), steps: fresh.steps.len() });
    let stop = Stop::default();
    let interrupted = || {
        // Behind the ^C that the terminal has shown; a bar draws over it.
        if context.stderr_is_terminal && output != Output::Bar {
            context.voice().end_line();
        }
        let text = "interrupted: finishing the current step; ^C again aborts now".to_owned();
        emit(Event::Warning { text });
    };
    let work = crate::shell::apply::apply(desired, fleet, &fresh, &stop, &emit);
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

/// Refuses a plan that is not the approved one, before anything is begun.
fn check(args: &ApplyArgs, saved: Option<&Plan>, fresh: &Plan) -> Result<(), Diagnostic> {
    let again = "review the new plan, then apply it";
    let id = saved.map_or_else(|| fresh.id(), Plan::id);
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != id) {
        let what = format!("the plan id is {id}, but --expect says {expected}");
        return Err(Diagnostic::new(Kind::PlanChanged, what).hint(again));
    }
    let Some(saved) = saved else { return Ok(()) };
    if saved.cluster != fresh.cluster {
        let what =
            format!("the saved plan is for cluster {}, but {} declares {}", saved.cluster, fresh.file, fresh.cluster);
        return Err(Diagnostic::new(Kind::PlanChanged, what));
    }
    let held: Vec<_> = saved.actions().map(Action::identity).collect();
    let is_held = |action: &&Action| action.is_precaution() || held.contains(&action.identity());
    let mut others = fresh.actions().filter(|action| !is_held(action)).peekable();
    if others.peek().is_none() {
        return Ok(());
    }
    let mut diagnostic =
        Diagnostic::new(Kind::PlanChanged, "the hosts or cluster.toml have changed since the plan was saved");
    for action in others.by_ref().take(OTHERS_TOLD) {
        let on = action.host().map_or_else(String::new, |host| format!(" on {host}"));
        diagnostic = diagnostic.with_cause(format!("not in the saved plan: {action}{on}"));
    }
    if others.next().is_some() {
        diagnostic = diagnostic.with_cause("and more");
    }
    Err(diagnostic.hint(again))
}

/// Refuses before anything is begun what is dangerous and was not allowed by name.
fn check_allowed(allowed: &[Allowance], plan: &Plan) -> Result<(), Diagnostic> {
    let missing: Vec<_> = plan.needs().into_iter().filter(|needs| !allowed.contains(needs)).collect();
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

fn nothing_to_do(args: &ApplyArgs, plan: &Plan, stdout: &mut Out) -> Result<u8, Diagnostic> {
    if args.json {
        let left = plan.blocked.len();
        print(stdout, &format!("{}\n", Event::Finished { steps: 0, seconds: 0.0, left }.json_line()))?;
    }
    match worst(plan) {
        None => Ok(0),
        Some(kind) if args.json => Err(left_over(plan, kind)),
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
    if left.is_empty() {
        return format!("Cluster {} matches {}: {}.", left.cluster, left.file, words::checked(left));
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
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::core::names::HostName;
    use crate::core::observed::{Cause, Observed};
    use crate::core::render::samples;
    use crate::laws::sample;
    use crate::shell::command::output::Captured;

    /// A fleet that does what it is told.
    struct Obedient {
        desired: Desired,
        world: Mutex<Observed>,
    }

    impl Obedient {
        fn bare() -> Self {
            let desired = sample::desired(3);
            Self { world: Mutex::new(sample::bare(&desired)), desired }
        }

        /// Applies with these flags, and an open lock: the result and what was printed.
        async fn apply(&self, args: &ApplyArgs, saved: Option<Plan>) -> (Result<u8, Diagnostic>, String) {
            let lock = async |_: Duration, _: &str, _: Emit<'_>| Ok(());
            let captured = Captured::default();
            let context = Context::for_tests();
            let result = run(args, saved, &context, &self.desired, self, lock, &mut captured.out()).await;
            (result, captured.text())
        }

        fn plan(&self) -> Plan {
            planner::plan(&self.desired, &self.world.lock().unwrap())
        }
    }

    impl Fleet for Obedient {
        async fn observe(&self) -> Observed {
            self.world.lock().unwrap().clone()
        }

        async fn compare(&self) -> Option<crate::core::observed::Comparison> {
            None
        }

        async fn write_once(&self, _: &HostName, _: &str, _: &str, _: Duration) -> Result<Duration, Cause> {
            Ok(Duration::ZERO)
        }

        async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
            planner::effect(action, &self.desired, &mut self.world.lock().unwrap());
            Ok(())
        }
    }

    fn yes() -> ApplyArgs {
        ApplyArgs { yes: true, ..ApplyArgs::default() }
    }

    #[tokio::test]
    async fn what_is_planned_is_done_and_then_nothing_is_left() {
        let fleet = Obedient::bare();
        let (result, printed) = fleet.apply(&yes(), None).await;
        assert_eq!(result, Ok(0));
        assert!(printed.contains("\n[ 1/13] create the CA on this machine\n"), "{printed}");
        let last = printed.lines().last().unwrap();
        assert!(last.starts_with("Applied: 13 steps. Cluster prod matches cluster.toml: 3 hosts: binaries,"), "{last}");
        let (result, printed) = fleet.apply(&yes(), None).await;
        assert_eq!(result, Ok(0));
        assert!(printed.starts_with("No changes: "), "{printed}");
        assert_eq!(printed.lines().count(), 1);
    }

    #[tokio::test]
    async fn nothing_is_done_without_a_yes_a_lock_or_the_right_plan() {
        let fleet = Obedient::bare();
        let silent = ApplyArgs { json: true, ..ApplyArgs::default() };
        assert_eq!(fleet.apply(&silent, None).await.0.unwrap_err().kind, Kind::Usage);
        let other = ApplyArgs { expect: Some("0123456789ab".to_owned()), ..yes() };
        assert_eq!(fleet.apply(&other, None).await.0.unwrap_err().kind, Kind::PlanChanged);
        let mut less = fleet.plan();
        less.steps.pop();
        assert_eq!(fleet.apply(&yes(), Some(less)).await.0.unwrap_err().kind, Kind::PlanChanged);
        let held = async |_: Duration, _: &str, _: Emit<'_>| Err::<(), _>(Diagnostic::new(Kind::Locked, "held"));
        let mut out = Captured::default().out();
        let result = run(&yes(), None, &Context::for_tests(), &fleet.desired, &fleet, held, &mut out).await;
        assert_eq!(result.unwrap_err().kind, Kind::Locked);
        assert_eq!(*fleet.world.lock().unwrap(), sample::bare(&fleet.desired));
    }

    #[tokio::test]
    async fn a_saved_plan_can_be_applied_again_after_a_kill() {
        let fleet = Obedient::bare();
        let saved = fleet.plan();
        for action in saved.actions().take(7) {
            planner::effect(action, &fleet.desired, &mut fleet.world.lock().unwrap());
        }
        let expecting = ApplyArgs { expect: Some(saved.id()), ..yes() };
        assert_eq!(fleet.apply(&expecting, Some(saved.clone())).await.0, Ok(0));
        assert_eq!(fleet.apply(&yes(), Some(saved)).await.0, Ok(0));
    }

    #[tokio::test]
    async fn what_stands_in_the_way_decides_the_exit_code() {
        let fleet = Obedient::bare();
        samples::hide(&mut fleet.world.lock().unwrap(), "etcd-2");
        let (result, printed) = fleet.apply(&yes(), None).await;
        let error = result.unwrap_err();
        assert_eq!(error.kind, Kind::Unseen);
        assert_eq!(error.to_string(), "nothing was changed: the plan above is blocked [host-unreachable]");
        // Once, by the plan; what reads JSON sees no plan, and is told by the error.
        let told = "could not reach etcd-2";
        assert_eq!(printed.matches(told).count(), 1, "{printed}");
        assert!(printed.contains("[host-unreachable]"), "{printed}");
        let (result, printed) = fleet.apply(&ApplyArgs { json: true, ..yes() }, None).await;
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("apply is incomplete\n  caused by: could not reach etcd-2"), "{error}");
        assert!(!printed.contains(told), "{printed}");
    }

    #[test]
    fn what_is_allowed_is_named() {
        let allow = |text: &str| text.parse::<Allowance>();
        assert_eq!(
            allow("remove-member:etcd-3").map(|allow| (allow.kind, allow.name)),
            Ok((AllowKind::RemoveMember, "etcd-3".to_owned()))
        );
        for bad in ["", "remove-member", "remove-member:", "everything:etcd-1"] {
            assert!(allow(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_expected_plan_is_carried_out() {
        let fresh = samples::drifted();
        let expect = |id: &str| check(&ApplyArgs { expect: Some(id.to_owned()), ..ApplyArgs::default() }, None, &fresh);
        assert_eq!(expect(&fresh.id()), Ok(()));
        assert_eq!(expect("000000000000").map_err(|error| error.kind), Err(Kind::PlanChanged));
    }

    #[test]
    fn a_saved_plan_may_be_half_done_but_not_exceeded() {
        let saved = samples::drifted();
        let mut rest = saved.clone();
        rest.steps.remove(0);
        let args = ApplyArgs::default();
        assert_eq!(check(&args, Some(&saved), &rest), Ok(()));
        let error = check(&args, Some(&rest), &saved).unwrap_err();
        assert_eq!(error.kind, Kind::PlanChanged);
        assert!(error.to_string().contains("not in the saved plan: write etcd.yaml on etcd-2"), "{error}");
        let mut other = saved.clone();
        other.cluster = crate::core::names::ClusterName::new("other");
        assert!(check(&args, Some(&other), &saved).is_err());
    }
}
