//! What is typed in a scenario: the real command line and the real commands, over machines in memory.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use clap::Parser as _;
use tokio::sync::Notify;

use super::machines::Machines;
use super::script::{Cluster, Happening, InStep, Typed};
use crate::core::desired::{Desired, Restore};
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{Digest, HostName, Token};
use crate::core::observed::{Cause, Comparison, Observed};
use crate::core::plan::Plan;
use crate::core::plan::action::Action;
use crate::core::plan::step::{Risk, Step};
use crate::core::planner::plan;
use crate::core::render::words;
use crate::laws::{World, an_action_is_ready_and_then_done, quorum_is_kept, the_rest_follows_from_any_prefix};
use crate::shell::cli::{Cli, Command};
use crate::shell::command::apply::{self, ApplyArgs, Emit};
use crate::shell::command::context::Context;
use crate::shell::command::output::Captured;
use crate::shell::command::plan::{self as plan_command, Format, PlanArgs, formatted};
use crate::shell::command::request::{self, RequestArgs};
use crate::shell::command::restore::RestoreArgs;
use crate::shell::command::status;
use crate::shell::fleet::Fleet;

pub struct Session {
    machines: Machines,
    /// What happens in the middle of a step of the next apply.
    awaited: Vec<(usize, InStep)>,
    /// The plan that was printed last, in its short form.
    printed: String,
}

impl Session {
    pub fn new(cluster: &Cluster) -> Result<Self, String> {
        Ok(Self { machines: Machines::new(cluster)?, awaited: Vec::new(), printed: String::new() })
    }

    pub fn happens(&mut self, happening: Happening) -> Result<(), String> {
        self.machines.happens(happening)
    }

    pub fn in_step(&mut self, step: usize, what: InStep) {
        self.awaited.push((step, what));
    }

    /// What is printed, on both streams as a terminal shows them.
    ///
    /// # Errors
    /// When it is no command that can be played, breaks a law, or ends as the scenario does not say.
    pub fn run(&mut self, typed: &Typed) -> Result<String, String> {
        let words = shlex::split(&typed.command).ok_or("a quote is not closed")?;
        let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
        // A run that was killed leaves its runtime, and whatever still waits there, behind.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        if let Command::Plan(PlanArgs { output: Some(_), .. })
        | Command::Apply(ApplyArgs { json: true, .. } | ApplyArgs { plan: Some(_), .. }) = &cli.command
        {
            return Err("saved plans and --json cannot be played".to_owned());
        }
        let context = Context { no_input: true, verbose: cli.global.verbose, ..Context::for_tests() };
        let desired = self.machines.desired.clone();
        match &cli.command {
            Command::Plan(args) => {
                let captured = Captured::default();
                let machines = &self.machines;
                let observe = async |desired: &Desired| Ok(machines.observe(desired));
                let result =
                    runtime.block_on(plan_command::run(args, &context, &desired, observe, &mut captured.out()));
                let asked = asked(&args.request, &desired, machines)?;
                let ended = Ended { printed: captured.text(), result: Some(result) };
                self.report(typed, &context, &asked, ended)
            }
            Command::Status(args) => {
                let captured = Captured::default();
                let fleet = Beside::new(&mut self.machines, &desired, &desired, Vec::new());
                let result = runtime.block_on(status::run(args, &context, &desired, &fleet, &mut captured.out()));
                ended_as_said(typed, &Ended { printed: captured.text(), result: Some(result) })
            }
            Command::Apply(args) => {
                let asked = asked(&args.request, &desired, &self.machines)?;
                self.carried_out(typed, &runtime, &context, (args, &desired, &asked))
            }
            Command::Restore(args) => {
                let restoring = restoring(args, &desired, &self.machines);
                let args = ApplyArgs { yes: args.yes, ..ApplyArgs::default() };
                let mut asked = restoring.clone();
                request::bind(&mut asked, &self.machines.observe(&restoring)).map_err(|error| error.to_string())?;
                self.carried_out(typed, &runtime, &context, (&args, &restoring, &asked))
            }
            _ => Err("only plan, apply, status and restore can be played".to_owned()),
        }
    }

