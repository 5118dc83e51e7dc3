//! Of what is refused before anything is begun, and how an apply ends.

use std::sync::Mutex;

use super::*;
use crate::core::code::Code;
use crate::core::names::HostName;
use crate::core::observed::{Cause, File, Lent, LockHolder, OpenedBy, Seen, Unable};
use crate::core::plan::action::Action;
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

    /// Somebody is at work, or is no more.
    fn is_locked(&self, held: bool) {
        let mut world = self.world.lock().unwrap();
        let since = Some(world.at.plus_seconds(-12));
        let (operator, purpose) = ("ops@laptop".to_owned(), "apply of plan 3fa94c01be77".to_owned());
        let host = world.host_mut(&HostName::new("etcd-1")).expect("it was seen");
        host.lock = held.then_some(LockHolder { operator, purpose, since });
    }

    /// As `plan` saves it.
    fn saved(&self) -> Plan {
        let world = self.world.lock().unwrap();
        let mut desired = self.desired.clone();
        request::bind(&mut desired, &world).unwrap();
        planner::plan(&desired, &world)
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

/// A fleet that lets nobody look without the key.
struct Shut {
    behind: Obedient,
    opened: Mutex<Vec<Need>>,
}

impl Shut {
    fn is_open(&self) -> bool {
        self.opened.lock().unwrap().contains(&Need::LookAgain)
    }
}

impl Fleet for Shut {
    async fn open_keys(&self, need: Need) -> Result<(), Diagnostic> {
        self.opened.lock().unwrap().push(need);
        Ok(())
    }

    async fn observe(&self) -> Observed {
        let mut observed = self.behind.observe().await;
        if !self.is_open() {
            let (key, why) = ("pki/ca.key".to_owned(), Unable::Encrypted(OpenedBy::Passphrase));
            observed.workstation.lent = Some(Lent { key, has_certificate: true, why, reader: None });
            for host in observed.hosts.keys().cloned().collect::<Vec<_>>() {
                let cause = Cause { code: Code::AuthUnknown, summary: "permission denied".to_owned(), hint: None };
                observed.host_mut(&host).expect("it is seen").member = Seen::Unknown(cause);
            }
        }
        observed
    }

    async fn compare(&self) -> Option<crate::core::observed::Comparison> {
        None
    }

    async fn write_once(&self, _: &HostName, _: &str, _: &str, _: Duration) -> Result<Duration, Cause> {
        Ok(Duration::ZERO)
    }

    async fn perform(&self, action: &Action) -> Result<(), Diagnostic> {
        self.behind.perform(action).await
    }
}

/// What the declaration says does not tell it: authentication is on, and the pair that a node lends, or the reader, has no
/// right to look.
#[tokio::test]
async fn who_is_not_let_in_without_the_key_opens_it_and_looks_again() {
    let behind = Obedient::bare();
    *behind.world.lock().unwrap() = sample::healthy(&behind.desired);
    let fleet = Shut { behind, opened: Mutex::default() };
    let lock = async |_: Duration, _: &str, _: Emit<'_>| Ok(());
    let captured = Captured::default();
    let context = Context::for_tests();
    let result = run(&yes(), None, &context, &fleet.behind.desired, &fleet, lock, &mut captured.out()).await;
    assert_eq!(result, Ok(0), "{}", captured.text());
    assert!(captured.text().starts_with("No changes: "), "{}", captured.text());
    assert_eq!(*fleet.opened.lock().unwrap(), [Need::Look, Need::LookAgain]);
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

#[tokio::test(start_paused = true)]
async fn somebody_who_is_at_work_is_told_before_anything_else() {
    let fleet = Obedient::bare();
    // As it may look in the middle of somebody's step.
    samples::hide(&mut fleet.world.lock().unwrap(), "etcd-2");
    fleet.is_locked(true);
    for lock_timeout in [Duration::ZERO, Duration::from_secs(90)] {
        let begun = tokio::time::Instant::now();
        let (result, printed) = fleet.apply(&ApplyArgs { lock_timeout, ..yes() }, None).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind, printed.as_str()), (Kind::Locked, ""));
        let told = "apply of plan 3fa94c01be77 by ops@laptop has been running for 12 s and holds the lock on etcd-1";
        assert!(error.summary.contains(told), "{error}");
        assert!(begun.elapsed() >= lock_timeout, "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_waits_for_a_lock_are_one() {
    let fleet = Obedient::bare();
    fleet.is_locked(true);
    let left = Mutex::new(Duration::ZERO);
    let lock = async |until: Duration, _: &str, _: Emit<'_>| {
        *left.lock().unwrap() = until;
        Ok(())
    };
    let args = ApplyArgs { lock_timeout: Duration::from_secs(90), ..yes() };
    let (context, mut out) = (Context::for_tests(), Captured::default().out());
    let applied = run(&args, None, &context, &fleet.desired, &fleet, lock, &mut out);
    let freed = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        fleet.is_locked(false);
    };
    assert_eq!(tokio::join!(applied, freed).0, Ok(0));
    let left = left.into_inner().unwrap();
    assert!((55..=60).contains(&left.as_secs()), "{left:?}");
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
async fn what_is_expected_and_done_is_no_failure() {
    let fleet = Obedient::bare();
    let saved = fleet.saved();
    let expecting = ApplyArgs { expect: Some(saved.id()), ..yes() };
    for begun in ["[ 1/13] create the CA on this machine\n", "No changes: "] {
        let (result, printed) = fleet.apply(&expecting, None).await;
        assert_eq!(result, Ok(0));
        assert!(printed.contains(begun), "{printed}");
    }
    let of_file = ApplyArgs { plan: Some(PathBuf::from("plan.json")), ..yes() };
    let (result, printed) = fleet.apply(&of_file, Some(saved)).await;
    assert_eq!(result, Ok(0));
    assert!(printed.ends_with("\nNothing left to do.\n"), "{printed}");
}

#[tokio::test]
async fn the_token_of_a_saved_plan_is_written() {
    let fleet = Obedient::bare();
    let saved = fleet.saved();
    fleet.world.lock().unwrap().at.0 += 300;
    assert_eq!(fleet.apply(&yes(), Some(saved)).await.0, Ok(0));
    let world = fleet.world.lock().unwrap();
    let token = format!("initial-cluster-token: prod-{}\n", sample::AT.0);
    assert!(world.seen_hosts().all(|(_, host)| host.text_of(File::Config).unwrap().contains(&token)));
}

#[tokio::test]
async fn what_was_allowed_when_a_plan_was_saved_is_not_asked_for_again() {
    let mut fleet = Obedient::bare();
    fleet.world = Mutex::new(sample::healthy(&fleet.desired));
    fleet.desired.nodes.remove(&sample::name(2));
    let mut saved = fleet.plan();
    let needs: BTreeSet<_> = saved.needs().into_iter().cloned().collect();
    assert_eq!(needs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["remove-member:etcd-3"]);
    let refused = fleet.apply(&yes(), Some(saved.clone())).await.0.unwrap_err();
    assert_eq!(refused.kind, Kind::Refused);
    let args = ApplyArgs {
        request: RequestArgs { allow: needs.iter().cloned().collect(), ..RequestArgs::default() },
        ..yes()
    };
    assert_ne!(fleet.apply(&args, Some(saved.clone())).await.0.map_err(|error| error.kind), Err(Kind::Refused));
    saved.allowed = needs;
    assert_ne!(fleet.apply(&yes(), Some(saved)).await.0.map_err(|error| error.kind), Err(Kind::Refused));
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
