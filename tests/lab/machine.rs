//! One host's processes: a systemd-nspawn in a control group of its own.
//!
//! nspawn puts what it starts below the control group it was started in. Were that shared, the hosts' systemds would
//! share `payload/system.slice` and kill each other's services; so each gets `qlabID-N` at the root of the hierarchy.
//! The group is also how the host's processes are found and killed: killing nspawn alone leaves its systemd running.
//!
//! The hosts have a pure cgroup2, as Debian 12 has it. On a machine that mounts version 1 controllers, too, nspawn
//! would follow the machine; there it runs in a mount namespace of its own, where /sys/fs/cgroup is cgroup2.
//!
//! Only hosts that run containers follow it: a kubelet wants controllers, and those that version 1 has on this machine
//! are not to be had in cgroup2. Such a host has a group `qlabID-N` in every hierarchy.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Result;
use super::command::{Failure, QUICK, pause, succeed};

/// For nspawn to start the host's first process, on a machine that is busy with other tests.
const INIT_STARTS: Duration = Duration::from_secs(30);
/// For SIGKILL to take effect on all processes of a host.
const KILL_TAKES: Duration = Duration::from_secs(20);

/// Where the cgroup2 file system is mounted: /sys/fs/cgroup, or a folder there beside version 1 controllers.
pub fn cgroup2_root() -> Option<PathBuf> {
    mounted("cgroup2").into_iter().next()
}

/// Where file systems of this type are mounted.
fn mounted(kind: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| match line.split(' ').collect::<Vec<&str>>()[..] {
        [_, root, its_kind, ..] if its_kind == kind => Some(PathBuf::from(root)),
        _ => None,
    });
    found.collect()
}

/// The roots of all hierarchies, cgroup2 first: it has a host's processes, whatever other groups they are in.
fn hierarchies() -> Vec<PathBuf> {
    let version_1 = mounted("cgroup").into_iter().filter(|root| root.starts_with("/sys/fs/cgroup"));
    cgroup2_root().into_iter().chain(version_1).collect()
}

/// Whether containers can be given memory by a controller of version 1: with those of cgroup2 it was not tried.
pub fn has_memory_controller() -> bool {
    hierarchies().iter().any(|root| root.join("memory.limit_in_bytes").exists())
}

fn cgroup_of(label: &str) -> Result<PathBuf> {
    let root = cgroup2_root().ok_or_else(|| Failure("no cgroup2 file system is mounted".to_owned()))?;
    Ok(root.join(label))
}

/// The control groups of a machine, made now.
fn create_groups(machine: &Machine<'_>) -> Result<Vec<PathBuf>> {
    let group = cgroup_of(machine.label)?;
    if machine.containers.is_none() {
        fs::create_dir_all(&group).map_err(|error| Failure::new(group.display(), error))?;
        return Ok(vec![group]);
    }
    let groups = hierarchies().into_iter().map(|root| create_group(&root, machine.label));
    groups.collect()
}

fn create_group(root: &Path, label: &str) -> Result<PathBuf> {
    let group = root.join(label);
    fs::create_dir_all(&group).map_err(|error| Failure::new(group.display(), error))?;
    // In version 1, a group without processors takes no process.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(all) = fs::read(root.join(file)) {
            fs::write(group.join(file), all).map_err(|error| Failure::new(group.display(), error))?;
        }
    }
    Ok(group)
}

/// $0 is the control groups, the rest is nspawn and its arguments.
const ENTER_GROUPS: &str = "for group in $0; do echo $$ >\"$group/cgroup.procs\" || exit 1; done; exec \"$@\"";
/// The same where nspawn is to see nothing but cgroup2.
const ENTER_CGROUP2: &str = "echo $$ >\"$0/cgroup.procs\" || exit 1; \
     [ -e /sys/fs/cgroup/cgroup.procs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 1; exec \"$@\"";

