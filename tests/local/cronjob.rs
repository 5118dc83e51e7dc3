//! `export backup-cronjob`: the manifest is YAML that Kubernetes takes, and its script works under busybox's sh.

use std::fs;
use std::process::{Command, Output};

use quorate::core::render::cronjob::SCRIPT;
use serde_json::Value;
use tempfile::TempDir;

fn exported(more: &str, arguments: &[&str]) -> (i32, String, String) {
    let folder = TempDir::new().expect("there is a temporary folder");
    let text = format!(
        "[cluster]\nname = \"prod\"\nversion = \"3.6.16\"\n[nodes.a]\naddress = \"10.0.0.11\"\n[nodes.b]\naddress = \"fd00::1\"\n{more}"
    );
    fs::write(folder.path().join("cluster.toml"), text).expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    let output = command.current_dir(&folder).args(["export", "backup-cronjob"]).args(arguments).output();
    let output = output.expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("quorate prints text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn document(more: &str, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = exported(more, arguments);
    assert_eq!(code, 0, "{stderr}");
    yaml_serde::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}"))
}

#[test]
fn the_manifest_is_a_cronjob() {
    let job = document("", &["--schedule", "* * * * *", "--keep", "3", "--pvc", "kept", "--namespace", "etcd"]);
    assert_eq!((job["apiVersion"].as_str(), job["kind"].as_str()), (Some("batch/v1"), Some("CronJob")));
    assert_eq!(job["metadata"]["namespace"], "etcd");
    assert_eq!((&job["spec"]["schedule"], &job["spec"]["timeZone"]), (&"* * * * *".into(), &"Etc/UTC".into()));
    assert_eq!(job["spec"]["concurrencyPolicy"], "Forbid");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let save = &pod["initContainers"][0];
    assert_eq!(save["image"], "gcr.io/etcd-development/etcd:v3.6.16");
    assert_eq!(save["args"][0], "--endpoints=https://10.0.0.11:2379");
    let keep = &pod["containers"][0];
    assert_eq!((&keep["env"][0]["value"], &keep["command"][2]), (&"3".into(), &SCRIPT.into()));
    let volumes: Vec<_> = pod["volumes"].as_array().expect("it has volumes").iter().map(|one| &one["name"]).collect();
    for container in [save, keep] {
        for mount in container["volumeMounts"].as_array().expect("it has mounts") {
            assert!(volumes.contains(&&mount["name"]), "{mount} leads nowhere");
        }
    }
    assert_eq!(pod["volumes"][2]["persistentVolumeClaim"]["claimName"], "kept");
}

#[test]
fn what_is_declared_is_the_default() {
    let job = document("[backup]\nschedule = \"30 2 * * *\"\nkeep = 5\n", &["--endpoint", "https://etcd.example:2379"]);
    assert_eq!(job["spec"]["schedule"], "30 2 * * *");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["env"][0]["value"], "5");
    assert_eq!(pod["initContainers"][0]["args"][0], "--endpoints=https://etcd.example:2379");
}

#[test]
fn what_kubernetes_would_refuse_is_refused_here() {
    for arguments in [
        &["--schedule", "0 25 * * *"] as &[_],
        &["--schedule", "0 * * *"],
        &["--keep", "0"],
        &["--pvc", "Not_a_name"],
        &["--secret", ""],
        &["--endpoint", "https://a:2379,https://b:2379"],
        &["--endpoint", "a:2379"],
    ] {
        let (code, stdout, stderr) = exported("", arguments);
        assert!(code == 64 && stdout.is_empty() && stderr.contains(arguments[0]), "{arguments:?}: {stderr}");
    }
}

fn run(shell: &[&str], folder: &TempDir) -> Output {
    let at = |name: &str| folder.path().join(name).display().to_string();
    let script = SCRIPT
        .replace("from=/work/snapshot.db to=/snapshots", &format!("from={} to={}", at("work.db"), at("snapshots")));
    assert_ne!(script, SCRIPT);
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", &script]).env("KEEP", "2").output().expect("the shell runs")
}

fn there(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("snapshots")).expect("it is there");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("it too").file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn its_script_keeps_whole_snapshots_only() {
    for shell in [&["busybox", "sh"] as &[_], &["dash"]] {
        if Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output().is_err() {
            eprintln!("skipped: {shell:?} is not on this machine");
            continue;
        }
        let folder = TempDir::new().expect("there is a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("snapshots")).expect("it is new");
        let old: Vec<_> = (1..4).map(|day| format!("snapshot-2020010{day}_000000.db.gz")).collect();
        old.iter().for_each(|name| fs::write(at("snapshots").join(name), "old").expect("it can be written"));
        let mut whole = vec![7; 4096];
        let sum = quorate::core::names::Digest::of(&whole).to_string();
        whole.extend((0..64).step_by(2).map(|at| u8::from_str_radix(&sum[at..at + 2], 16).expect("hexadecimal")));
        let mut flipped = whole.clone();
        flipped[99] ^= 1;
        for broken in [&flipped[..], &whole[..4096], &whole[..3616], &[]] {
            fs::write(at("work.db"), broken).expect("it can be written");
            assert!(!run(shell, &folder).status.success());
            assert_eq!(there(&folder), old);
        }
        fs::write(at("snapshots/.snapshot.1"), "left by a job that was killed").expect("it can be written");
        fs::write(at("work.db"), &whole).expect("it can be written");
        let output = run(shell, &folder);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let now = there(&folder);
        assert!(now.len() == 2 && now[0] == old[2] && now[1].ends_with(".db.gz"), "{now:?}");
        let unpacked =
            Command::new("gzip").arg("-dc").arg(at("snapshots").join(&now[1])).output().expect("there is gzip");
        assert_eq!(unpacked.stdout, whole);
    }
}
