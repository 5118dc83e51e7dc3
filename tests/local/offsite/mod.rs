//! The place off-site in S3: moto's server, from PyPI, on loopback. Skipped by name where it cannot be had.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use quorate::core::cluster::snapshot;
use quorate::core::desired;
use quorate::core::names::{Digest, UnixSeconds};
use quorate::shell::live::offsite::Offsite;

const NOW: UnixSeconds = UnixSeconds(4_000_000_000);

/// A server that ends with the test.
struct Moto {
    process: Child,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, installed once beside the build.
fn program() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let program = folder.join("bin/moto_server");
    if !program.exists() {
        let quiet = |command: &mut Command| command.stdout(Stdio::null()).status().is_ok_and(|status| status.success());
        let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && quiet(Command::new(folder.join("bin/pip")).args(["-q", "install", "moto[server]"]));
        if !made {
            return None;
        }
    }
    Some(program)
}

fn moto(test: &str) -> Option<Moto> {
    let Some(program) = program() else {
        println!("skipped: {test}: moto[server] cannot be installed here");
        return None;
    };
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port();
    let mut command = Command::new(program);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let moto = Moto { process: command.spawn().expect("it can be started"), port };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "moto does not answer");
        std::thread::sleep(Duration::from_millis(100));
    }
    // A bucket; moto lets anybody make one.
    let made = ureq::put(&format!("http://127.0.0.1:{port}/etcd-copies")).send_empty();
    made.expect("a bucket can be made");
    Some(moto)
}

impl Moto {
    fn open(&self, url: &str) -> Offsite {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("PATH", "not looked at".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value));
        Offsite::open(&desired::Offsite { url: url.to_owned() }, environment).expect("it can be opened")
    }
}

/// A sound snapshot: one meta page, pages of noise, and their SHA-256.
fn snapshot_of(pages: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..pages * 4096).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
    let mut meta = Vec::new();
    meta.extend(0xED0C_DAED_u32.to_le_bytes());
    meta.extend(2_u32.to_le_bytes());
    meta.extend(4096_u32.to_le_bytes());
    meta.extend([0; 28]);
    meta.extend(pages.to_le_bytes());
    meta.extend([0; 8]);
    let sum = meta
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    meta.extend(sum.to_le_bytes());
    bytes[16..16 + meta.len()].copy_from_slice(&meta);
    let hash = digest(&SHA256, &bytes);
    bytes.extend_from_slice(hash.as_ref());
    bytes
}

#[tokio::test]
async fn copies_in_s3() {
    let Some(moto) = moto("copies_in_s3") else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    let offsite = moto.open("s3://etcd-copies/prod/one");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("here.db");
    // More than two parts.
    let bytes = snapshot_of(40 << 8);
    fs::write(&file, &bytes).expect("the folder is ours");
    let names: Vec<_> = (1..=3).map(|day| format!("snapshot-2027010{day}_080000.db")).collect();
    for name in &names {
        offsite.upload(&file, name, &|_| {}).await.expect("it can be copied");
    }
    let said = offsite.upload(&file, &names[0], &|_| {}).await.expect_err("it is there already").to_string();
    assert!(said.contains("never overwritten"), "{said}");
    let listed = offsite.list().await.expect("it can be listed");
    assert_eq!(
        listed.iter().map(|one| (one.name.clone(), one.bytes)).collect::<Vec<_>>(),
        names.iter().map(|name| (name.clone(), bytes.len() as u64)).collect::<Vec<_>>()
    );
    let facts = snapshot::Facts { revision: Some(7), ..snapshot::Facts::default() };
    offsite.keep_facts(&names[0], &facts).await.expect("they can be kept");
    let known: Vec<_> = offsite.list().await.expect("it can be listed").iter().map(|one| one.facts.revision).collect();
    assert_eq!(known, [Some(7), None, None]);
    // Another prefix is another place.
    assert_eq!(moto.open("s3://etcd-copies/prod").list().await.expect("it can be listed"), []);
    let to = folder.path().join("fetched.db");
    assert_eq!(offsite.fetch(&names[1], &to, &|_| {}).await.expect("it can be fetched").bytes, bytes.len() as u64);
    assert!(fs::read(&to).expect("it is there") == bytes);
    offsite.confirm(&names[1], Digest::of(&bytes)).await.expect("it is what was sent");
    // Somebody has written over the newest.
    let url = format!("http://127.0.0.1:{}/etcd-copies/prod/one/{}", moto.port, names[2]);
    ureq::put(&url).send(&bytes[..bytes.len() / 2]).expect("moto lets anybody write");
    offsite.confirm(&names[2], Digest::of(&bytes)).await.expect_err("it is another");
    let again = folder.path().join("again.db");
    let said = offsite.fetch(&names[2], &again, &|_| {}).await.expect_err("it is cut").to_string();
    assert!(said.contains("snapshot-cut") && !again.exists(), "{said}");
    let (kept, surplus) = snapshot::kept_and_surplus(&listed, 1, NOW);
    offsite.prune(&kept, &surplus, &|_| {}).await.expect_err("the one that would stay is cut");
    assert_eq!(offsite.list().await.expect("it can be listed").len(), 3);
    let (kept, surplus) = snapshot::kept_and_surplus(&listed, 2, NOW);
    offsite.prune(&kept, &surplus, &|_| {}).await.expect("one is whole");
    let left: Vec<_> = offsite.list().await.expect("it can be listed").into_iter().map(|one| one.name).collect();
    assert_eq!(left, names[1..]);
    // Each lies under its name alone; what a killed upload left is no snapshot, and goes after a day.
    let now = UnixSeconds(i64::try_from(now.as_secs()).expect("this century"));
    let later = UnixSeconds(now.0 + 25 * 3600);
    assert_eq!(offsite.abandoned(later).await.expect("it can be listed"), []);
    let left_over = format!("{}.uploading-0123456789abcdef", names[1]);
    let url = format!("http://127.0.0.1:{}/etcd-copies/prod/one/{left_over}", moto.port);
    ureq::put(&url).send(&bytes[..100]).expect("moto lets anybody write");
    assert_eq!(offsite.list().await.expect("it can be listed").len(), 2);
    assert_eq!(offsite.abandoned(now).await.expect("it can be listed"), []);
    assert_eq!(offsite.abandoned(later).await.expect("it can be listed"), [(left_over.clone(), 100)]);
    offsite.remove_abandoned([left_over.as_str()]).await.expect("it can be removed");
    assert_eq!(offsite.abandoned(later).await.expect("it can be listed"), []);
    // Another run has given its copy that name while ours was on its way.
    let name = "snapshot-20270104_080000.db";
    let url = format!("http://127.0.0.1:{}/etcd-copies/prod/one/{name}", moto.port);
    let theirs = || drop(ureq::put(&url).send(&b"theirs"[..]).expect("moto lets anybody write"));
    let said = offsite
        .upload(&file, name, &|sent| {
            if sent == 16 << 20 {
                theirs()
            }
        })
        .await
        .expect_err("it is there")
        .to_string();
    assert!(said.contains("never overwritten"), "{said}");
    offsite.confirm(name, Digest::of(b"theirs")).await.expect("theirs stays");
    assert_eq!(offsite.abandoned(later).await.expect("it can be listed"), []);
    // No such bucket, and nobody there.
    let said = moto.open("s3://another-bucket").list().await.expect_err("it is not there").to_string();
    assert!(said.contains("s3://another-bucket"), "{said}");
}