    fn carried_out(
        &mut self,
        typed: &Typed,
        runtime: &tokio::runtime::Runtime,
        context: &Context,
        (args, desired, asked): (&ApplyArgs, &Desired, &Desired),
    ) -> Result<String, String> {
        let before = self.machines.observe(asked);
        let captured = Captured::default();
        let context = Context { quiet: false, ..context.clone() };
        let fleet = Beside::new(&mut self.machines, desired, asked, std::mem::take(&mut self.awaited));
        let lock = async |_: Duration, _: &str, _: Emit<'_>| Ok(());
        let mut out = captured.out();
        let applying = apply::run(args, None, &context, desired, &fleet, lock, &mut out);
        let result = runtime.block_on(async {
            tokio::select! { biased; () = fleet.killed.notified() => None, result = applying => Some(result) }
        });
        let Middle { awaited, complaints, .. } = fleet.middle.into_inner().expect("nothing panics inside");
        if let Some(complaint) = complaints.first() {
            return Err(complaint.clone());
        }
        if let Some((step, _)) = awaited.first() {
            return Err(format!("step {step} was not reached\n{}", captured.text()));
        }
        let ended = Ended { printed: captured.text(), result };
        if ended.code() == Some(0) {
            nothing_is_left(&self.machines, asked)?;
        }
        self.shown(typed, &context, asked, &before, ended)
    }

    fn report(&mut self, typed: &Typed, context: &Context, asked: &Desired, ended: Ended) -> Result<String, String> {
        let observed = self.machines.observe(asked);
        self.printed.clear();
        self.shown(typed, context, asked, &observed, ended)
    }

    /// The plan in the form that the scenario asks for, and whatever was printed after it.
    fn shown(
        &mut self,
        typed: &Typed,
        context: &Context,
        asked: &Desired,
        observed: &Observed,
        mut ended: Ended,
    ) -> Result<String, String> {
        let plan = plan(asked, observed);
        keeps_the_laws(asked, observed, &plan)?;
        let whole = formatted(&plan, Format::Text, context);
        let Some(rest) = ended.printed.strip_prefix(whole.as_str()) else {
            return ended_as_said(typed, &ended);
        };
        let short = short(&plan);
        let shown = match typed.in_full {
            true => whole,
            false if short == self.printed => String::new(),
            false => short.clone(),
        };
        self.printed = short;
        ended.printed = shown + &in_short(rest, &plan);
        ended_as_said(typed, &ended)
    }
}

/// How a command ended; without a result when it was killed.
struct Ended {
    printed: String,
    result: Option<Result<u8, Diagnostic>>,
}

impl Ended {
    fn code(&self) -> Option<u8> {
        self.result.as_ref().map(|result| match result {
            Ok(code) => *code,
            Err(diagnostic) => diagnostic.kind.exit_code(),
        })
    }
}

/// Everything that a terminal shows, without blank lines, which are the operator's.
fn ended_as_said(typed: &Typed, ended: &Ended) -> Result<String, String> {
    let mut said = ended.printed.clone();
    match &ended.result {
        None => said.push_str("(quorate is killed)\n"),
        Some(Err(diagnostic)) => said.push_str(&format!("error: {diagnostic}\n")),
        Some(Ok(_)) => {}
    }
    let code = ended.code();
    let well = matches!(code, None | Some(0)) || (code == Some(2) && typed.command.contains("--detailed-exitcode"));
    if well == typed.fails {
        let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        return Err(format!("it exited with {code}\n{said}"));
    }
    if let Some(code) = code.filter(|code| *code != 0) {
        said.push_str(&format!("exit code {code}\n"));
    }
    if !typed.in_full {
        said = said.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
    }
    Ok(said)
}

