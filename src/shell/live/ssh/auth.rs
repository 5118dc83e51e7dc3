//! Logging in, in OpenSSH's order: the agent's keys that the configuration names, the agent's other keys, key files.
//! Each thing tried leaves a line for the error.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ssh2::{Agent, ErrorCode, PublicKey as AgentKey, Session};
use zeroize::Zeroizing;

use super::blob;
use super::clock::{Clock, Failure, retry};
use super::error::SshError;
use super::target::Resolved;
use super::wire::Wire;

pub(super) fn authenticate(session: &Session, wire: &Wire, resolved: &Resolved, clock: Clock) -> Result<(), SshError> {
    wire.set_agent_deadline(clock.deadline);
    let mut login = Login { session, wire, resolved, clock, tried: Vec::new() };
    let files: Vec<KeyFile> = resolved.identity_files.iter().filter_map(|path| KeyFile::read(path, resolved)).collect();
    if login.with_agent(&files)? || login.with_files(&files)? {
        return Ok(());
    }
    if login.tried.is_empty() {
        login.tried.push("nothing: there is no key file".into());
    }
    // Asked only now: it costs a round trip, and matters only for the message. "none" may even be enough.
    let methods = retry(wire, clock, || match session.auth_methods(&resolved.user) {
        _ if session.authenticated() => Ok(String::new()),
        methods => methods.map(str::to_owned),
    });
    match methods {
        Ok(_) if session.authenticated() => return Ok(()),
        Ok(methods) if !methods.split(',').any(|method| method == "publickey") => {
            login.tried.push(format!("the server only accepts {methods}"));
        }
        _ => {}
    }
    Err(login.failed())
}

struct Login<'a> {
    session: &'a Session,
    wire: &'a Wire,
    resolved: &'a Resolved,
    clock: Clock,
    tried: Vec<String>,
}

