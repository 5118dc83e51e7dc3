//! From the name a user wrote to everything needed to connect: what `ssh -G` says, under what cluster.toml says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::error::SshError;
use crate::core::desired::SshClient;
use crate::core::span;

/// How to reach one host, as written. Paths are absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// A host name, an address, or a `Host` of the SSH configuration.
    pub alias: String,
    /// What is set here wins over the SSH configuration.
    pub user: Option<String>,
    pub port: Option<u16>,
    /// An SSH configuration instead of the user's own (`ssh -F`).
    pub config: Option<PathBuf>,
    /// The only known hosts file to believe.
    pub known_hosts: Option<PathBuf>,
    pub client: SshClient,
}

/// Everything needed to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The name the user wrote, for messages.
    pub label: String,
    pub hostname: String,
    pub port: u16,
    pub user: String,
    /// Looked up in known hosts instead of the host name, and without the port.
    pub host_key_alias: Option<String>,
    pub known_hosts: Vec<PathBuf>,
    /// The one file, if the user set one.
    pub known_hosts_set: Option<PathBuf>,
    pub identity_files: Vec<PathBuf>,
    pub certificate_files: Vec<PathBuf>,
    pub identities_only: bool,
    pub agent: Option<PathBuf>,
    pub proxy: Option<Proxy>,
    pub connect_timeout: Option<Duration>,
    pub config: Option<PathBuf>,
    /// As [`Target::typed`].
    pub typed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `[user@]host[:port]`, several with commas between, nearest first.
    Jump(String),
    /// A command line for sh, with ssh's % tokens already replaced.
    Command(String),
}

/// ssh -G takes 4 ms. Only a `Match exec` in the configuration can make it slow.
const SSH_G_TIMEOUT: Duration = Duration::from_secs(10);

impl Target {
    /// Reads `host`, `user@host`, `host:port`, `user@host:port`, `[v6]:port`; a bare IPv6 address is a host.
    pub fn parse(text: &str) -> Result<Target, SshError> {
        let bad = |reason: &str| SshError::Malformed { host: text.to_owned(), reason: reason.to_owned() };
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (host, port) = split_port(rest).map_err(bad)?;
        if user.is_some_and(str::is_empty) || host.is_empty() {
            return Err(bad("expected host, user@host or user@host:port"));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || "'\"`$\\;&|<>(){}".contains(c)) {
            return Err(bad("the host name has invalid characters"));
        }
        if [user.unwrap_or_default(), host].iter().any(|part| part.starts_with('-')) {
            return Err(bad("a host name cannot start with a dash"));
        }
        Ok(Target { alias: host.to_owned(), user: user.map(str::to_owned), port, ..Target::default() })
    }

    /// What is typed behind `ssh` to go there by hand in the same way: `-F ssh_config -l ops -p 2222 etcd-1`. The way over
    /// other hosts stands in the configuration.
    #[must_use]
    pub fn typed(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut option = |key: &str, value: String| words.extend([key.to_owned(), quoted(&value)]);
        if let Some(config) = &self.config {
            option("-F", config.display().to_string());
        }
        if let Some(user) = &self.user {
            option("-l", user.clone());
        }
        if let Some(port) = self.port {
            option("-p", port.to_string());
        }
        if let Some(file) = &self.known_hosts {
            option("-o", format!("UserKnownHostsFile={}", file.display()));
        }
        words.push(self.alias.clone());
        words.join(" ")
    }

    /// Asks ssh, if there is one, what its configuration says about this host.
    pub async fn resolve(&self) -> Result<Resolved, SshError> {
        let bad = |reason: String| SshError::Unresolvable { host: self.alias.clone(), reason, typed: self.typed() };
        let mut command = tokio::process::Command::new("ssh");
        // Its own process group: a ^C that ends it would look as if ssh had failed.
        command.arg("-G").stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        if let Some(config) = &self.config {
            command.arg("-F").arg(config);
        }
        if let Some(user) = &self.user {
            command.arg("-l").arg(user);
        }
        if let Some(port) = self.port {
            command.arg("-p").arg(port.to_string());
        }
        command.arg("--").arg(&self.alias);
        match tokio::time::timeout(SSH_G_TIMEOUT, command.output()).await {
            Err(_) => Err(bad(format!("ssh -G did not finish within {}", span::limit(SSH_G_TIMEOUT)))),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => match &self.config {
                Some(_) => Err(bad("an ssh config is set, but this machine has no ssh program to read it".into())),
                None => Ok(self.merge(&Settings::default())),
            },
            Ok(Err(error)) => Err(bad(format!("ssh -G could not be run: {error}"))),
            Ok(Ok(output)) if !output.status.success() => {
                Err(bad(format!("ssh -G printed: {}", String::from_utf8_lossy(&output.stderr).trim())))
            }
            Ok(Ok(output)) => Ok(self.merge(&Settings::parse(&String::from_utf8_lossy(&output.stdout)))),
        }
    }

