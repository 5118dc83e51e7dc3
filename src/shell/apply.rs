//! Carrying a plan out: look, decide, check, do, look again, one gated step at a time.
//!
//! There is no state but the live one. Each turn asks [`planner::next`] what is to be done in the world as it is now, does
//! it only if the approved plan holds it, and waits until its effect is seen. So apply can be killed anywhere: the next
//! run sees what is there and goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::cluster::outline::{differences, outline};
use crate::core::cluster::sameness;
use crate::core::code::Code;
use crate::core::count::size;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::observed::Observed;
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, Readiness};
use crate::core::plan::approved::Approved;
use crate::core::plan::ruling::{Blocked, Draft, Reason, Ruling};
use crate::core::plan::step::{FileDiff, title};
use crate::core::planner;
use crate::core::render::event::Event;
use crate::shell::effect::{Done, EVERY_SECOND, FIRST_LOOK, Interrupted, POLL, RESTORE_AGAIN, Waits, on};
use crate::shell::fleet::Fleet;
use crate::shell::patience::Patience;
use crate::shell::stop::Stop;

/// How long a refusal may be a passing one: an election, a host that reboots.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// How an apply ended that was not cut short.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub steps: usize,
    /// What a plan of the world as it is now still holds. Empty when all is as declared.
    pub left: Plan,
}

/// Does what `approved` holds, and nothing else. `limit` is how long a step's effect is waited for without progress.
///
/// # Errors
/// The first failure, with the kind that tells whether anything was begun: [`Kind::Stopped`] once a step was.
pub async fn apply(
    desired: &Desired,
    fleet: &impl Fleet,
    approved: &Plan,
    stop: &Stop,
    limit: Option<Duration>,
    emit: &(dyn Fn(Event) + Sync),
) -> Result<Report, Diagnostic> {
    let waits = Waits { desired, fleet, stop, limit, emit };
    let begun = Instant::now();
    let mut run = Run { desired, fleet, approved, stop, waits, emit, begun, steps: 0, compared: false };
    let result = run.until_nothing_is_due().await;
    match &result {
        Ok(report) => emit(Event::Finished {
            steps: report.steps,
            seconds: run.begun.elapsed().as_secs_f64(),
            left: report.left.steps.len() + report.left.blocked.len(),
        }),
        Err(failure) => {
            if failure.kind == Kind::Interrupted {
                emit(Event::Interrupted);
            }
            emit(Event::Stopped { reason: failure.summary.clone() });
        }
    }
    result.map_err(|failure| run.tell_how_far(failure))
}

struct Run<'a, F> {
    desired: &'a Desired,
    fleet: &'a F,
    approved: &'a Plan,
    stop: &'a Stop,
    waits: Waits<'a, F>,
    emit: &'a (dyn Fn(Event) + Sync),
    begun: Instant,
    /// Steps that were begun.
    steps: usize,
    /// The members' data was compared, or there was nothing to compare.
    compared: bool,
}

