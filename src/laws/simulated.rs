//! A fleet in memory that obeys `effect`, and fails wherever a test tells it to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::core::code::Code;
use crate::core::desired::Desired;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{Digest, HostName, SnapshotReason};
use crate::core::observed::{Cause, Comparison, Ended, File, Host, Observed, Role, Seen, ServiceState, Work};
use crate::core::plan::Plan;
use crate::core::plan::action::{Action, ServiceAction};
use crate::core::planner::{self, plan};
use crate::core::render::event::{Event, Glimpse};
use crate::laws::rolling::worlds::{State, VersionChange, World, world};
use crate::laws::sample;
use crate::shell::apply::{Report, apply};
use crate::shell::fleet::Fleet;
use crate::shell::stop::Stop;

mod waits;

/// What goes wrong, and at which call of `perform` (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    /// The command fails and has done nothing.
    ErrorBefore(usize),
    /// The disk of this action's host is full by then.
    DiskFills(usize),
    /// The command is done, and then reports an error.
    LostReply(usize),
    /// quorate is killed: nothing later in this run happens.
    KilledBefore(usize),
    KilledAfter(usize),
    /// The host of this action cannot be reached any more.
    HostDies(usize),
    /// An operator edits etcd.yaml on the first host meanwhile.
    Edited(usize),
    /// The member of this action's host does not answer any more.
    Silenced(usize),
    /// The first ^C.
    Interrupt(usize),
    /// The cluster takes no writes after this.
    WritesFail(usize),
    /// It takes them, and far too late.
    WritesStall(usize),
    /// The member that is restarted first reads its database for ten minutes before it answers.
    SlowStart,
    /// It does nothing, and never answers again.
    StuckStart,
    /// etcd on the host that is restarted first exits every two seconds and is started again, so often.
    Crashes(u32),
    /// The host that is restarted first cannot be reached any more.
    GoesAway,
    /// The first ^C, while this call does its work, which takes a while.
    InterruptedWithin(usize),
    /// This call waits for something, until nobody waits for it any more.
    WaitsWithin(usize),
    /// The first ^C, so many seconds after the first restart, after which nothing answers.
    InterruptedAfter(u64),
    /// The member of this host does not answer, whatever is done.
    StaysSilent(usize),
}

struct Simulated<'a> {
    desired: &'a Desired,
    world: Mutex<Observed>,
    fault: Fault,
    /// The host that died, as it was.
    died: Mutex<Option<(HostName, Seen<Host>)>>,
    /// The host whose member was restarted first, and when.
    restarted: Mutex<Option<(HostName, Instant)>>,
    calls: AtomicUsize,
    /// For [`Fault::WaitsWithin`].
    given_up: Notify,
    stop: Stop,
    /// `--wait`
    wait: Option<Duration>,
}

impl<'a> Simulated<'a> {
    fn new(desired: &'a Desired, world: Observed, fault: Fault) -> Self {
        Self {
            desired,
            world: Mutex::new(world),
            fault,
            died: Mutex::default(),
            restarted: Mutex::default(),
            calls: AtomicUsize::new(0),
            given_up: Notify::new(),
            stop: Stop::default(),
            wait: None,
        }
    }

    fn stop_reason(&self) -> Option<&str> {
        self.stop.reason()
    }

    fn killed(&self, calls: usize) -> bool {
        match self.fault {
            Fault::KilledBefore(at) => calls >= at,
            Fault::KilledAfter(at) => calls > at,
            _ => false,
        }
    }
}

/// A database of some size is read at this rate.
const READ_A_SECOND: u64 = 50 << 20;

fn silence(observed: &mut Observed, name: &HostName) {
    let cause = Cause { code: Code::MemberSilent, summary: "no answer".to_owned(), hint: None };
    observed.host_mut(name).expect("it is seen").member = Seen::Unknown(cause);
}

fn crash(host: &mut Host, pid: u32) {
    host.process = None;
    host.member = Seen::Known(None);
    host.service.state = ServiceState::Activating;
    host.service.complaint = Some("panic: unrecognized level: \"bogus\"".to_owned());
    host.service.ended = Some(Ended { pid, ran_ms: Some(100) });
}

fn broken() -> Diagnostic {
    Diagnostic::failure("the command failed")
}

