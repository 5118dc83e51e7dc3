//! The test lab as a command: real Debian hosts on this machine, to try quorate on by hand. Needs root.
//!
//! ```text
//! cargo run --example lab -- up 3             boot three hosts; they stay up until `down`
//! cargo run --example lab -- ssh etcd-1       a shell, or a command, over ssh
//! cargo run --example lab -- archive 3.5      an etcd archive for [etcd.archive]
//! ```

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use lab::{Lab, Series, User};

/// Debian hosts for trying quorate, on this machine.
#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    /// Which lab, when several are up; `up` prints the number.
    #[arg(long, global = true)]
    lab: Option<u8>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Boots hosts, which stay up until `down`.
    Up {
        hosts: usize,
        /// An ordinary user with passwordless sudo logs in, instead of root.
        #[arg(long)]
        user: Option<String>,
        /// That user has no sudo right.
        #[arg(long, requires = "user")]
        no_sudo: bool,
        /// Hosts more, which are off until `power-on`.
        #[arg(long, default_value_t = 0)]
        idle: usize,
        /// Size of a disk in MiB.
        #[arg(long, default_value_t = 2048)]
        disk_mib: u64,
        /// Hosts with containerd, a kubelet and kubeadm.
        #[arg(long)]
        kubelet: bool,
        /// Does not mention the etcd archives. (The hosts never have etcd installed.)
        #[arg(long)]
        etcd_free: bool,
    },
    /// Makes hosts that have a kubelet members of one etcd cluster, by kubeadm's own phases.
    Kubeadm,
    /// A shell or a command on a host, over ssh as the lab's user.
    Ssh {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// A command on a host as root, without ssh: it works while the host is cut off.
    Exec {
        host: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Drops all packets of a host, or those between it and another.
    Cut { host: String, from: Option<String> },
    /// Takes the cuts away.
    Heal { host: String },
    /// A power cut.
    PowerOff { host: String },
    /// Boots from the disk as it was left.
    PowerOn { host: String },
    /// A fresh, empty machine with the same name, address and host keys.
    Wipe { host: String },
    /// New host keys, which known_hosts does not know.
    ChangeHostKeys { host: String },
    /// Which hosts there are and whether they are on.
    Status,
    /// Ends the lab.
    Down,
    /// Makes the hosts' images and every etcd archive, so that tests need not wait for them.
    Prepare,
    /// Which etcd archives there are.
    Versions,
    /// Makes an etcd archive if need be, and prints its version, path and SHA-256.
    Archive { series: Series },
}

fn main() -> ExitCode {
    // The lab panics with a whole message; the line of its source means nothing to who typed the command.
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload().downcast_ref::<String>().map(String::as_str);
        let message = message.or(panic.payload().downcast_ref::<&str>().copied());
        eprintln!("error: {}", message.unwrap_or("the lab gave no reason"));
    }));
    let arguments = Arguments::parse();
    match arguments.verb {
        Verb::Versions => versions(),
        Verb::Prepare => return prepare(),
        Verb::Archive { series } => return archive(series),
        verb => {
            if let Err(why) = Lab::available() {
                eprintln!("error: {why}");
                return ExitCode::FAILURE;
            }
            return with_lab(verb, arguments.lab);
        }
    }
    ExitCode::SUCCESS
}

