//! Archives of every kind of fault, and downloads from a server that the test is.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;

const FOLDER: &str = "etcd-v3.5.16-linux-amd64";

/// A gzipped tar of plain files.
fn packed(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in entries {
        append(&mut builder, path, tar::EntryType::Regular, content);
    }
    builder.into_inner().unwrap().finish().unwrap()
}

/// Writes the name as it is: `set_path` would refuse the names that matter here.
fn append(builder: &mut tar::Builder<impl std::io::Write>, path: &str, kind: tar::EntryType, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

fn release() -> Vec<u8> {
    let path = |name: &str| format!("{FOLDER}/{name}");
    packed(&[
        (&path("README.md"), b"etcd"),
        (&path("etcdctl"), b"#!/bin/sh\necho ctl\n"),
        (&path("etcdutl"), b"#!/bin/sh\necho utl\n"),
        (&path("Documentation/dev-guide/etcd.md"), b"docs"),
        (&path("etcd"), b"#!/bin/sh\necho etcd\n"),
    ])
}

/// The archive of the declared version.
fn prepared(desired: &Desired, architecture: Architecture) -> Result<Package, Cause> {
    prepare(desired, desired.cluster.version, architecture)
}

fn desired(location: ArchiveLocation, sha256: Digest) -> Desired {
    let mut desired = crate::laws::sample::desired(1);
    desired.binaries =
        Binaries::Archive { location, sha256: BTreeMap::from([(Architecture::Amd64, sha256)]), via: BTreeMap::new() };
    desired
}

fn at_path(folder: &TempDir, bytes: &[u8]) -> ArchiveLocation {
    fs::write(folder.path().join("etcd-v3.5.16-linux-amd64.tar.gz"), bytes).unwrap();
    let template = folder.path().join("etcd-v{version}-linux-{arch}.tar.gz");
    ArchiveLocation::Path(template.to_str().unwrap().to_owned())
}

fn refused(bytes: &[u8]) -> Cause {
    let folder = TempDir::new().unwrap();
    let desired = desired(at_path(&folder, bytes), Digest::of(bytes));
    let cause = prepared(&desired, Architecture::Amd64).expect_err("the archive should not be usable");
    assert_eq!(cause.code, Code::ArchiveUnusable);
    assert!(cause.hint.is_some());
    cause
}

#[test]
fn a_release_archive_is_checked_and_looked_into() {
    let folder = TempDir::new().unwrap();
    let bytes = release();
    let package = prepared(&desired(at_path(&folder, &bytes), Digest::of(&bytes)), Architecture::Amd64).unwrap();
    assert_eq!(package.facts.sha256, Digest::of(&bytes));
    assert_eq!(package.size_bytes, bytes.len() as u64);
    assert_eq!(package.members, ["etcd", "etcdctl", "etcdutl"].map(|name| format!("{FOLDER}/{name}")));
    assert_eq!(package.strip, 1);
    // The file that was checked is the one that is pushed, and to several hosts at once.
    fs::remove_file(folder.path().join("etcd-v3.5.16-linux-amd64.tar.gz")).unwrap();
    let (mut first, mut second) = (package.reader(), package.reader());
    let (mut one, mut two) = (Vec::new(), Vec::new());
    first.by_ref().take(10).read_to_end(&mut one).unwrap();
    second.read_to_end(&mut two).unwrap();
    first.read_to_end(&mut one).unwrap();
    assert_eq!((&one, &two), (&bytes, &bytes));
}

/// The system's tar understands the names and the count of folders.
#[test]
fn tar_unpacks_exactly_the_binaries() {
    for prefix in ["", "./", "etcd/", "./etcd-v3/bin/"] {
        let names = ["README", "etcd", "etcdctl"].map(|name| format!("{prefix}{name}"));
        let bytes = packed(&[(&names[0], b"no"), (&names[1], b"yes"), (&names[2], b"yes")]);
        let folder = TempDir::new().unwrap();
        let archive = at_path(&folder, &bytes);
        let package = prepared(&desired(archive, Digest::of(&bytes)), Architecture::Amd64).unwrap();
        let target = TempDir::new().unwrap();
        let output = Command::new("tar")
            .arg("-xzf")
            .arg(folder.path().join("etcd-v3.5.16-linux-amd64.tar.gz"))
            .arg(format!("--strip-components={}", package.strip))
            .arg("-C")
            .arg(target.path())
            .arg("--")
            .args(&package.members)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found: Vec<_> = fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, ["etcd", "etcdctl"], "{prefix}");
    }
}

