//! What is free where something is written on a host.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, elsewhere, locations};
use crate::core::content::layout;
use crate::core::names::RemotePath;
use crate::core::observed::{Room, Stored};

pub(super) struct Look;

impl Section for Look {
    /// Without those of which nothing could be told.
    type Fact = BTreeMap<Stored, Room>;

    const SHELL: &'static str = include_str!("room.sh");

    const NEEDS: &'static [&'static str] = &["readlink", "stat"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_written", layout::stored_paths(of.desired))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble> {
        let pairs = |key: &'static str| answer.values("room", key).filter_map(|line| line.split_once('\t'));
        let folders: BTreeMap<_, _> = pairs("at").collect();
        let counted: BTreeMap<_, _> =
            pairs("free").filter_map(|(folder, line)| Some((folder, Counted::read(line)?))).collect();
        let elsewhere = elsewhere::Look::read(of, answer)?;
        let room = |stored: &Stored| {
            let path = match stored {
                Stored::DataElsewhere => elsewhere.clone(),
                _ => layout::stored_path(of.desired, *stored),
            }?;
            let folder = *folders.get(path.as_str())?;
            let mounted = locations::mounted(answer, &RemotePath::new(folder))?;
            Some((*stored, counted.get(folder)?.at(&mounted)?))
        };
        Ok(Stored::ALL.iter().filter_map(room).collect())
    }
}

/// What `stat -f` says of a file system.
struct Counted {
    available: u64,
    blocks: u64,
    unused: u64,
    block_bytes: u64,
    available_inodes: u64,
    inodes: u64,
}

impl Counted {
    /// Six numbers with spaces between. Some file systems give all bits for what they do not count, which some programs print
    /// as -1.
    fn read(line: &str) -> Option<Self> {
        let number =
            |word: &str| word.parse().or_else(|error| if word == "-1" { Ok(u64::MAX) } else { Err(error) }).ok();
        let numbers: Option<Vec<u64>> = line.split(' ').map(number).collect();
        let [available, blocks, unused, block_bytes, available_inodes, inodes] = numbers?[..] else { return None };
        let are_counted = available_inodes != u64::MAX && inodes != u64::MAX;
        let (available_inodes, inodes) = if are_counted { (available_inodes, inodes) } else { (0, 0) };
        Some(Self { available, blocks, unused, block_bytes, available_inodes, inodes })
    }

    /// `None` where there are no blocks to count.
    fn at(&self, mounted: &locations::Mounted) -> Option<Room> {
        let bytes = |blocks: u64| blocks.saturating_mul(self.block_bytes);
        (self.blocks > 0).then(|| Room {
            mount: mounted.mount.point.clone(),
            device: mounted.device.to_owned(),
            available_bytes: bytes(self.available),
            reserved_bytes: bytes(self.unused.saturating_sub(self.available)),
            used_bytes: bytes(self.blocks.saturating_sub(self.unused)),
            available_inodes: self.available_inodes,
            inodes: self.inodes,
            read_only: mounted.mount.read_only,
        })
    }
}
