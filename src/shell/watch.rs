//! What has been seen of the hosts that a step waits for: since when it is as it is, and how often etcd has exited.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::core::cluster::crash::{Exit, Exits};
use crate::core::cluster::sighting::{self, Sighting};
use crate::core::names::HostName;
use crate::core::observed::Observed;
use crate::core::render::event::Glimpse;

#[derive(Debug)]
pub struct Watch {
    begun: Instant,
    /// The processes that ran when it began: their ends are none that the step has brought about.
    old: BTreeMap<HostName, Old>,
    hosts: BTreeMap<HostName, Watched>,
}

#[derive(Debug, Default)]
struct Old {
    running: Option<u32>,
    ended: Option<u32>,
}

#[derive(Debug)]
struct Watched {
    sighting: Sighting,
    /// Since when it is of this kind.
    since: Instant,
    exits: Exits,
}

impl Watch {
    /// Of a step before which the hosts were seen so.
    pub fn since(before: &Observed) -> Self {
        let old = before.seen_hosts().map(|(name, host)| {
            let running = host.process.as_ref().map(|process| process.pid);
            (name.clone(), Old { running, ended: host.service.ended.map(|ended| ended.pid) })
        });
        Self { begun: Instant::now(), old: old.collect(), hosts: BTreeMap::new() }
    }

    /// Notes what a look saw of a host; `ends` where the step is to end the process that ran there.
    pub fn look(&mut self, host: &HostName, observed: &Observed, ends: bool) {
        let old = self.old.get(host);
        let Some(seen) = sighting::of(observed, host, old.and_then(|old| old.running).filter(|_| ends)) else { return };
        let now = Instant::now();
        let is_old = |exit: &Exit| old.is_some_and(|old| [old.running, old.ended].contains(&Some(exit.pid)));
        let watched = self.hosts.entry(host.clone()).or_insert_with(|| Watched {
            sighting: seen.clone(),
            since: now,
            exits: Exits::default(),
        });
        let seen = match seen {
            Sighting::Exited(exit) if is_old(&exit) => Sighting::BeforeEtcd,
            seen => seen,
        };
        if let Sighting::Exited(exit) = &seen {
            watched.exits.note(exit.clone(), now - self.begun);
        }
        // One that has exited and is started again has not got any further yet.
        let seen = match (seen, watched.exits.last()) {
            (Sighting::BeforeEtcd | Sighting::Starting { .. } | Sighting::Inactive, Some(exit)) => {
                Sighting::Exited(exit.clone())
            }
            (seen, _) => seen,
        };
        if std::mem::discriminant(&seen) != std::mem::discriminant(&watched.sighting) {
            watched.since = now;
        }
        watched.sighting = seen;
    }

    /// Whether the process that a look saw ran there before the step.
    pub fn is_old(&self, host: &HostName, observed: &Observed) -> bool {
        let seen = observed.host(host).and_then(|host| host.process.as_ref()).map(|process| process.pid);
        seen.is_some() && seen == self.old.get(host).and_then(|old| old.running)
    }

    /// The hosts at which etcd exits again and again, and will not come up.
    pub fn crashing<'a>(&'a self, hosts: impl IntoIterator<Item = &'a HostName>) -> Option<(&'a HostName, &'a Exits)> {
        let is_loop = |host: &'a HostName| {
            let watched = self.hosts.get(host)?;
            let is_down = matches!(watched.sighting, Sighting::Exited(_));
            (is_down && watched.exits.are_a_loop(self.begun.elapsed())).then_some((host, &watched.exits))
        };
        hosts.into_iter().find_map(is_loop)
    }

    /// The last exit that was seen, though the next process may run by now.
    pub fn last_exit(&self, host: &HostName) -> Option<(&Exit, usize)> {
        let exits = &self.hosts.get(host)?.exits;
        Some((exits.last()?, exits.times()))
    }

    /// Whether the last look did not get there.
    pub fn is_away(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|watched| matches!(watched.sighting, Sighting::Unreachable { .. }))
    }

    pub fn glimpse(&self, host: &HostName) -> Option<Glimpse> {
        let Watched { sighting, since, exits } = self.hosts.get(host)?;
        let what = sighting.words(since.elapsed(), exits.times());
        Some(Glimpse { host: host.clone(), what, trouble: sighting.is_trouble() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::observed::{Ended, Host, Seen, ServiceState};
    use crate::laws::sample;

    fn world(change: impl FnOnce(&mut Host)) -> Observed {
        let mut observed = sample::healthy(&sample::desired(1));
        change(observed.host_mut(&sample::name(0)).expect("it was seen"));
        observed
    }

    fn down(pid: u32) -> Observed {
        world(|host| {
            host.process = None;
            host.member = Seen::Known(None);
            host.service.state = ServiceState::Activating;
            host.service.complaint = Some("panic: unrecognized level".to_owned());
            host.service.ended = Some(Ended { pid, ran_ms: Some(100) });
        })
    }

    fn starting(pid: u32) -> Observed {
        world(|host| {
            host.process.as_mut().expect("it runs").pid = pid;
            host.member = Seen::Known(None);
            host.service.state = ServiceState::Activating;
        })
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// What is said of etcd that is looked at once a second, and at which second it is sure that it does not come up.
    async fn told(before: &Observed, looks: &[Observed]) -> (Vec<String>, Option<usize>) {
        let host = sample::name(0);
        let mut watch = Watch::since(before);
        let (mut words, mut sure) = (Vec::new(), None);
        for (second, look) in looks.iter().enumerate() {
            watch.look(&host, look, true);
            words.push(watch.glimpse(&host).expect("it was looked at").what);
            sure = sure.or(watch.crashing([&host]).map(|_| second));
            tokio::time::advance(SECOND).await;
        }
        (words, sure)
    }

    #[tokio::test(start_paused = true)]
    async fn three_exits_are_a_loop_and_what_comes_between_is_no_progress() {
        let looks = [down(11), starting(12), down(12), down(12), starting(13), down(13)];
        let (words, sure) = told(&starting(10), &looks).await;
        let exited = |times: &str| format!("etcd exited within 1 s of its start{times}: panic: unrecognized level");
        let [once, twice, thrice] = ["", " (2 times)", " (3 times)"].map(exited);
        assert_eq!(words, [&once, &once, &twice, &twice, &twice, &thrice].map(String::as_str));
        assert_eq!(sure, Some(5));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_exits_twice_and_then_serves_is_no_loop() {
        let up = world(|host| host.process.as_mut().expect("it runs").pid = 13);
        let looks = [down(11), down(12), starting(13), up.clone(), up];
        let (words, sure) = told(&starting(10), &looks).await;
        assert_eq!((words.last().map(String::as_str), sure), (Some("answers"), None));
    }

    /// What was in a loop before the step, for what the step has mended, is not held against it.
    #[tokio::test(start_paused = true)]
    async fn the_exits_from_before_the_step_do_not_count() {
        let (words, sure) = told(&down(9), &[down(9), starting(10), down(10), down(11)]).await;
        assert_eq!(words[..2], ["systemd is starting its service", "etcd is starting, and does not answer yet"]);
        assert!(words[3].contains("(2 times)"), "{words:?}");
        assert_eq!(sure, None);
        // The one that was ended for the step, too.
        let (words, _) = told(&starting(10), &[starting(10), down(10)]).await;
        assert_eq!(words, ["the etcd from before this step has not ended yet", "systemd is starting its service"]);
    }
}
