//! Waiting until what a step did is seen: looking again and again, saying what is seen meanwhile, and giving up for a reason.
//!
//! A wait lasts as long as a member gets on with its start, and so long more (`--wait`). It ends early when etcd exits again
//! and again, and at once with ^C.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::cluster::crash;
use crate::core::cluster::room;
use crate::core::cluster::sighting;
use crate::core::complaint::is_of_full_disk;
use crate::core::content::runtime;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::HostName;
use crate::core::observed::Observed;
use crate::core::plan::action::{Action, Readiness};
use crate::core::plan::ruling::Reason;
use crate::core::plan::step::title;
use crate::core::planner;
use crate::core::render::event::{Event, Glimpse};
use crate::core::render::words;
use crate::core::span;
use crate::shell::advance::Advance;
use crate::shell::fleet::Fleet;
use crate::shell::patience::{Patience, Pauses};
use crate::shell::stop::Stop;
use crate::shell::watch::Watch;

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
/// Most of what was done is there by the first look, which is made also after a ^C: then the step is whole.
pub const FIRST_LOOK: Duration = Duration::from_secs(1);
/// A look that takes longer than this is said to.
const LOOK_TAKES: Duration = Duration::from_secs(3);
pub const EVERY_SECOND: Duration = Duration::from_secs(1);

pub const POLL: Pauses = Pauses::Growing { first: Duration::from_millis(50), longest: Duration::from_secs(1) };

/// What the waits of one run go by.
pub struct Waits<'a, F> {
    pub desired: &'a Desired,
    pub fleet: &'a F,
    pub stop: &'a Stop,
    /// How long a step's effect is waited for without progress, where that was asked for.
    pub limit: Option<Duration>,
    pub emit: &'a (dyn Fn(Event) + Sync),
}

/// What a step did, and the world before and, as it is predicted, after it.
#[derive(Clone, Copy)]
pub struct Done<'a> {
    pub due: &'a [&'a Action],
    pub because: &'a [Reason],
    pub before: &'a Observed,
    pub predicted: &'a Observed,
}

/// ^C came.
#[derive(Debug)]
pub struct Interrupted;

