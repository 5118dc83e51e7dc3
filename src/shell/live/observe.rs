//! Everything that a plan needs to know, seen at once: hosts, members, consumers, users, the authority and archives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::credentials::Credentials;
use super::hosts::Hosts;
use super::look::{self, Consumers, Glance, Recognition};
use super::pki::{self, LoadedCa};
use super::probe::{Saved, newest_saved};
use super::{Live, cause, former, former_life, lent, lookups, reach, users};
use crate::core::capability::rotation;
use crate::core::cluster::snapshot::live_cluster;
use crate::core::cluster::{quorum, sameness, source, trust, upgrade};
use crate::core::desired::Consumer;
use crate::core::names::{ConsumerName, HostName, UnixSeconds};
use crate::core::observed::{Cause, ConsumerFiles, FormerLife, Host, Observed, Seen, Unable, Workstation};
use crate::shell::clock::now;
use crate::shell::fleet::Fleet;
use crate::shell::patience::{Patience, Pauses};

/// Between two looks at members that gave different lists: one that has just started publishes its name, and the others
/// learn it a moment apart.
const DISAGREEMENT_PAUSES: Pauses =
    Pauses::Listed(&[Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)]);

pub(super) async fn observe(live: &Live) -> Observed {
    let mut observed = observe_once(live).await;
    if trust::is_shut_out(&live.hosts.desired, &observed) && live.credentials.open_unattended().await {
        observed = observe_once(live).await;
    }
    let mut patience = Patience::new(Duration::MAX, DISAGREEMENT_PAUSES);
    while quorum::disagreement(&observed).is_some() && patience.wait().await {
        observed = observe_once(live).await;
    }
    // Whom the operator calls lost may be one that is well and holds other data than the rest.
    observed.comparison = match sameness::is_asked_for(&live.hosts.desired, &observed) {
        true => live.compare().await,
        false => live.comparison.get().cloned(),
    };
    observed
}

/// Where nobody runs there is nobody to ask.
async fn old_is_refused(live: &Live, observed: &Observed) -> bool {
    let runs = observed.seen_hosts().any(|(_, host)| host.process.is_some());
    !runs || reach::refuses_the_old(&live.hosts, &live.credentials).await.is_ok()
}

async fn observe_once(live: &Live) -> Observed {
    let Live { hosts, credentials, packages, users: kept, .. } = live;
    let desired = &hosts.desired;
    let at = now();
    let (loaded, looked) = if credentials.lie_on_nodes() {
        look_and_learn(hosts, credentials, at).await
    } else {
        let loaded = load(credentials, at).await;
        let looked = look_at_all(hosts, &loaded.with).await;
        (loaded, looked)
    };
    let consumers = looked.consumers(hosts, &loaded.with);
    let Loaded { authority, next, with } = loaded;
    let lent = credentials.lent(authority.as_ref().ok().and_then(Option::as_ref), next.as_ref());
    let workstation = Workstation {
        authority: LoadedCa::seen(&authority),
        next: next.map(|next| next.certificate().facts().clone()),
        archives: BTreeMap::new(),
        given: pki::given(&desired.authority, &authority),
        is_replaced: false,
        previous_ended: None,
        former_life: FormerLife::default(),
        ca_keys: credentials.ca_keys().await,
        lent,
    };
    let mut observed = Observed {
        at,
        workstation,
        hosts: looked.nodes,
        former: BTreeMap::new(),
        auth: None,
        consumers,
        comparison: None,
        guessed: false,
    };
    let found = former::found(desired, &observed);
    let usable = || found.iter().filter(|(_, lead)| lead.obstacle.is_none());
    usable().for_each(|(name, lead)| hosts.machines.add_former(name, lead.peer_url.address()));
    let look = |hosts: Arc<Hosts>, host: HostName| {
        let with = with.clone();
        async move { look::look(&hosts, &host, &with).await }
    };
    let looked_at = hosts.each_of(usable().map(|(name, _)| name), look).await;
    let mut saved = looked.saved;
    let looked_at = looked_at.into_iter().map(|(name, look::Looked { host, saved: there, .. })| {
        saved.insert(name.clone(), there);
        (name, host)
    });
    let looked_at = looked_at.collect();
    observed.former = former::seen(&observed, found, looked_at, |former| hosts.machines.declared_as(former));
    keep_ours(&mut observed, &saved);
    if former_life::is_in_question(&observed) {
        observed.workstation.former_life = former_life::look(live, &saved).await;
    }
    for (name, found) in lookups::of(hosts, &source::unsure(desired, &observed)).await {
        if let Some(host) = observed.host_mut(&name) {
            host.lookups = found;
        }
    }
    reach::try_ways(hosts, &mut observed).await;
    observed.auth = users::look(hosts, kept, &observed).await;
    lent::tell(desired, &mut observed);
    let is_first = credentials.take_first_look();
    if is_first && credentials.is_being_replaced() && rotation::is_over(&observed) {
        // Without the key of the old one no member could be asked, and none needs it: the declared one lets us in.
        let is_unable = observed.workstation.lent.as_ref().is_some_and(|lent| lent.why == Unable::NotHere);
        if is_unable || matches!(observed.workstation.authority, Seen::Unknown(_)) {
            credentials.note_replaced();
            return Box::pin(observe_once(live)).await;
        }
        if old_is_refused(live, &observed).await {
            credentials.note_replaced();
            rotation::adopt_effect(desired, &mut observed);
        }
    }
    observed.workstation.previous_ended = credentials.previous_ended();
    observed.workstation.is_replaced = desired.previous_authority.is_some() && !credentials.is_being_replaced();
    for (version, architecture) in upgrade::wanted_archives(desired, &observed) {
        let package = packages.get(desired, version, architecture).await;
        let seen = match package {
            Ok(package) => Seen::Known(package.facts.clone()),
            Err(cause) => Seen::Unknown(cause),
        };
        observed.workstation.archives.entry(version).or_default().insert(architecture, seen);
    }
    observed
}

