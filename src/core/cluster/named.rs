//! Whether a name that is new for a file is that of another one which a member has in use.

use crate::core::cluster::view::View;
use crate::core::code::Code;
use crate::core::content::{self, layout, settings};
use crate::core::desired::{Desired, Place};
use crate::core::guard::{Guard, upheld};
use crate::core::names::{HostName, RemotePath};
use crate::core::observed::{File, Host, Role};
use crate::core::plan::ruling::Blocked;

/// By the setting that names it; both ports trust the same authorities.
const USED: [(&str, File); 6] = [
    ("cert-file", File::ServerCertificate),
    ("key-file", File::ServerKey),
    ("trusted-ca-file", File::Trust),
    ("peer-cert-file", File::PeerCertificate),
    ("peer-key-file", File::PeerKey),
    ("peer-trusted-ca-file", File::Trust),
];

/// The files that the etcd.yaml on a host names.
struct Used(Vec<(RemotePath, File)>);

impl Used {
    fn of(host: &Host) -> Option<Self> {
        let told = settings::in_file(host.text_of(File::Config)?);
        let path = |(setting, file): &(&str, File)| Some((RemotePath::new(told.get(*setting)?.as_str()), *file));
        Some(Self(USED.iter().filter_map(path).collect()))
    }

    /// The file, other than `file`, that lies at `path`.
    fn other(&self, path: &RemotePath, file: File) -> Option<File> {
        self.0.iter().find(|(is, of)| is == path && *of != file).map(|(_, of)| *of)
    }

    fn path(&self, file: File) -> Option<&RemotePath> {
        self.0.iter().find(|(_, of)| *of == file).map(|(is, _)| is)
    }
}

/// The first file that would be put where another one is that the same member uses.
fn crossed(desired: &Desired, name: &HostName, host: &Host) -> Option<Blocked> {
    // Nothing is put there.
    if desired.cluster.layout.is_adopted() {
        return None;
    }
    // Asked at every step of a plan, where mostly nothing moves.
    if host.text_of(File::Config)?.contains(&content::transport_security(desired, name)) {
        return None;
    }
    let used = Used::of(host)?;
    let declared = |file: File| layout::path(desired, name, file);
    let word = |file| layout::row(file).word;
    let taken = layout::files(desired).find_map(|file| {
        let path = declared(file);
        let other = used.other(&path, file)?;
        Some(format!("`names` in [paths] puts {} of {name} at {path}, where its {} is in use", word(file), word(other)))
    });
    let apart = "choose a name that none of its files has; to exchange two names, give one of them a third name first";
    // A pair is issued as a whole: half of it would be put beside the other half that is in use.
    let halved = [Role::Server, Role::Peer].iter().find_map(|role| {
        let stays = |file| Some(*used.path(file)? == declared(file));
        let (moves, left) = match (stays(role.certificate())?, stays(role.key())?) {
            (true, false) => (role.key(), role.certificate()),
            (false, true) => (role.certificate(), role.key()),
            _ => return None,
        };
        let (moves, left) = (word(moves), word(left));
        Some(format!("[paths] gives {moves} of {name} another place, and not {left}, which is in use: they are a pair"))
    });
    let together = "give both of them new names in `names` of [paths]: they are issued together";
    let (what, hint) = taken.map(|what| (what, apart)).or_else(|| halved.map(|what| (what, together)))?;
    let refusal = Blocked::new(Code::FileInUse, what).on(name).hint(hint).declared_at(Place::Paths);
    (!upheld(Guard::NamesApart, false)).then_some(refusal)
}

/// The same of any member: nothing is put anywhere until the names are apart.
pub fn in_use(view: &View) -> Option<Blocked> {
    view.hosts().find_map(|(name, host)| crossed(view.desired, name, host))
}
