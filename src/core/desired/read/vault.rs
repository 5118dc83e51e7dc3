//! `[ca] source = "vault"`: which Vault, which role of which PKI engine, and as whom we come.

use toml::Spanned;

use super::auth::secret;
use super::kinds::Local;
use super::problem::Problem;
use super::table::Table;
use super::value::Value;
use crate::core::desired::{PasswordSource, Vault, VaultLogin};

/// The keys, as [ca] checks that each belongs to its source.
pub(super) const KEYS: [&str; 7] = ["address", "mount", "role", "namespace", "vault-ca", "token", "approle"];

/// As Vault's own programs have it.
const TOKEN_VARIABLE: &str = "VAULT_TOKEN";

/// `None` where it is not the source, or when a problem was reported.
pub(super) fn vault(table: &mut Table, local: Local, is_source: bool) -> Option<Vault> {
    let text = |table: &mut Table, key: &'static str, example: &str, kind: fn(&Value) -> Result<String, Problem>| {
        let declared = if is_source { table.require(key, example, kind) } else { table.get_spanned(key, kind) };
        declared.map(Spanned::into_inner)
    };
    let address = text(table, "address", "\"https://vault.example:8200\"", address);
    let role = text(table, "role", "\"etcd\"", segment);
    let mount = table.get("mount", path).unwrap_or_else(|| "pki".to_owned());
    let namespace = table.get("namespace", path);
    let trust = table.get("vault-ca", |value| local.path(value));
    let both = table.declares("token").zip(table.declares("approle"));
    if let Some((token, approle)) = both.filter(|_| is_source) {
        let problem = Problem::new(approle, "`token` and `approle` cannot be combined");
        table.report(problem.related(token, "use one of them"));
    }
    let token = table.section("token", |table| (table.is_present(), secret(table, local, "a token")));
    let approle = table.section("approle", |table| (table.is_present(), approle(table, local)));
    let login = match (approle, token) {
        ((true, approle), _) => approle?,
        ((false, _), (true, token)) => VaultLogin::Token(token?),
        ((false, _), (false, _)) => VaultLogin::Token(PasswordSource::Env(TOKEN_VARIABLE.to_owned())),
    };
    Some(Vault { address: address?, mount, role: role?, namespace, trust, login })
}

fn approle(table: &mut Table, local: Local) -> Option<VaultLogin> {
    if !table.is_present() {
        return None;
    }
    let mount = table.get("mount", path).unwrap_or_else(|| "approle".to_owned());
    let role_id = table.require("role-id", "\"…\"", |value| match value.text()? {
        "" => Err(value.problem("`role-id` is empty")),
        text => Ok(text.to_owned()),
    });
    let secret_id = table.section("secret-id", |table| {
        if !table.is_present() {
            let problem = Problem::new(table.span(), "the AppRole has no `secret-id`");
            table
                .report_missing(problem.hint("add its source: `secret-id = { file = \"…\" }`, { env } or { command }"));
        }
        secret(table, local, "a secret-id")
    });
    Some(VaultLogin::AppRole { mount, role_id: role_id?.into_inner(), secret_id: secret_id? })
}

/// A token must not be readable on its way, so plain http is for this machine alone.
fn address(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    let wrong = |hint: &str| value.problem(format!("{text:?} is not a valid Vault address")).hint(hint);
    let (is_tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(wrong("write https://HOST:PORT, for example \"https://vault.example:8200\"")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if rest.is_empty() || rest.starts_with(':') || !rest.bytes().all(plain) {
        return Err(wrong("write https://HOST:PORT; the path of the engine goes into `mount`"));
    }
    let host = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            if port.parse::<u16>().is_err() {
                return Err(wrong("a port must be between 1 and 65535"));
            }
            host
        }
        _ => rest,
    };
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<core::net::IpAddr>();
    if !is_tls && host != "localhost" && !ip.is_ok_and(|ip| ip.is_loopback()) {
        return Err(wrong("the token would be sent unencrypted: use https://"));
    }
    Ok(format!("{}://{rest}", if is_tls { "https" } else { "http" }))
}

/// A path of Vault's, without the slashes at its ends.
fn path(value: &Value) -> Result<String, Problem> {
    let text = value.text()?.trim_matches('/');
    if text.split('/').all(is_segment) { Ok(text.to_owned()) } else { Err(no_path(value)) }
}

fn segment(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    if is_segment(text) { Ok(text.to_owned()) } else { Err(no_path(value)) }
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

fn no_path(value: &Value) -> Problem {
    let summary = format!("`{}` is not a valid Vault name", value.key());
    value.problem(summary).hint("use letters, digits, `-`, `_` and `.`")
}
