//! The end of a walk: a cluster with a past goes to the next version, or by way of all between to the newest.

use super::history;
use super::strides::{Change, Walk};
use super::transitions::grow_to_three;
use crate::lab::{Archive, Series, etcd_archive};

const UPGRADE_PATH: [Series; 4] = [Series::V3_4, Series::V3_5, Series::V3_6, Series::V3_7];

/// The versions after `from`: the next one, or all of them.
pub fn targets(from: Series, all: bool) -> Vec<Series> {
    let after = UPGRADE_PATH.into_iter().skip_while(|series| *series != from).skip(1);
    after.take(if all { UPGRADE_PATH.len() } else { 1 }).collect()
}

/// Declares the last of `targets`, with archives of all of them. A version that cannot be had here ends the way before.
pub fn perform(walk: &mut Walk, targets: Vec<Series>) -> Result<(), String> {
    let mut archives: Vec<Archive> = Vec::new();
    for series in targets {
        match etcd_archive(series) {
            Ok(archive) => archives.push(archive),
            Err(skip) => {
                eprintln!("skipped: the upgrade to {series}: {skip}");
                break;
            }
        }
    }
    let Some((last, between)) = archives.split_last() else { return Ok(()) };
    grow_to_three(walk)?;
    if walk.patient {
        history::make(walk)?;
    }
    for archive in &archives {
        walk.archives.add(archive);
    }
    let detail = format!("{} to {}", walk.declaration.version, last.version);
    let change = Change { kind: "upgrade", detail, flags: Vec::new(), outage: false, avoid: Vec::new() };
    let via = between.iter().map(|archive| archive.version.clone()).collect();
    walk.change(&change, |declaration| {
        declaration.version.clone_from(&last.version);
        declaration.via = via;
    })
}