impl Login<'_> {
    fn with_agent(&mut self, files: &[KeyFile]) -> Result<bool, SshError> {
        let Some(path) = &self.resolved.agent else {
            self.tried.push("no ssh agent (SSH_AUTH_SOCK is not set)".into());
            return Ok(false);
        };
        let (agent, keys) = match open_agent(self.session, path) {
            Ok(opened) => opened,
            Err(error) => {
                self.tried.push(format!("ssh agent at {}: {}", path.display(), error.message()));
                return Ok(false);
            }
        };
        let named = |key: &&AgentKey| files.iter().any(|file| file.publics.iter().any(|blob| blob == key.blob()));
        let (first, rest): (Vec<&AgentKey>, Vec<&AgentKey>) = keys.iter().partition(named);
        let rest = if self.resolved.identities_only { Vec::new() } else { rest };
        if first.is_empty() && rest.is_empty() {
            let what =
                if keys.is_empty() { "holds no key" } else { "holds none of the keys that IdentitiesOnly allows" };
            self.tried.push(format!("ssh agent at {} {what}", path.display()));
        }
        for key in first.into_iter().chain(rest) {
            let name = format!("agent key {} ({})", blob::fingerprint(key.blob()), key.comment());
            if self.attempt(name, || agent.userauth(&self.resolved.user, key))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn with_files(&mut self, files: &[KeyFile]) -> Result<bool, SshError> {
        let (session, user) = (self.session, &self.resolved.user);
        let offer = |key: &Path, certificate: Option<&Path>| session.userauth_pubkey_file(user, certificate, key, None);
        for file in files {
            let path = file.path.display();
            match &file.problem {
                Some(problem) => self.tried.push(format!("key file {path}: {problem}")),
                None => {
                    for certificate in &file.certificates {
                        let name = format!("key file {path} with certificate {}", certificate.display());
                        if self.attempt(name, || offer(&file.path, Some(certificate)))? {
                            return Ok(true);
                        }
                    }
                    if self.attempt(format!("key file {path}"), || offer(&file.path, None))? {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Tries one key. An error means that there is no point in trying another.
    fn attempt(&mut self, name: String, call: impl FnMut() -> Result<(), ssh2::Error>) -> Result<bool, SshError> {
        match retry(self.wire, self.clock, call) {
            Ok(()) => Ok(true),
            Err(Failure::TimeUp) => Err(self.clock.timeout(self.resolved, &format!("logging in with {name}"))),
            Err(Failure::Ssh(_)) if Instant::now() >= self.clock.deadline => {
                Err(self.clock.timeout(self.resolved, &format!("logging in with {name}")))
            }
            Err(Failure::Ssh(error)) if self.wire.end().is_some() || is_connection_lost(&error) => {
                let count = self.tried.len() + 1;
                self.tried
                    .push(format!("{name}: the server closed the connection (after {count} keys; see MaxAuthTries)"));
                Err(self.failed())
            }
            Err(Failure::Ssh(error)) => {
                self.tried.push(format!("{name}: {}", why(&error)));
                Ok(false)
            }
        }
    }

    fn failed(&mut self) -> SshError {
        SshError::Auth {
            host: self.resolved.label.clone(),
            user: self.resolved.user.clone(),
            tried: std::mem::take(&mut self.tried),
            typed: self.resolved.typed.clone(),
        }
    }
}

fn open_agent(session: &Session, path: &Path) -> Result<(Agent, Vec<AgentKey>), ssh2::Error> {
    let mut agent = session.agent()?;
    agent.set_identity_path(path)?;
    agent.connect()?;
    agent.list_identities()?;
    let keys = agent.identities()?;
    Ok((agent, keys))
}

fn why(error: &ssh2::Error) -> String {
    match error.code() {
        ErrorCode::Session(libssh2_sys::LIBSSH2_ERROR_AUTHENTICATION_FAILED) => "the server does not accept it".into(),
        // libssh2's words for an agent that would not sign.
        _ if error.message() == "Callback returned error" => "the agent refused to sign with it".into(),
        _ => error.message().to_owned(),
    }
}

/// libssh2 reports a connection that ended while it waited as a key that was not accepted; only its words differ.
fn is_connection_lost(error: &ssh2::Error) -> bool {
    let ErrorCode::Session(code) = error.code() else { return false };
    match code {
        libssh2_sys::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED => error.message().starts_with("Waiting for"),
        libssh2_sys::LIBSSH2_ERROR_SOCKET_SEND | libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT => true,
        _ => false,
    }
}

/// One IdentityFile that exists.
struct KeyFile {
    path: PathBuf,
    /// The public keys and certificates that belong to it, as the agent lists them.
    publics: Vec<Vec<u8>>,
    certificates: Vec<PathBuf>,
    /// Why the private key cannot be used from the file.
    problem: Option<String>,
}

impl KeyFile {
    fn read(path: &Path, resolved: &Resolved) -> Option<KeyFile> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let mut publics: Vec<Vec<u8>> = blob::read_public(&beside(".pub")).into_iter().collect();
        let problem = match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => {
                // An IdentityFile may be a public key: it then says which of the agent's keys to use.
                publics.extend(blob::of_line(&text));
                if let Ok(key) = ssh_key::PrivateKey::from_openssh(text.as_bytes()) {
                    publics.extend(key.public_key().to_bytes());
                }
                problem_with(path, &text)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && publics.is_empty() => return None,
            Err(error) => Some(error.to_string()),
        };
        let mut certificates = Vec::new();
        let configured = resolved.certificate_files.iter().cloned();
        for certificate in configured.chain([beside("-cert.pub")]) {
            let Some(blob) = blob::read_public(&certificate) else { continue };
            // If the key's public half is not known (PEM without .pub), the certificate may be for it.
            let key = blob::key_of_certificate(&blob);
            if key.is_some_and(|key| publics.is_empty() || publics.contains(&key)) {
                publics.push(blob);
                certificates.push(certificate);
            }
        }
        Some(KeyFile { path: path.to_owned(), publics, certificates, problem })
    }
}

fn problem_with(path: &Path, text: &str) -> Option<String> {
    if blob::of_line(text).is_some() {
        return Some("is a public key, and the agent does not have its private key".into());
    }
    let is_ours = std::fs::metadata(path).map(|data| (data.uid() == rustix::process::getuid().as_raw(), data.mode()));
    if let Ok((true, mode)) = is_ours
        && mode & 0o077 != 0
    {
        return Some(format!("is readable by others (mode {:03o}): run chmod 600 on it", mode & 0o777));
    }
    let is_encrypted = match ssh_key::PrivateKey::from_openssh(text.as_bytes()) {
        Ok(key) => key.is_encrypted(),
        Err(_) => text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED"),
    };
    is_encrypted.then(|| "has a passphrase; add it to the agent first (ssh-add)".into())
}
