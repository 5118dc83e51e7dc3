//! `quorate init`: writes a commented cluster.toml for named hosts, or for a cluster that is there, and never overwrites one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use self::archive::Archive;
use self::template::{Known, Sketch, quoted};
use super::load::{folder_of, home, shown};
use super::validate::summary;
use crate::core::cluster::adoption::DeclaredNode;
use crate::core::desired::Desired;
use crate::core::desired::read::{self, check_name, parse_address};
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{Digest, Version};
use crate::shell::live::archive::release::RELEASES;

mod archive;
pub mod from_live;
mod template;

/// What a new cluster runs when neither a flag nor an archive says it: the newest patch of the minor version before the
/// newest one.
const VERSION_DEFAULT: Version = Version::new(3, 6, 16);

/// Write a commented cluster.toml
///
/// Never overwrites a file. An etcd release archive in this folder or artifacts/ is detected and its SHA-256 recorded.
/// Without one, the SHA-256 of the official release is looked up on the network.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  quorate init etcd-1=10.0.0.11 etcd-2=10.0.0.12 etcd-3=10.0.0.13
  quorate init a=10.0.0.11 --name prod --ssh-user ops --archive etcd-v3.5.16-linux-amd64.tar.gz
  quorate init a=10.0.0.11 --ssh-config ./ssh_config --known-hosts ./known_hosts
  quorate init --from-live etcd-1 --ssh-user ops       for a cluster that is there, from what its hosts show")]
pub struct InitArgs {
    /// A member's name, and the IP address or DNS name that peers and clients use
    #[arg(value_name = "NAME=ADDR", required_unless_present = "from_live")]
    pub nodes: Vec<NamedNode>,

    /// Take everything from the cluster that has a member on this host
    ///
    /// HOST is what ssh takes: host, alias, or user@host:port. Its member names the others, whose hosts are looked at, too, by
    /// the address of each and then by its name; give --from-live once more for one that ssh knows by another word. The
    /// file is written only if a plan of it changes nothing. Nothing on the hosts is changed.
    #[arg(long, value_name = "HOST", conflicts_with_all = ["nodes", "version"])]
    pub from_live: Vec<String>,

    /// Of several etcd on the host, the one that this unit of systemd runs: etcd-events.service
    #[arg(long, value_name = "UNIT", requires = "from_live")]
    pub unit: Option<String>,

    /// The cluster's name [default: the folder's name, or "etcd"; with --from-live, what its members call it]
    #[arg(long)]
    pub name: Option<String>,

    /// The etcd version to run [default: the archive's, or 3.6.16]
    #[arg(long, value_name = "X.Y.Z")]
    pub version: Option<Version>,

    /// An etcd release archive, as a file or URL [default: the one in . or artifacts, or the official release]
    #[arg(long, value_name = "PATH|URL")]
    pub archive: Option<String>,

    /// The archive's SHA-256; needed with a URL
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<Digest>,

    /// The user to log in as
    #[arg(long, value_name = "USER")]
    pub ssh_user: Option<String>,

    /// The ssh config to use [default: your own and the system's]
    #[arg(long, value_name = "FILE")]
    pub ssh_config: Option<String>,

    /// The host keys to trust [default: your own known_hosts]
    #[arg(long, value_name = "FILE")]
    pub known_hosts: Option<String>,

    /// Where to write [default: the file of -f]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Do not look up the official release's SHA-256 on the network
    #[arg(long)]
    pub offline: bool,

    /// Where the releases of etcd are; a mirror has the same folders and files.
    #[arg(long, value_name = "URL", env = "QUORATE_RELEASES", default_value = RELEASES, hide = true)]
    pub releases: String,
}

impl InitArgs {
    /// The keys of [ssh] that were said; the user may come from elsewhere.
    fn ssh(&self, user: Option<&String>, folder: &Path) -> Known {
        // Paths in the file start in its folder, those on the command line do not.
        let is_here = std::env::current_dir().is_ok_and(|here| here == folder);
        let from = |path: &String| match is_here || path.starts_with('~') {
            true => path.clone(),
            false => std::path::absolute(path).map_or_else(|_| path.clone(), |path| path.display().to_string()),
        };
        let said = [
            ("user", user.or(self.ssh_user.as_ref()).cloned()),
            ("config", self.ssh_config.as_ref().map(from)),
            ("known-hosts", self.known_hosts.as_ref().map(from)),
        ];
        said.into_iter().filter_map(|(key, value)| Some((("ssh", key), quoted(&value?)))).collect()
    }
}

