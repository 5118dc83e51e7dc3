//! Carrying a plan out: look, decide, check, do, look again, one gated step at a time.
//!
//! There is no state but the live one. Each turn asks [`planner::next`] what is to be done in the world as it is now, does
//! it only if the approved plan holds it, and waits until its effect is seen. So apply can be killed anywhere: the next
//! run sees what is there and goes on.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use bytesize::ByteSize;
use tokio::time::Instant;

use crate::core::cluster::outline::{differences, outline};
use crate::core::cluster::sameness;
use crate::core::code::Code;
use crate::core::content::runtime;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::HostName;
use crate::core::observed::Observed;
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, Readiness};
use crate::core::plan::approved::Approved;
use crate::core::plan::ruling::{Blocked, Draft, Reason, Ruling};
use crate::core::plan::step::{FileDiff, title};
use crate::core::planner;
use crate::core::render::event::Event;
use crate::core::span;
use crate::shell::advance::Advance;
use crate::shell::fleet::Fleet;
use crate::shell::patience::{Patience, Pauses};

/// A member that starts reads its whole database first; one that waits for a quorum waits for its peers to do so. So long it
/// may take without going on.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// No database takes longer to be read.
const START_MAX: Duration = Duration::from_secs(6 * 3600);
/// What the others have said of a member a little before it was waited for belongs to that.
const HEARD_BEFORE: Duration = Duration::from_secs(10);
/// Everything else is there when its command has ended.
const STAGE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a member that was removed is given to notice it.
const END_MAX: Duration = Duration::from_secs(5);
/// How long a refusal may be a passing one: an election, a host that reboots.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
const POLL: Pauses = Pauses::Growing { first: Duration::from_millis(50), longest: Duration::from_secs(1) };

/// Set from outside (the first ^C, a writer that fails): the step at hand is finished, and no further one begun.
#[derive(Debug, Default)]
pub struct Stop(OnceLock<String>);

impl Stop {
    pub fn interrupt(&self) {
        self.request(INTERRUPTED.to_owned());
    }

    /// The first reason is the one that is told.
    pub fn request(&self, why: String) {
        let _ = self.0.set(why);
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

const INTERRUPTED: &str = "interrupted";

/// How an apply ended that was not cut short.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub steps: usize,
    /// What a plan of the world as it is now still holds. Empty when all is as declared.
    pub left: Plan,
}

/// Does what `approved` holds, and nothing else.
///
/// # Errors
/// The first failure, with the kind that tells whether anything was begun: [`Kind::Stopped`] once a step was.
pub async fn apply(
    desired: &Desired,
    fleet: &impl Fleet,
    approved: &Plan,
    stop: &Stop,
    emit: &(dyn Fn(Event) + Sync),
) -> Result<Report, Diagnostic> {
    let mut run = Run { desired, fleet, approved, emit, begun: Instant::now(), steps: 0, compared: false };
    let result = run.until_nothing_is_due(stop).await;
    match &result {
        Ok(report) => emit(Event::Finished {
            steps: report.steps,
            seconds: run.begun.elapsed().as_secs_f64(),
            left: report.left.steps.len() + report.left.blocked.len(),
        }),
        Err(failure) => emit(Event::Stopped { reason: failure.summary.clone() }),
    }
    result.map_err(|failure| run.tell_how_far(failure))
}

struct Run<'a, F> {
    desired: &'a Desired,
    fleet: &'a F,
    approved: &'a Plan,
    emit: &'a (dyn Fn(Event) + Sync),
    begun: Instant,
    /// Steps that were begun.
    steps: usize,
    /// The members' data was compared, or there was nothing to compare.
    compared: bool,
}

