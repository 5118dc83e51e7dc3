//! Whether the database fits into the quota that is declared.
//!
//! etcd compares the quota with the size of the file, free pages included, and asks before every write: a member over it
//! raises NOSPACE, which stops the writes of the whole cluster. Source: `Available` in etcd's storage/quota.go (quota.go
//! in 3.4), the same from 3.4 to 3.7; there 0 stands for the default.

use crate::core::code::Code;
use crate::core::content::{self, adopted};
use crate::core::count::size;
use crate::core::desired::{Desired, Place, Setting};
use crate::core::guard::{Guard, upheld};
use crate::core::names::HostName;
use crate::core::observed::{File, Host, Observed};
use crate::core::plan::ruling::{Blocked, Finding};

/// `DefaultQuotaBytes` of etcd 3.4 to 3.7.
const DEFAULT_BYTES: u64 = 2 << 30;

/// From here on there is time left to compact, to defragment or to declare more.
const WARNING_PERCENT: u64 = 80;

const NO_SPACE: &str = "NOSPACE";

/// What a member may fill, under what is declared.
pub fn declared(desired: &Desired) -> u64 {
    desired.etcd.quota_backend_bytes.filter(|bytes| *bytes > 0).unwrap_or(DEFAULT_BYTES)
}

/// What a member may fill that was started with this etcd.yaml; one without a limit may fill everything.
fn of_config(desired: &Desired, text: &str) -> u64 {
    match content::quota_backend(desired, text) {
        None | Some(0) => DEFAULT_BYTES,
        Some(bytes) => u64::try_from(bytes).unwrap_or(u64::MAX),
    }
}

/// What the member of a host may fill, as its etcd.yaml says, or as is declared where that is not to be read; `None` without
/// a limit.
pub fn of_host(desired: &Desired, host: &Host) -> Option<u64> {
    let text = host.text_of(adopted::settings_file(desired));
    let bytes = text.map_or_else(|| declared(desired), |text| of_config(desired, text));
    (bytes < u64::MAX).then_some(bytes)
}

/// The largest database of a member, with its host.
struct Largest<'a> {
    host: &'a HostName,
    bytes: u64,
    in_use_bytes: u64,
}

fn largest(observed: &Observed) -> Option<Largest<'_>> {
    let databases = observed.answers().map(|(host, answer)| Largest {
        host,
        bytes: answer.database_bytes,
        in_use_bytes: answer.database_in_use_bytes,
    });
    databases.max_by_key(|database| database.bytes)
}

/// Why no etcd.yaml with the declared quota may be written: some host has another one, and a database is larger.
///
/// One that is over a quota it has had before is not held back by this: there is nothing left to prevent.
pub fn too_small(desired: &Desired, observed: &Observed) -> Option<Blocked> {
    let quota = declared(desired);
    let changes = observed.seen_hosts().any(|(_, host)| changes(desired, host, quota));
    let largest = largest(observed).filter(|largest| changes && largest.bytes >= quota)?;
    if upheld(Guard::QuotaHoldsDatabase, false) {
        return None;
    }
    Some(refusal(desired, &largest))
}

/// Whether the host is to have another quota. In somebody else's file one that is not declared stays as it is.
fn changes(desired: &Desired, host: &Host, quota: u64) -> bool {
    if desired.cluster.layout.is_adopted() && desired.etcd.quota_backend_bytes.is_none() {
        return false;
    }
    host.text_of(adopted::settings_file(desired)).is_some_and(|text| of_config(desired, text) != quota)
}

/// Why a member must not be restarted with the etcd.yaml that lies there: its database has outgrown the quota in it, which
/// the process has not loaded.
pub fn outgrown(desired: &Desired, host_name: &HostName, host: &Host) -> Option<Blocked> {
    let process = host.process.as_ref()?;
    let fact = host.files.get(&adopted::settings_file(desired))?;
    let quota = of_config(desired, fact.text.as_deref()?);
    let answer = host
        .answer()
        .filter(|answer| answer.database_bytes >= quota && !answer.alarms.iter().any(|alarm| alarm.kind == NO_SPACE))?;
    let is_loaded = match &process.started_with {
        Some(with) => {
            let is = with.value("quota-backend-bytes");
            is == adopted::setting(desired, fact.text.as_deref()?, "quota-backend-bytes").as_deref()
        }
        None => process.loaded.get(&File::Config) == Some(&fact.digest),
    };
    if is_loaded || upheld(Guard::QuotaHoldsDatabase, false) {
        return None;
    }
    let what = format!(
        "{host_name} is not restarted: {} has a quota of {}, and its database has {}",
        match desired.cluster.layout.is_adopted() {
            true => desired.paths.config.as_str(),
            false => "its etcd.yaml",
        },
        size(quota),
        size(answer.database_bytes)
    );
    let hint = format!("set `quota-backend = \"{}\"` or more in [etcd]", enough(answer.database_bytes));
    Some(Blocked::new(Code::QuotaTooSmall, what).on(host_name).hint(hint).declared_at(Place::QuotaBackend))
}