/// Of what was saved before changes only that of this cluster is known: others may use the same folder.
fn keep_ours(observed: &mut Observed, saved: &BTreeMap<HostName, Vec<Saved>>) {
    let Some(cluster) = live_cluster(observed) else { return };
    for (name, saved) in saved {
        if let Some(host) = observed.host_mut(name) {
            host.snapshots = newest_saved(saved, cluster);
        }
    }
}

/// The authorities, and what follows from them for a look.
struct Loaded {
    authority: Result<Option<LoadedCa>, Cause>,
    next: Option<LoadedCa>,
    with: Recognition,
}

async fn load(credentials: &Credentials, at: UnixSeconds) -> Loaded {
    let authority = credentials.load_authority(at).await;
    // What is wrong with the next one keeps the rotation from going on, and nothing else from being seen.
    let (next, authority) = match credentials.load_next(at).await {
        Ok(next) => (next, authority),
        Err(cause) => (None, Err(cause)),
    };
    let known = authority.iter().flatten().map(|ca| ca.certificate().known());
    let known = known.chain(next.iter().map(|next| next.certificate().known())).collect();
    // Each member is told to be unknown for what is wrong with the authority, and not for something of its own.
    let tls = match &authority {
        Ok(Some(ca)) => credentials.tls_of(ca, next.as_ref(), at).await,
        Ok(None) => Err(cause::no_authority()),
        Err(cause) => Err(cause.clone()),
    };
    Loaded { authority, next, with: Recognition { known, tls } }
}

/// What was seen on all hosts that are declared.
struct Looked {
    nodes: BTreeMap<HostName, Seen<Host>>,
    /// By the host that they are on.
    consumers: BTreeMap<HostName, Result<Consumers, Cause>>,
    /// What was saved before changes, of whichever cluster.
    saved: BTreeMap<HostName, Vec<Saved>>,
}

impl Looked {
    fn new(
        nodes: impl IntoIterator<Item = (HostName, look::Looked)>,
        others: BTreeMap<HostName, Result<Consumers, Cause>>,
    ) -> Self {
        let mut looked = Self { nodes: BTreeMap::new(), consumers: others, saved: BTreeMap::new() };
        for (name, look::Looked { host, consumers, saved }) in nodes {
            looked.nodes.insert(name.clone(), host);
            looked.consumers.insert(name.clone(), consumers);
            looked.saved.insert(name, saved);
        }
        looked
    }

    fn consumers(&self, hosts: &Hosts, with: &Recognition) -> BTreeMap<ConsumerName, Seen<ConsumerFiles>> {
        let of_one = |(name, consumer): (&ConsumerName, &Consumer)| {
            let said = self.consumers.get(&consumer.host);
            (name.clone(), look::consumer(&consumer.host, name, said, &with.known))
        };
        hosts.desired.consumers.iter().map(of_one).collect()
    }
}

/// All at once: each probe, and its member's answer.
async fn look_at_all(hosts: &Arc<Hosts>, with: &Recognition) -> Looked {
    let nodes = hosts.each(|hosts, host| {
        let with = with.clone();
        async move { look::look(&hosts, &host, &with).await }
    });
    let (nodes, others) = tokio::join!(nodes, others(hosts));
    Looked::new(nodes, others)
}

/// All probes at once; they tell which authority there is, and with that the members are asked.
async fn look_and_learn(hosts: &Arc<Hosts>, credentials: &Credentials, at: UnixSeconds) -> (Loaded, Looked) {
    let glances = hosts.each(|hosts, host| async move { look::glance(&hosts, &host, None).await });
    let (glances, others) = tokio::join!(glances, others(hosts));
    let said = |(host, glance): (&HostName, &Result<Glance, Cause>)| (host.clone(), look::authority(host, glance));
    credentials.learn(glances.iter().map(said).collect(), at).await;
    let loaded = load(credentials, at).await;
    let with = &loaded.with;
    let nodes = glances.into_iter().map(async |(host, glance)| (host, look::recognise(hosts, glance, with).await));
    let nodes = join_all(nodes).await;
    (loaded, Looked::new(nodes, others))
}

/// The hosts that have consumers and are no nodes.
async fn others(hosts: &Arc<Hosts>) -> BTreeMap<HostName, Result<Consumers, Cause>> {
    let on = hosts.desired.consumers.values().map(|consumer| &consumer.host);
    let others: BTreeSet<_> = on.filter(|host| !hosts.desired.nodes.contains_key(*host)).collect();
    hosts.each_of(others.into_iter(), |hosts, host| async move { look::consumers(&hosts, &host).await }).await
}
