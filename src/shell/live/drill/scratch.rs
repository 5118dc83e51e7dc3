//! The etcd of a drill: from the declared archive, in a folder of its own, on ports that nobody else has.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::watchdog::Watched;
use super::{Claim, failed};
use crate::core::cluster::leaf::Wanted;
use crate::core::complaint;
use crate::core::desired::{Binaries, Desired};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{Architecture, ClusterName, HostName};
use crate::core::observed::Usage;
use crate::core::span;
use crate::shell::clock::now;
use crate::shell::live::archive::Package;
use crate::shell::live::etcd::{Member, Place, Tls};
use crate::shell::live::packages::Packages;
use crate::shell::live::pki::{self, Issued, Signer};
use crate::shell::live::remote::scaled;
use crate::shell::patience::{Patience, Pauses};

/// etcd and its tools, unpacked.
pub(super) struct Tools {
    folder: PathBuf,
    /// etcdutl; etcdctl where there is none yet (3.4).
    utility: PathBuf,
}

/// A running scratch etcd. Dropping it ends it.
pub(super) struct Scratch {
    pub member: Member,
    _process: Watched,
}

/// An etcd of one member reads its database and elects itself. More for a large one.
const START_DEADLINE: Duration = Duration::from_secs(120);
/// For reading, or writing, the database once. More for a large one.
const TOOL_DEADLINE: Duration = Duration::from_secs(300);
/// Each time on other ports.
const STARTS_MAX: usize = 5;
const DIAL_DEADLINE: Duration = Duration::from_secs(2);
const PAUSES: Pauses = Pauses::Every(Duration::from_millis(100));
const LOG: &str = "etcd.log";
const LOOPBACK: &str = "127.0.0.1";

/// One that nobody else has, so that a drill needs nothing of the cluster's.
pub(super) fn authority(cluster: &ClusterName) -> Result<Signer, Diagnostic> {
    let (certificate, key) = pki::generate_authority(cluster, now())
        .map_err(|why| Diagnostic::failure("no CA could be created for the test restore").with_cause(why))?;
    let memory = Path::new("the CA of the test restore");
    pki::assemble_text(&certificate, memory, key.as_bytes(), memory, now()).map_err(Diagnostic::from)
}

pub(super) async fn tools(desired: &Desired, packages: &Packages, scratch: &Arc<TempDir>) -> Result<Tools, Diagnostic> {
    let uname = rustix::system::uname();
    let machine = uname.machine().to_string_lossy();
    let architecture = Architecture::from_uname(&machine).ok_or_else(|| {
        Diagnostic::failure(format!("there is no etcd for this machine ({machine}) to run the test restore with"))
    })?;
    let folder = match &desired.binaries {
        Binaries::Archive { .. } => {
            let package = packages.get(desired, desired.cluster.version, architecture).await?;
            let to = scratch.path().join("etcd");
            let (unpacked, keeps) = (to.clone(), scratch.clone());
            let result = tokio::task::spawn_blocking(move || {
                let result = unpack(&package, &unpacked);
                drop(keeps);
                result
            });
            let result = result.await.map_err(|_| Diagnostic::failure("unpacking etcd was interrupted"))?;
            result.map_err(|error| failed(&error))?;
            to
        }
        Binaries::Preinstalled { folder } => PathBuf::from(folder.as_str()),
        Binaries::Image => {
            let what = "etcd's programs are in the image of its pods, and not on this machine";
            return Err(Diagnostic::failure(what)
                .hint("run the test restore on a node that has the snapshot: `quorate backup verify --on NODE`"));
        }
        Binaries::Undeclared => {
            let what = "no etcd archive is configured for the test restore";
            return Err(Diagnostic::failure(what).hint("add [etcd.archive] with `url` or `path`, and `sha256`"));
        }
    };
    let utility = [folder.join("etcdutl"), folder.join("etcdctl")].into_iter().find(|path| path.exists());
    let etcd = Some(folder.join("etcd")).filter(|path| path.exists());
    match (utility, etcd) {
        (Some(utility), Some(_)) => Ok(Tools { folder, utility }),
        _ => Err(Diagnostic::failure(format!("no etcd and etcdctl in {} on this machine", folder.display()))),
    }
}

fn unpack(package: &Package, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(package.reader()));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // Only what was looked at when the archive was checked, each under its own name.
        if let (true, Some(name)) = (package.members.contains(&path), path.rsplit('/').next()) {
            let mut file = File::options().write(true).create_new(true).mode(0o700).open(to.join(name))?;
            io::copy(&mut entry, &mut file)?;
        }
    }
    Ok(())
}

impl Tools {
    pub async fn status(&self, database: &Path) -> Result<Claim, Diagnostic> {
        let said = self.run("snapshot status", &["snapshot", "status", "--write-out=json"], database).await?;
        serde_json::from_str(said.trim())
            .map_err(|error| Diagnostic::failure("unexpected output of `snapshot status`").caused_by(&error))
    }