impl<F: Fleet> Run<'_, F> {
    async fn until_nothing_is_due(&mut self, stop: &Stop) -> Result<Report, Diagnostic> {
        let mut approved = Approved::new(self.approved);
        let mut observed = self.fleet.observe().await;
        while let Some(draft) = self.settled_next(&mut observed, &approved).await {
            if let Some(why) = stop.reason() {
                if why == INTERRUPTED {
                    (self.emit)(Event::Interrupted);
                }
                return Err(Diagnostic::new(Kind::Stopped, why));
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

    /// The next step; waits when the approved plan has more to do and what stands in the way may pass.
    async fn settled_next(&self, observed: &mut Observed, approved: &Approved<'_>) -> Option<Draft> {
        let known: BTreeSet<_> = self.approved.blocked.iter().map(|blocked| blocked.what.clone()).collect();
        let mut patience = Patience::new(SETTLE_DEADLINE, POLL);
        loop {
            let Ruling { step, blocked } = planner::next(self.desired, observed);
            let passing: Vec<&Blocked> = blocked.iter().filter(|blocked| !known.contains(&blocked.what)).collect();
            // What comes later in the plan, or not at all, does not jump ahead of what waits for a moment.
            let is_next = step.as_ref().is_some_and(|step| step.actions.iter().all(|action| approved.holds(action)));
            let (false, Some(first)) = (is_next, passing.first()) else { return step };
            if self.steps == 0 || !patience.wait_for(&format!("this to pass: {}", first.what), self.emit).await {
                return step;
            }
            *observed = self.fleet.observe().await;
        }
    }

    /// Where a member that others depend on is to be restarted or taken out, all their data is compared before the first
    /// step: what differs could be left with the quorum, and nothing is to lie there half done.
    async fn compare(&mut self, observed: &mut Observed) -> Result<(), Diagnostic> {
        // A restore puts other data in the place of all.
        if self.compared || self.is_restoring() || !sameness::depends_on(observed, self.approved.actions()) {
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
                ByteSize::b(bytes).display().iec()
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
        let failures = self.perform(&due).await;
        let mut predicted = before.clone();
        for action in &draft.actions {
            planner::effect(action, self.desired, &mut predicted);
        }
        let after = match failures.into_iter().next() {
            // A reply that was lost is no failure when the effect is there.
            Some(failure) => match self.seen_done(&due).await {
                Some(after) => after,
                None => return Err(self.with_what_others_say(failure, &due, begun.elapsed()).await),
            },
            None => self.until_done(&due, &draft.because, &before, &predicted).await?,
        };
        let surprises = differences(&outline(self.desired, &predicted), &outline(self.desired, &after));
        let seconds = begun.elapsed().as_secs_f64();
        (self.emit)(Event::StepDone { number: self.steps, seconds, surprises });
        Ok(after)
    }

    /// Does all of them at once; the failures in the order of the actions.
    async fn perform(&self, due: &[&Action]) -> Vec<Diagnostic> {
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
        futures_util::future::join_all(work).await.into_iter().filter_map(Result::err).collect()
    }

    async fn seen_done(&self, due: &[&Action]) -> Option<Observed> {
        let observed = self.fleet.observe().await;
        let all = due.iter().all(|action| planner::readiness(action, self.desired, &observed) == Readiness::Done);
        all.then_some(observed)
    }

    /// Polls until every action's effect is seen, and every member that should answer then does. As long as a member that is
    /// awaited goes on, so does the wait. What was silent before the step is not laid to its charge, but for what it started.
    async fn until_done(
        &self,
        due: &[&Action],
        because: &[Reason],
        before: &Observed,
        predicted: &Observed,
    ) -> Result<Observed, Diagnostic> {
        let started: BTreeSet<_> =
            due.iter().filter(|action| action.touches_service()).filter_map(|action| action.host()).collect();
        let touches = due.iter().any(|action| action.touches_service());
        let mut patience = Patience::new(if touches { START_DEADLINE } else { STAGE_DEADLINE }, POLL);
        let mut advance = Advance::default();
        loop {
            let observed = self.fleet.observe().await;
            let undone = due.iter().find_map(|action| match planner::readiness(action, self.desired, &observed) {
                Readiness::Done => None,
                Readiness::Ready => Some((action, None)),
                Readiness::Refused(why) => Some((action, Some(why))),
            });
            let silent = fallen_silent(predicted, &observed);
            let awaited = started.iter().copied().chain(silent);
            let goes_on = awaited.filter(|host| advance.is_made(host, &observed)).count() > 0;
            if touches && goes_on && patience.waited() < START_MAX {
                patience.renew();
            }
            let Some((action, why)) = undone else {
                let Some(silent) = silent else {
                    let lingering = lingering(predicted, &observed).filter(|_| patience.waited() < END_MAX);
                    let Some(host) = lingering else { return Ok(observed) };
                    if patience.wait_for(&format!("etcd on {host} to end"), self.emit).await {
                        continue;
                    }
                    return Ok(observed);
                };
                if patience.wait_for(&format!("{silent} to answer again"), self.emit).await {
                    continue;
                }
                let answered = before.host(silent).is_some_and(|host| host.answer().is_some());
                if !answered && !started.contains(silent) {
                    return Ok(observed);
                }
                let what = match answered {
                    true => format!("{silent} stopped answering after: {}", title(due.iter().copied(), because)),
                    false => format!("{silent} does not answer after: {}", title(due.iter().copied(), because)),
                };
                let hint = format!("run `{}` on {silent}", runtime::log(self.desired));
                let failure = Diagnostic::failure(what).hint(hint);
                return Err(self.with_what_was_heard(failure, silent, &observed, patience.waited()).await);
            };
            let awaited = format!("this to take effect: {action}{}", on(action));
            if !patience.wait_for(&awaited, self.emit).await {
                let waited = match touches && patience.waited() > patience.deadline() * 2 {
                    true => patience.waited(),
                    false => patience.deadline(),
                };
                let what = format!("{action}{}: did not take effect within {}", on(action), span::limit(waited));
                let failure = Diagnostic::failure(what).hint(self.where_to_look(action, &observed));
                let failure = why.into_iter().fold(failure, Diagnostic::with_cause);
                return Err(match action.host().filter(|host| started.contains(host)) {
                    Some(host) => self.with_what_was_heard(failure, host, &observed, patience.waited()).await,
                    None => failure,
                });
            }
        }
    }

    /// Of a member that cannot be added or promoted the others may know why.
    async fn with_what_others_say(&self, failure: Diagnostic, due: &[&Action], waited: Duration) -> Diagnostic {
        let concerned = due.iter().find(|action| action.changes_members()).and_then(|action| action.host());
        // One that ended at once has met a refusal that says why.
        let Some(host) = concerned.filter(|_| waited > HEARD_BEFORE) else { return failure };
        let heard = self.fleet.overheard(host, waited + HEARD_BEFORE).await;
        heard.into_iter().fold(failure, Diagnostic::with_cause)
    }

    /// What the member says itself, and what the others say of it.
    async fn with_what_was_heard(
        &self,
        failure: Diagnostic,
        host: &HostName,
        observed: &Observed,
        waited: Duration,
    ) -> Diagnostic {
        let own = member_complaint(host, observed);
        let heard = self.fleet.overheard(host, waited + HEARD_BEFORE).await;
        own.into_iter().chain(heard).fold(failure, Diagnostic::with_cause)
    }

    fn where_to_look(&self, action: &Action, observed: &Observed) -> String {
        match action.host() {
            // There is no log to read on a host that is off.
            Some(host) if observed.sight(host).is_some_and(|seen| seen.known().is_none()) && !self.is_restoring() => {
                format!("bring {host} back, then run apply again: it resumes from the current state")
            }
            Some(host) if action.touches_service() => {
                let again = if self.is_restoring() { "the same `quorate restore`" } else { "apply" };
                format!("run `{}` on {host}; then run {again} again", runtime::log(self.desired))
            }
            _ if self.is_restoring() => RESTORE_AGAIN.to_owned(),
            _ => "run `quorate plan` to see the current state, then apply again".to_owned(),
        }
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

    fn is_restoring(&self) -> bool {
        self.desired.request.restore.is_some()
    }

    /// Once a step was begun, a failure means that apply stopped part-way.
    fn tell_how_far(&self, failure: Diagnostic) -> Diagnostic {
        if self.steps == 0 || failure.kind == Kind::Locked {
            return failure;
        }
        let steps = if self.steps == 1 { "step 1".to_owned() } else { format!("step {}", self.steps) };
        let hint = failure.hint.clone();
        let (doing, again) = match self.is_restoring() {
            true => ("restore", RESTORE_AGAIN),
            false => ("apply", "safe to rerun: apply resumes from the current state"),
        };
        let stopped = Diagnostic {
            kind: Kind::Stopped,
            place: failure.place.clone(),
            summary: format!("{doing} stopped at {steps} of {}: {}", self.approved.steps.len(), failure.summary),
            causes: failure.causes.clone(),
            hint: None,
        };
        stopped.hint(hint.unwrap_or_else(|| again.to_owned()))
    }
}

const PLAN_AGAIN: &str = "run `quorate plan` again, review it, and apply the new plan";

const RESTORE_AGAIN: &str = "safe to rerun: the same `quorate restore` resumes from the current state; until it \
                             finishes, the cluster may be unavailable";

fn on(action: &Action) -> String {
    action.host().map_or_else(String::new, |host: &HostName| format!(" on {host}"))
}

fn member_complaint(host: &HostName, observed: &Observed) -> Option<String> {
    let host = observed.hosts.get(host)?;
    let complaint = host.known().and_then(|host| host.service.complaint.as_ref());
    if let Some(complaint) = complaint {
        return Some(format!("etcd exited: {complaint}"));
    }
    let cause = host.unknown().or_else(|| host.known()?.member.unknown())?;
    Some(cause.summary.clone())
}

/// Where etcd runs on, though what was done ends it: one that was removed ends by itself when it learns of that, which takes
/// it a moment, and not every one does.
fn lingering<'a>(predicted: &'a Observed, observed: &Observed) -> Option<&'a HostName> {
    let runs = |name: &HostName| observed.host(name).is_some_and(|host| host.process.is_some());
    predicted.seen_hosts().find(|(name, host)| host.process.is_none() && runs(name)).map(|(name, _)| name)
}

/// A member that was to answer after the step and does not, on a host that can be seen.
fn fallen_silent<'a>(predicted: &'a Observed, observed: &Observed) -> Option<&'a HostName> {
    let answering = predicted.seen_hosts().filter(|(_, host)| host.answer().is_some()).map(|(name, _)| name);
    answering.into_iter().find(|name| observed.host(name).is_some_and(|host| host.answer().is_none()))
}