impl Fleet for Simulated<'_> {
    async fn observe(&self) -> Observed {
        let mut observed = self.world.lock().expect("no test panics inside").clone();
        if let Fault::StaysSilent(host) = self.fault {
            silence(&mut observed, &sample::name(host));
        }
        let restarted = self.restarted.lock().expect("no test panics inside").clone();
        if let Some((name, at)) = restarted {
            let seconds = at.elapsed().as_secs();
            let (is_silent, read) = match self.fault {
                Fault::SlowStart => (seconds < 600, seconds * READ_A_SECOND),
                Fault::InterruptedAfter(_) => (true, 0),
                _ => (self.fault == Fault::StuckStart, 0),
            };
            match self.fault {
                Fault::Crashes(times) if seconds < u64::from(times) * 2 => {
                    crash(observed.host_mut(&name).expect("it is seen"), 5000 + seconds as u32 / 2);
                }
                Fault::GoesAway => {
                    let summary = format!("cannot reach {name}: connecting to 10.0.0.11:22 failed: connection refused");
                    let cause = Cause { code: Code::HostUnreachable, summary, hint: None };
                    observed.hosts.insert(name.clone(), Seen::Unknown(cause));
                }
                Fault::InterruptedAfter(after) if seconds >= after => self.stop.interrupt(),
                _ => {}
            }
            if is_silent {
                silence(&mut observed, &name);
                let host = observed.host_mut(&name).expect("it is seen");
                host.service.state = ServiceState::Activating;
                host.process.as_mut().expect("it runs").work =
                    Some(Work { read_bytes: read, cpu_ticks: seconds, ..Work::default() });
            }
        }
        observed
    }

    fn awaited(&self) -> Vec<Glimpse> {
        let what = "promote the learner: waiting until it is in sync".to_owned();
        let glimpse = Glimpse { host: sample::name(0), what, trouble: false };
        if matches!(self.fault, Fault::WaitsWithin(_)) { vec![glimpse] } else { Vec::new() }
    }

    fn interrupt(&self) {
        self.given_up.notify_one();
    }

    async fn overheard(&self, host: &HostName, _: Duration) -> Vec<String> {
        vec![format!("another member refuses {host}")]
    }

    async fn compare(&self) -> Option<Comparison> {
        self.world.lock().expect("no test panics inside").comparison.clone()
    }

    async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if matches!(self.fault, Fault::WritesFail(_) | Fault::WritesStall(_)) {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        if self.killed(call) || self.fault == Fault::ErrorBefore(call) {
            return Err(broken());
        }
        if let Fault::WritesFail(_) | Fault::WritesStall(_) = self.fault {
            // As on real hosts, so that there is time for a write meanwhile.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if self.fault == Fault::WaitsWithin(call) {
            self.given_up.notified().await;
            return Err(Diagnostic::new(Kind::Interrupted, "this was not done yet"));
        }
        if self.fault == Fault::InterruptedWithin(call) {
            self.stop.interrupt();
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let mut world = self.world.lock().expect("no test panics inside");
        if self.fault == Fault::DiskFills(call)
            && let Some(name) = action.host()
        {
            sample::on_one_disk(world.host_mut(name).expect("it acts on a host that is seen"), 0, 8 << 30);
            let failure =
                Diagnostic::failure(format!("writing on {name} failed: a disk there is full")).at(name.as_str());
            return Err(failure.with_cause("head: write error: No space left on device"));
        }
        if self.fault == Fault::HostDies(call) {
            let cause = Cause { code: Code::HostUnreachable, summary: "gone".to_owned(), hint: None };
            if let Some(name) = action.host() {
                let place = match world.former.get_mut(name) {
                    Some(former) => &mut former.host,
                    None => world.hosts.get_mut(name).expect("it acts on a host that is there"),
                };
                let host = std::mem::replace(place, Seen::Unknown(cause));
                *self.died.lock().expect("no test panics inside") = Some((name.clone(), host));
            }
            return Err(broken());
        }
        planner::effect(action, self.desired, &mut world);
        if let Action::Service(ServiceAction::Restart { host }) = action {
            let mut restarted = self.restarted.lock().expect("no test panics inside");
            restarted.get_or_insert_with(|| (host.clone(), Instant::now()));
        }
        if self.fault == Fault::Edited(call) {
            let host = world.host_mut(&sample::name(0)).expect("the first host is seen");
            if let Some(fact) = host.files.get_mut(&File::Config) {
                let text = format!("{}# by hand\n", fact.text.as_deref().unwrap_or_default());
                fact.digest = Digest::of(&text);
                fact.text = Some(text);
            }
        }
        if self.fault == Fault::Silenced(call) {
            let cause = Cause { code: Code::MemberSilent, summary: "no answer".to_owned(), hint: None };
            let host = action.host().and_then(|name| world.host_mut(name)).expect("it acts on a host that is seen");
            host.member = Seen::Unknown(cause);
        }
        if self.fault == Fault::Interrupt(call) {
            self.stop.interrupt();
        }
        if self.fault == Fault::LostReply(call) { Err(broken()) } else { Ok(()) }
    }

    async fn write_once(&self, host: &HostName, _: &str, _: &str, deadline: Duration) -> Result<Duration, Cause> {
        let calls = self.calls.load(Ordering::SeqCst);
        match self.fault {
            Fault::WritesFail(at) if calls > at => {
                Err(Cause { code: Code::MemberSilent, summary: format!("{host} takes no write"), hint: None })
            }
            Fault::WritesStall(at) if calls > at => {
                // Each of two tries has half of the limit.
                tokio::time::sleep(deadline * 2 + Duration::from_secs(1)).await;
                Ok(deadline)
            }
            _ => Ok(Duration::ZERO),
        }
    }
}