/// One line a step, with all of it that a reviewer decides by.
fn short(plan: &Plan) -> String {
    if plan.is_empty() {
        let findings = plan.findings.iter().map(|finding| format!("note: {} [{}]\n", finding.what, finding.code));
        return findings.collect::<String>() + "No changes.\n";
    }
    let versions = words::versions(plan.version, &plan.overview);
    let mut out = format!("cluster {} ({versions}): {}\n", plan.cluster, words::health(plan));
    for finding in &plan.findings {
        out.push_str(&format!("note: {} [{}]\n", finding.what, finding.code));
    }
    for line in step_lines(plan) {
        out.push_str(&line);
        out.push('\n');
    }
    for blocked in &plan.blocked {
        out.push_str(&format!("cannot: {} [{}]\n", blocked.what, blocked.code));
        if let Some(hint) = &blocked.hint {
            out.push_str(&format!("        hint: {hint}\n"));
        }
    }
    out
}

fn step_lines(plan: &Plan) -> Vec<String> {
    let line = |(index, step): (usize, &Step)| {
        let title = words::step_line(index + 1, plan.steps.len(), &step.title(), step.hosts(), plan.hosts);
        // What the risk is in is said by the whole plan.
        let risk = (step.risk != Risk::None).then(|| format!("risk {}", step.risk.word()));
        let needs = words::needs(step).map(|needs| format!("needs {needs}"));
        let details: Vec<_> =
            [words::margin(step.margin, plan.overview.state), risk, needs].into_iter().flatten().collect();
        if details.is_empty() { title } else { format!("{title} | {}", details.join("; ")) }
    };
    plan.steps.iter().enumerate().map(line).collect()
}

/// The events and the end. Steps that go as they were planned, one after the other, are one line, and so is a note that goes
/// on about the same.
fn in_short(rest: &str, plan: &Plan) -> String {
    let total = plan.steps.len();
    let line =
        |(index, step): (usize, &Step)| words::step_line(index + 1, total, &step.title(), step.hosts(), plan.hosts);
    let planned: Vec<_> = plan.steps.iter().enumerate().map(line).collect();
    // No time goes by where nothing is waited for.
    let as_planned = |line: &str, next: usize| {
        let after = planned.get(next).and_then(|planned| line.strip_prefix(planned.as_str()));
        after.is_some_and(|after| after.ends_with(" 0.0 s"))
    };
    let mut out = String::new();
    let mut lines = rest.lines().peekable();
    let mut next = 0;
    while let Some(line) = lines.next() {
        let first = next;
        if as_planned(line, next) {
            next += 1;
            while lines.next_if(|line| as_planned(line, next)).is_some() {
                next += 1;
            }
            match next - first {
                1 => out.push_str(&format!("[{next}/{total}] done\n")),
                _ => out.push_str(&format!("[{}/{total}] to [{next}/{total}] done\n", first + 1)),
            }
        } else if subject(line).is_none() || lines.peek().is_none_or(|next| subject(next) != subject(line)) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// What a note below a step goes on about, of which the last line is enough: the facts of one host that surprise, or a wait.
fn subject(line: &str) -> Option<&str> {
    let note = line.strip_prefix("      ")?;
    if note.starts_with("waiting ") && !note.starts_with("waiting for ") {
        return Some("waiting");
    }
    let fact = [": - ", ": + "].into_iter().find_map(|sign| Some(note.split_once(sign)?.1.split_once(' ')?.0));
    fact.or_else(|| Some(note.rsplit_once(" (")?.0))
}

/// The declaration with what the flags ask for, tied to what is there.
fn asked(args: &RequestArgs, desired: &Desired, machines: &Machines) -> Result<Desired, String> {
    let mut desired = args.added_to(desired).map_err(|error| error.to_string())?;
    let observed = machines.observe(&desired);
    request::bind(&mut desired, &observed).map_err(|error| error.to_string())?;
    Ok(desired)
}

/// As `quorate restore` has it of a sound snapshot of this cluster.
fn restoring(args: &RestoreArgs, desired: &Desired, machines: &Machines) -> Desired {
    let mut restoring = Desired { auth: None, ..desired.clone() };
    restoring.request.restore = Some(Restore {
        digest: Digest::of(args.snapshot.to_string_lossy().as_bytes()),
        bytes: 20 << 20,
        file: args.snapshot.clone(),
        token: Token::new(format!("{}-{}", desired.cluster.name, machines.observe(desired).at.0)),
        again: args.again,
        foreign_members: Vec::new(),
    });
    restoring.request.no_snapshot = args.no_snapshot;
    restoring
}

/// What the laws demand of every plan, whatever the scenario shows.
fn keeps_the_laws(desired: &Desired, observed: &Observed, plan: &Plan) -> Result<(), String> {
    let world = World { desired: desired.clone(), observed: observed.clone(), states: Vec::new() };
    let mut laws: Vec<fn(&World, &Plan) -> Option<String>> =
        vec![the_rest_follows_from_any_prefix, an_action_is_ready_and_then_done];
    // A restore is an outage that was asked for by name.
    if desired.request.restore.is_none() {
        laws.push(quorum_is_kept);
    }
    laws.iter().find_map(|law| law(&world, plan)).map_or(Ok(()), Err)
}

/// Nobody waits for those that are called lost.
fn nothing_is_left(machines: &Machines, asked: &Desired) -> Result<(), String> {
    let mut desired = machines.desired.clone();
    desired.request.lost = asked.request.lost.clone();
    let left = plan(&desired, &machines.observe(&desired));
    match left.is_empty() {
        true => Ok(()),
        false => Err(format!("apply ended well, and something is left to do:\n{}", short(&left))),
    }
}

/// The machines, as a run of apply reaches them.
struct Beside<'a> {
    desired: &'a Desired,
    asked: &'a Desired,
    middle: Mutex<Middle<'a>>,
    killed: Notify,
}

struct Middle<'a> {
    machines: &'a mut Machines,
    awaited: Vec<(usize, InStep)>,
    /// The step at hand, counted from 1: each begins with a look.
    step: usize,
    looked: bool,
    is_killed: bool,
    complaints: Vec<String>,
}

