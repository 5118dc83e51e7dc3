//! Vault's PKI secrets engine, over its HTTP API (https://developer.hashicorp.com/vault/api-docs/secret/pki).
//!
//! Vault is asked once in a run for its authority and for our own client certificate, and again when that is due. It
//! signs requests (`sign/ROLE`): no key leaves this machine.

mod answer;
mod exchange;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::core::cluster::leaf::{Wanted, client};
use crate::core::code::Code;
use crate::core::desired::{Vault as Declared, VaultLogin};
use crate::core::names::UnixSeconds;
use crate::core::observed::Cause;
use crate::shell::live::mutex::guarded;
use crate::shell::live::password;
use crate::shell::live::pki::{CaCertificate, Issued, LoadedCa, OPERATOR_VALIDITY_SECONDS, PairText, Request};
use answer::{Reply, Rights};
use exchange::{Ask, Method};

/// One Vault for one run.
pub struct Vault {
    declared: Arc<Declared>,
    token: tokio::sync::Mutex<Option<SecretString>>,
    kept: tokio::sync::Mutex<Option<Kept>>,
    /// It could not be reached, or nothing is here to log in with, since when, and what was told of it.
    out_of_reach: Mutex<Option<(Instant, Cause)>>,
    certificate: Mutex<Option<CaCertificate>>,
}

/// What was asked for once, and holds until its certificate is due.
struct Kept {
    ca_certificate: CaCertificate,
    client: PairText,
    due: UnixSeconds,
}

/// A look asks more than once, and a Vault that does not answer takes seconds each time.
const ASKED_AGAIN: Duration = Duration::from_secs(10);

/// A new client certificate is had while the old one has this long: as [`Tls`](crate::shell::live::etcd::Tls) wants it.
const REMAINING_SECONDS_MIN: i64 = 300;

impl Vault {
    /// Asks nothing yet.
    pub fn new(declared: &Declared) -> Vault {
        Vault {
            declared: Arc::new(declared.clone()),
            token: Default::default(),
            kept: Default::default(),
            out_of_reach: Mutex::default(),
            certificate: Mutex::default(),
        }
    }

    /// Whether it could not be reached, or nothing is here to log in with.
    pub fn is_out_of_reach(&self) -> bool {
        guarded(&self.out_of_reach).is_some()
    }

    /// Its authority alone, which it tells everybody.
    ///
    /// # Errors
    /// As [`Vault::ca`].
    pub async fn certificate(&self, at: UnixSeconds) -> Result<CaCertificate, Cause> {
        let kept = guarded(&self.certificate).clone();
        match (kept, self.unanswered()) {
            (Some(kept), _) => Ok(kept),
            (None, Some(cause)) => Err(cause),
            (None, None) => self.authority(at).await,
        }
    }

    /// What was told of it a moment ago, when it was out of reach.
    fn unanswered(&self) -> Option<Cause> {
        let told = guarded(&self.out_of_reach);
        told.as_ref().filter(|(since, _)| since.elapsed() < ASKED_AGAIN).map(|(_, cause)| cause.clone())
    }

    /// Notes that nothing is known to be wrong with it.
    fn beyond_reach(&self, cause: Cause) -> Cause {
        *guarded(&self.out_of_reach) = Some((Instant::now(), cause.clone()));
        cause
    }

