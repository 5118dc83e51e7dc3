//! What would alarm an operator is looked at twice: an election, a run that is just ending, or an answer that had grown old
//! before the last host was given up, has passed by then.

use std::time::Duration;

use crate::core::cluster::overview;
use crate::core::desired::Desired;
use crate::core::observed::Observed;
use crate::shell::fleet::Fleet;
use crate::shell::patience::{Patience, Pauses};

/// A follower calls an election once it has heard nothing for one to two election timeouts, of which etcd's default is 1 s.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// What is seen, and seen to last.
pub async fn settled(desired: &Desired, fleet: &impl Fleet) -> Observed {
    let mut observed = fleet.observe().await;
    let timeout = Duration::from_millis(desired.etcd.election_timeout_ms.unwrap_or_default());
    let pause = timeout.max(PAUSE_MIN);
    let mut patience = Patience::new(pause * 2, Pauses::Every(pause));
    while overview::may_pass(desired, &observed) && patience.wait().await {
        observed = fleet.observe().await;
    }
    observed
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::core::cluster::overview::overview;
    use crate::core::diagnostic::Diagnostic;
    use crate::core::names::HostName;
    use crate::core::observed::{Cause, Comparison, LockHolder};
    use crate::core::plan::action::Action;
    use crate::core::plan::overview::State;
    use crate::laws::sample;

    /// What is seen, one look after the other; the last one stays.
    struct Looks(Mutex<Vec<Observed>>);

    impl Fleet for Looks {
        async fn observe(&self) -> Observed {
            let mut looks = self.0.lock().expect("nothing panics inside");
            if looks.len() > 1 { looks.remove(0) } else { looks[0].clone() }
        }

        async fn compare(&self) -> Option<Comparison> {
            None
        }

        async fn perform(&self, _: &Action) -> Result<(), Diagnostic> {
            Ok(())
        }

        async fn write_once(&self, _: &HostName, _: &str, _: &str, _: Duration) -> Result<Duration, Cause> {
            Ok(Duration::ZERO)
        }
    }

    /// The host of the leader is cut off, and the others have not chosen another one yet.
    fn electing(desired: &Desired) -> Observed {
        let mut observed = sample::healthy(desired);
        let cause = Cause { code: crate::core::code::Code::HostUnreachable, summary: "gone".to_owned(), hint: None };
        observed.hosts.insert(sample::name(0), crate::core::observed::Seen::Unknown(cause));
        for index in 1..desired.nodes.len() {
            let host = observed.host_mut(&sample::name(index)).expect("it was seen");
            let crate::core::observed::Seen::Known(Some(answer)) = &mut host.member else { panic!("it answers") };
            answer.leader = None;
            answer.reads = false;
        }
        observed
    }

    #[tokio::test(start_paused = true)]
    async fn an_election_is_no_loss_of_quorum() {
        let desired = sample::desired(3);
        let electing = electing(&desired);
        assert_eq!(overview(&desired, &electing).state, State::NoQuorum);
        let looks = Looks(Mutex::new(vec![electing.clone(), electing.clone(), sample::healthy(&desired)]));
        let seen = settled(&desired, &looks).await;
        assert_eq!(overview(&desired, &seen).state, State::Serving);
    }

    /// The status was told under the old leader, the read waited for the new one, and the member list did not.
    #[tokio::test(start_paused = true)]
    async fn an_answer_from_the_middle_of_an_election_is_none() {
        let desired = sample::desired(3);
        let mut torn = sample::healthy(&desired);
        for index in 0..3 {
            let host = torn.host_mut(&sample::name(index)).expect("it was seen");
            let crate::core::observed::Seen::Known(Some(answer)) = &mut host.member else { panic!("it answers") };
            let cause = Cause::interrupted(crate::core::code::Code::MemberSilent, "asking");
            answer.members = crate::core::observed::Seen::Unknown(cause);
        }
        assert_eq!(overview(&desired, &torn).state, State::NoQuorum);
        let seen = settled(&desired, &Looks(Mutex::new(vec![torn, sample::healthy(&desired)]))).await;
        assert_eq!(overview(&desired, &seen).state, State::Serving);
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_told_after_a_while() {
        let desired = sample::desired(3);
        let begun = tokio::time::Instant::now();
        let seen = settled(&desired, &Looks(Mutex::new(vec![electing(&desired)]))).await;
        assert_eq!(overview(&desired, &seen).state, State::NoQuorum);
        assert!(begun.elapsed() <= Duration::from_secs(3), "{:?}", begun.elapsed());
        // Where nothing is in question one look is enough.
        let begun = tokio::time::Instant::now();
        settled(&desired, &Looks(Mutex::new(vec![sample::healthy(&desired)]))).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_being_released_is_held_by_nobody() {
        let desired = sample::desired(3);
        let mut locked = sample::healthy(&desired);
        let holder = LockHolder { operator: "ops@laptop".to_owned(), purpose: "apply".to_owned(), since: None };
        locked.host_mut(&sample::name(0)).expect("it was seen").lock = Some(holder);
        let looks = Looks(Mutex::new(vec![locked, sample::healthy(&desired)]));
        let seen = settled(&desired, &looks).await;
        assert!(seen.seen_hosts().all(|(_, host)| host.lock.is_none()));
    }
}
