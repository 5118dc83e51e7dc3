//! Who runs this quorate: for locks, events, and the hosts' logs.

/// The person, the machine and the process.
pub fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(named);
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    format!("{user}@{machine}, process {}", std::process::id())
}

/// Where the session does not say who it is: cron, a pipeline.
fn named() -> String {
    let uid = nix::unistd::getuid();
    let account = nix::unistd::User::from_uid(uid).ok().flatten();
    account.map_or_else(|| format!("uid {uid}"), |account| account.name)
}