#[test]
fn each_fault_of_an_archive_is_named() {
    let says = |bytes: &[u8], what: &str| {
        let cause = refused(bytes);
        assert!(cause.summary.contains(what), "{cause:?}");
    };
    let (etcd, etcdctl) = (("d/etcd", &b"e"[..]), ("d/etcdctl", &b"c"[..]));
    says(b"", "is not a gzip-compressed tar archive");
    says(b"<html>sign in</html>", "is not a gzip-compressed tar archive");
    says(&release()[..200], "truncated");
    says(&packed(&[etcd]), "does not contain etcdctl");
    says(&packed(&[etcdctl]), "does not contain etcd");
    says(&packed(&[("a/etcd", b"e"), ("b/etcdctl", b"c")]), "same directory");
    says(&packed(&[etcd, etcdctl, ("x/etcd", b"e"), ("x/etcdctl", b"c")]), "twice");
    says(&packed(&[etcd, etcd, etcdctl]), "d/etcd twice");
    says(&packed(&[etcd, etcdctl, ("d/../../root/.profile", b"x")]), "leads outside it");
    says(&packed(&[etcd, etcdctl, ("/etc/passwd", b"x")]), "leads outside it");
    says(&packed(&[("d e/etcd", b"e"), ("d e/etcdctl", b"c")]), "unusual characters");
    says(&packed(&[("-d/etcd", b"e"), ("-d/etcdctl", b"c")]), "unusual characters");
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    append(&mut builder, "d/etcd", tar::EntryType::Symlink, b"");
    says(&builder.into_inner().unwrap().finish().unwrap(), "not a regular file");
}

#[test]
fn binaries_for_another_processor_are_refused() {
    let elf = |machine: u8| [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[2, 0, machine, 0], &[0; 100]].concat();
    let with = |machine| packed(&[("d/etcd", &elf(machine)), ("d/etcdctl", &elf(machine))]);
    assert!(refused(&with(183)).summary.contains("for arm64, but is declared as the archive for amd64"));
    assert!(refused(&with(8)).summary.contains("ELF machine 8"));
    let folder = TempDir::new().unwrap();
    let desired = desired(at_path(&folder, &with(62)), Digest::of(with(62)));
    prepared(&desired, Architecture::Amd64).unwrap();
    let cause = prepared(&desired, Architecture::Arm64).unwrap_err();
    assert!(cause.summary.contains("no SHA-256 for etcd 3.5.16 on arm64"));
}

#[test]
fn another_digest_is_refused_with_both() {
    let folder = TempDir::new().unwrap();
    let bytes = release();
    let location = at_path(&folder, &bytes);
    let cause = prepared(&desired(location, Digest::of("else")), Architecture::Amd64).unwrap_err();
    for part in [Digest::of(&bytes).to_string(), Digest::of("else").to_string(), "amd64.tar.gz".to_owned()] {
        assert!(cause.summary.contains(&part), "{cause:?}");
    }
    let nowhere = ArchiveLocation::Path("/nowhere/etcd.tar.gz".to_owned());
    let cause = prepared(&desired(nowhere, Digest::of("")), Architecture::Amd64).unwrap_err();
    assert_eq!(cause.summary, "there is no archive at /nowhere/etcd.tar.gz");
    let a_folder = ArchiveLocation::Path("/".to_owned());
    let cause = prepared(&desired(a_folder, Digest::of("")), Architecture::Amd64).unwrap_err();
    assert_eq!(cause.summary, "/ is not a file");
}

/// Serves each request with the same answer, and counts them.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

fn serve(status: &'static str, body: Vec<u8>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/etcd-v{{version}}-linux-{{arch}}.tar.gz", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let _headers: Vec<_> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that has seen enough closes early.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    Server { url, requests }
}

fn fetched(server: &Server, sha256: Digest, cache: Option<&Path>) -> Result<Package, Cause> {
    let desired = desired(ArchiveLocation::Url(server.url.clone()), sha256);
    prepare_with(&desired, desired.cluster.version, Architecture::Amd64, cache)
}

#[test]
fn a_download_is_kept_and_used_again() {
    let cache = TempDir::new().unwrap();
    let folder = cache.path().join("quorate");
    let bytes = release();
    let server = serve("200 OK", bytes.clone());
    let count = || server.requests.load(Ordering::SeqCst);
    let get = |expected: usize| {
        let package = fetched(&server, Digest::of(&bytes), Some(&folder)).unwrap();
        let mut content = Vec::new();
        package.reader().read_to_end(&mut content).unwrap();
        assert_eq!(content, bytes);
        assert_eq!(count(), expected);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    };
    get(1);
    get(1);
    // A spoiled one is fetched again.
    let kept = folder.join(format!("{}.tar.gz", Digest::of(&bytes)));
    fs::write(&kept, &bytes[..100]).unwrap();
    get(2);
    get(2);
    let without_cache = fetched(&server, Digest::of(&bytes), None).unwrap();
    assert_eq!((without_cache.size_bytes, count()), (bytes.len() as u64, 3));
}