/// What nspawn is told.
pub struct Machine<'a> {
    /// Name of the control group, the machine and the network namespace.
    pub label: &'a str,
    pub hostname: &'a str,
    pub root: &'a Path,
    pub console_log: &'a Path,
    /// Where its containers are kept, if it runs any.
    pub containers: Option<&'a Path>,
}

/// Starts nspawn, detached from this process, and returns the host's first process as seen from here.
pub fn start(machine: &Machine<'_>) -> Result<u32> {
    let groups = create_groups(machine)?;
    let groups: Vec<String> = groups.iter().map(|group| group.display().to_string()).collect();
    let enter = if machine.containers.is_some() { ENTER_GROUPS } else { ENTER_CGROUP2 };
    let log = File::create(machine.console_log).map_err(|error| Failure::new(machine.console_log.display(), error))?;
    let log_too = log.try_clone().map_err(|error| Failure::new(machine.console_log.display(), error))?;
    let mut command = Command::new("setsid");
    command.args(["--fork", "unshare", "--mount", "--propagation", "slave", "sh", "-c", enter, &groups.join(" ")]);
    command.args(["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"]);
    command.args(["--kill-signal=SIGRTMIN+3", "--console=read-only", "--link-journal=no"]);
    command.args(["--resolv-conf=off", "--timezone=off"]);
    match machine.containers {
        None => command.arg("--capability=CAP_NET_ADMIN"),
        // The kubelet reads there whom the kernel killed for want of memory.
        Some(containers) => {
            command.args(["--capability=all", "--bind-ro=/dev/kmsg"]);
            command.arg(format!("--bind={}:/var/lib/containerd", containers.display()))
        }
    };
    command.arg(format!("--network-namespace-path=/run/netns/{}", machine.label));
    command.arg(format!("--machine={}", machine.label)).arg(format!("--hostname={}", machine.hostname));
    command.arg("--directory").arg(machine.root);
    // Without nspawn's filter of system calls, which costs each of them, and which no real host has. It is for nspawn alone.
    command.env("TERM", "dumb").env("SYSTEMD_SECCOMP", "0").current_dir("/");
    command.stdin(Stdio::null()).stdout(log).stderr(log_too);
    let shown = super::command::shown(&command);
    let status = command.status().map_err(|error| Failure::new(&shown, error))?;
    if !status.success() {
        return Err(Failure::new(shown, status));
    }
    wait_for_init(machine, &shown)
}

fn wait_for_init(machine: &Machine<'_>, shown: &str) -> Result<u32> {
    let started = Instant::now();
    loop {
        if let Some(pid) = init_of(machine.label) {
            return Ok(pid);
        }
        let nspawn_died = started.elapsed() > Duration::from_secs(1) && processes_of(machine.label).is_empty();
        if nspawn_died || started.elapsed() > INIT_STARTS {
            let said = fs::read_to_string(machine.console_log).unwrap_or_default();
            return Err(Failure(format!("{shown} started no host: {}", said.trim())));
        }
        thread::sleep(pause(started.elapsed()));
    }
}

/// The host's systemd as seen from here; None when the host is off.
pub fn init_of(label: &str) -> Option<u32> {
    processes_of(label).into_iter().find(|pid| is_init(*pid))
}

/// Process 1 of a pid namespace below ours: its own number is the last of `NSpid: 4711 1`.
fn is_init(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let numbers: Vec<&str> = numbers.unwrap_or_default().split_whitespace().collect();
    // nspawn's child is called so until it executes systemd; before, its namespaces are not complete.
    let started = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "systemd");
    started && numbers.len() > 1 && numbers.last() == Some(&"1")
}

/// All processes in the host's control group, nspawn included.
fn processes_of(label: &str) -> Vec<u32> {
    cgroup_of(label).map(|group| processes_below(&group)).unwrap_or_default()
}

