//! One host: commands and files in it, its power, its network cable.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::command::{Failure, INSIDE, Output, must, pause, run};
use super::disk::Disk;
use super::registry::{HostState, State, User, host_label};
use super::{Result, keys, machine, network, snapshot};

/// A host is up in about a second alone; this is for a machine that is busy with other tests.
const BOOT_TAKES: Duration = Duration::from_secs(60);

/// A machine of the lab. It can be used from several threads at once, for different things.
pub struct Host {
    lab: State,
    state: HostState,
}

impl Host {
    pub(super) fn all(lab: &State) -> Vec<Host> {
        lab.hosts.iter().map(|state| Host { lab: lab.clone(), state: state.clone() }).collect()
    }

    pub fn name(&self) -> &str {
        &self.state.name
    }

    pub fn address(&self) -> Ipv4Addr {
        network::address(self.lab.id, self.state.number)
    }

    /// Runs a shell command in the host as root, without ssh, and returns what it said whatever its exit code.
    #[track_caller]
    pub fn exec(&self, script: &str) -> Output {
        must(self.try_exec(script, b""))
    }

    /// `exec` with something on stdin.
    #[track_caller]
    pub fn exec_with(&self, script: &str, stdin: &[u8]) -> Output {
        must(self.try_exec(script, stdin))
    }