/// `etcd-1=10.0.0.11`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedNode {
    pub name: String,
    pub address: String,
}

impl FromStr for NamedNode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').ok_or("write NAME=ADDRESS, for example etcd-1=10.0.0.11")?;
        check_name(name).map_err(|why| format!("{name:?} is not a valid node name: {why}"))?;
        let address = parse_address(address).map_err(|why| format!("{address:?} is not a valid address: {why}"))?;
        Ok(Self { name: name.to_owned(), address })
    }
}

/// Writes the file, and says on `stdout` what it holds and what comes next. `file` is the global `-f`.
///
/// # Errors
/// The file exists, the archive is not usable, or what was asked for is not a valid cluster.
pub fn run(args: &InitArgs, file: &Path, stdout: &mut dyn Write) -> Result<u8, Diagnostic> {
    let file = args.output.as_deref().unwrap_or(file);
    let folder = folder_of(file)?;
    let archive = archive::choose(args, &folder)?;
    let version = args.version.or(archive.as_ref().and_then(Archive::version)).unwrap_or(VERSION_DEFAULT);
    let (archive, missing) = match archive {
        Some(archive) => (Some(archive), None),
        // Nobody waits for the network to hear that nothing is written.
        None if file.exists() => (None, None),
        None if args.offline => (None, Some("--offline".to_owned())),
        None => match archive::of_release(&args.releases, version) {
            Ok(archive) => (Some(archive), None),
            Err(why) => (None, Some(why)),
        },
    };
    let nodes = args.nodes.iter().map(|node| DeclaredNode::new(&node.name, &node.address)).collect();
    let name = args.name.clone().unwrap_or_else(|| name_of(&folder));
    let sketch = Sketch { known: args.ssh(None, &folder), archive, ..Sketch::new(name, version, nodes) };
    let text = template::text(&sketch);
    let desired = check(&text, file, &folder)?;
    write_new(file, &text)?;
    let said = say(&sketch, &desired, missing.as_deref(), file, stdout);
    said.map_err(|error| Diagnostic::failure("cannot write the result").caused_by(&error))?;
    Ok(0)
}

/// The folder's name where that can be a cluster's.
fn name_of(folder: &Path) -> String {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if check_name(name).is_ok() { name.to_owned() } else { "etcd".to_owned() }
}

/// The text is ours, but the values are the user's: what `validate` would refuse is not written.
fn check(text: &str, file: &Path, folder: &Path) -> Result<Desired, Diagnostic> {
    read::parse(text, &shown(file), folder, home().as_deref()).map_err(|problems| {
        let mut diagnostic = Diagnostic::failure("this would not be a valid cluster.toml");
        for problem in problems {
            let hint = problem.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            diagnostic = diagnostic.with_cause(format!("{}{hint}", problem.summary));
        }
        diagnostic
    })
}

fn exists(file: &Path) -> Diagnostic {
    Diagnostic::failure("the file already exists, and init never overwrites")
        .at(shown(file))
        .hint("edit it, or write to another file with --output FILE")
}

fn write_new(file: &Path, text: &str) -> Result<(), Diagnostic> {
    let failure = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(file),
        _ => Diagnostic::failure("cannot write the file").at(shown(file)).caused_by(&error),
    };
    let mut opened = OpenOptions::new().write(true).create_new(true).open(file).map_err(failure)?;
    opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all()).map_err(failure)
}

/// `missing` is why there is no archive.
fn say(
    sketch: &Sketch,
    desired: &Desired,
    missing: Option<&str>,
    file: &Path,
    stdout: &mut dyn Write,
) -> io::Result<()> {
    writeln!(stdout, "wrote {}: {}", shown(file), summary(desired))?;
    match &sketch.archive {
        Some(archive) => writeln!(stdout, "binaries from {archive}")?,
        None => {
            writeln!(stdout, "No etcd archive is configured yet ({})", missing.unwrap_or("none was found"))?;
            let version = sketch.version;
            writeln!(
                stdout,
                "  Fill in [etcd.archive]: the SHA-256 is in SHA256SUMS beside the release of etcd {version}."
            )?;
            writeln!(
                stdout,
                "  Or download etcd-v{version}-linux-amd64.tar.gz into this folder, delete {}, and run init again.",
                shown(file)
            )?;
        }
    }
    writeln!(stdout, "next: quorate validate{}", option(file))
}