async fn run(fleet: &Simulated<'_>, approved: &Plan) -> (Result<Report, Diagnostic>, Vec<Event>) {
    let events = Mutex::new(Vec::new());
    let emit = |event: Event| events.lock().expect("no test panics inside").push(event);
    let result = apply(fleet.desired, fleet, approved, &fleet.stop, fleet.wait, &emit).await;
    (result, events.into_inner().expect("no test panics inside"))
}

/// A rolling change of every member: a setting that is declared and on no host yet.
fn with_a_new_setting(desired: &Desired) -> (Desired, Observed) {
    let world = sample::healthy(desired);
    let mut changed = desired.clone();
    changed.etcd.quota_backend_bytes = Some(8 << 30);
    (changed, world)
}

/// The worlds that a run begins in: nothing there yet, a rolling change, and members that come, go, move and are
/// replaced.
fn beginnings() -> Vec<(Desired, Observed)> {
    let desired = sample::desired(3);
    let changes: [(&[State], VersionChange); 6] = [
        (&[State::Member, State::Newcomer, State::Newcomer], VersionChange::Stays),
        (&[State::Member, State::Leaver, State::Member, State::Leaver, State::Member], VersionChange::Stays),
        (&[State::Member, State::Wiped, State::Member], VersionChange::Stays),
        (&[State::Member, State::Moved, State::Moved], VersionChange::Stays),
        (&[State::Member, State::Replaced, State::Member], VersionChange::Stays),
        (&[State::Member, State::Member, State::Member], VersionChange::Up),
    ];
    let changes = changes.into_iter().map(|(states, version_change)| {
        let World { desired, observed, .. } = world(states, version_change);
        (desired, observed)
    });
    let begin = [(desired.clone(), sample::bare(&desired)), with_a_new_setting(&desired)];
    let restoring = sample::restoring(&desired);
    // Over a cluster that serves, onto new hosts, and onto one new host among old ones.
    let mut mixed = sample::healthy(&desired);
    mixed.hosts.insert(sample::name(1), Seen::Known(sample::bare_host()));
    let restores = [sample::healthy(&desired), sample::bare(&desired), mixed].map(|world| (restoring.clone(), world));
    begin
        .into_iter()
        .chain(restores)
        .chain(changes)
        .chain(crate::laws::users::beginnings())
        .chain(crate::laws::backup::beginnings())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn apply_does_exactly_what_the_plan_holds() {
    for (desired, world) in beginnings() {
        let approved = plan(&desired, &world);
        let fleet = Simulated::new(&desired, world, Fault::Nothing);
        let (result, events) = run(&fleet, &approved).await;
        let report = result.expect("nothing fails");
        assert!(report.left.is_empty(), "{:?}", report.left);
        assert_eq!(report.steps, approved.steps.len());
        assert_eq!(fleet.calls.load(Ordering::SeqCst), approved.actions().count());
        let started = events.iter().filter_map(|event| match event {
            Event::StepStarted { title, .. } => Some(title.clone()),
            _ => None,
        });
        assert_eq!(started.collect::<Vec<_>>(), approved.steps.iter().map(|step| step.title()).collect::<Vec<_>>());
        let surprises =
            events.iter().any(|event| matches!(event, Event::StepDone { surprises, .. } if !surprises.is_empty()));
        assert!(!surprises);
    }
}

/// Whatever goes wrong at whichever call, the next run finishes the work.
#[tokio::test(start_paused = true)]
async fn a_run_cut_off_at_any_call_is_finished_by_the_next() {
    let faults: [fn(usize) -> Fault; 7] = [
        Fault::ErrorBefore,
        Fault::LostReply,
        Fault::KilledBefore,
        Fault::KilledAfter,
        Fault::HostDies,
        Fault::Edited,
        Fault::Interrupt,
    ];
    for (desired, world) in beginnings() {
        let approved = plan(&desired, &world);
        for fault in faults.iter().flat_map(|fault| (0..approved.actions().count()).map(fault)) {
            let fleet = Simulated::new(&desired, world.clone(), fault);
            let (first, _) = run(&fleet, &approved).await;
            if let Err(failure) = &first {
                let kinds = [Kind::Stopped, Kind::PlanChanged, Kind::Interrupted];
                assert!(kinds.contains(&failure.kind), "{fault:?}: {failure}");
            }
            let mut left = fleet.world.into_inner().expect("no test panics inside");
            if let Some((name, host)) = fleet.died.into_inner().expect("no test panics inside") {
                match left.former.get_mut(&name) {
                    Some(former) => former.host = host,
                    None => drop(left.hosts.insert(name, host)),
                }
            }
            let rest = plan(&desired, &left);
            let again = Simulated::new(&desired, left, Fault::Nothing);
            let (second, _) = run(&again, &rest).await;
            let report = second.unwrap_or_else(|failure| panic!("{fault:?}: {failure}"));
            assert!(report.left.is_empty(), "{fault:?}: {:?}", report.left);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_approved_is_not_done() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let mut approved = plan(&desired, &world);
    approved.steps.pop();
    let fleet = Simulated::new(&desired, world.clone(), Fault::Nothing);
    let (result, _) = run(&fleet, &approved).await;
    let failure = result.expect_err("the last restart was not approved");
    assert_eq!(failure.kind, Kind::Stopped);
    assert_eq!(fleet.calls.load(Ordering::SeqCst), approved.actions().count());

    let nothing = Plan { steps: Vec::new(), ..approved };
    let fleet = Simulated::new(&desired, world, Fault::Nothing);
    let (result, _) = run(&fleet, &nothing).await;
    assert_eq!(result.expect_err("nothing was approved").kind, Kind::PlanChanged);
    assert_eq!(fleet.calls.load(Ordering::SeqCst), 0);
}

/// What is written over is what was shown, also where it is the same that is written.
#[tokio::test(start_paused = true)]
async fn a_file_that_was_changed_meanwhile_is_not_written_over() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let mut desired = desired;
    desired.pinned.leader = Some(sample::name(0));
    let approved = plan(&desired, &world);
    let fleet = Simulated::new(&desired, world, Fault::Edited(1));
    let (result, _) = run(&fleet, &approved).await;
    let failure = result.expect_err("the first host is the last, and was edited");
    assert!(failure.summary.contains("/etc/etcd/etcd.yaml on etcd-1 was changed since the plan"), "{failure}");
    let world = fleet.world.into_inner().expect("no test panics inside");
    let text = world.host(&sample::name(0)).and_then(|host| host.text_of(File::Config).map(str::to_owned));
    assert!(text.expect("it is there").ends_with("# by hand\n"));
}

/// A snapshot that has grown too old since the plan was approved is saved again.
#[tokio::test(start_paused = true)]
async fn a_precaution_needs_no_approval() {
    let world = sample::healthy(&sample::desired(3));
    let desired = sample::restoring(&sample::desired(3));
    let approved = plan(&desired, &world);
    let mut fresh = world.clone();
    fresh.host_mut(&sample::name(0)).expect("it was seen").snapshots.insert(SnapshotReason::Change, world.at);
    let without = plan(&desired, &fresh);
    assert_eq!((without.steps.len() + 1, without.id()), (approved.steps.len(), approved.id()));
    let fleet = Simulated::new(&desired, world, Fault::Nothing);
    let (result, _) = run(&fleet, &without).await;
    assert_eq!(result.expect("nothing fails").steps, approved.steps.len());
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_no_failure_when_the_effect_is_there() {
    for (desired, world) in beginnings() {
        let approved = plan(&desired, &world);
        for call in 0..approved.actions().count() {
            let fleet = Simulated::new(&desired, world.clone(), Fault::LostReply(call));
            let (result, _) = run(&fleet, &approved).await;
            assert!(result.is_ok_and(|report| report.left.is_empty()), "call {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_interrupt_finishes_the_step_and_stops() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let fleet = Simulated::new(&desired, world, Fault::Interrupt(4));
    let (result, events) = run(&fleet, &approved).await;
    assert_eq!(result.expect_err("it was interrupted").kind, Kind::Interrupted);
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let begun = count(|event| matches!(event, Event::StepStarted { .. }));
    let done = count(|event| matches!(event, Event::StepDone { .. }));
    assert_eq!(begun, done);
    assert!(begun < approved.steps.len());
}

/// A step that makes a member fall silent is the last one, whatever else it brought about.
#[tokio::test(start_paused = true)]
async fn apply_stops_when_a_member_falls_silent() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    let fleet = Simulated::new(&desired, world, Fault::Silenced(0));
    let (result, _) = run(&fleet, &approved).await;
    let failure = result.expect_err("a member is silent");
    assert_eq!(failure.kind, Kind::Stopped);
    assert!(failure.summary.contains("stopped answering"), "{failure}");
    assert_eq!(fleet.calls.load(Ordering::SeqCst), 1);
}

/// All pairs have expired, and one member stays silent for another reason: what was so before is laid to no step's charge.
#[tokio::test(start_paused = true)]
async fn what_was_silent_before_a_step_does_not_end_the_apply() {
    let desired = sample::desired(3);
    let mut world = sample::healthy(&desired);
    for name in desired.nodes.keys() {
        let host = world.host_mut(name).expect("it was seen");
        for role in [Role::Server, Role::Peer] {
            host.certificates.get_mut(&role).expect("it has one").not_after = sample::AT;
        }
        silence(&mut world, name);
    }
    let approved = plan(&desired, &world);
    let whole = Simulated::new(&desired, world.clone(), Fault::Nothing);
    let (result, events) = run(&whole, &approved).await;
    assert!(result.expect("nothing fails").left.is_empty());
    let first = events.iter().find_map(|event| match event {
        Event::StepStarted { hosts, .. } => Some(hosts.len()),
        _ => None,
    });
    assert_eq!(first, Some(3), "one at a time protects nothing");
    let silent = Simulated::new(&desired, world, Fault::StaysSilent(1));
    let (result, _) = run(&silent, &approved).await;
    let report = result.expect("it was silent before");
    let renewed = |name: &HostName| {
        let observed = silent.world.lock().expect("no test panics inside");
        observed.host(name).expect("it was seen").certificates[&Role::Peer].not_after > sample::AT
    };
    assert!(desired.nodes.keys().all(renewed), "{report:?}");
}

/// A cluster that takes no writes any more, or takes them late, is not worked on any further.
#[tokio::test(start_paused = true)]
async fn a_writer_beside_it_stops_an_apply() {
    let (desired, world) = with_a_new_setting(&sample::desired(3));
    let approved = plan(&desired, &world);
    for (fault, words) in [
        (Fault::WritesFail(1), "a write of --guard-writes failed: etcd-"),
        (Fault::WritesStall(1), "a write of --guard-writes took 6.0 s, more than 5 s"),
        (Fault::Nothing, ""),
    ] {
        let fleet = Simulated::new(&desired, world.clone(), fault);
        let tally = Mutex::new(crate::shell::guard_writes::Tally::default());
        let watch =
            crate::shell::guard_writes::watch(&desired, &world, &fleet, Duration::from_secs(5), &fleet.stop, &tally);
        let (result, _) =
            tokio::select! { biased; never = watch => match never {}, done = run(&fleet, &approved) => done };
        match result {
            Ok(report) => assert!(fault == Fault::Nothing && report.left.is_empty()),
            Err(failure) => {
                assert_eq!(failure.kind, Kind::Stopped);
                assert!(failure.summary.contains(words), "{failure}");
            }
        }
        assert_eq!(fleet.stop_reason().is_some(), fault != Fault::Nothing, "{fault:?}");
    }
}