impl<F: Fleet> Run<'_, F> {
    async fn until_nothing_is_due(&mut self) -> Result<Report, Diagnostic> {
        let mut approved = Approved::new(self.approved);
        let mut observed = self.first_look().await?;
        while let Some(draft) = self.settled_next(&mut observed, &approved).await? {
            if let Some(why) = self.stop.reason() {
                return Err(match (self.stop.is_interrupted(), self.steps) {
                    (false, _) => Diagnostic::new(Kind::Stopped, why),
                    (true, 0) => Diagnostic::new(Kind::Interrupted, NOTHING_DONE),
                    (true, _) => Diagnostic::new(Kind::Interrupted, "it was done, and no further step was started"),
                });
            }
            if let Some(action) = draft.actions.iter().find(|action| !approved.holds(action)) {
                return Err(self.not_approved(action));
            }
            let mut written = draft.actions.iter().filter_map(|action| planner::diff(self.desired, &observed, action));
            if let Some(other) = written.find(|diff| !approved.shows(diff)) {
                return Err(self.not_shown(&other));
            }
            self.compare(&mut observed).await?;
            self.tell_of_another_order(&mut approved, &draft, &observed);
            observed = self.step(&draft, observed).await?;
        }
        Ok(Report { steps: self.steps, left: planner::plan(self.desired, &observed) })
    }

    async fn first_look(&self) -> Result<Observed, Diagnostic> {
        let looked = self.waits.look("the hosts to answer", self.begun, &[], Duration::ZERO).await;
        looked.map_err(|Interrupted| Diagnostic::new(Kind::Interrupted, NOTHING_DONE))
    }

    /// The next step; waits when the approved plan has more to do and what stands in the way may pass.
    async fn settled_next(
        &self,
        observed: &mut Observed,
        approved: &Approved<'_>,
    ) -> Result<Option<Draft>, Diagnostic> {
        // Not by their words: figures in them change by themselves.
        let cause = |blocked: &Blocked| (blocked.code.as_str(), blocked.hosts.clone());
        let known: BTreeSet<_> = self.approved.blocked.iter().map(cause).collect();
        let mut patience = Patience::new(SETTLE_DEADLINE, POLL);
        let begun = Instant::now();
        loop {
            let Ruling { step, blocked } = planner::next(self.desired, observed);
            let passing: Vec<&Blocked> = blocked.iter().filter(|blocked| !known.contains(&cause(blocked))).collect();
            // What comes later in the plan, or not at all, does not jump ahead of what waits for a moment.
            let is_next = step.as_ref().is_some_and(|step| step.actions.iter().all(|action| approved.holds(action)));
            let (false, Some(first)) = (is_next, passing.first()) else { return Ok(step) };
            if self.steps == 0 || patience.is_over() {
                return Ok(step);
            }
            let for_what = format!("this to pass: {}", first.what);
            patience.show(&for_what, Vec::new, self.emit);
            let cut_off = |Interrupted| {
                Diagnostic::new(Kind::Interrupted, format!("it was done; the next step waited for {for_what}"))
            };
            self.waits.pause(&mut patience).await.map_err(cut_off)?;
            *observed = self.waits.look(&for_what, begun, &[], Duration::ZERO).await.map_err(cut_off)?;
        }
    }

    /// Where a member that others depend on is to be restarted or taken out, all their data is compared before the first
    /// step: what differs could be left with the quorum, and nothing is to lie there half done.
    async fn compare(&mut self, observed: &mut Observed) -> Result<(), Diagnostic> {
        // A restore puts other data in the place of all.
        if self.compared || self.waits.is_restoring() || !sameness::depends_on(observed, self.approved.actions()) {
            return Ok(());
        }
        self.compared = true;
        // The plan was made from it, and has its own reasons.
        if observed.comparison.is_some() {
            return Ok(());
        }
        if let Some(bytes) = sameness::too_large(observed) {
            let text = format!(
                "the members' data was not compared: {} take their time, in which a member applies nothing; run `quorate \
                 status --deep` where that may be",
                size(bytes)
            );
            (self.emit)(Event::Warning { text });
            return Ok(());
        }
        observed.comparison = self.fleet.compare().await;
        match sameness::difference(observed) {
            Some(Blocked { what, hint, .. }) => {
                Err(Diagnostic { hint, ..Diagnostic::new(Kind::Refused, format!("{what} [{}]", Code::DataDiffers)) })
            }
            None => Ok(()),
        }
    }

    async fn step(&mut self, draft: &Draft, before: Observed) -> Result<Observed, Diagnostic> {
        let mut due = Vec::new();
        for action in &draft.actions {
            match planner::readiness(action, self.desired, &before) {
                Readiness::Ready => due.push(action),
                Readiness::Done => {
                    (self.emit)(Event::ActionSkipped { host: action.host().cloned(), action: action.to_string() })
                }
                Readiness::Refused(why) => {
                    let what = format!("refused to {action}{}", on(action));
                    return Err(Diagnostic::new(Kind::Refused, what).with_cause(why));
                }
            }
        }
        self.steps += 1;
        let begun = Instant::now();
        (self.emit)(Event::StepStarted {
            number: self.steps,
            of: self.approved.steps.len().max(self.steps),
            title: title(&draft.actions, &draft.because),
            hosts: draft.actions.iter().filter_map(Action::host).cloned().collect(),
        });
        let failures = self.perform(&due, &draft.because).await;
        let mut predicted = before.clone();
        for action in &draft.actions {
            planner::effect(action, self.desired, &mut predicted);
        }
        let after = match failures.into_iter().next() {
            // A reply that was lost is no failure when the effect is there.
            Some(failure) => match self.seen_done(&due).await {
                Ok(after) => after,
                Err(seen) => {
                    let failure = self.waits.with_what_others_say(failure, &due, begun.elapsed()).await;
                    let host = due.iter().filter_map(|action| action.host()).find(|host| failure.is_on(host));
                    return Err(self.waits.with_full_disk(failure, host, seen.as_ref().unwrap_or(&before)));
                }
            },
            None => {
                let because = &draft.because;
                let done = Done { due: &due, because, before: &before, predicted: &predicted };
                self.waits.until_done(done).await?
            }
        };
        let surprises = differences(&outline(self.desired, &predicted), &outline(self.desired, &after));
        let seconds = begun.elapsed().as_secs_f64();
        (self.emit)(Event::StepDone { number: self.steps, seconds, surprises });
        Ok(after)
    }

    /// Does all of them at once; the failures in the order of the actions.
    async fn perform(&self, due: &[&Action], because: &[Reason]) -> Vec<Diagnostic> {
        let work = due.iter().map(|action| async move {
            let begun = Instant::now();
            let result = self.fleet.perform(action).await;
            if result.is_ok() {
                (self.emit)(Event::ActionDone {
                    host: action.host().cloned(),
                    action: action.to_string(),
                    seconds: begun.elapsed().as_secs_f64(),
                });
            }
            result
        });
        let mut work = std::pin::pin!(futures_util::future::join_all(work));
        let begun = Instant::now();
        let mut is_interrupted = false;
        let results = loop {
            tokio::select! {
                biased;
                results = &mut work => break results,
                () = self.stop.interrupted(), if !is_interrupted => {
                    is_interrupted = true;
                    let text = "interrupted: what is being done on the hosts is finished first; ^C again aborts now";
                    (self.emit)(Event::Warning { text: text.to_owned() });
                    self.fleet.interrupt();
                }
                () = tokio::time::sleep(EVERY_SECOND) => {
                    let for_what = format!("this to be done: {}", title(due.iter().copied(), because));
                    let (seconds, seen) = (begun.elapsed().as_secs_f64(), self.fleet.awaited());
                    (self.emit)(Event::Waiting { for_what, seconds, seen });
                }
            }
        };
        results.into_iter().filter_map(Result::err).collect()
    }

    /// What is seen once all of it is done; `Err` with what is seen while it is not.
    async fn seen_done(&self, due: &[&Action]) -> Result<Observed, Option<Observed>> {
        let look = self.waits.look("a look at what was done", Instant::now(), &[], FIRST_LOOK).await;
        let observed = look.map_err(|_| None)?;
        let all = due.iter().all(|action| planner::readiness(action, self.desired, &observed) == Readiness::Done);
        if all { Ok(observed) } else { Err(Some(observed)) }
    }

    fn not_approved(&self, action: &Action) -> Diagnostic {
        let what = format!("the hosts have changed since the plan, which does not contain: {action}{}", on(action));
        Diagnostic::new(Kind::PlanChanged, what).hint(PLAN_AGAIN)
    }

    fn not_shown(&self, FileDiff { host, path, .. }: &FileDiff) -> Diagnostic {
        let what = format!("{path} on {host} was changed since the plan, and is not the file that it replaces");
        Diagnostic::new(Kind::PlanChanged, what).hint(PLAN_AGAIN)
    }

    /// What has happened to the hosts may change whose turn it is. What is done stays what was approved.
    fn tell_of_another_order(&self, approved: &mut Approved<'_>, draft: &Draft, observed: &Observed) {
        let readiness = |action: &Action| planner::readiness(action, self.desired, observed);
        let Some(skipped) = approved.begin(&draft.actions, |action| readiness(action) == Readiness::Done) else {
            return;
        };
        let why = match readiness(skipped) {
            Readiness::Refused(why) => why,
            Readiness::Done | Readiness::Ready => "the hosts are not as they were when it was planned".to_owned(),
        };
        let now = title(&draft.actions, &draft.because);
        let at = draft.actions.first().map_or_else(String::new, on);
        let text = format!("not in the planned order: {now}{at} comes before: {skipped}{} ({why})", on(skipped));
        (self.emit)(Event::Warning { text });
    }

    /// Once a step was begun, a failure means that apply stopped part-way.
    fn tell_how_far(&self, failure: Diagnostic) -> Diagnostic {
        if self.steps == 0 || failure.kind == Kind::Locked {
            return failure;
        }
        let steps = if self.steps == 1 { "step 1".to_owned() } else { format!("step {}", self.steps) };
        let hint = failure.hint.clone();
        let (doing, again) = match self.waits.is_restoring() {
            true => ("restore", RESTORE_AGAIN),
            false => ("apply", "safe to rerun: apply resumes from the current state"),
        };
        let (kind, ended) = match failure.kind {
            Kind::Interrupted => (Kind::Interrupted, "was interrupted"),
            _ => (Kind::Stopped, "stopped"),
        };
        let stopped = Diagnostic {
            kind,
            place: failure.place.clone(),
            summary: format!("{doing} {ended} at {steps} of {}: {}", self.approved.steps.len(), failure.summary),
            causes: failure.causes.clone(),
            hint: None,
        };
        stopped.hint(hint.unwrap_or_else(|| again.to_owned()))
    }
}

const NOTHING_DONE: &str = "interrupted: nothing was changed";

const PLAN_AGAIN: &str = "run `quorate plan` again, review it, and apply the new plan";
