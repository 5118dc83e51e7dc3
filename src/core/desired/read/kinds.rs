//! The kinds of text that only some keys have: names, addresses, destinations, versions, paths.

use core::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::problem::Problem;
use super::value::Value;
use crate::core::names::{Digest, RemotePath, Version};

/// A name that etcd, a file system and a shell all take as it is; why `text` is not one.
///
/// etcd splits `initial-cluster` at commas and equals signs (embed/config.go, checked at 3.7.3).
pub(crate) fn check_name(text: &str) -> Result<(), &'static str> {
    const LENGTH_MAX: usize = 63;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > LENGTH_MAX {
        Err("it is longer than 63 characters")
    } else if !text.bytes().all(plain) {
        Err("use letters, digits, `-`, `.` and `_` only")
    } else if !text.as_bytes()[0].is_ascii_alphanumeric() {
        Err("it must start with a letter or a digit")
    } else {
        Ok(())
    }
}

/// A name as a value.
pub(super) fn name<'t>(value: &Value<'t>) -> Result<&'t str, Problem> {
    let text = value.text()?;
    check_name(text).map_err(|why| value.problem(format!("{text:?} is not a valid name")).hint(why))?;
    Ok(text)
}

/// The version of etcd to run.
pub(super) fn version(value: &Value) -> Result<Version, Problem> {
    let text = value.text().map_err(|problem| problem.hint("write all three numbers in quotes: \"3.6.16\""))?;
    let version: Version = text.parse().map_err(|_| {
        let problem = value.problem(format!("{text:?} is not a valid version"));
        match text.strip_prefix('v') {
            Some(rest) if rest.parse::<Version>().is_ok() => problem.hint(format!("write \"{rest}\", without the v")),
            _ => problem.hint("write three numbers: \"3.6.16\""),
        }
    })?;
    if version.major != 3 || !(4..=7).contains(&version.minor) {
        return Err(value.problem(format!("etcd {version} is not supported")).hint("supported: 3.4, 3.5, 3.6 and 3.7"));
    }
    // https://etcd.io/blog/2022/postmortem-3.5-inconsistency: a crash under load could leave members with different data.
    if version.minor == 5 && version.patch <= 2 {
        return Err(value
            .problem(format!("etcd {version} is not supported"))
            .label("3.5.0 to 3.5.2 can corrupt data")
            .hint("use 3.5.6 or newer"));
    }
    Ok(version)
}

/// An IP address or a DNS name, in the one spelling that URLs and certificates are made from.
pub(super) fn address(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    parse_address(text).map_err(|hint| value.problem(format!("{text:?} is not a valid address")).hint(hint))
}

/// The canonical spelling of an address, or what to write instead.
pub(crate) fn parse_address(text: &str) -> Result<String, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return if ip.is_unspecified() || ip.is_multicast() {
            Err("peers and clients must be able to connect to it".to_owned())
        } else {
            Ok(ip.to_string())
        };
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("write only the host, without a scheme: {:?}", host_of(rest)));
    }
    if text.starts_with('[') || text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        return Err(format!(
            "write only the host, without port or brackets: {:?}; ports are set in [ports]",
            host_of(text)
        ));
    }
    check_dns_name(text)?;
    Ok(text.to_ascii_lowercase())
}

/// The host in `[host]:port/path`.
fn host_of(text: &str) -> &str {
    let authority = text.split('/').next().unwrap_or(text);
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or(authority),
    }
}

/// Why `text` is not a DNS name.
fn check_dns_name(text: &str) -> Result<(), String> {
    let label_ok = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or(text);
    if text.len() > 253 || !text.split('.').all(label_ok) {
        Err("use an IP address (\"10.0.0.11\", \"fd00::11\") or a DNS name (\"etcd-1.example\")".to_owned())
    } else if last.bytes().all(|byte| byte.is_ascii_digit()) {
        Err("an IPv4 address has four numbers from 0 to 255".to_owned())
    } else {
        Ok(())
    }
}

/// A name in a server certificate: an address, or a DNS name whose first label may be `*`.
pub(super) fn server_name(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    let checked = match text.strip_prefix("*.") {
        Some(rest) => check_dns_name(rest).map(|()| text.to_ascii_lowercase()),
        None => parse_address(text),
    };
    checked.map_err(|hint| value.problem(format!("{text:?} is not a valid server name")).hint(hint))
}