#[test]
fn a_download_that_fails_leaves_nothing_behind() {
    let cache = TempDir::new().unwrap();
    let bytes = release();
    let wrong = fetched(&serve("200 OK", b"<html>".to_vec()), Digest::of(&bytes), Some(cache.path())).unwrap_err();
    assert!(wrong.summary.contains(&Digest::of("<html>").to_string()), "{wrong:?}");
    let absent = fetched(&serve("404 Not Found", Vec::new()), Digest::of(&bytes), Some(cache.path())).unwrap_err();
    assert!(absent.summary.contains("the server answered 404"), "{absent:?}");
    assert!(absent.hint.unwrap().contains("`version`"));
    let nobody = Server { url: "http://127.0.0.1:1/etcd.tar.gz".to_owned(), requests: Arc::default() };
    let refused = fetched(&nobody, Digest::of(&bytes), Some(cache.path())).unwrap_err();
    assert!(refused.summary.contains("could not be downloaded"), "{refused:?}");
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

/// An HTTPS server whose certificate an authority of our own signed.
fn serve_https(signer: &crate::shell::live::pki::Signer, body: Vec<u8>) -> String {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use secrecy::ExposeSecret as _;
    let wanted = crate::core::cluster::leaf::Wanted {
        common_name: "mirror".to_owned(),
        names: ["127.0.0.1".to_owned()].into(),
        usages: [crate::core::observed::Usage::ServerAuth].into(),
        like: None,
    };
    let leaf = signer.issue(&wanted, 3600, now()).unwrap();
    let certificate = CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.expose_secret().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/etcd.tar.gz", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream.unwrap());
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let mut request = [0; 4096];
            // A client that does not trust us hangs up.
            let _ = stream.read(&mut request).and_then(|_| {
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body)?;
                stream.conn.send_close_notify();
                stream.flush()
            });
        }
    });
    url
}

fn now() -> crate::core::names::UnixSeconds {
    crate::core::names::UnixSeconds(jiff::Timestamp::now().as_second())
}

const CHILD: &str = "QUORATE_TEST_FETCH";

/// What a machine trusts is read from its environment, so each fetch is made by this program anew, in one of its own.
#[test]
fn https_is_trusted_as_the_machine_trusts_it() {
    let folder = TempDir::new().unwrap();
    let signer = crate::shell::live::pki::create(
        &folder.path().join("pki"),
        &crate::core::names::ClusterName::new("mirror"),
        now(),
    )
    .unwrap();
    let bytes = release();
    let url = serve_https(&signer, bytes.clone());
    let other = crate::shell::live::pki::create(
        &folder.path().join("other"),
        &crate::core::names::ClusterName::new("other"),
        now(),
    );
    drop(other.unwrap());
    let fetch = |authority: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shell::live::archive::tests::child_that_fetches", "--nocapture"])
            .env(CHILD, format!("{url} {}", Digest::of(&bytes)))
            .env("SSL_CERT_FILE", folder.path().join(authority).join("ca.crt"))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let trusted = fetch("pki");
    assert!(trusted.contains(&format!("fetched {} bytes", bytes.len())), "{trusted}");
    let untrusted = fetch("other");
    assert!(untrusted.contains("could not be downloaded") && untrusted.contains("must trust"), "{untrusted}");
}

#[test]
fn child_that_fetches() {
    let Ok(what) = std::env::var(CHILD) else { return };
    let (url, sha256) = what.split_once(' ').unwrap();
    match download::fetch(url, sha256.parse().unwrap(), None) {
        Ok(file) => println!("fetched {} bytes", file.metadata().unwrap().len()),
        Err(cause) => println!("{cause:?}"),
    }
}

fn sums(version: &str) -> Vec<u8> {
    let line = |digit: &str, name: &str| format!("{}  etcd-v{version}-{name}\n", digit.repeat(64));
    [line("1", "darwin-arm64.zip"), line("2", "linux-amd64.tar.gz"), line("3", "linux-arm64.tar.gz")]
        .concat()
        .into_bytes()
}

/// The folder of the releases on a server of [`serve`], which gives the same answer to every request.
fn base(server: &Server) -> &str {
    server.url.rsplit_once('/').unwrap().0
}

#[test]
fn the_digests_of_a_release_are_those_of_its_sums() {
    let server = serve("200 OK", sums("3.6.16"));
    let digest = |digit: &str| digit.repeat(64).parse::<Digest>().unwrap();
    let found = release::digests(base(&server), Version::new(3, 6, 16)).unwrap();
    assert_eq!(found, BTreeMap::from([(Architecture::Amd64, digest("2")), (Architecture::Arm64, digest("3"))]));
    // Of another release, there is nothing in it.
    let other = release::digests(base(&server), Version::new(3, 6, 15)).unwrap_err();
    assert!(other.ends_with("/v3.6.15/SHA256SUMS lists no archive of etcd 3.6.15 for Linux"), "{other}");
}

#[test]
fn what_keeps_the_sums_away_is_said() {
    let missing = serve("404 Not Found", Vec::new());
    let said = release::digests(base(&missing), Version::new(3, 6, 99)).unwrap_err();
    assert!(said.starts_with("http://127.0.0.1:") && said.ends_with("/v3.6.99/SHA256SUMS does not exist"), "{said}");
    let nobody = release::digests("http://127.0.0.1:1", Version::new(3, 6, 16)).unwrap_err();
    assert!(nobody.contains("could not be downloaded"), "{nobody}");
    let garbage = serve("200 OK", vec![0xff; 100]);
    assert!(release::digests(base(&garbage), Version::new(3, 6, 16)).is_err());
}
