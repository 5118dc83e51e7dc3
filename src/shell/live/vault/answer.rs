//! A reply of Vault; what it says when it does not do what it is asked, and what to do about it.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::StatusCode;
use zeroize::Zeroizing;

use crate::core::code::Code;
use crate::core::desired::{Vault, VaultLogin};
use crate::core::observed::Cause;
use crate::shell::live::password::Failure;

/// What came back, whatever its status. It may hold a token.
pub(super) struct Reply {
    pub path: String,
    pub status: StatusCode,
    /// Where Vault says that it is elsewhere.
    pub location: Option<String>,
    pub body: Zeroizing<Vec<u8>>,
}

impl Reply {
    pub fn is_forbidden(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    /// # Errors
    /// When Vault did not do what it was asked.
    pub fn checked(self, vault: &Vault) -> Result<Reply, Cause> {
        if self.status.is_success() { Ok(self) } else { Err(refused(vault, &self)) }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json<T: DeserializeOwned>(&self, vault: &Vault) -> Result<T, Cause> {
        serde_json::from_slice(&self.body).map_err(|_| not_vault(vault, &self.path))
    }
}

/// What a token may do at a path (`sys/capabilities-self`, which the policy `default` allows).
pub(super) enum Rights {
    /// Vault's words: `create`, `read`, `update`, …, `root`, or `deny` alone.
    At(Vec<String>),
    /// Vault does not take the token even for that.
    NotAccepted,
    Unknown,
}

/// Vault refused what the token asked for.
pub(super) fn forbidden(vault: &Vault, reply: &Reply, rights: &Rights) -> Cause {
    let (address, path, status) = (&vault.address, &reply.path, reply.status);
    let policy = format!("path \"{path}\" {{ capabilities = [\"update\"] }}");
    let whose = match vault.login {
        VaultLogin::Token(_) => "the token",
        VaultLogin::AppRole { .. } => "the AppRole",
    };
    let (why, hint) = match rights {
        Rights::At(rights) if rights.iter().any(|right| matches!(right.as_str(), "update" | "root")) => (
            format!("the token may `update` {path}, so something else forbids it"),
            "look for `allowed_parameters` or `denied_parameters` in its policy, and for Sentinel policies; Vault's audit \
             log names the request"
                .to_owned(),
        ),
        Rights::At(rights) => {
            let rights = plain(&rights.join(", "));
            let why = format!("the token has no right to `update` {path} (its rights there: {rights})");
            (why, format!("add this to a policy of {whose}: {policy}"))
        }
        Rights::NotAccepted => (
            "the token is not valid: it has expired, or was revoked".to_owned(),
            format!("get a new one; its policy needs {policy} (`vault token lookup` tells of a token)"),
        ),
        Rights::Unknown => (
            "the token is not valid any more, or may not do that".to_owned(),
            format!("see `vault token lookup`; its policy needs {policy}"),
        ),
    };
    cause(format!("Vault at {address} refused {path} ({status}): {}: {why}", said(&reply.body)), hint)
}

fn cause(summary: String, hint: impl Into<String>) -> Cause {
    Cause { code: Code::Vault, summary, hint: Some(hint.into()) }
}

/// Vault refused, or cannot.
pub(super) fn refused(vault: &Vault, reply: &Reply) -> Cause {
    let Vault { address, mount, role, .. } = vault;
    let (path, status) = (&reply.path, reply.status);
    let said = said(&reply.body);
    let is_login = path.starts_with("auth/");
    if status.is_redirection() {
        let elsewhere = reply.location.as_deref().map_or_else(String::new, |url| format!(" to {}", plain(url)));
        let what = format!("Vault at {address} redirects {path}{elsewhere} ({status})");
        return cause(what, "set `address` to the active Vault, or to the load balancer in front of it");
    }
    let hint = match status {
        StatusCode::SERVICE_UNAVAILABLE => "unseal it, or wait until it is active: run `vault status`".to_owned(),
        StatusCode::NOT_FOUND if is_login => "check that AppRole is enabled there, and `mount` in `approle`".to_owned(),
        StatusCode::NOT_FOUND => format!(
            "check that a PKI engine with a CA is mounted at {mount:?}; see `mount` in \
                                          [ca]"
        ),
        _ if is_login => "check `role-id` and `secret-id` in [ca]; the secret-id may be used up".to_owned(),
        StatusCode::FORBIDDEN => {
            "a proxy before Vault, or a policy of its server, refuses this: see Vault's audit log".to_owned()
        }
        StatusCode::BAD_REQUEST => format!(
            "the role must allow the nodes' names and addresses, and root: check `vault read {mount}/roles/{role}`; \
             allow_any_name, allow_ip_sans, enforce_hostnames=false and key_type=any or ec work"
        ),
        _ => format!("check Vault's log, and the role: `vault read {mount}/roles/{role}`"),
    };
    cause(format!("Vault at {address} refused {path} ({status}): {said}"), hint)
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// Vault's own words in one line. Its errors are lists within lists.
fn said(body: &[u8]) -> String {
    let errors = serde_json::from_slice::<Errors>(body).map(|said| said.errors).unwrap_or_default();
    let lines = errors.iter().flat_map(|error| error.lines());
    let lines = lines.map(|line| line.trim().trim_start_matches("* ")).filter(|line| {
        let is_count = line.split_once(' ').is_some_and(|(count, rest)| {
            count.parse::<u32>().is_ok() && (rest.starts_with("error occurred") || rest.starts_with("errors occurred"))
        });
        !line.is_empty() && !is_count
    });
    let said = plain(&lines.collect::<Vec<_>>().join("; "));
    if said.is_empty() { "no further details".to_owned() } else { said }
}

/// Without what could move the cursor, and no longer than a few lines.
fn plain(text: &str) -> String {
    const CHARACTERS_MAX: usize = 400;
    text.chars().filter(|character| !character.is_control()).take(CHARACTERS_MAX).collect()
}

pub(super) fn unreachable(vault: &Vault, error: &ureq::Error) -> Cause {
    let address = &vault.address;
    let untrusted = match error {
        ureq::Error::Rustls(_) => true,
        ureq::Error::Io(error) => error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()),
        _ => false,
    };
    let hint = match (untrusted, &vault.trust) {
        (true, Some(path)) => {
            format!("{} (`vault-ca`) must be the CA that signed Vault's own certificate", path.display())
        }
        (true, None) => "this machine does not trust Vault's own certificate: set `vault-ca` to its CA".to_owned(),
        (false, _) => "check `address` in [ca], and that it is reachable from here".to_owned(),
    };
    cause(format!("Vault at {address} is unreachable: {}", plain(&error.to_string())), hint)
}

pub(super) fn interrupted(vault: &Vault) -> Cause {
    cause(format!("the request to Vault at {} was interrupted", vault.address), "run the command again")
}

pub(super) fn not_vault(vault: &Vault, path: &str) -> Cause {
    let what = format!("{} gave an answer to {path} that Vault does not give", vault.address);
    cause(what, "check `address` in [ca]: something other than Vault may answer there")
}

pub(super) fn no_authority(vault: &Vault) -> String {
    format!("`vault read {}/cert/ca` shows the CA of the engine; see `mount` in [ca]", vault.mount)
}

/// What it signed is not what it was asked to sign.
pub(super) fn wrong(vault: &Vault, name: &str, why: &str) -> Cause {
    let Vault { address, mount, role, .. } = vault;
    let what = format!("the certificate for {name} from Vault at {address} cannot be used: {why}");
    let hint = format!(
        "check the role: `vault read {mount}/roles/{role}`; it needs server_flag, client_flag, key_usage with \
         DigitalSignature, use_csr_sans, and the mount's default issuer"
    );
    cause(what, hint)
}

pub(super) fn no_secret(vault: &Vault, what: &str, Failure { from, why }: &Failure) -> Cause {
    let hint = match vault.login {
        VaultLogin::Token(_) => "see `token` in [ca]; the default is the environment variable VAULT_TOKEN",
        VaultLogin::AppRole { .. } => "see `secret-id` in [ca]",
    };
    cause(format!("could not get the {what} for Vault at {} from {from}: {why}", vault.address), hint)
}

pub(super) fn no_token(vault: &Vault) -> Cause {
    let what = format!("the token for Vault at {} has invalid characters", vault.address);
    cause(what, "see `token` in [ca]")
}

pub(super) fn no_trust(path: &Path, why: &str) -> Cause {
    cause(
        format!("{} cannot be used to verify Vault's certificate: {why}", path.display()),
        "correct `vault-ca` in [ca]",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vaults_words_become_one_line() {
        let body = br#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
        assert_eq!(said(body), "permission denied");
        let two =
            b"{\"errors\":[\"2 errors occurred:\\n\\t* permission denied\\n\\t* invalid \\u001b[31mtoken\\n\\n\"]}";
        assert_eq!(said(two), "permission denied; invalid [31mtoken");
        assert_eq!(said(b"<html>"), "no further details");
    }
}