fn processes_below(group: &Path) -> Vec<u32> {
    let mut pids = Vec::new();
    for group in groups_below(group) {
        let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        pids.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    pids
}

/// A command that runs inside the host with all its namespaces, as root.
pub fn enter(init: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &init.to_string(), "--all", "--wdns=/", "env", "-i"]);
    command.args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]);
    command
}

/// Kills all processes of a machine, as a power cut does, and waits until they are gone.
pub fn kill(label: &str) -> Result<()> {
    kill_groups(&hierarchies().iter().map(|root| root.join(label)).collect::<Vec<PathBuf>>())
}

/// Kills all machines whose label starts with this.
pub fn kill_all(label_prefix: &str) -> Result<()> {
    let mut ours = Vec::new();
    for root in hierarchies() {
        let entries = fs::read_dir(&root).map_err(|error| Failure::new(root.display(), error))?;
        let entries = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(label_prefix));
        ours.extend(entries.map(|entry| entry.path()));
    }
    kill_groups(&ours)
}

/// First the signals and then the waiting, so that many hosts die as fast as one.
fn kill_groups(groups: &[PathBuf]) -> Result<()> {
    groups.iter().for_each(|group| send_kill(group));
    groups.iter().try_for_each(|group| wait_until_dead(group).and_then(|()| remove_group(group)))
}

/// Linux 5.14 and newer kill a whole tree at once; older ones one by one, again and again until none is left.
fn send_kill(group: &Path) {
    if fs::write(group.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for pid in processes_below(group) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
            let _gone_already = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn wait_until_dead(group: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
        if !events.contains("populated 1") {
            return Ok(());
        }
        if started.elapsed() > KILL_TAKES {
            return Err(Failure(format!("processes in {} survived SIGKILL", group.display())));
        }
        thread::sleep(pause(started.elapsed()));
        send_kill(group);
    }
}

/// Removes an empty group and those below it, the lowest first.
fn remove_group(group: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut failed = None;
        for below in groups_below(group).iter().rev() {
            failed = fs::remove_dir(below).err();
        }
        // The last one was the group itself.
        match failed {
            None => return Ok(()),
            Some(error) if started.elapsed() > KILL_TAKES => {
                return Err(Failure::new(group.display(), error));
            }
            Some(_still_busy) => thread::sleep(pause(started.elapsed())),
        }
    }
}

/// A group and all below it, parents before their children; none if there is no such group.
fn groups_below(group: &Path) -> Vec<PathBuf> {
    if !group.is_dir() {
        return Vec::new();
    }
    let mut groups = vec![group.to_path_buf()];
    let mut next = 0;
    while next < groups.len() {
        let entries = fs::read_dir(&groups[next]).map(|entries| entries.flatten().collect()).unwrap_or(Vec::new());
        let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
        groups.extend(folders);
        next += 1;
    }
    groups
}

/// Whether systemd has started everything: "running", "degraded", "starting" …
pub fn system_state(init: u32) -> Result<String> {
    let mut command = enter(init);
    command.args(["systemctl", "is-system-running"]);
    // Its exit code says the same as its output, and before dbus answers there is only an error.
    let output = super::command::run(&mut command, b"", QUICK)?;
    Ok(output.stdout.trim().to_owned())
}

/// Begins a command in the root directory of a host that is off.
pub fn in_root(root: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root);
    command
}

/// Runs a script there that must succeed.
pub fn chroot(root: &Path, script: &str, stdin: &[u8]) -> Result<String> {
    succeed(in_root(root).args(["sh", "-c", script]), stdin, QUICK)
}

/// The systemd of every host watches some ten things, and the kernel counts them all as root's, 128 unless told otherwise.
pub fn allow_many_hosts() {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
    let now = std::fs::read_to_string(LIMIT).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if now.is_some_and(|now| now < WATCHES) {
        // Where it cannot be raised, a few hosts run all the same.
        let _stays_low = std::fs::write(LIMIT, WATCHES.to_string());
    }
}

/// For some hundred hosts.
const WATCHES: u32 = 1024;
