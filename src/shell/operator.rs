//! Who runs this quorate: for locks, events, and the hosts' logs.

/// The person, the machine and the process.
pub fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| named(rustix::process::getuid().as_raw()));
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    format!("{user}@{machine}, process {}", std::process::id())
}

/// Where the session does not say who it is: cron, a pipeline.
fn named(uid: u32) -> String {
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        (fields.nth(1)? == uid.to_string()).then_some(name)
    };
    accounts.lines().find_map(name).unwrap_or_else(|| format!("uid {uid}"))
}
