//! Stands in for HashiCorp Vault: an HTTPS server of ours that speaks the part of the PKI engine's API that quorate uses,
//! and really signs. No real Vault takes part in these tests; paths, fields, statuses and the wording of errors are those
//! of Vault's documentation and source.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// What the role and Vault itself do; a test changes it while it runs.
#[derive(Default)]
pub struct Behaviour {
    pub sealed: bool,
    /// As a role's `max_ttl`: what is asked for beyond is cut, without an error.
    pub max_ttl: Option<u64>,
    /// A common name that the role does not allow.
    pub refuses: Option<String>,
    /// Signs for a key of its own.
    pub other_key: bool,
    /// Signs as another authority than the one that it tells of.
    pub other_issuer: bool,
    /// As a role with `server_flag=false`.
    pub clients_only: bool,
    /// As a role for code signing beside the rest.
    pub more_usages: bool,
    /// What the tokens' policy grants at `pki/sign/etcd`, where that is not `update`.
    pub rights: Option<&'static [&'static str]>,
    /// Something else than the rights forbids it.
    pub forbids: bool,
    /// Every token that was given out or is known ends.
    pub tokens: BTreeSet<String>,
    pub logins: u32,
    /// `POST pki/sign/etcd`, in the order of their coming.
    pub asked: Vec<String>,
}

pub struct Server {
    pub address: String,
    behaviour: Arc<Mutex<Behaviour>>,
    /// What signed the server's own certificate.
    pub trust: PathBuf,
}

pub const TOKEN: &str = "hvs.right-token";
pub const ROLE_ID: &str = "quorate-role-id";
pub const SECRET_ID: &str = "very-secret-id";

struct Engine {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl Server {
    /// Serves until the test's process ends.
    pub fn begin(folder: &Path) -> Server {
        let authority = issuer("vault's own authority", None);
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &authority).expect("it signs");
        let trust = folder.join("vault-ca.crt");
        fs::write(&trust, authority.as_ref().pem()).expect("the folder is ours");
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("it is a key");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("there are versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("the pair belongs together");
        let config = Arc::new(config);
        let root = issuer("vault root", None);
        let intermediate = issuer("vault intermediate", Some(&root));
        let engine = Arc::new(Engine { root, intermediate });
        let behaviour = Arc::new(Mutex::new(Behaviour { tokens: [TOKEN.to_owned()].into(), ..Behaviour::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = format!("https://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, engine, behaviour) = (Arc::clone(&config), Arc::clone(&engine), Arc::clone(&shared));
                // A client that hangs up in the middle is no concern of the others.
                std::thread::spawn(move || serve(stream, config, &engine, &behaviour));
            }
        });
        Server { address, behaviour, trust }
    }

    pub fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().expect("no thread of ours panics")
    }

