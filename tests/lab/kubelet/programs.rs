//! The programs of a node and the images of its pods, built from the published Go modules and kept in one folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::archive::{gomod, unless_skipped};
use super::super::command::Failure;
use super::super::{Result, arch, cache_dir, hex_sha256, image};
use super::oci;
use gomod::Module;

pub const KUBERNETES: &str = "1.36.3";
/// What kubeadm of that version asks for.
pub const ETCD: &str = "3.6.8";
/// As customise.sh has it, too.
const PAUSE: &str = "3.10.2";
const CRICTL: &str = "1.37.0";

/// Holds the namespaces of a pod, and ends when it is told to.
const PAUSE_PROGRAM: &str = r#"package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for one := range signals {
		if one != syscall.SIGCHLD {
			return
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}
"#;

/// The folder with kubeadm, kubelet, crictl, etcd.tar and pause.tar, made now if the cache has none.
pub fn path() -> Result<PathBuf> {
    let cache = cache_dir();
    fs::create_dir_all(&cache).map_err(|error| Failure::new(cache.display(), error))?;
    // Not of what only says how to build, so that a change there costs nobody minutes.
    let recipe = format!("{KUBERNETES} {ETCD} {PAUSE} {CRICTL} {PAUSE_PROGRAM}{}", arch());
    let programs = cache.join(format!("kubelet-{}", &hex_sha256(recipe.as_bytes())[..12]));
    let _waits_for_others = image::lock(&programs)?;
    if !programs.exists() {
        unless_skipped(&programs.with_extension("skipped"), || make(&programs))?;
    }
    Ok(programs)
}

fn make(programs: &Path) -> Result<()> {
    eprintln!("lab: building kubelet, kubeadm and what they run (some ten minutes, once)");
    // In the cache folder, because it must be on a disk from which programs may run.
    let work = tempfile::tempdir_in(cache_dir()).map_err(|error| Failure::new(programs.display(), error))?;
    let made = work.path().join("made");
    fs::create_dir(&made).map_err(|error| Failure::new(made.display(), error))?;
    pause(work.path(), &made)?;
    crictl(work.path(), &made)?;
    etcd(work.path(), &made)?;
    kubernetes(work.path(), &made)?;
    fs::rename(&made, programs).map_err(|error| Failure::new(programs.display(), error))
}

fn pause(work: &Path, made: &Path) -> Result<()> {
    let module = Module::create(work.join("pause"), "")?;
    module.write("main.go", PAUSE_PROGRAM)?;
    let program = work.join("pause/pause");
    module.build(".", "", &program)?;
    oci::write(&made.join("pause.tar"), &format!("registry.k8s.io/pause:{PAUSE}"), &["/pause"], &[(&program, "pause")])
}

fn crictl(work: &Path, made: &Path) -> Result<()> {
    let module = Module::create(work.join("crictl"), &format!("require sigs.k8s.io/cri-tools v{CRICTL}\n"))?;
    eprintln!("lab: building crictl {CRICTL}");
    module.build("sigs.k8s.io/cri-tools/cmd/crictl", "", &made.join("crictl"))?;
    module.must_have("sigs.k8s.io/cri-tools", CRICTL)
}

fn etcd(work: &Path, made: &Path) -> Result<()> {
    gomod::build(ETCD, work, work)?;
    let programs = ["etcd", "etcdctl", "etcdutl"].map(|name| (work.join(name), format!("usr/local/bin/{name}")));
    let files: Vec<(&Path, &str)> = programs.iter().map(|(from, to)| (from.as_path(), to.as_str())).collect();
    oci::write(&made.join("etcd.tar"), &format!("registry.k8s.io/etcd:{ETCD}-0"), &[], &files)
}

/// The modules that lie in Kubernetes' own repository are asked for there at v0.0.0, and published as v0.MINOR.PATCH.
fn kubernetes(work: &Path, made: &Path) -> Result<()> {
    let require = format!("require k8s.io/kubernetes v{KUBERNETES}\n");
    let module = Module::create(work.join("kubernetes"), &require)?;
    let theirs = module.go_mod_of("k8s.io/kubernetes", KUBERNETES)?;
    let (_, minor_and_patch) = KUBERNETES.split_once('.').expect("a version");
    let words = theirs.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>());
    let staged = words.filter_map(|words| match words[..] {
        [name, "v0.0.0", ..] if name.starts_with("k8s.io/") => {
            Some(format!("replace {name} => {name} v0.{minor_and_patch}\n"))
        }
        _ => None,
    });
    let module = Module::create(work.join("kubernetes"), &(require + &staged.collect::<String>()))?;
    for program in ["kubeadm", "kubelet"] {
        eprintln!("lab: building {program} {KUBERNETES} from its Go module (some minutes, once)");
        module.build(&format!("k8s.io/kubernetes/cmd/{program}"), &version_flags(), &made.join(program))?;
    }
    module.must_have("k8s.io/kubernetes", KUBERNETES)
}

/// kubeadm goes by its own version, which a build from the repository is given like this.
fn version_flags() -> String {
    let minor = KUBERNETES.split('.').nth(1).expect("a version");
    let values = [
        ("gitVersion", &*format!("v{KUBERNETES}")),
        ("gitMajor", "1"),
        ("gitMinor", minor),
        ("gitTreeState", "clean"),
        ("gitCommit", "0000000000000000000000000000000000000000"),
        ("buildDate", "1970-01-01T00:00:00Z"),
    ];
    let flags = values.map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}"));
    flags.join(" ")
}