    fn merge(&self, settings: &Settings) -> Resolved {
        let home = std::env::home_dir().unwrap_or_default();
        let local_user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "root".into());
        let tokens = Tokens {
            alias: self.alias.clone(),
            hostname: settings.one("hostname").unwrap_or(&self.alias).to_owned(),
            port: self.port.or_else(|| settings.one("port")?.parse().ok()).unwrap_or(22),
            user: self.user.clone().or_else(|| settings.one("user").map(str::to_owned)).unwrap_or(local_user.clone()),
            local_user,
            home: home.to_string_lossy().into_owned(),
        };
        let paths = |key: &str| -> Vec<PathBuf> {
            let words = settings.all(key).iter().filter(|value| *value != "none");
            words.map(|value| PathBuf::from(tokens.path(value))).collect()
        };
        let lists = |key: &str| -> Vec<PathBuf> {
            let words =
                settings.all(key).iter().flat_map(|value| value.split_whitespace()).filter(|word| *word != "none");
            words.map(|word| PathBuf::from(tokens.path(word))).collect()
        };
        let known_hosts = match &self.known_hosts {
            Some(file) => vec![file.clone()],
            None if settings.is_empty() => vec![home.join(".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts".into()],
            None => [lists("userknownhostsfile"), lists("globalknownhostsfile")].concat(),
        };
        let identity_files = match settings.is_empty() {
            true => ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| home.join(".ssh").join(name)).into(),
            false => paths("identityfile"),
        };
        let agent_from_environment = || std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
        let agent = match settings.one("identityagent") {
            Some("none") => None,
            None | Some("SSH_AUTH_SOCK") => agent_from_environment(),
            Some(variable) if variable.starts_with('$') => {
                std::env::var_os(variable.trim_start_matches('$').trim_matches(['{', '}'])).map(PathBuf::from)
            }
            Some(path) => Some(tokens.path(path).into()),
        };
        let proxy = match (settings.one("proxyjump"), settings.one("proxycommand")) {
            (Some(jump), _) if jump != "none" => Some(Proxy::Jump(jump.to_owned())),
            (_, Some(command)) if command != "none" => Some(Proxy::Command(tokens.replace(command))),
            _ => None,
        };
        Resolved {
            label: self.alias.clone(),
            host_key_alias: settings.one("hostkeyalias").map(str::to_owned),
            known_hosts,
            known_hosts_set: self.known_hosts.clone(),
            identity_files,
            certificate_files: paths("certificatefile"),
            identities_only: settings.one("identitiesonly") == Some("yes"),
            agent: agent.filter(|path| !path.as_os_str().is_empty()),
            proxy,
            connect_timeout: settings.one("connecttimeout").and_then(|s| s.parse().ok()).map(Duration::from_secs),
            config: self.config.clone(),
            typed: self.typed(),
            hostname: tokens.hostname,
            port: tokens.port,
            user: tokens.user,
        }
    }
}