    /// Runs a shell command that must succeed, and returns its stdout without the last newline.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let output = self.exec(script);
        assert!(output.succeeded(), "{}: {script}: {output:?}", self.name());
        output.stdout.trim_end().to_owned()
    }

    /// A file's content, also when the host is off; None when there is no such file.
    #[track_caller]
    pub fn read(&self, path: &str) -> Option<String> {
        let script = format!("[ -e {0} ] || exit 44; exec cat {0}", quoted(path));
        let output = must(self.try_exec_on_or_off(&script, b""));
        match output.code {
            0 => Some(output.stdout),
            44 => None,
            _ => panic!("{}: cannot read {path}: {}", self.name(), output.stderr),
        }
    }

    /// Writes a file whole, with its folders, also when the host is off.
    #[track_caller]
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let script = format!("mkdir -p \"$(dirname {0})\" && exec cat >{0}", quoted(path));
        let output = must(self.try_exec_on_or_off(&script, content.as_ref()));
        assert!(output.succeeded(), "{}: cannot write {path}: {}", self.name(), output.stderr);
    }

    /// Cuts the host off: all packets are dropped, both ways. A power cycle heals, too.
    #[track_caller]
    pub fn cut(&self) {
        must(network::cut(self.lab.id, self.state.number));
    }

    /// Drops only the packets between this host and another; each still answers everyone else.
    #[track_caller]
    pub fn cut_from(&self, other: &Host) {
        must(network::cut_between(self.lab.id, self.state.number, other.address()));
    }

    /// Takes all cuts of this host away.
    #[track_caller]
    pub fn heal(&self) {
        must(network::heal(self.lab.id, self.state.number));
    }

    /// A power cut: the link goes first, then all processes at once. The disk stays.
    #[track_caller]
    pub fn power_off(&self) {
        must(self.try_power_off());
    }

    /// Boots the host from its disk (an empty one at first), and returns when sshd answers.
    #[track_caller]
    pub fn power_on(&self) {
        must(self.try_power_on());
    }

    /// `systemctl poweroff`, as an operator does it; returns when the host is off. (`reboot` ends in the same way: the
    /// host stays off until `power_on`.)
    #[track_caller]
    pub fn shut_down(&self) {
        self.exec("systemctl poweroff");
        let started = Instant::now();
        while self.is_on() {
            assert!(started.elapsed() < INSIDE, "{} does not shut down:\n{}", self.name(), self.console());
            thread::sleep(pause(started.elapsed()));
        }
        self.power_off();
    }

    /// Whether the host's systemd runs.
    pub fn is_on(&self) -> bool {
        machine::init_of(&self.label()).is_some()
    }

    /// A fresh machine in the place of this one: empty disk, same name, address and host keys, booted.
    #[track_caller]
    pub fn wipe(&self) {
        must(self.try_power_off().and_then(|()| self.disk().remove()).and_then(|()| self.try_power_on()));
    }

    /// New host keys from now on, which known_hosts does not know: what a wrong host key looks like.
    #[track_caller]
    pub fn change_host_keys(&self) {
        let keys = keys::host_keys(&self.lab.dir(), self.name());
        must(keys::create_host_keys(&keys, self.name()));
        must(self.install_host_keys());
        if self.is_on() {
            self.sh("systemctl restart ssh");
        }
    }

    /// Lets `date` on this host be wrong by so many seconds; 0 is right again. All hosts share one kernel, so only
    /// programs that ask `date` are misled.
    #[track_caller]
    pub fn skew_clock(&self, seconds: i64) {
        if seconds == 0 {
            self.sh("rm -f /usr/local/bin/date /usr/local/sbin/date");
            return;
        }
        // In both: a fixed PATH of root's has only the second.
        for folder in ["/usr/local/bin", "/usr/local/sbin"] {
            let date = format!("#!/bin/sh\nexec /bin/date -d \"{seconds} seconds\" \"$@\"\n");
            self.write(&format!("{folder}/date"), date);
            self.sh(&format!("chmod 0755 {folder}/date"));
        }
    }

    /// The host's root directory from outside. Follow no links in it: absolute ones lead to this machine's files.
    pub fn root_dir(&self) -> PathBuf {
        self.disk().root()
    }

    /// All files that differ from the image, by path in the host; see [`snapshot`] for what is left out.
    #[track_caller]
    pub fn snapshot_files(&self) -> std::collections::BTreeMap<PathBuf, snapshot::FileState> {
        must(snapshot::files(&self.disk().upper()))
    }

    /// The host's processes, those of `exec` included; none when it is off.
    #[track_caller]
    pub fn processes(&self) -> Vec<snapshot::Process> {
        machine::init_of(&self.label()).map(snapshot::processes).unwrap_or_default()
    }

    /// What systemd printed while booting, and nspawn's own errors.
    pub fn console(&self) -> String {
        fs::read_to_string(self.disk().console_log()).unwrap_or_default()
    }

    fn try_exec(&self, script: &str, stdin: &[u8]) -> Result<Output> {
        let init = machine::init_of(&self.label())
            .ok_or_else(|| Failure(format!("{} is off: cannot run {script}", self.name())))?;
        let mut command = machine::enter(init);
        command.args(["sh", "-c", script]);
        run(&mut command, stdin, INSIDE)
    }

    fn try_exec_on_or_off(&self, script: &str, stdin: &[u8]) -> Result<Output> {
        if self.is_on() {
            return self.try_exec(script, stdin);
        }
        let mut command = machine::in_root(&self.disk().root());
        command.args(["sh", "-c", script]);
        run(&mut command, stdin, INSIDE)
    }

    fn try_power_off(&self) -> Result<()> {
        network::unplug(self.lab.id, self.state.number)?;
        machine::kill(&self.label())?;
        network::forget(self.lab.id, self.state.number)
    }

    pub(super) fn try_power_on(&self) -> Result<()> {
        if self.is_on() {
            return Ok(());
        }
        let disk = self.disk();
        if !disk.upper().exists() {
            disk.create(&self.lab.image, self.state.disk_bytes)?;
            self.install()?;
        }
        // A host that shut itself down left its network and its control group.
        self.try_power_off()?;
        network::plug_in(self.lab.id, self.state.number)?;
        let (label, root, console_log, containers) = (self.label(), disk.root(), disk.console_log(), disk.containers());
        let init = machine::start(&machine::Machine {
            label: &label,
            hostname: self.name(),
            root: &root,
            console_log: &console_log,
            containers: self.lab.kubelet.then_some(containers.as_path()),
        })?;
        self.wait_until_booted(init)
    }

    /// sshd listens, and systemd has started the rest (until then, pam_nologin turns ordinary users away).
    fn wait_until_booted(&self, init: u32) -> Result<()> {
        let started = Instant::now();
        let sshd = SocketAddr::from((self.address(), 22));
        let mut listens = false;
        let mut state = String::new();
        while started.elapsed() < BOOT_TAKES {
            listens = listens || TcpStream::connect_timeout(&sshd, Duration::from_secs(1)).is_ok();
            if listens {
                state = machine::system_state(init)?;
                if state == "running" || state == "degraded" {
                    return Ok(());
                }
            }
            thread::sleep(pause(started.elapsed()));
        }
        let sshd = if listens { "sshd answers" } else { "sshd does not answer" };
        let (name, limit, console) = (self.name(), BOOT_TAKES.as_secs(), self.console());
        Err(Failure(format!("{name} did not boot in {limit} s: {sshd}, systemd says {state:?}; console:\n{console}")))
    }

    /// What makes an overlay of the image this host: its name, its id, its keys, its user.
    fn install(&self) -> Result<()> {
        let name = self.name();
        self.put("etc/hostname", &format!("{name}\n"), 0o644)?;
        self.put("etc/machine-id", &format!("{:016x}{:016x}\n", self.lab.id, self.state.number), 0o444)?;
        let others =
            self.lab.hosts.iter().map(|host| format!("{} {}\n", network::address(self.lab.id, host.number), host.name));
        let others: String = others.collect();
        self.put("etc/hosts", &format!("127.0.0.1 localhost\n::1 localhost\n{others}"), 0o644)?;
        self.install_host_keys()?;
        let public = keys::client_key(&self.lab.dir()).with_extension("pub");
        let public = fs::read(&public).map_err(|error| Failure::new(public.display(), error))?;
        let script = match self.lab.user_of(&self.state) {
            User::Root => AUTHORISE.to_owned(),
            User::WithSudo(user) => format!("u={user}; {MAKE_USER}{GIVE_SUDO}{AUTHORISE}"),
            User::WithoutSudo(user) => format!("u={user}; {MAKE_USER}{AUTHORISE}"),
        };
        machine::chroot(&self.disk().root(), &format!("set -eu; {script}"), &public)?;
        self.install_oddities()
    }

    fn install_oddities(&self) -> Result<()> {
        let (oddities, user) = (&self.state.oddities, self.lab.user_of(&self.state).name());
        if oddities.names.is_empty() {
            return Ok(());
        }
        let mut script = format!("set -eu; u={user}; eval home=~$u\n{}", oddities.before);
        if !oddities.at_boot.trim().is_empty() {
            self.put("etc/odd-boot.sh", &format!("set -eu\n{}", oddities.at_boot), 0o644)?;
            self.put("etc/systemd/system/odd-boot.service", ODD_BOOT, 0o644)?;
            script.push_str("systemctl enable --quiet odd-boot.service\n");
        }
        machine::chroot(&self.disk().root(), &script, b"").map(|_silent| ())
    }

    fn install_host_keys(&self) -> Result<()> {
        let keys = keys::host_keys(&self.lab.dir(), self.name());
        let entries = fs::read_dir(&keys).map_err(|error| Failure::new(keys.display(), error))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let content = fs::read_to_string(entry.path()).map_err(|error| Failure::new(&name, error))?;
            let mode = if name.ends_with(".pub") { 0o644 } else { 0o600 };
            self.put(&format!("etc/ssh/{name}"), &content, mode)?;
        }
        Ok(())
    }

    /// Writes below the root directory from outside, in folders of the image that hold no links.
    fn put(&self, path: &str, content: &str, mode: u32) -> Result<()> {
        let path = self.disk().root().join(path);
        let written = fs::write(&path, content);
        let done = written.and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)));
        done.map_err(|error| Failure::new(path.display(), error))
    }

    fn label(&self) -> String {
        host_label(self.lab.id, self.state.number)
    }

    fn disk(&self) -> Disk {
        Disk::at(self.lab.dir().join("hosts").join(self.name()))
    }
}