    /// `[ca]` for it; the token is taken from the environment.
    pub fn declared(&self) -> String {
        format!(
            "\n[ca]\nsource = \"vault\"\naddress = \"{}\"\nrole = \"etcd\"\nvault-ca = \"{}\"\n",
            self.address,
            self.trust.display()
        )
    }
}

fn issuer(name: &str, above: Option<&CertifiedIssuer<'static, KeyPair>>) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = above.is_some();
    let key = KeyPair::generate().expect("a key can be made");
    match above {
        None => CertifiedIssuer::self_signed(params, key),
        Some(above) => CertifiedIssuer::signed_by(params, key, above),
    }
    .expect("it signs")
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, engine: &Engine, behaviour: &Mutex<Behaviour>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let connection = ServerConnection::new(config).ok()?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-vault-token" => token = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = path.strip_prefix("/v1/")?.to_owned();
    let (status, kind, text) = {
        let mut behaviour = behaviour.lock().ok()?;
        behaviour.asked.push(format!("{method} {path}"));
        answer(&method, &path, token.as_deref(), &body, engine, &mut behaviour)
    };
    let stream = reader.get_mut();
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(text.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

const JSON: &str = "application/json";
const PEM: &str = "application/pem-certificate-chain";

type Answer = (u16, &'static str, String);

fn errors(status: u16, said: &str) -> Answer {
    (status, JSON, json!({ "errors": [said] }).to_string())
}

fn answer(
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
    engine: &Engine,
    behaviour: &mut Behaviour,
) -> Answer {
    if behaviour.sealed {
        return errors(503, "Vault is sealed");
    }
    let is_known = token.is_some_and(|token| behaviour.tokens.contains(token));
    match (method, path) {
        ("GET", "pki/ca/pem") => (200, PEM, engine.intermediate.as_ref().pem()),
        ("GET", "pki/ca_chain") => {
            (200, PEM, format!("{}{}", engine.intermediate.as_ref().pem(), engine.root.as_ref().pem()))
        }
        ("POST", "auth/approle/login") => {
            if body["role_id"] != ROLE_ID || body["secret_id"] != SECRET_ID {
                return errors(400, "invalid role or secret ID");
            }
            behaviour.logins += 1;
            let token = format!("hvs.login-{}", behaviour.logins);
            behaviour.tokens.insert(token.clone());
            (200, JSON, json!({ "auth": { "client_token": token, "lease_duration": 3600 } }).to_string())
        }
        ("POST", "sys/capabilities-self") => {
            if !is_known {
                return errors(403, "permission denied");
            }
            let rights = behaviour.rights.unwrap_or(&["update"]);
            let mut said = json!({ "capabilities": rights });
            for path in body["paths"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                said[path] = json!(rights);
            }
            (200, JSON, said.to_string())
        }
        ("POST", "pki/sign/etcd") => {
            if !is_known || behaviour.forbids || behaviour.rights.is_some() {
                return errors(403, "1 error occurred:\n\t* permission denied\n\n");
            }
            sign(body, engine, behaviour)
        }
        ("POST", role) if role.starts_with("pki/sign/") => {
            errors(400, &format!("unknown role: {}", role.trim_start_matches("pki/sign/")))
        }
        _ => errors(404, &format!("no handler for route \"{path}\". route entry not found.")),
    }
}

fn sign(body: &Value, engine: &Engine, behaviour: &Behaviour) -> Answer {
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    let Ok(mut request) = CertificateSigningRequestParams::from_pem(text("csr")) else {
        return errors(400, "could not parse the certificate request");
    };
    let common_name = request.params.distinguished_name.get(&DnType::CommonName).cloned();
    let Some(rcgen::DnValue::Utf8String(name)) = common_name else {
        return errors(400, "the common_name field is required");
    };
    if behaviour.refuses.as_deref() == Some(name.as_str()) {
        return errors(400, &format!("common name {name} not allowed by this role"));
    }
    let asked: u64 = text("ttl").trim_end_matches('s').parse().unwrap_or_default();
    let ttl = behaviour.max_ttl.map_or(asked, |max| max.min(asked));
    let params = &mut request.params;
    // As the real one does by its defaults.
    if body["exclude_cn_from_sans"] != true {
        params.subject_alt_names.push(rcgen::SanType::DnsName(name.as_str().try_into().expect("a name")));
    }
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::from_secs(30);
    params.not_after = now + Duration::from_secs(ttl);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).expect("there is chance");
    serial[0] = 0x40 | (serial[0] & 0x3f);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement];
    params.extended_key_usages = match behaviour.clients_only {
        true => vec![ExtendedKeyUsagePurpose::ClientAuth],
        false => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    if behaviour.more_usages {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::CodeSigning);
    }
    let issuer = if behaviour.other_issuer { &engine.root } else { &engine.intermediate };
    let signed = if behaviour.other_key {
        let key = KeyPair::generate().expect("a key can be made");
        request.params.signed_by(&key, issuer)
    } else {
        request.signed_by(issuer)
    };
    match signed {
        Ok(certificate) => {
            let data = json!({
                "certificate": certificate.pem(),
                "issuing_ca": engine.intermediate.as_ref().pem(),
                "ca_chain": [engine.intermediate.as_ref().pem(), engine.root.as_ref().pem()],
            });
            (200, JSON, json!({ "data": data, "warnings": null }).to_string())
        }
        Err(error) => errors(500, &error.to_string()),
    }
}
