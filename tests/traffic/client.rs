//! One connection to one member, made from nothing: TCP, TLS, HTTP/2.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcd_client::{Client, GetOptions, KeyValue, SortOrder, SortTarget};
use hyper_util::rt::TokioIo;
use quorate::core::cluster::leaf::Wanted;
use quorate::core::names::UnixSeconds;
use quorate::core::observed::Usage;
use quorate::shell::live::pki::{self, Issued, Signer};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;

/// How long a client waits for a connection before it takes another member. Packets to a dead host get no answer at all.
const DIAL: Duration = Duration::from_secs(1);
/// For the longest walk.
const VALIDITY_SECONDS: u64 = 24 * 3600;
/// Keys asked for at once, so that no answer comes near gRPC's limit of 4 MiB.
const PAGE: i64 = 2000;

/// A client certificate and the authority that the members' own certificates must be from.
#[derive(Clone)]
pub struct Credentials(Arc<ClientConfig>);

impl Credentials {
    /// The user `writer`, signed by the authority in `folder`, the `pki` beside cluster.toml.
    pub fn issue(folder: &Path) -> Credentials {
        Self::issue_for(folder, "writer")
    }

    /// Of a user by its name. While the authority is rotated the client trusts both, and shows the certificate of the one
    /// that a member names, as a client that was told of the rotation does.
    pub fn issue_for(folder: &Path, user: &str) -> Credentials {
        let next = pki::load_next(folder, now()).expect("the next authority can be read");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        let mut identities = Vec::new();
        for signer in [Some(current(folder)), next].into_iter().flatten() {
            let issued = issued(&signer, user);
            let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).expect("it is PEM");
            let key = PrivateKeyDer::from_pem_slice(issued.key_pem.expose_secret().as_bytes()).expect("it is PEM");
            roots.add(signer.certificate_der().clone()).expect("the authority is a certificate");
            let identity =
                CertifiedKey::from_der(vec![certificate], key, &provider).expect("the key is the certificate's");
            identities.push((signer.certificate().subject(), Arc::new(identity)));
        }
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("aws-lc speaks TLS 1.3")
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(Identities(identities)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Every connection is a whole handshake, as a client's first one is.
        config.resumption = Resumption::disabled();
        Credentials(Arc::new(config))
    }
}

/// A client certificate of a user and its key, as PEM.
pub fn pair(folder: &Path, user: &str) -> (String, String) {
    let issued = issued(&current(folder), user);
    (issued.certificate_pem, issued.key_pem.expose_secret().to_owned())
}

fn current(folder: &Path) -> Signer {
    pki::load(folder, now()).expect("the authority can be read").expect("bootstrap made one")
}

fn issued(signer: &Signer, user: &str) -> Issued {
    let wanted = Wanted {
        common_name: user.to_owned(),
        names: BTreeSet::new(),
        usages: BTreeSet::from([Usage::ClientAuth]),
        like: None,
    };
    signer.issue(&wanted, VALIDITY_SECONDS, now()).expect("a client certificate can be issued")
}

pub fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    UnixSeconds(i64::try_from(since.as_secs()).expect("a few more years"))
}

/// By the name of the authority that each is from.
#[derive(Debug)]
struct Identities(Vec<(Vec<u8>, Arc<CertifiedKey>)>);

impl ResolvesClientCert for Identities {
    fn resolve(&self, trusted: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let fitting = self.0.iter().find(|(authority, _)| trusted.contains(&authority.as_slice()));
        Some(Arc::clone(&fitting.or(self.0.first())?.1))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The client ports of a host, in the order in which a client tries them.
pub fn addresses(host: Ipv4Addr, ports: &[u16]) -> Vec<SocketAddr> {
    ports.iter().map(|port| SocketAddr::from((host, *port))).collect()
}

/// Runs one conversation with a member to its end, from a thread that has no runtime.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made").block_on(work)
}

/// A connection to one member; when it is lost, all calls fail.
pub struct Connection {
    pub client: Client,
}

impl Connection {
    /// Connects to the first of a member's addresses at which anybody listens.
    pub async fn open(credentials: &Credentials, addresses: &[SocketAddr]) -> Result<Connection, String> {
        let mut refused = "it has no address".to_owned();
        for address in addresses {
            match timeout(DIAL, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Self::over(credentials, *address, stream).await,
                Ok(Err(error)) => refused = format!("{address}: {error}"),
                Err(_) => refused = format!("{address}: no connection in {DIAL:?}"),
            }
        }
        Err(refused)
    }

    async fn over(credentials: &Credentials, address: SocketAddr, stream: TcpStream) -> Result<Connection, String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("{address}: {what}: {error}");
        stream.set_nodelay(true).map_err(|error| failed("TCP", &error))?;
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(credentials.0.clone()).connect(name, stream).await;
        let slot = Arc::new(Mutex::new(Some(stream.map_err(|error| failed("TLS", &error))?)));
        let connector = tower::service_fn(move |_: tonic::transport::Uri| {
            let stream = slot.lock().expect("no one panics while holding it").take();
            let lost = || io::Error::new(io::ErrorKind::NotConnected, "the connection was lost");
            std::future::ready(stream.map(TokioIo::new).ok_or_else(lost))
        });
        // Plain http to tonic, which must not add a second TLS; https to etcd.
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URI");
        let origin = format!("https://{address}").parse().expect("an address makes a URI");
        let channel = endpoint.origin(origin).connect_with_connector(connector).await;
        let channel = etcd_client::Channel::Tonic(channel.map_err(|error| failed("HTTP/2", &error))?);
        let client = Client::from_channel(channel, None).await.map_err(|error| failed("etcd", &error))?;
        Ok(Connection { client })
    }

    /// All keys from `first` up to, but without, `end`, as a quorum knows them.
    pub async fn read_all(&mut self, first: &str, end: &str) -> Result<Vec<KeyValue>, etcd_client::Error> {
        let mut found: Vec<KeyValue> = Vec::new();
        let mut from = first.as_bytes().to_vec();
        loop {
            let options =
                GetOptions::new().with_range(end).with_limit(PAGE).with_sort(SortTarget::Key, SortOrder::Ascend);
            let mut page = self.client.get(from.clone(), Some(options)).await?;
            let more = page.more();
            found.extend(page.take_kvs());
            let Some(last) = found.last().filter(|_| more) else { return Ok(found) };
            from = [last.key(), b"\0"].concat();
        }
    }
}