fn refusal(desired: &Desired, largest: &Largest) -> Blocked {
    let Largest { host, bytes, in_use_bytes } = largest;
    let quota = declared(desired);
    let what = format!("{} is smaller than the database: {} on {host}", in_words(desired), size(*bytes));
    let more = format!("set `quota-backend = \"{}\"` or more in [etcd]", enough(*bytes));
    let hint = if *in_use_bytes < quota / 100 * WARNING_PERCENT {
        format!(
            "{more}; or, as only {} of it is in use, run `etcdctl defrag` on one member after the other first",
            size(*in_use_bytes)
        )
    } else {
        more
    };
    Blocked::new(Code::QuotaTooSmall, what).on(host).hint(hint).declared_at(Place::QuotaBackend)
}

/// Why a snapshot of `bytes` is not restored under the declared quota.
pub fn too_small_for_snapshot(desired: &Desired, bytes: u64) -> Option<Blocked> {
    if bytes < declared(desired) || upheld(Guard::QuotaHoldsDatabase, false) {
        return None;
    }
    let what = format!("{} is smaller than the snapshot: {}", in_words(desired), size(bytes));
    let hint = format!("set `quota-backend = \"{}\"` or more in [etcd]", enough(bytes));
    Some(Blocked::new(Code::QuotaTooSmall, what).hint(hint).declared_at(Place::QuotaBackend))
}

/// A database that nearly fills the quota, or is over one that was there before.
pub fn findings(desired: &Desired, observed: &Observed) -> Vec<Finding> {
    let quota = declared(desired);
    let is_full = |largest: &Largest| largest.bytes >= quota / 100 * WARNING_PERCENT;
    let Some(largest) = largest(observed).filter(is_full) else { return Vec::new() };
    if too_small(desired, observed).is_some() {
        return Vec::new();
    }
    let Largest { host, bytes, in_use_bytes } = &largest;
    let percent = u128::from(*bytes) * 100 / u128::from(quota);
    let what = format!(
        "the database of {host} ({}, {} of it in use) takes {percent}% of {}",
        size(*bytes),
        size(*in_use_bytes),
        in_words(desired)
    );
    let hint = "compact and defragment it, or set a larger `quota-backend` in [etcd], before it is full";
    vec![Finding { code: Code::QuotaTooSmall, hosts: vec![(*host).clone()], what, hint: Some(hint.to_owned()) }]
}

/// `recommendedMaxRequestBytes` of etcd 3.4 to 3.7 (server/etcdserver/server.go), above which it warns at its start.
const REQUEST_BYTES_MAX: i64 = 10 << 20;

/// A limit for requests that is more than etcd recommends.
pub fn large_requests(desired: &Desired) -> Option<Finding> {
    let Setting::Integer(bytes) = desired.etcd.extra.get("max-request-bytes")? else { return None };
    let limit = u64::try_from(*bytes).ok().filter(|_| *bytes > REQUEST_BYTES_MAX)?;
    Some(Finding {
        code: Code::SettingUnsuited,
        hosts: Vec::new(),
        what: format!("max-request-bytes ({}) is more than the 10 MiB that etcd recommends at most", size(limit)),
        hint: Some("one request of that size holds up a whole member: set 10485760 or less in [etcd.extra]".to_owned()),
    })
}

/// `quota-backend (4.0 GiB)`; the default stands in no file.
fn in_words(desired: &Desired) -> String {
    let quota = size(declared(desired));
    match desired.etcd.quota_backend_bytes.filter(|bytes| *bytes > 0) {
        Some(_) => format!("quota-backend ({quota})"),
        None => format!("etcd's default quota ({quota}; no `quota-backend` is declared)"),
    }
}

/// Whole GiB, with a quarter to grow; MiB where a database is small.
fn enough(bytes: u64) -> String {
    let wanted = bytes.saturating_add(bytes / 4);
    match wanted.div_ceil(1 << 20) {
        mebibytes @ ..1024 => format!("{mebibytes}MiB"),
        mebibytes => format!("{}GiB", mebibytes.div_ceil(1024)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_enough_leaves_a_quarter() {
        assert_eq!(enough(100 << 20), "125MiB");
        assert_eq!(enough(2 << 30), "3GiB");
        assert_eq!(enough(8 << 30), "10GiB");
    }

    #[test]
    fn a_limit_for_requests_above_what_etcd_recommends_is_told() {
        let mut desired = crate::laws::sample::desired(3);
        assert_eq!(large_requests(&desired), None);
        let mut with = |bytes| {
            desired.etcd.extra.insert("max-request-bytes".to_owned(), Setting::Integer(bytes));
            large_requests(&desired).map(|finding| finding.what)
        };
        assert_eq!(with(10 << 20), None);
        assert!(with(64 << 20).is_some_and(|what| what.contains("max-request-bytes (64.0 MiB)")));
    }

    #[test]
    fn a_quota_is_read_as_etcd_takes_it() {
        let desired = crate::laws::sample::desired(1);
        assert_eq!(of_config(&desired, "name: a\n"), 2 << 30);
        assert_eq!(of_config(&desired, "quota-backend-bytes: 0\n"), 2 << 30);
        assert_eq!(of_config(&desired, "quota-backend-bytes: 8589934592\n"), 8 << 30);
        assert_eq!(of_config(&desired, "quota-backend-bytes: -1\n"), u64::MAX);
    }
}
