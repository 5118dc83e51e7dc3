//! One question to Vault and its reply, by HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use ureq::Agent;
use ureq::http::HeaderValue;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use zeroize::Zeroizing;

use super::answer::{self, Reply};
use crate::core::desired::Vault;
use crate::core::observed::Cause;

#[derive(Clone)]
pub(super) struct Ask {
    pub method: Method,
    /// Below `/v1/`.
    pub path: String,
    /// JSON. It may hold a secret.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// Of a question and its reply together: signing takes some milliseconds.
const DEADLINE: Duration = Duration::from_secs(15);
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// A chain of certificates is a few kilobytes.
const REPLY_BYTES_MAX: u64 = 1 << 20;

pub(super) fn exchange(vault: &Vault, ask: &Ask, token: Option<&SecretString>) -> Result<Reply, Cause> {
    let failed = |error: ureq::Error| answer::unreachable(vault, &error);
    let agent = agent(vault)?;
    let url = format!("{}/v1/{}", vault.address, ask.path);
    let mut headers = vec![("X-Vault-Request", HeaderValue::from_static("true"))];
    if let Some(namespace) = &vault.namespace {
        let header = HeaderValue::from_str(namespace).expect("the namespace has invalid characters");
        headers.push(("X-Vault-Namespace", header));
    }
    if let Some(token) = token {
        let header = HeaderValue::from_str(token.expose_secret());
        let mut header = header.map_err(|_| answer::no_token(vault))?;
        header.set_sensitive(true);
        headers.push(("X-Vault-Token", header));
    }
    let mut response = match (ask.method, &ask.body) {
        (Method::Get, _) => {
            headers.into_iter().fold(agent.get(&url), |request, (name, value)| request.header(name, value)).call()
        }
        (Method::Post, body) => {
            let request = agent.post(&url).header("Content-Type", "application/json");
            let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            request.send(body.as_ref().map_or(&[][..], |body| body.as_slice()))
        }
    }
    .map_err(failed)?;
    let body = response.body_mut().with_config().limit(REPLY_BYTES_MAX).read_to_vec().map_err(failed)?;
    let location = response.headers().get("Location").and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok(Reply { path: ask.path.clone(), status: response.status(), location, body: Zeroizing::new(body) })
}

/// Follows no redirect: the token is for the declared address. Goes through the proxies of the environment.
fn agent(vault: &Vault) -> Result<Agent, Cause> {
    let roots = match &vault.trust {
        None => RootCerts::PlatformVerifier,
        Some(path) => RootCerts::Specific(Arc::new(roots(path)?)),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECT_DEADLINE))
        .timeout_global(Some(DEADLINE))
        .build();
    Ok(config.into())
}

fn roots(path: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>, Cause> {
    let text = std::fs::read(path).map_err(|error| answer::no_trust(path, &error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(answer::no_trust(path, &error.to_string())),
        }
    }
    if found.is_empty() { Err(answer::no_trust(path, "it contains no PEM certificate")) } else { Ok(found) }
}