/// `host`, `host:port` or `[v6]:port`. More than one colon without brackets is a bare IPv6 address.
fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let port =
        |digits: &str| digits.parse().ok().filter(|port| *port != 0).ok_or("the port must be between 1 and 65535");
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("the bracket is not closed")?;
        return match after.strip_prefix(':') {
            Some(digits) => Ok((host, Some(port(digits)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("expected [address]:port"),
        };
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') => Ok((host, Some(port(digits)?))),
        _ => Ok((text, None)),
    }
}

fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// The lines of `ssh -G`: a lower-case key, a space, the value. Some keys come several times.
#[derive(Debug, Default)]
struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    fn parse(text: &str) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            settings.0.entry(key.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        settings
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn one(&self, key: &str) -> Option<&str> {
        self.all(key).first().map(String::as_str)
    }

    fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What ssh's % tokens stand for (ssh_config(5), TOKENS).
struct Tokens {
    alias: String,
    hostname: String,
    port: u16,
    user: String,
    local_user: String,
    home: String,
}

impl Tokens {
    fn path(&self, text: &str) -> String {
        let text = self.replace(text.trim_matches('"'));
        match text.strip_prefix("~/") {
            Some(rest) => format!("{}/{rest}", self.home),
            None => text,
        }
    }

    fn replace(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                result.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => result.push('%'),
                Some('h') => result.push_str(&self.hostname),
                Some('n' | 'k') => result.push_str(&self.alias),
                Some('p') => result.push_str(&self.port.to_string()),
                Some('r') => result.push_str(&self.user),
                Some('u') => result.push_str(&self.local_user),
                Some('d') => result.push_str(&self.home),
                Some(other) => result.extend(['%', other]),
                None => result.push('%'),
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, String, Option<u16>) {
        let target = Target::parse(text).expect("parses");
        (target.user, target.alias, target.port)
    }

    #[test]
    fn reads_every_way_of_writing_a_host() {
        let host = |user: Option<&str>, host: &str, port| (user.map(str::to_owned), host.to_owned(), port);
        assert_eq!(parsed("etcd-1"), host(None, "etcd-1", None));
        assert_eq!(parsed("ops@etcd-1"), host(Some("ops"), "etcd-1", None));
        assert_eq!(parsed("ops@etcd-1:2222"), host(Some("ops"), "etcd-1", Some(2222)));
        assert_eq!(parsed("10.0.0.1:22"), host(None, "10.0.0.1", Some(22)));
        assert_eq!(parsed("[fd00::1]:2222"), host(None, "fd00::1", Some(2222)));
        assert_eq!(parsed("ops@[fd00::1]"), host(Some("ops"), "fd00::1", None));
        assert_eq!(parsed("fd00::1"), host(None, "fd00::1", None));
    }

    #[test]
    fn refuses_what_is_no_host() {
        for text in ["", "@host", "user@", "host:0", "host:99999", "host:ssh", "[fd00::1", "[::1]x", "-oProxyCommand=x"]
        {
            assert!(Target::parse(text).is_err(), "{text:?} must be refused");
        }
        for text in ["a b", "a;b", "a$(b)", "ops@-x", "a\nb"] {
            assert!(Target::parse(text).is_err(), "{text:?} must be refused");
        }
    }

    const SSH_G: &str = "host etcd-1\nuser ops\nhostname 10.0.0.11\nport 2222\nidentitiesonly yes\n\
        identityfile ~/.ssh/id_%r\nidentityfile /keys/b\ncertificatefile ~/c-cert.pub\n\
        userknownhostsfile /home/x/kh1 /home/x/kh2\nglobalknownhostsfile none\nidentityagent none\n\
        proxycommand nc -X %% %h %p\nconnecttimeout 7\nhostkeyalias etcd-one\n";

    #[test]
    fn takes_what_ssh_says() {
        let resolved = Target::parse("etcd-1").unwrap().merge(&Settings::parse(SSH_G));
        let home = std::env::home_dir().unwrap_or_default();
        assert_eq!((resolved.hostname.as_str(), resolved.port, resolved.user.as_str()), ("10.0.0.11", 2222, "ops"));
        assert_eq!(resolved.identity_files, [home.join(".ssh/id_ops"), "/keys/b".into()]);
        assert_eq!(resolved.certificate_files, [home.join("c-cert.pub")]);
        assert_eq!(resolved.known_hosts, [PathBuf::from("/home/x/kh1"), "/home/x/kh2".into()]);
        assert_eq!(resolved.agent, None);
        assert!(resolved.identities_only);
        assert_eq!(resolved.proxy, Some(Proxy::Command("nc -X % 10.0.0.11 2222".into())));
        assert_eq!(resolved.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(resolved.host_key_alias.as_deref(), Some("etcd-one"));
    }

    /// What is pasted from a hint goes the way that failed, and no other.
    #[test]
    fn what_is_typed_by_hand_goes_the_same_way() {
        assert_eq!(Target::parse("etcd-1").unwrap().typed(), "etcd-1");
        let target = Target {
            config: Some("/repo/my ssh_config".into()),
            known_hosts: Some("/repo/known_hosts".into()),
            ..Target::parse("nobody@10.82.0.11:2222").unwrap()
        };
        let way = "-F '/repo/my ssh_config' -l nobody -p 2222 -o 'UserKnownHostsFile=/repo/known_hosts' 10.82.0.11";
        assert_eq!(target.typed(), way);
        assert_eq!(target.merge(&Settings::parse(SSH_G)).typed, way);
        let (host, tried) = ("10.82.0.11".to_owned(), Vec::new());
        let refused = SshError::Auth { host: host.clone(), user: "nobody".to_owned(), tried, typed: target.typed() };
        assert!(refused.hint().contains(&format!("`ssh -o BatchMode=yes {way} true`")), "{}", refused.hint());
        let unresolvable = SshError::Unresolvable { host, reason: "no address".to_owned(), typed: target.typed() };
        assert!(unresolvable.hint().contains(&format!("`ssh -G {way}`")), "{}", unresolvable.hint());
    }

    #[test]
    fn explicit_settings_win() {
        let target = Target {
            user: Some("root".into()),
            port: Some(22),
            known_hosts: Some("/repo/known_hosts".into()),
            ..Target::parse("etcd-1").unwrap()
        };
        let resolved = target.merge(&Settings::parse(SSH_G));
        assert_eq!((resolved.user.as_str(), resolved.port), ("root", 22));
        assert_eq!(resolved.known_hosts, [PathBuf::from("/repo/known_hosts")]);
    }

    #[test]
    fn without_ssh_the_usual_places_are_used() {
        let resolved = Target::parse("ops@h:23").unwrap().merge(&Settings::default());
        assert_eq!((resolved.hostname.as_str(), resolved.port, resolved.user.as_str()), ("h", 23, "ops"));
        assert_eq!(resolved.identity_files.len(), 3);
        assert!(resolved.known_hosts[0].ends_with(".ssh/known_hosts"));
    }
}
