//! What must be true after every transition.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd_client::{GetOptions, KeyValue};
use tokio::time::timeout;

use super::strides::{PREFIX, PREFIX_END, Walk};
use crate::traffic::{Connection, Credentials, run, value};

/// For one question to one member.
const ANSWERS: Duration = Duration::from_secs(10);
/// For a member that is a few entries behind.
const CATCHES_UP: Duration = Duration::from_secs(10);

/// The members are as declared and healthy, nothing is left to do, nothing acknowledged is lost, all data is equal.
pub fn all(walk: &Walk) -> Result<(), String> {
    nothing_left_to_do(walk)?;
    healthy(walk)?;
    members(walk)?;
    let revision = nothing_lost(walk)?;
    equal(walk, revision)
}

fn nothing_left_to_do(walk: &Walk) -> Result<(), String> {
    let plan = walk.quorate.run(&["plan", "--detailed-exitcode"]);
    if plan.code == 0 { Ok(()) } else { Err(format!("plan exits with {}\n{}{}", plan.code, plan.stdout, plan.stderr)) }
}

/// What `etcdctl endpoint health --cluster` says on the first member's host.
fn healthy(walk: &Walk) -> Result<(), String> {
    let members = walk.members();
    let host = walk.host_of(&members[0]);
    let pki = "/etc/etcd/pki";
    let said = host.exec(&format!(
        "ETCDCTL_API=3 etcdctl --endpoints=https://{}:{} --cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt \
         --key={pki}/healthcheck-client.key endpoint health --cluster 2>&1",
        host.address(),
        walk.declaration.ports.client
    ));
    let count = said.stdout.matches("is healthy").count();
    if said.succeeded() && count == members.len() { Ok(()) } else { Err(format!("not healthy: {said:?}")) }
}

/// Every member says the same list: the declared names and URLs, no learner; and each is the one that is listed.
fn members(walk: &Walk) -> Result<(), String> {
    let declared: BTreeMap<String, String> = walk
        .members()
        .into_iter()
        .map(|name| {
            (name.clone(), format!("https://{}:{}", walk.host_of(&name).address(), walk.declaration.ports.peer))
        })
        .collect();
    for name in declared.keys() {
        let seen = with_retries(|| {
            let (listed, own_id, version) = ask(walk, name, async |mut connection| {
                let listed = connection.client.member_list().await?;
                let status = connection.client.status().await?;
                let id = status.header().map(etcd_client::ResponseHeader::member_id);
                Ok((listed, id, status.version().to_owned()))
            })?;
            let found: BTreeMap<String, String> = listed
                .members()
                .iter()
                .map(|member| (member.name().to_owned(), member.peer_urls().join(",")))
                .collect();
            if found != declared {
                return Err(format!("{name} lists {found:?} instead of {declared:?}"));
            }
            if let Some(learner) = listed.members().iter().find(|member| member.is_learner()) {
                return Err(format!("{} is a learner", learner.name()));
            }
            let id = listed.members().iter().find(|member| member.name() == name).map(etcd_client::Member::id);
            if id != own_id {
                return Err(format!("{name} is {own_id:?}, and listed as {id:?}"));
            }
            if version == walk.declaration.version { Ok(()) } else { Err(format!("{name} runs {version}")) }
        });
        seen?;
    }
    Ok(())
}

/// Every acknowledged write is there with its value, as a quorum knows it. Returns the revision that it was read at.
fn nothing_lost(walk: &Walk) -> Result<i64, String> {
    // Taken first: what is acknowledged meanwhile need not be in the answer.
    let acknowledged = walk.writer.acknowledged();
    let found = with_retries(|| {
        ask(walk, &walk.members()[0], async |mut connection| connection.read_all(PREFIX, PREFIX_END).await)
    })?;
    let revision = found.iter().map(KeyValue::mod_revision).max().ok_or("there is no key at all")?;
    let found: BTreeMap<String, String> = found.iter().map(|pair| (lossy(pair.key()), lossy(pair.value()))).collect();
    let is_kept = |number: &u64| found.get(&walk.writer.key(*number)) == Some(&value(*number));
    let lost: Vec<u64> = acknowledged.iter().copied().filter(|number| !is_kept(number)).collect();
    if lost.is_empty() { Ok(revision) } else { Err(format!("LOST {} acknowledged writes: {lost:?}", lost.len())) }
}

/// One hash of all data at one revision.
fn equal(walk: &Walk, revision: i64) -> Result<(), String> {
    let hashes = || {
        let hash = |name: String| {
            let answer = ask(walk, &name, async |mut connection| connection.client.hash_kv(revision).await)?;
            Ok((name, (answer.hash(), answer.compact_version())))
        };
        walk.members().into_iter().map(hash).collect::<Result<BTreeMap<_, _>, String>>()
    };
    with_retries(|| {
        let hashes = hashes()?;
        let different: BTreeSet<_> = hashes.values().collect();
        if different.len() == 1 { Ok(()) } else { Err(format!("HashKV at {revision} differs: {hashes:?}")) }
    })
}

/// The old process of a member that was replaced or removed answers nobody who asks for what a quorum knows.
pub fn does_not_serve(credentials: &Credentials, address: SocketAddr) -> Result<(), String> {
    let read = async {
        let mut connection = Connection::open(credentials, &[address]).await?;
        let options = GetOptions::new().with_limit(1).with_keys_only();
        connection.client.get(PREFIX, Some(options)).await.map_err(|error| error.to_string())
    };
    match run(async { timeout(Duration::from_secs(3), read).await }) {
        Ok(Ok(_)) => Err(format!("the old member at {address} still serves")),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// The member that leads, by its name.
pub fn leader(walk: &Walk) -> Result<String, String> {
    leader_besides(walk, "")
}

/// The member that leads while `away` cannot be asked.
pub fn leader_besides(walk: &Walk, away: &str) -> Result<String, String> {
    let asked = walk.members().into_iter().find(|name| name != away).ok_or("there is no other member")?;
    with_retries(|| {
        let leader = ask(walk, &asked, async |mut connection| {
            let leader = connection.client.status().await?.leader();
            let listed = connection.client.member_list().await?;
            let found = listed.members().iter().find(|member| member.id() == leader);
            Ok(found.map(|member| member.name().to_owned()))
        })?;
        leader.filter(|name| name != away).ok_or_else(|| "nobody leads".to_owned())
    })
}

/// Asks one member over a new connection.
pub fn ask<T>(
    walk: &Walk,
    name: &str,
    question: impl AsyncFnOnce(Connection) -> Result<T, etcd_client::Error>,
) -> Result<T, String> {
    let endpoint = walk.endpoint(name);
    let talk = async {
        let connection = Connection::open(&walk.credentials, &endpoint.addresses).await?;
        question(connection).await.map_err(|error| error.to_string())
    };
    let said = run(async { timeout(ANSWERS, talk).await });
    said.unwrap_or_else(|_| Err(format!("no answer in {ANSWERS:?}"))).map_err(|why| format!("{name}: {why}"))
}

/// Asks again for a while, because what one member knows another learns a moment later.
fn with_retries<T>(mut question: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match question() {
            Err(why) if begun.elapsed() > CATCHES_UP => return Err(why),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
            found => return found,
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