fn with_lab(verb: Verb, id: Option<u8>) -> ExitCode {
    let kept = || match (id, &Lab::kept()[..]) {
        (Some(id), _) => Lab::attach(id),
        (None, [id]) => Lab::attach(*id),
        (None, []) => panic!("no lab is up: cargo run --example lab -- up 3"),
        (None, ids) => panic!("several labs are up, say which: --lab {ids:?}"),
    };
    match verb {
        Verb::Up { hosts, user, no_sudo, idle, disk_mib, kubelet, etcd_free } => {
            let user = match user {
                None => User::Root,
                Some(name) if no_sudo => User::WithoutSudo(name),
                Some(name) => User::WithSudo(name),
            };
            let lab = lab::Lab::builder().hosts(hosts).idle(idle).user(user).disk_bytes(disk_mib << 20).weight(0);
            let lab = if kubelet { lab.kubelet() } else { lab };
            // Whoever tries something by hand meets no oddity that was not asked for.
            let is_asked = std::env::var_os("QUORATE_ODDITIES").is_some();
            up(if is_asked { lab } else { lab.plain() }, etcd_free);
        }
        Verb::Kubeadm => {
            let started = Instant::now();
            lab::kubeadm::members(kept().hosts());
            eprintln!("all are members after {:.1} s", started.elapsed().as_secs_f64());
        }
        Verb::Ssh { host, command } => {
            let error = kept().ssh_command(&host).args(command).exec();
            eprintln!("error: ssh: {error}");
            return ExitCode::FAILURE;
        }
        Verb::Exec { host, command } => {
            let output = kept().host(&host).exec(&command.join(" "));
            print!("{}", output.stdout);
            eprint!("{}", output.stderr);
            return ExitCode::from(u8::try_from(output.code).unwrap_or(1));
        }
        Verb::Cut { host, from: None } => kept().host(&host).cut(),
        Verb::Cut { host, from: Some(other) } => {
            let lab = kept();
            lab.host(&host).cut_from(lab.host(&other));
        }
        Verb::Heal { host } => kept().host(&host).heal(),
        Verb::PowerOff { host } => kept().host(&host).power_off(),
        Verb::PowerOn { host } => kept().host(&host).power_on(),
        Verb::Wipe { host } => kept().host(&host).wipe(),
        Verb::ChangeHostKeys { host } => kept().host(&host).change_host_keys(),
        Verb::Status => Lab::kept().into_iter().for_each(|id| describe(&Lab::attach(id))),
        Verb::Down => kept().tear_down(),
        Verb::Versions | Verb::Prepare | Verb::Archive { .. } => unreachable!("handled without a lab"),
    }
    ExitCode::SUCCESS
}

fn up(builder: lab::Builder, etcd_free: bool) {
    let started = Instant::now();
    let lab = builder.up();
    eprintln!("up after {:.1} s", started.elapsed().as_secs_f64());
    describe(&lab);
    lab.keep();
    if !etcd_free {
        versions();
    }
}

fn describe(lab: &Lab) {
    println!("lab {}", lab.id());
    for host in lab.hosts() {
        println!("  {}  {}  {}", host.name(), host.address(), if host.is_on() { "on" } else { "off" });
    }
    println!("  user         {}", lab.user().name());
    println!("  key          {}", lab.key().display());
    println!("  known_hosts  {}", lab.known_hosts().display());
    println!("  ssh_config   {}", lab.ssh_config().display());
}

/// A version that cannot be had is named, and is no failure: the tests that need it are skipped by name.
fn prepare() -> ExitCode {
    if let Err(why) = Lab::available() {
        eprintln!("error: {why}");
        return ExitCode::FAILURE;
    }
    drop(Lab::up(1));
    for &series in Series::ALL {
        match lab::etcd_archive(series) {
            Ok(archive) => println!("etcd {series}: {}", archive.version),
            Err(skip) => println!("etcd {series} cannot be had: {skip}"),
        }
    }
    match lab::kubelet::available() {
        Ok(()) => println!("kubelet: {}", lab::kubelet::KUBERNETES),
        Err(skip) => println!("{skip}"),
    }
    ExitCode::SUCCESS
}

fn versions() {
    for &series in Series::ALL {
        match lab::cached_archive(series) {
            Some(archive) => println!("etcd {series}: {} {}", archive.version, archive.path.display()),
            None => println!("etcd {series}: not made yet (lab archive {series})"),
        }
    }
}

fn archive(series: Series) -> ExitCode {
    match lab::etcd_archive(series) {
        Ok(archive) => {
            println!("version = {}\npath = {}\nsha256 = {}", archive.version, archive.path.display(), archive.sha256);
            ExitCode::SUCCESS
        }
        Err(skip) => {
            eprintln!("error: {skip}");
            ExitCode::FAILURE
        }
    }
}
