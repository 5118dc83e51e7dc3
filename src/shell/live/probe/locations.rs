//! What the places are like that etcd needs at its next start.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, account, missing};
use crate::core::content::form::Form;
use crate::core::content::{adopted, layout};
use crate::core::names::RemotePath;
use crate::core::observed::{Access, Closed, Location, Mount, Needed};

pub(super) struct Look;

impl Section for Look {
    type Fact = BTreeMap<Needed, Location>;

    const SHELL: &'static str = include_str!("locations.sh");

    const NEEDS: &'static [&'static str] = &["cat", "getent", "readlink", "setpriv", "stat"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let paths = layout::needed(of.desired).map(|needed| layout::needed_path(of.desired, needed).to_string());
        Some(vec![
            ("q_account", account::declared(of)),
            ("q_data", of.desired.paths.data.to_string()),
            ("q_locations", paths.collect::<Vec<_>>().join(" ")),
            ("q_written", layout::stored_paths(of.desired)),
            ("q_walk", include_str!("../script/walk.sh").to_owned()),
        ])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Self::Fact, Trouble> {
        let reals: BTreeMap<_, _> = pairs(answer, "real").collect();
        let closed: BTreeMap<_, _> = pairs(answer, "closed").collect();
        let links: Vec<_> = answer.values("locations", "link").collect();
        // What could not be asked is not open.
        if answer.value("locations", "unasked").is_some() {
            return Err(missing("whether etcd's user can reach its files"));
        }
        let location = |needed: Needed| {
            let path = layout::needed_path(of.desired, needed);
            let real = *reals.get(path.as_str())?;
            let closed = [path.as_str(), real].iter().find_map(|path| closed_place(closed.get(path)?));
            // Variables and units are read by systemd, a manifest by the kubelet, and not by etcd's account.
            let is_read_by_systemd = adopted::form(of.desired).is_some_and(|form| form != Form::Yaml);
            let is_systemds = needed == Needed::Config && is_read_by_systemd;
            let closed = closed.filter(|_| !is_systemds);
            let real = RemotePath::new(real);
            let mount = mounted(answer, &real)?.mount;
            let is_link = links.contains(&path.as_str());
            Some((needed, Location { real, is_link, closed, mount }))
        };
        let locations: Option<_> = layout::needed(of.desired).map(location).collect();
        locations.ok_or_else(|| missing("what its directories are mounted on"))
    }
}

/// Of lines `key=PATH<tab>…`.
fn pairs<'a>(answer: &Answer<'a>, key: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
    answer.values("locations", key).filter_map(|line| line.split_once('\t'))
}

/// `PLACE<tab>700 root root`
fn closed_place(line: &str) -> Option<Closed> {
    let (path, access) = line.split_once('\t')?;
    let [mode, owner, group] = access.split(' ').collect::<Vec<_>>()[..] else { return None };
    Some(Closed { path: RemotePath::new(path), access: Access::new(mode, owner, group) })
}

/// What is mounted at a place or above it, and the number of its device.
pub(super) struct Mounted<'a> {
    pub mount: Mount,
    /// `8:1`
    pub device: &'a str,
}

/// What a folder is on, links followed.
pub(super) fn mounted<'a>(answer: &Answer<'a>, real: &RemotePath) -> Option<Mounted<'a>> {
    let mounts = answer.values("locations", "mount").filter_map(mount);
    // Of two on one place the later one is seen.
    mounts.filter(|one| real.is_within(&one.mount.point)).max_by_key(|one| one.mount.point.as_str().len())
}

/// `POINT<tab>TYPE<tab>OPTIONS<tab>DEVICE`
fn mount(line: &str) -> Option<Mounted<'_>> {
    let [point, filesystem, options, device] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
    let has = |option: &str| options.split(',').any(|one| one == option);
    let mount = Mount {
        point: RemotePath::new(point),
        filesystem: filesystem.to_owned(),
        no_exec: has("noexec"),
        read_only: has("ro"),
    };
    Some(Mounted { mount, device })
}
