//! Which Vault signs, which role of which PKI engine, and as whom we come, as declared.

use std::path::PathBuf;

use super::auth::PasswordSource;

/// A PKI secrets engine of a Vault, and how we come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vault {
    /// `https://vault.example:8200`, without a slash at its end.
    pub address: String,
    /// Where the engine is mounted, without slashes at its ends.
    pub mount: String,
    pub role: String,
    pub namespace: Option<String>,
    /// What signs Vault's own certificate (absolute); `None`: what this machine trusts.
    pub trust: Option<PathBuf>,
    pub login: VaultLogin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultLogin {
    Token(PasswordSource),
    AppRole { mount: String, role_id: String, secret_id: PasswordSource },
}