/// What ssh connects to: a host or alias, or `user@host:port`. Nothing that ssh would take for an option.
pub(super) fn ssh_destination(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    let problem = |hint: &str| value.problem(format!("{text:?} is not a valid ssh destination")).hint(hint);
    if text.contains("://") {
        return Err(problem("write user@host:port, without a scheme"));
    }
    let (user, rest) = match text.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, text),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, tail)) => (host, Some(tail.strip_prefix(':').unwrap_or(""))),
        // More than one colon is an IPv6 address without a port.
        None if rest.matches(':').count() == 1 => {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        }
        None => (rest, None),
    };
    if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
        return Err(problem("the port must be between 1 and 65535"));
    }
    let plain = |word: &str| !word.is_empty() && !word.starts_with('-') && word.chars().all(|c| c.is_ascii_graphic());
    if !plain(host) || !user.is_none_or(plain) {
        return Err(problem("use a host, an alias from the ssh config, or user@host:port"));
    }
    Ok(text.to_owned())
}

/// The name of a user to log in as.
pub(super) fn user(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '@' | ':' | '/'));
    if text.is_empty() || text.starts_with('-') || !plain {
        return Err(value.problem(format!("{text:?} is not a valid user name")));
    }
    Ok(text.to_owned())
}

/// A SHA-256.
pub(super) fn digest(value: &Value) -> Result<Digest, Problem> {
    let text = value.text()?;
    text.parse().map_err(|_| {
        value
            .problem(format!("`{}` is not a valid SHA-256", value.key()))
            .label(format!("{} characters", text.chars().count()))
            .hint("write 64 hexadecimal digits: the first word that `sha256sum` prints")
    })
}

/// Where local paths start from.
#[derive(Clone, Copy)]
pub(super) struct Local<'a> {
    /// The folder of cluster.toml.
    pub folder: &'a Path,
    pub home: Option<&'a Path>,
}

impl Local<'_> {
    /// A path on this machine, made absolute: `~/` is the home folder, and relative ones start beside the file.
    pub fn path(&self, value: &Value) -> Result<PathBuf, Problem> {
        let text = value.text()?;
        if text.is_empty() || text.contains('\0') {
            return Err(value.problem(format!("`{}` is not a valid path", value.key())));
        }
        let path = match (text.strip_prefix('~'), self.home) {
            (None, _) => self.folder.join(text),
            (Some(""), Some(home)) => home.to_owned(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            (Some(rest), None) if rest.is_empty() || rest.starts_with('/') => {
                return Err(value.problem("`~` cannot be resolved: HOME is not set").hint("write the full path"));
            }
            (Some(_), _) => {
                return Err(value
                    .problem(format!("{text:?} is another user's home directory"))
                    .hint("write the full path"));
            }
        };
        Ok(normal(&path))
    }
}

/// `path` without `.` and `name/..`, by its text alone.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            Component::ParentDir if normal.has_root() => {}
            other => normal.push(other),
        }
    }
    normal
}

/// A path on the hosts: absolute, in its shortest spelling, and of characters that a unit file takes as they are.
/// A name as it may stand in that of a file.
pub(super) fn host_name(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    check_name(text).map_err(|why| value.problem(format!("{text:?} is not a valid host name")).hint(why))?;
    Ok(text.to_owned())
}

pub(super) fn remote_path(value: &Value) -> Result<RemotePath, Problem> {
    let text = value.text()?;
    let problem = |hint: String| Err(value.problem(format!("`{}` is not a usable path", value.key())).hint(hint));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'+' | b'@');
    if !text.starts_with('/') {
        return problem("paths on the hosts must be absolute".to_owned());
    }
    if !text.bytes().all(plain) {
        return problem("use letters, digits and / - . _ + @ only".to_owned());
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return problem("it cannot be the root directory".to_owned());
    }
    let shortest = format!("/{}", parts.join("/"));
    if parts.contains(&"..") {
        return problem("write it without `..`".to_owned());
    }
    if shortest != text {
        return problem(format!("write {shortest:?}"));
    }
    Ok(RemotePath::new(shortest))
}
