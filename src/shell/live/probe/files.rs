//! Our files and folders: which there are, whose they are, and what is in them.

use std::collections::BTreeMap;

use super::answer::Stat;
use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, pod};
use crate::core::content::layout;
use crate::core::content::layout::Compared;
use crate::core::desired::{Desired, Runtime};
use crate::core::names::{Digest, RemotePath};
use crate::core::observed::{Access, File, FileFact, Folder, Role};
use crate::shell::live::pki::{self, KnownAuthority};

pub(super) struct Look;

pub(super) struct Files {
    pub folders: BTreeMap<Folder, Access>,
    pub files: BTreeMap<File, FileFact>,
    /// The text of each certificate.
    pub certificates: BTreeMap<Role, String>,
    /// What is in ca.crt, in its order.
    pub trust: Vec<KnownAuthority>,
}

impl Section for Look {
    type Fact = Files;

    const SHELL: &'static str = include_str!("files.sh");

    const NEEDS: &'static [&'static str] = &["cat", "sha256sum", "stat"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let folders = Folder::ALL.iter().map(|folder| layout::folder_path(of.desired, *folder).to_string());
        Some(vec![
            ("q_folders", folders.collect::<Vec<_>>().join(" ")),
            ("q_texts", paths(of, |file| !is_key(file))),
            ("q_keys", keys(of)),
        ])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Files, Trouble> {
        let certificate = |role: Role| Some((role, text(of, answer, role.certificate())?.to_owned()));
        Ok(Files {
            folders: folders(of.desired, answer),
            files: files(of, answer)?,
            certificates: Role::ALL.iter().copied().filter_map(certificate).collect(),
            trust: text(of, answer, File::Trust).map(pki::authorities).unwrap_or_default(),
        })
    }
}

/// The paths of all keys.
pub(super) fn keys(of: &Subject<'_>) -> String {
    paths(of, is_key)
}

fn is_key(file: File) -> bool {
    layout::row(file).compared == Compared::Unread
}

fn paths(of: &Subject<'_>, which: impl Fn(File) -> bool) -> String {
    let files = layout::files(of.desired).filter(|file| which(*file));
    let places = files.flat_map(|file| [Some(layout::path(of.desired, of.host, file)), aside(of, file)]);
    places.flatten().map(|path| path.to_string()).collect::<Vec<_>>().join(" ")
}

/// Where a file is while what runs etcd is not to find it.
fn aside(of: &Subject<'_>, file: File) -> Option<RemotePath> {
    let is_manifest = file == File::Settings && of.desired.cluster.runtime == Runtime::StaticPod;
    is_manifest.then(|| layout::aside_of_manifest(of.desired))
}

/// Where a file lies now.
fn place(of: &Subject<'_>, answer: &Answer<'_>, file: File) -> RemotePath {
    let aside = aside(of, file).filter(|_| pod::is_aside(answer));
    aside.unwrap_or_else(|| layout::path(of.desired, of.host, file))
}

fn folders(desired: &Desired, answer: &Answer<'_>) -> BTreeMap<Folder, Access> {
    let seen = |folder: &Folder| Some(answer.stats.get(layout::folder_path(desired, *folder).as_str())?.access.clone());
    Folder::ALL.iter().filter_map(|folder| Some((*folder, seen(folder)?))).collect()
}

/// The text of a file that is no key; `None` when it is not there or is no text.
fn text<'a>(of: &Subject<'_>, answer: &Answer<'a>, file: File) -> Option<&'a str> {
    core::str::from_utf8(answer.bodies.get(layout::path(of.desired, of.host, file).as_str())?).ok()
}

fn files(of: &Subject<'_>, answer: &Answer<'_>) -> Result<BTreeMap<File, FileFact>, Trouble> {
    // What is there but could not be measured must not look absent.
    if let Some(path) = answer.lines("known").find(|path| !answer.stats.contains_key(path)) {
        return Err(Trouble::Changed(path.to_owned()));
    }
    let mut files = BTreeMap::new();
    for file in layout::files(of.desired) {
        let path = place(of, answer, file);
        let Some(Stat { access, bytes, .. }) = answer.stats.get(path.as_str()) else { continue };
        let digest = *answer.sums.get(path.as_str()).ok_or_else(|| Trouble::Changed(path.to_string()))?;
        let body = answer.bodies.get(path.as_str());
        match body {
            Some(body) if Digest::of(body) != digest => return Err(Trouble::Changed(path.to_string())),
            None if !is_key(file) => {
                return Err(Trouble::Unreadable(format!("{path} has {bytes} bytes, which is too large")));
            }
            _ => {}
        }
        let is_compared = layout::row(file).compared == Compared::AsText;
        let text = body.filter(|_| is_compared).map(|body| String::from_utf8_lossy(body).into_owned());
        files.insert(file, FileFact { access: access.clone(), digest, text });
    }
    Ok(files)
}