    async fn run(&self, what: &str, arguments: &[&str], database: &Path) -> Result<String, Diagnostic> {
        let deadline = scaled(TOOL_DEADLINE, bytes_of(database));
        let arguments = arguments.iter().map(OsStr::new).chain([database.as_os_str()]);
        let output = Watched::output(&self.utility, arguments);
        let output = tokio::time::timeout(deadline, output).await.map_err(|_| {
            Diagnostic::failure(format!("`{what}` did not finish within {}", span::limit(deadline)))
                .hint("the disk of the temporary directory may be slow or stuck: set TMPDIR to use another one")
        })?;
        let output = output.map_err(|error| failed(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("no space left on device") {
            return Err(failed(&io::Error::from(io::ErrorKind::StorageFull)));
        }
        let why = complaint::of(&said).unwrap_or_else(|| output.status.to_string());
        Err(Diagnostic::failure(format!("`{what}` rejects the snapshot")).with_cause(why))
    }

    /// Restores `database` and starts etcd on it.
    pub async fn start(&self, signer: &Signer, database: &Path, validity_seconds: u64) -> Result<Scratch, Diagnostic> {
        let folder = database.parent().expect("it lies in the folder of the drill");
        let files = keys(signer, folder, validity_seconds)?;
        for _ in 1..STARTS_MAX {
            match self.start_once(signer, database, &files).await? {
                Err(ended) if ended.is_port_taken => {}
                Err(ended) => return Err(ended.into()),
                Ok(scratch) => return Ok(scratch),
            }
        }
        self.start_once(signer, database, &files).await?.map_err(Diagnostic::from)
    }

    /// On two ports that were free a moment ago.
    async fn start_once(
        &self,
        signer: &Signer,
        database: &Path,
        files: &Keys,
    ) -> Result<Result<Scratch, Ended>, Diagnostic> {
        let folder = database.parent().expect("it lies in the folder of the drill");
        let (client, peer) = ports().map_err(|error| failed(&error))?;
        let (client_url, peer_url) = (format!("https://{LOOPBACK}:{client}"), format!("https://{LOOPBACK}:{peer}"));
        let data = folder.join("data");
        // Of an etcd that did not get its ports.
        if data.exists() {
            fs::remove_dir_all(&data).map_err(|error| failed(&error))?;
        }
        let cluster = format!("drill={peer_url}");
        let data_flag = format!("--data-dir={}", data.display());
        let (initial, advertised) =
            (format!("--initial-cluster={cluster}"), format!("--initial-advertise-peer-urls={peer_url}"));
        let restore = ["snapshot", "restore", "--name=drill", &initial, &advertised, &data_flag];
        self.run("snapshot restore", &restore, database).await?;
        let log = File::create(folder.join(LOG)).map_err(|error| failed(&error))?;
        let mut arguments = vec!["--name=drill".to_owned(), data_flag, initial, advertised];
        arguments.extend([
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={peer_url}"),
        ]);
        for before in ["", "peer-"] {
            arguments.push(format!("--{before}cert-file={}", files.certificate.display()));
            arguments.push(format!("--{before}key-file={}", files.key.display()));
            arguments.push(format!("--{before}trusted-ca-file={}", files.trust.display()));
            arguments.push(format!("--{before}client-cert-auth=true"));
        }
        let process = Watched::start(&self.folder.join("etcd"), &arguments, Stdio::null(), log.into());
        let mut process = process.map_err(|error| failed(&error))?;
        let deadline = scaled(START_DEADLINE, bytes_of(database));
        let member = tokio::select! {
            member = answering(signer, client, folder, deadline) => Some(member?),
            _ = process.ended() => None,
        };
        // One that ended has nothing more to wait for.
        Ok(member.map(|member| Scratch { member, _process: process }).ok_or_else(|| Ended::of(folder)))
    }
}

/// An etcd that ended before it served.
struct Ended {
    why: String,
    is_port_taken: bool,
}

impl Ended {
    fn of(folder: &Path) -> Self {
        let log = log(folder);
        // The shell's word about the end comes after etcd's.
        let of_etcd: Vec<_> = log.lines().filter(|line| !line.starts_with("sh: ")).collect();
        let why = complaint::of(&of_etcd.join("\n")).unwrap_or_default();
        Self { why, is_port_taken: log.contains("address already in use") }
    }
}

impl From<Ended> for Diagnostic {
    fn from(Ended { why, .. }: Ended) -> Self {
        Diagnostic::failure("etcd exited instead of serving the restored data").with_cause(why)
    }
}

async fn answering(signer: &Signer, port: u16, folder: &Path, deadline: Duration) -> Result<Member, Diagnostic> {
    let tls = Tls::new(signer, now())?;
    let log = format!("cat {}", folder.join(LOG).display());
    let place = Place::new(&HostName::new("the scratch etcd"), LOOPBACK, log);
    let mut patience = Patience::new(deadline, PAUSES);
    loop {
        let why = match Member::direct(place.clone(), port, &tls, DIAL_DEADLINE).await {
            Ok(member) => match member.answer(DIAL_DEADLINE).await {
                Ok(answer) if answer.reads => return Ok(member),
                Ok(_) => "it has no leader yet".to_owned(),
                Err(cause) => cause.summary,
            },
            Err(missed) => missed.cause.summary,
        };
        if !patience.wait().await {
            let failure = Diagnostic::failure("etcd does not serve the restored data").with_cause(why);
            return Err(failure.with_cause(Ended::of(folder).why));
        }
    }
}

fn log(folder: &Path) -> String {
    let bytes = fs::read(folder.join(LOG)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One that is not there any more is found out by who reads it.
fn bytes_of(database: &Path) -> u64 {
    fs::metadata(database).map_or(0, |metadata| metadata.len())
}

struct Keys {
    certificate: PathBuf,
    key: PathBuf,
    trust: PathBuf,
}

/// For a scratch etcd and who asks it. It lives as long as a drill may take.
pub(super) fn pair(signer: &Signer, common_name: &str, validity_seconds: u64) -> Result<Issued, Diagnostic> {
    let wanted = Wanted {
        common_name: common_name.to_owned(),
        names: BTreeSet::from([LOOPBACK.to_owned()]),
        usages: BTreeSet::from([Usage::ServerAuth, Usage::ClientAuth]),
        like: None,
    };
    // It is gone with the folder, in minutes.
    signer.issue(&wanted, validity_seconds.min(24 * 3600), now())
}

fn keys(signer: &Signer, folder: &Path, validity_seconds: u64) -> Result<Keys, Diagnostic> {
    let issued = pair(signer, "quorate-drill", validity_seconds)?;
    let write = |name: &str, text: &str| -> Result<PathBuf, Diagnostic> {
        let path = folder.join(name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())).map_err(|error| failed(&error))?;
        Ok(path)
    };
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|error| failed(&error))?;
    Ok(Keys {
        certificate: write("scratch.crt", &issued.certificate_pem)?,
        key: write("scratch.key", issued.key_pem.expose_secret())?,
        trust: write("ca.crt", signer.certificate_pem())?,
    })
}

/// Two free ports. Somebody may take them in the moment before etcd does; then it is started on others.
fn ports() -> io::Result<(u16, u16)> {
    let listen = || TcpListener::bind((LOOPBACK, 0));
    let (client, peer) = (listen()?, listen()?);
    Ok((client.local_addr()?.port(), peer.local_addr()?.port()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Written by another process: what this one holds open for writing cannot be run.
    fn program(path: &Path, script: &str) {
        let mut install = std::process::Command::new("install");
        let install = install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
        let mut install = install.spawn().expect("install can be run");
        install.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("it is read");
        assert!(install.wait().expect("it ends").success(), "{} was not written", path.display());
    }

    /// What a start says, and the arguments of each etcd, for an etcd that does this.
    async fn starts(etcd: &str) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        program(
            &at("etcdutl"),
            "#!/bin/sh\nfor last; do [ \"${last#--data-dir=}\" = \"$last\" ] || mkdir \"${last#*=}\"; done\n",
        );
        program(&at("etcd"), &format!("#!/bin/sh\necho \"$*\" >>{}\n{etcd}\n", at("starts").display()));
        fs::write(at("snapshot.db"), "x").expect("it can be written");
        let tools = Tools { folder: folder.path().to_owned(), utility: at("etcdutl") };
        let signer = authority(&ClusterName::new("lab")).expect("one can be made");
        let database = at("snapshot.db");
        let started = tools.start(&signer, &database, 3600);
        let started = tokio::time::timeout(Duration::from_secs(60), started).await.expect("it is not waited for");
        let said = started.err().expect("it serves nothing").to_string();
        let starts = fs::read_to_string(at("starts")).expect("it was started");
        (said, starts.lines().map(str::to_owned).collect())
    }

    #[tokio::test]
    async fn an_etcd_that_ends_is_not_waited_for() {
        let (said, starts) = starts("echo before >&2; echo 'the database is broken' >&2; exit 1").await;
        assert!(said.contains("the database is broken"), "{said}");
        assert_eq!(starts.len(), 1, "{starts:?}");
    }

    #[tokio::test]
    async fn ports_that_somebody_took_are_left_to_them() {
        let (said, starts) = starts("echo 'listen tcp 127.0.0.1:1: bind: address already in use' >&2; exit 1").await;
        assert!(said.contains("address already in use"), "{said}");
        assert_eq!(starts.len(), STARTS_MAX, "{starts:?}");
        assert!(starts.iter().collect::<BTreeSet<_>>().len() > 1, "{starts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tool_that_hangs_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let utility = folder.path().join("etcdutl");
        program(&utility, "#!/bin/sh\nexec sleep 1000\n");
        let tools = Tools { folder: folder.path().to_owned(), utility };
        let said = tools.status(&folder.path().join("snapshot.db")).await.expect_err("it hangs").to_string();
        assert!(said.contains("`snapshot status` did not finish within 5 min"), "{said}");
    }
}