impl<F: Fleet> Waits<'_, F> {
    /// A look, which says whom it waits for and ^C ends after `grace`.
    pub async fn look(
        &self,
        for_what: &str,
        since: Instant,
        known: &[Glimpse],
        grace: Duration,
    ) -> Result<Observed, Interrupted> {
        let mut look = std::pin::pin!(self.fleet.observe());
        let interrupted = async {
            self.stop.interrupted().await;
            tokio::time::sleep(grace).await;
        };
        let mut interrupted = std::pin::pin!(interrupted);
        loop {
            tokio::select! {
                biased;
                seen = &mut look => return Ok(seen),
                () = &mut interrupted => return Err(Interrupted),
                () = tokio::time::sleep(EVERY_SECOND) => {
                    let seen = self.unanswered(known);
                    if !seen.is_empty() {
                        let seconds = since.elapsed().as_secs_f64();
                        (self.emit)(Event::Waiting { for_what: for_what.to_owned(), seconds, seen });
                    }
                }
            }
        }
    }

    /// The hosts that have not answered the look that is under way. Of one that was away before, that is told still.
    fn unanswered(&self, known: &[Glimpse]) -> Vec<Glimpse> {
        let late = self.fleet.unanswered().into_iter().filter(|late| late.since.elapsed() >= LOOK_TAKES);
        let glimpse = |late: crate::shell::fleet::Unanswered| {
            let before = known.iter().find(|glimpse| glimpse.host == late.host && glimpse.trouble);
            let what = late.words();
            before.cloned().unwrap_or(Glimpse { host: late.host, what, trouble: true })
        };
        late.map(glimpse).collect()
    }

    /// Pauses before the next look; `false` when nothing is waited for any more.
    pub async fn pause(&self, patience: &mut Patience) -> Result<bool, Interrupted> {
        tokio::select! {
            biased;
            () = self.stop.interrupted() => Err(Interrupted),
            goes_on = patience.wait() => Ok(goes_on),
        }
    }

    /// Polls until every action's effect is seen, and every member that should answer then does. As long as a member that is
    /// awaited goes on, so does the wait. What was silent before the step is not laid to its charge, but for what it started.
    pub async fn until_done(&self, done: Done<'_>) -> Result<Observed, Diagnostic> {
        let Done { due, because, before, predicted } = done;
        let started: BTreeSet<_> =
            due.iter().filter(|action| action.touches_service()).filter_map(|action| action.host()).collect();
        let touches = due.iter().any(|action| action.touches_service());
        let limit = self.limit.unwrap_or(if touches { START_DEADLINE } else { STAGE_DEADLINE });
        let mut patience = Patience::new(limit, POLL);
        let mut advance = Advance::default();
        let mut watch = Watch::since(before);
        let begun = Instant::now();
        let mut seen: Vec<Glimpse> = Vec::new();
        let mut for_what = format!("this to take effect: {}", title(due.iter().copied(), because));
        let mut grace = FIRST_LOOK;
        loop {
            let look = self.look(&for_what, begun, &seen, grace).await;
            let Ok(observed) = look else { return Err(self.cut_off(&done, &seen)) };
            grace = Duration::ZERO;
            let undone: Vec<_> = due
                .iter()
                .filter_map(|action| match planner::readiness(action, self.desired, &observed) {
                    Readiness::Done => None,
                    Readiness::Ready => Some((*action, None)),
                    Readiness::Refused(why) => Some((*action, Some(why))),
                })
                .collect();
            let silent = fallen_silent(predicted, &observed);
            // A process that is to end makes no progress, and its successor is not it once more.
            let is_new = |host: &&HostName| !(started.contains(*host) && watch.is_old(host, &observed));
            let going = started.iter().copied().chain(silent).filter(is_new);
            let goes_on = going.filter(|host| advance.is_made(host, &observed)).count() > 0;
            if touches && goes_on && patience.waited() < START_MAX {
                patience.renew();
            }
            let awaited: BTreeSet<_> = undone.iter().filter_map(|(action, _)| action.host()).chain(silent).collect();
            for host in &awaited {
                watch.look(host, &observed, started.contains(*host));
            }
            // Elsewhere a file is waited for, whatever etcd does.
            let is_to_serve = |host: &HostName| started.contains(host) || silent == Some(host);
            let is_told = |glimpse: &Glimpse| glimpse.trouble || is_to_serve(&glimpse.host);
            seen = awaited.iter().filter_map(|host| watch.glimpse(host)).filter(is_told).collect();
            let to_serve = awaited.iter().copied().filter(|host| is_to_serve(host));
            if let Some((host, exits)) = watch.crashing(to_serve) {
                return Err(self.crash(&done, &observed, host, exits));
            }
            let Some((action, why)) = undone.into_iter().next() else {
                let Some(silent) = silent else {
                    let lingering = lingering(predicted, &observed).filter(|_| patience.waited() < END_MAX);
                    let Some(host) = lingering else { return Ok(observed) };
                    for_what = format!("etcd on {host} to end");
                    patience.show(&for_what, Vec::new, self.emit);
                    match self.pause(&mut patience).await {
                        Ok(true) => continue,
                        Ok(false) => return Ok(observed),
                        Err(Interrupted) => return Err(self.cut_off(&done, &seen)),
                    }
                };
                for_what = format!("{silent} to answer again");
                patience.show(&for_what, || seen.clone(), self.emit);
                match self.pause(&mut patience).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(Interrupted) => return Err(self.cut_off(&done, &seen)),
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
                return Err(self.with_what_was_heard(failure, silent, &observed, &watch, patience.waited()).await);
            };
            for_what = format!("this to take effect: {action}{}", on(action));
            patience.show(&for_what, || seen.clone(), self.emit);
            match self.pause(&mut patience).await {
                Ok(true) => {}
                Ok(false) => {
                    let failure = self.given_up(action, why, &observed, &watch, &patience);
                    return Err(match action.host().filter(|host| started.contains(host)) {
                        // What the others say of it is that it is away.
                        Some(host) if watch.is_away(host) => {
                            member_complaint(host, &observed).into_iter().fold(failure, Diagnostic::with_cause)
                        }
                        Some(host) => {
                            self.with_what_was_heard(failure, host, &observed, &watch, patience.waited()).await
                        }
                        None => failure,
                    });
                }
                Err(Interrupted) => return Err(self.cut_off(&done, &seen)),
            }
        }
    }

    /// What was done has not taken effect in time.
    fn given_up(
        &self,
        action: &Action,
        why: Option<String>,
        observed: &Observed,
        watch: &Watch,
        patience: &Patience,
    ) -> Diagnostic {
        let waited = match patience.waited() > patience.deadline() * 2 {
            true => patience.waited(),
            false => patience.deadline(),
        };
        let waited = span::limit(Duration::from_secs(waited.as_secs()).max(Duration::from_secs(1)));
        let away = action.host().filter(|host| watch.is_away(host));
        let (what, why) = match away {
            // Nobody knows whether it has.
            Some(host) => {
                let on = on(action);
                (
                    format!("{action}{on}: its effect could not be seen within {waited}: {host} does not answer SSH"),
                    None,
                )
            }
            None => (format!("{action}{}: did not take effect within {waited}", on(action)), why),
        };
        let failure = Diagnostic::failure(what).hint(self.where_to_look(action, observed));
        why.into_iter().fold(failure, Diagnostic::with_cause)
    }

    /// Waiting for it is no use.
    fn crash(&self, done: &Done<'_>, observed: &Observed, host: &HostName, exits: &crash::Exits) -> Diagnostic {
        let Some(exit) = exits.last() else { return Diagnostic::failure(format!("etcd on {host} exits")) };
        let times = words::count(exits.times(), "time");
        let what = format!("etcd on {host} exited {times} after: {}", title(done.due.iter().copied(), done.because));
        let hint = crash::way_out(self.desired, host, exit.cause.as_deref(), self.again());
        let failure = Diagnostic::failure(what).with_cause(sighting::exited(exit, exits.times())).hint(hint);
        self.with_full_disk(failure, Some(host), observed)
    }

    /// Where the cause is a full disk, which one, and what to do.
    pub fn with_full_disk(&self, failure: Diagnostic, host: Option<&HostName>, observed: &Observed) -> Diagnostic {
        let Some(host) = host.filter(|_| failure.causes.iter().any(|cause| is_of_full_disk(cause))) else {
            return failure;
        };
        let seen = room::fullest(self.desired, observed, host);
        let failure = seen.into_iter().fold(failure, Diagnostic::with_cause);
        let cause = failure.causes.iter().find(|cause| is_of_full_disk(cause)).cloned();
        failure.hint(crash::way_out(self.desired, host, cause.as_deref(), self.again()))
    }

    /// What state is left when ^C has ended the wait.
    fn cut_off(&self, done: &Done<'_>, seen: &[Glimpse]) -> Diagnostic {
        let title = title(done.due.iter().copied(), done.because);
        let hosts = done.due.iter().filter_map(|action| action.host());
        let step = words::with_hosts(&title, hosts, self.desired.nodes.len());
        let what = format!("started, effect not confirmed: {step}");
        let failure = Diagnostic::new(Kind::Interrupted, what);
        let failure = seen.iter().fold(failure, |failure, glimpse| failure.with_cause(glimpse.line()));
        let again = self.again();
        failure.hint(format!(
            "what was started on the hosts goes on by itself; the lock is released: see `quorate status`, and run {again} \
             again, which resumes from the current state"
        ))
    }

    /// Of a member that cannot be added or promoted the others may know why.
    pub async fn with_what_others_say(&self, failure: Diagnostic, due: &[&Action], waited: Duration) -> Diagnostic {
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
        watch: &Watch,
        waited: Duration,
    ) -> Diagnostic {
        let exited = watch.last_exit(host).map(|(exit, times)| sighting::exited(exit, times));
        let own = exited.or_else(|| member_complaint(host, observed));
        let heard = self.fleet.overheard(host, waited + HEARD_BEFORE).await;
        let failure = own.into_iter().chain(heard).fold(failure, Diagnostic::with_cause);
        self.with_full_disk(failure, Some(host), observed)
    }

    fn where_to_look(&self, action: &Action, observed: &Observed) -> String {
        match action.host() {
            // There is no log to read on a host that is off.
            Some(host) if observed.sight(host).is_some_and(|seen| seen.known().is_none()) && !self.is_restoring() => {
                format!("bring {host} back, then run apply again: it resumes from the current state")
            }
            Some(host) if action.touches_service() => {
                format!("run `{}` on {host}; then run {} again", runtime::log(self.desired), self.again())
            }
            _ if self.is_restoring() => RESTORE_AGAIN.to_owned(),
            _ => "run `quorate plan` to see the current state, then apply again".to_owned(),
        }
    }

    /// What the operator runs next.
    fn again(&self) -> &'static str {
        if self.is_restoring() { "the same `quorate restore`" } else { "apply" }
    }

    pub fn is_restoring(&self) -> bool {
        self.desired.request.restore.is_some()
    }
}

pub const RESTORE_AGAIN: &str = "safe to rerun: the same `quorate restore` resumes from the current state; until it \
                                 finishes, the cluster may be unavailable";

pub fn on(action: &Action) -> String {
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