/// What names `file` to a command, where it does not look there by itself.
fn option(file: &Path) -> String {
    if file == Path::new("cluster.toml") { String::new() } else { format!(" -f {}", shown(file)) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        init: InitArgs,
    }

    /// Runs init with this command line in `folder`, without the network: what it prints, and what it writes.
    fn init(folder: &Path, line: &str) -> (Result<String, Diagnostic>, String) {
        init_from(folder, &format!("{line} --offline"))
    }

    fn init_from(folder: &Path, line: &str) -> (Result<String, Diagnostic>, String) {
        let args =
            Cli::try_parse_from(format!("init {line}").split_whitespace()).unwrap_or_else(|error| panic!("{error}"));
        let file = folder.join("cluster.toml");
        let mut stdout = Vec::new();
        let result = run(&args.init, &file, &mut stdout);
        let printed = String::from_utf8(stdout).unwrap().replace(folder.to_str().unwrap(), "DIR");
        (result.map(|_| printed), fs::read_to_string(&file).unwrap_or_default())
    }

    #[test]
    fn it_says_what_it_wrote_and_what_comes_next() {
        let folder = tempfile::tempdir().unwrap();
        let (printed, _) = init(folder.path(), "etcd-1=10.0.0.11 etcd-2=10.0.0.12 etcd-3=10.0.0.13 --name prod");
        assert_eq!(
            printed.unwrap(),
            "wrote DIR/cluster.toml: cluster prod, 3 nodes, etcd 3.6.16\n\
             No etcd archive is configured yet (--offline)\n  \
             Fill in [etcd.archive]: the SHA-256 is in SHA256SUMS beside the release of etcd 3.6.16.\n  \
             Or download etcd-v3.6.16-linux-amd64.tar.gz into this folder, delete DIR/cluster.toml, and run init again.\n\
             next: quorate validate -f DIR/cluster.toml\n"
        );
    }

    /// One answer to whoever asks first.
    fn answer(status: &'static str, body: String) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = io::BufRead::lines(io::BufReader::new(stream.try_clone().unwrap()));
            let _request: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        });
        url
    }

    #[test]
    fn the_digests_of_the_release_are_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let line = |digit: &str, name: &str| format!("{}  etcd-v3.5.30-linux-{name}.tar.gz\n", digit.repeat(64));
        let url = answer("200 OK", line("a", "amd64") + &line("b", "arm64") + &line("c", "s390x"));
        let line = format!("etcd-1=10.0.0.11 --name prod --version 3.5.30 --releases {url}");
        let (printed, text) = init_from(folder.path(), &line);
        let template = format!("{url}/v{{version}}/etcd-v{{version}}-linux-{{arch}}.tar.gz");
        let said = format!("binaries from {template} (amd64, arm64), with the SHA-256 of its SHA256SUMS\n");
        assert!(printed.as_ref().is_ok_and(|printed| printed.contains(&said)), "{printed:?}");
        for line in [
            format!("url = \"{template}\""),
            format!("sha256.amd64 = \"{}\"", "a".repeat(64)),
            format!("sha256.arm64 = \"{}\"", "b".repeat(64)),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn without_a_network_init_works_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (printed, text) = init_from(folder.path(), "etcd-1=10.0.0.11 --name prod --releases http://127.0.0.1:1");
        let printed = printed.unwrap();
        let why = "No etcd archive is configured yet (http://127.0.0.1:1/v3.6.16/SHA256SUMS could not be downloaded: ";
        assert!(printed.contains(why) && printed.contains("  Fill in [etcd.archive]"), "{printed}");
        assert!(text.contains("# [etcd.archive]"), "{text}");
    }

    #[test]
    fn it_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cluster.toml"), "mine").unwrap();
        let (printed, text) = init(folder.path(), "etcd-1=10.0.0.11 --name prod");
        assert_eq!(printed.unwrap_err().summary, "the file already exists, and init never overwrites");
        assert_eq!(text, "mine");
    }

    #[test]
    fn the_one_archive_nearby_is_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("artifacts")).unwrap();
        fs::write(folder.path().join("artifacts/etcd-v3.5.16-linux-amd64.tar.gz"), "abc").unwrap();
        fs::write(folder.path().join("artifacts/etcd-v3.5.16-linux-arm64.tar.gz"), "").unwrap();
        let (printed, text) = init(folder.path(), "etcd-1=10.0.0.11 --name prod");
        assert!(
            printed.unwrap().contains("binaries from artifacts/etcd-v{version}-linux-{arch}.tar.gz (amd64, arm64)\n")
        );
        for line in [
            "version = \"3.5.16\"",
            "path = \"artifacts/etcd-v{version}-linux-{arch}.tar.gz\"",
            "sha256.amd64 = \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
            "sha256.arm64 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
        }
    }

    #[test]
    fn two_versions_nearby_are_not_guessed_between() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("etcd-v3.5.16-linux-amd64.tar.gz"), "").unwrap();
        fs::write(folder.path().join("etcd-v3.6.1-linux-amd64.tar.gz"), "").unwrap();
        let (printed, _) = init(folder.path(), "etcd-1=10.0.0.11");
        assert_eq!(printed.unwrap_err().summary, "found archives of etcd 3.5.16 and 3.6.1 here");
        let (printed, _) = init(folder.path(), "etcd-1=10.0.0.11 --version 3.6.1");
        assert!(printed.unwrap().contains("etcd-v{version}-linux-{arch}.tar.gz (amd64)"));
    }

    #[test]
    fn a_named_archive_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("etcd-v3.5.16-linux-amd64.tar.gz");
        fs::write(&archive, "abc").unwrap();
        let archive = archive.to_str().unwrap();
        let fail = |line: String| init(folder.path(), &line).0.unwrap_err().to_string().replace(archive, "ARCHIVE");
        assert_eq!(
            fail(format!("a=10.0.0.1 --archive {archive} --sha256 {}", "0".repeat(64))),
            "ARCHIVE: the archive's SHA-256 does not match\n  caused by: it is \
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            fail(format!("a=10.0.0.1 --archive {archive} --version 3.6.1")),
            "ARCHIVE: the archive is for etcd 3.5.16, but --version is 3.6.1"
        );
        assert!(fail("a=10.0.0.1 --archive /nowhere.tar.gz".to_owned()).contains("cannot read the archive"));
        assert_eq!(
            fail("a=10.0.0.1 --archive https://x.example/etcd.tar.gz".to_owned()),
            "https://x.example/etcd.tar.gz: an archive at a URL needs its SHA-256\n\nhint: add --sha256 HEX from the \
             release's SHA256SUMS"
        );
    }

    #[test]
    fn an_archive_at_a_url_becomes_a_template() {
        let folder = tempfile::tempdir().unwrap();
        let url = "https://x.example/v3.5.16/etcd-v3.5.16-linux-arm64.tar.gz";
        let (printed, text) = init(folder.path(), &format!("a=10.0.0.1 --archive {url} --sha256 {}", "0".repeat(64)));
        printed.unwrap();
        assert!(text.contains("url = \"https://x.example/v{version}/etcd-v{version}-linux-{arch}.tar.gz\""), "{text}");
        assert!(text.contains("sha256.arm64 = \"000"), "{text}");
        assert!(text.contains("version = \"3.5.16\""), "{text}");
    }

    #[test]
    fn what_validate_would_refuse_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (printed, text) = init(folder.path(), "a=10.0.0.1 b=10.0.0.1 --version 3.5.1");
        assert_eq!(
            printed.unwrap_err().to_string(),
            "this would not be a valid cluster.toml\n  \
             caused by: etcd 3.5.1 is not supported (use 3.5.6 or newer)\n  \
             caused by: two nodes have the address \"10.0.0.1\""
        );
        assert_eq!(text, "");
    }

    #[test]
    fn a_node_is_a_name_and_an_address() {
        let node = |text: &str| text.parse::<NamedNode>().map(|node| (node.name, node.address));
        assert_eq!(node("etcd-1=FD00::11"), Ok(("etcd-1".to_owned(), "fd00::11".to_owned())));
        assert_eq!(node("10.0.0.1"), Err("write NAME=ADDRESS, for example etcd-1=10.0.0.11".to_owned()));
        assert!(node("a,b=10.0.0.1").is_err());
        assert!(node("a=https://10.0.0.1").is_err());
    }
}