impl<'a> Beside<'a> {
    fn new(
        machines: &'a mut Machines,
        desired: &'a Desired,
        asked: &'a Desired,
        awaited: Vec<(usize, InStep)>,
    ) -> Self {
        let middle = Middle { machines, awaited, step: 0, looked: true, is_killed: false, complaints: Vec::new() };
        Self { desired, asked, middle: Mutex::new(middle), killed: Notify::new() }
    }

    fn middle(&self) -> MutexGuard<'_, Middle<'a>> {
        self.middle.lock().expect("nothing panics inside")
    }

    /// Whether quorate lives on.
    fn act(&self, action: &Action) -> Result<bool, Diagnostic> {
        let mut middle = self.middle();
        if middle.is_killed {
            return Ok(false);
        }
        if std::mem::take(&mut middle.looked) {
            middle.step += 1;
        }
        let off = action.host().filter(|name| !action.changes_members() && !middle.machines.has_power(name));
        if let Some(name) = off {
            return Err(Diagnostic::new(Kind::Unseen, format!("could not reach {name}: no route to host")));
        }
        middle.machines.act(action, self.desired);
        let step = middle.step;
        let (now, later) = std::mem::take(&mut middle.awaited).into_iter().partition(|(at, _)| *at == step);
        middle.awaited = later;
        for (_, what) in now {
            match what {
                InStep::KillQuorate => middle.is_killed = true,
                InStep::Happens(happening) => {
                    let result = middle.machines.happens(happening);
                    middle.complaints.extend(result.err());
                }
            }
        }
        Ok(!middle.is_killed)
    }
}

impl Fleet for Beside<'_> {
    async fn observe(&self) -> Observed {
        let mut middle = self.middle();
        let observed = middle.machines.observe(self.asked);
        let is_first = !std::mem::replace(&mut middle.looked, true);
        if is_first && self.asked.request.restore.is_none() {
            let plan = plan(self.asked, &observed);
            let world = World { desired: self.asked.clone(), observed: observed.clone(), states: Vec::new() };
            middle.complaints.extend(quorum_is_kept(&world, &plan));
        }
        observed
    }

    async fn compare(&self) -> Option<Comparison> {
        self.middle().machines.comparison()
    }

    async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
        if !self.act(action)? {
            self.killed.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn write_once(&self, _: &HostName, _: &str, _: &str, _: Duration) -> Result<Duration, Cause> {
        Ok(Duration::ZERO)
    }
}