    /// Its authority, with a client certificate for our own connections. That it can be had is found by `plan`, rather
    /// than by a half-finished `apply`.
    ///
    /// # Errors
    /// When Vault does not answer, refuses, or gives what is not right.
    pub async fn ca(&self, at: UnixSeconds) -> Result<LoadedCa, Cause> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.due > at) {
            return Ok(LoadedCa::Remote { ca_certificate: kept.ca_certificate.clone(), client: kept.client.clone() });
        }
        if let Some(cause) = self.unanswered() {
            return Err(cause);
        }
        *guarded(&self.out_of_reach) = None;
        let ca_certificate = self.authority(at).await?;
        let issued = self.sign(&ca_certificate, &client("root"), OPERATOR_VALIDITY_SECONDS, at).await?;
        let due = issued.facts.not_after.plus_seconds(-REMAINING_SECONDS_MIN);
        let client = PairText { certificate: issued.certificate_pem, key: issued.key_pem };
        let ca = LoadedCa::Remote { ca_certificate: ca_certificate.clone(), client: client.clone() };
        *kept = Some(Kept { ca_certificate, client, due });
        Ok(ca)
    }

    /// Has a certificate signed, for a key that is made here.
    ///
    /// # Errors
    /// As [`Vault::ca`].
    pub async fn issue(&self, wanted: &Wanted, validity_seconds: u64, at: UnixSeconds) -> Result<Issued, Cause> {
        let ca = self.ca(at).await?;
        self.sign(ca.certificate(), wanted, validity_seconds, at).await
    }

    /// The authority that signs, then those above it.
    async fn authority(&self, at: UnixSeconds) -> Result<CaCertificate, Cause> {
        let mount = &self.declared.mount;
        let get = |name: &str| Ask { method: Method::Get, path: format!("{mount}/{name}"), body: None };
        let authority = self.ask(get("ca/pem"), None).await?;
        let chain = self.ask(get("ca_chain"), None).await?;
        let place = format!("{}/v1/{mount}/ca/pem", self.declared.address);
        let read = CaCertificate::of_texts(&authority.text(), &chain.text(), &place, at).map_err(|cause| Cause {
            code: Code::Vault,
            hint: Some(answer::no_authority(&self.declared)),
            ..cause
        })?;
        *guarded(&self.certificate) = Some(read.clone());
        Ok(read)
    }

    async fn sign(
        &self,
        ca_certificate: &CaCertificate,
        wanted: &Wanted,
        validity: u64,
        at: UnixSeconds,
    ) -> Result<Issued, Cause> {
        let Declared { mount, role, .. } = &*self.declared;
        let name = &wanted.common_name;
        let failed = |why: String| answer::wrong(&self.declared, name, &why);
        let request = Request::new(wanted).map_err(failed)?;
        // It would refuse what outlives itself.
        let validity = validity.min(u64::try_from(ca_certificate.not_after().0 - at.0).unwrap_or_default());
        let (ips, names): (Vec<_>, Vec<_>) =
            wanted.names.iter().map(String::as_str).partition(|name| name.parse::<core::net::IpAddr>().is_ok());
        // By its defaults Vault takes the names from the request; a role can say that it takes these.
        let body = json!({
            "csr": request.csr_pem,
            "common_name": name,
            "alt_names": names.join(","),
            "ip_sans": ips.join(","),
            "exclude_cn_from_sans": true,
            "ttl": format!("{validity}s"),
            "format": "pem",
        });
        let ask = Ask {
            method: Method::Post,
            path: format!("{mount}/sign/{role}"),
            body: Some(Zeroizing::new(body.to_string().into_bytes())),
        };
        let reply = self.ask_as_ourselves(ask).await?;
        let signed: Answer<Signed> = reply.json(&self.declared)?;
        request.accept(&signed.data.certificate, wanted, ca_certificate, validity, at).map_err(failed)
    }

    /// Asks with our token, and with a new one where the old has ended during a long run.
    async fn ask_as_ourselves(&self, ask: Ask) -> Result<Reply, Cause> {
        let mut kept = self.token.lock().await;
        let (token, is_new) = match kept.clone() {
            Some(token) => (token, false),
            None => (self.log_in().await?, true),
        };
        *kept = Some(token.clone());
        let reply = self.reply(ask.clone(), Some(token.clone())).await?;
        let (reply, token) = match reply.is_forbidden() && !is_new {
            true => {
                let token = self.log_in().await?;
                *kept = Some(token.clone());
                (self.reply(ask, Some(token.clone())).await?, token)
            }
            false => (reply, token),
        };
        if reply.is_forbidden() {
            let rights = self.rights(&reply.path, token).await;
            return Err(answer::forbidden(&self.declared, &reply, &rights));
        }
        reply.checked(&self.declared)
    }

    /// What the token may do at `path`. Vault says "permission denied" of one that has ended as of one that may not.
    async fn rights(&self, path: &str, token: SecretString) -> Rights {
        let body = json!({ "paths": [path] }).to_string();
        let ask = Ask {
            method: Method::Post,
            path: "sys/capabilities-self".to_owned(),
            body: Some(Zeroizing::new(body.into_bytes())),
        };
        match self.reply(ask, Some(token)).await {
            Ok(reply) if reply.is_forbidden() => Rights::NotAccepted,
            Ok(reply) if reply.status.is_success() => {
                reply.json::<Capabilities>(&self.declared).map_or(Rights::Unknown, |said| Rights::At(said.capabilities))
            }
            Ok(_) | Err(_) => Rights::Unknown,
        }
    }

    async fn log_in(&self) -> Result<SecretString, Cause> {
        let fetch = async |what: &str, source| {
            let missing =
                |failure: password::Failure| self.beyond_reach(answer::no_secret(&self.declared, what, &failure));
            password::secret(source).await.map_err(missing)
        };
        match &self.declared.login {
            VaultLogin::Token(source) => fetch("token", source).await,
            VaultLogin::AppRole { mount, role_id, secret_id } => {
                let secret_id = fetch("secret-id", secret_id).await?;
                let body =
                    Zeroizing::new(json!({ "role_id": role_id, "secret_id": secret_id.expose_secret() }).to_string());
                let ask = Ask {
                    method: Method::Post,
                    path: format!("auth/{mount}/login"),
                    body: Some(Zeroizing::new(body.as_bytes().to_vec())),
                };
                let login: Login = self.ask(ask, None).await?.json(&self.declared)?;
                Ok(SecretString::from(login.auth.client_token))
            }
        }
    }

    async fn ask(&self, ask: Ask, token: Option<SecretString>) -> Result<Reply, Cause> {
        self.reply(ask, token).await?.checked(&self.declared)
    }

    async fn reply(&self, ask: Ask, token: Option<SecretString>) -> Result<Reply, Cause> {
        let declared = Arc::clone(&self.declared);
        let asked = tokio::task::spawn_blocking(move || exchange::exchange(&declared, &ask, token.as_ref())).await;
        let reply = asked.unwrap_or_else(|_| Err(answer::interrupted(&self.declared)));
        reply.map_err(|cause| self.beyond_reach(cause))
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Signed {
    certificate: String,
}

#[derive(Deserialize)]
struct Capabilities {
    capabilities: Vec<String>,
}

#[derive(Deserialize)]
struct Login {
    auth: LoggedIn,
}

#[derive(Deserialize)]
struct LoggedIn {
    client_token: String,
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::core::desired::PasswordSource;
    use crate::shell::clock::now;

    /// One that does not answer costs its timeouts once, and not at each load of a look.
    #[tokio::test]
    async fn what_is_out_of_reach_is_not_asked_again_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let declared = Declared {
            address: format!("http://{}", listener.local_addr().unwrap()),
            mount: "pki".to_owned(),
            role: "etcd".to_owned(),
            namespace: None,
            trust: None,
            login: VaultLogin::Token(PasswordSource::Env("QUORATE_NOT_SET".to_owned())),
        };
        let connected = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&connected);
        std::thread::spawn(move || {
            listener.incoming().for_each(|connection| {
                seen.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            });
        });
        let vault = Vault::new(&declared);
        vault.ca(now()).await.unwrap_err();
        let once = connected.load(Ordering::SeqCst);
        assert!(once > 0 && vault.is_out_of_reach());
        vault.certificate(now()).await.unwrap_err();
        vault.ca(now()).await.unwrap_err();
        assert_eq!(connected.load(Ordering::SeqCst), once);
    }
}
