//! What the running process has loaded: as its environment says, or, if someone else's unit started it, whatever was not
//! written since.

use std::collections::BTreeMap;

use super::answer::digest_and_path;
use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, process};
use crate::core::content::{layout, runtime};
use crate::core::names::{Digest, UnixSeconds};
use crate::core::observed::File;

pub(super) struct Look;

impl Section for Look {
    type Fact = BTreeMap<File, Digest>;

    const SHELL: &'static str = include_str!("loaded.sh");

    const NEEDS: &'static [&'static str] = &["grep"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_loaded", runtime::loaded_variable(of.desired)?.to_owned())])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeMap<File, Digest>, Trouble> {
        let recorded = recorded(of, answer);
        let guess = |started| guessed(of, answer, started);
        Ok(if recorded.is_empty() { process::started(answer).map(guess).unwrap_or_default() } else { recorded })
    }
}

fn recorded(of: &Subject<'_>, answer: &Answer<'_>) -> BTreeMap<File, Digest> {
    let of_file = |(digest, name): (Digest, &str)| {
        let files = runtime::loaded_at_start(of.desired);
        let file = *files.iter().find(|file| layout::path(of.desired, of.host, **file).as_str() == name)?;
        Some((file, digest))
    };
    answer.lines("loaded").filter_map(digest_and_path).filter_map(of_file).collect()
}

fn guessed(of: &Subject<'_>, answer: &Answer<'_>, started: UnixSeconds) -> BTreeMap<File, Digest> {
    let guess = |file: File| {
        let path = layout::path(of.desired, of.host, file);
        let modified = answer.stats.get(path.as_str())?.modified;
        let on_disk = *answer.sums.get(path.as_str())?;
        Some((file, if modified > started { SOMETHING_ELSE } else { on_disk }))
    };
    runtime::loaded_at_start(of.desired).iter().copied().filter_map(guess).collect()
}

/// Not the digest of anything that lies there now.
const SOMETHING_ELSE: Digest = Digest::from_bytes([0; 32]);