/// "*" is no password that could be typed, and unlike "!" no locked account.
const MAKE_USER: &str = "useradd --create-home --shell /bin/sh --password '*' \"$u\"; ";
const GIVE_SUDO: &str = "echo \"$u ALL=(ALL:ALL) NOPASSWD:ALL\" >/etc/sudoers.d/$u; chmod 0440 /etc/sudoers.d/$u; ";
const AUTHORISE: &str = "u=${u:-root}; eval home=~$u; install -d -m 0700 -o $u -g $u $home/.ssh; \
     cat >$home/.ssh/authorized_keys; chown $u:$u $home/.ssh/authorized_keys; chmod 0600 $home/.ssh/authorized_keys";

/// With what a host is given at each boot, before anybody logs in and before etcd.
const ODD_BOOT: &str = "[Unit]\nDescription=What this host is like\nDefaultDependencies=no\n\
     After=local-fs.target systemd-tmpfiles-setup.service systemd-sysctl.service\nBefore=ssh.service etcd.service\n\n\
     [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh /etc/odd-boot.sh\n\n\
     [Install]\nWantedBy=multi-user.target\n";

fn quoted(path: &str) -> String {
    // A path of a test has no NUL byte, which is all that shlex refuses.
    shlex::try_quote(path).expect("a path without NUL").into_owned()
}
