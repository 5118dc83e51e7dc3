//! One member's API, over any byte stream: a tunnel through SSH, or TCP.
//!
//! - One client per member. etcd-client's own list of endpoints fails calls at random while one of them is down
//!   (etcdv3/etcd-client#39), and what is asked here is always one member's own view.
//! - The TLS handshake is made here, not by tonic, which neither shares its configuration between members nor tells why
//!   a handshake failed.
//! - Everything has a deadline: a member that has not found a quorum accepts connections and says nothing.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, GetOptions};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

mod answer;
mod auth;
mod changes;
mod fault;
mod http;
mod metrics;
mod onlooker;
mod recorded;
mod snapshot;
pub(super) mod refusal;
pub(super) mod served;
mod tls;
mod version;
mod wire;

pub use auth::AuthState;
pub use changes::{Objection, Refusal};
pub use snapshot::{Piece, Snapshot};
pub use tls::Tls;

use crate::core::code::Code;
use crate::core::diagnostic::{Diagnostic, Kind};
use crate::core::names::{HostName, MemberId};
use crate::core::observed::{Answer, Cause, Seen};
use crate::core::url;
use fault::Fault;
use recorded::{Recorded, Recorder};

/// A connection to one member. When it is lost, every call fails at once; make another.
pub struct Member {
    /// For messages.
    place: Place,
    channel: Channel,
    client: Client,
    /// Refused by a member that follows no leader, instead of waiting until a leader is there.
    client_of_leader: Client,
    recorder: Recorder,
}

/// Why a member could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    pub cause: Cause,
    /// Nothing listens there, the address leads nowhere, or to a certificate with other names: it may still answer where
    /// it did before.
    pub may_be_elsewhere: bool,
}

impl Unreached {
    pub fn here(cause: Cause) -> Self {
        Self { cause, may_be_elsewhere: false }
    }

    pub fn elsewhere(cause: Cause) -> Self {
        Self { cause, may_be_elsewhere: true }
    }
}

/// The member's host and address, as messages name them, and the command that shows its log there.
#[derive(Clone, Debug)]
pub struct Place {
    host: HostName,
    address: String,
    log: String,
    /// What its certificate is checked with: `[ca]`, or a file.
    ca: String,
}

impl Place {
    pub fn new(host: &HostName, address: &str, log: String) -> Self {
        Self { host: host.clone(), address: address.to_owned(), log, ca: "[ca]".to_owned() }
    }

    /// Of a member that nothing is declared of.
    pub fn trusting(self, ca: String) -> Self {
        Self { ca, ..self }
    }

    /// `etcd on etcd-1 does not answer: …`. One without a leader does answer, and says so.
    fn silent(&self, fault: Fault) -> Cause {
        let host = &self.host;
        let (why, hint) = fault.why_and_hint(self);
        let (code, summary) = match fault {
            Fault::NoLeader => (Code::MemberSilent, format!("etcd on {host} has no leader")),
            // It does answer.
            fault if fault.is_denial() => (Code::AuthUnknown, format!("etcd on {host} may not be asked: {why}")),
            _ => (Code::MemberSilent, format!("etcd on {host} does not answer: {why}")),
        };
        Cause { code, summary, hint: Some(hint) }
    }

    /// `etcd on etcd-1 was asked to remove a member and refused: …`.
    fn refused(&self, what: &str, fault: Fault) -> Diagnostic {
        let Place { host, log, .. } = self;
        match fault {
            Fault::Said(words) => Diagnostic::failure(format!("etcd on {host} was asked {what} but refused: {words}"))
                .hint(format!("on {host}: {log}")),
            fault => Diagnostic { kind: Kind::Failure, ..self.silent(fault).into() },
        }
    }
}

impl Member {
    /// Speaks TLS to the member at `place` over `stream`. Its certificate must name the address.
    ///
    /// # Errors
    /// When the handshake fails or is not done within `deadline`. A member that refuses *our* certificate says so only
    /// at the first call (TLS 1.3).
    pub async fn connect<S>(place: Place, stream: S, tls: &Tls, deadline: Duration) -> Result<Member, Unreached>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let address = place.address.as_str();
        let silent = |fault| Unreached::here(place.silent(fault));
        let name = ServerName::try_from(address.to_owned())
            .map_err(|_| silent(Fault::Other(format!("{address} is not a valid name for a certificate"))))?;
        let handshake = tls.connector().connect(name, stream);
        let stream = timeout(deadline, handshake)
            .await
            .map_err(|_| silent(Fault::HandshakeTimeout(deadline)))?
            .map_err(|error| match Fault::of(&error) {
                fault if fault.is_wrong_name() => Unreached::elsewhere(place.silent(fault)),
                fault => silent(fault),
            })?;
        if stream.get_ref().1.alpn_protocol() != Some(tls::HTTP_2) {
            return Err(silent(Fault::NotEtcd));
        }
        Self::over(place, stream).await
    }

    /// As [`Member::connect`], to one that serves plain http: nobody proves who they are.
    ///
    /// # Errors
    /// When it does not speak HTTP/2 within `deadline`.
    pub async fn without_tls<S>(place: Place, stream: S, deadline: Duration) -> Result<Member, Unreached>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let silent = Unreached::here(place.silent(Fault::HandshakeTimeout(deadline)));
        timeout(deadline, Self::over(place, stream)).await.unwrap_or(Err(silent))
    }

    async fn over<S>(place: Place, stream: S) -> Result<Member, Unreached>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let silent = |fault| Unreached::here(place.silent(fault));
        let recorder = Recorder::default();
        let channel = channel_over(&place.address, Recorded::new(stream, recorder.clone()));
        let channel = channel.await.map_err(|error| silent(Fault::of(&error)))?;
        let client = |options| Client::from_channel(etcd_client::Channel::Tonic(channel.clone()), options);
        // Without a password no call is made here.
        let ready = |error| silent(Fault::of_client(&error));
        Ok(Member {
            client: client(None).await.map_err(ready)?,
            client_of_leader: client(Some(ConnectOptions::new().with_require_leader(true))).await.map_err(ready)?,
            place: place.clone(),
            channel,
            recorder,
        })
    }

    /// As [`Member::connect`], over a TCP connection to that address.
    ///
    /// # Errors
    /// As [`Member::connect`]; when nothing listens there, it may be elsewhere.
    pub async fn direct(place: Place, port: u16, tls: &Tls, deadline: Duration) -> Result<Member, Unreached> {
        let stream = match timeout(deadline, TcpStream::connect((place.address.as_str(), port))).await {
            Err(_) => return Err(Unreached::here(place.silent(Fault::ConnectTimeout(deadline, port)))),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(Unreached::elsewhere(place.silent(Fault::NothingListens(port))));
            }
            Ok(Err(error)) => return Err(Unreached::here(place.silent(Fault::of(&error)))),
            Ok(Ok(stream)) => stream,
        };
        // Small requests and answers: waiting to fill packets would cost 40 ms a call.
        stream.set_nodelay(true).map_err(|error| Unreached::here(place.silent(Fault::of(&error))))?;
        Member::connect(place, stream, tls, deadline).await
    }

    /// Everything that the member says of itself and the cluster, asked all at once.
    ///
    /// A member without a leader answers too: `reads` is false then, and the member list unknown but for its own one.
    ///
    /// # Errors
    /// When it does not tell its status within `deadline`.
    pub async fn answer(&self, deadline: Duration) -> Result<Answer, Cause> {
        let (status, reads, members, cluster_version, peers) = tokio::join!(
            self.status(deadline),
            self.reads(deadline),
            self.member_list(deadline),
            timeout(deadline, version::cluster_version(self.channel.clone())),
            timeout(deadline, metrics::peers(self.channel.clone()))
        );
        let answer = status?;
        let own_members = match members {
            Seen::Known(_) => Vec::new(),
            Seen::Unknown(_) => self.own_list(deadline).await,
        };
        let reads = reads && !answer.learner;
        let cluster_version = cluster_version.ok().flatten();
        let peers = peers.ok().flatten().unwrap_or_default();
        Ok(Answer { reads, members, own_members, cluster_version, peers, ..answer })
    }

    /// What the member says of itself alone: `reads` is false and the member list unknown, as neither is asked for.
    ///
    /// # Errors
    /// When it does not tell within `deadline`.
    pub async fn status(&self, deadline: Duration) -> Result<Answer, Cause> {
        let mut client = self.client.maintenance_client();
        let status =
            self.ask("for its status", deadline, async { client.status().await.map_err(Fault::of_client_owned) });
        answer::from_status(&self.place, &status.await?)
    }

    /// Whether a linearizable read through this member succeeds, which takes a quorum.
    async fn reads(&self, deadline: Duration) -> bool {
        // The key that etcdctl's own health check reads. Being denied it took a quorum too.
        let options = GetOptions::new().with_keys_only().with_limit(1);
        let mut client = self.client_of_leader.kv_client();
        match timeout(deadline, client.get("health", Some(options))).await {
            Ok(Ok(_)) => true,
            // So did being told that nobody is asking, where authentication is on and no certificate names a user.
            Ok(Err(etcd_client::Error::GRpcStatus(status))) => {
                status.code() == tonic::Code::PermissionDenied || status.message().contains("user name is empty")
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// The member list as a quorum knows it: etcd-client asks for the member's own, perhaps outdated one.
    async fn member_list(&self, deadline: Duration) -> Seen<Vec<crate::core::observed::MemberEntry>> {
        let list = wire::member_list(self.channel.clone(), true);
        match self.ask("for the member list", deadline, async { list.await.map_err(Fault::of_status) }).await {
            Ok(list) => Seen::Known(answer::members(list)),
            Err(cause) => Seen::Unknown(cause),
        }
    }

    /// Writes one key.
    ///
    /// # Errors
    /// When it is not acknowledged within `deadline`.
    pub async fn put(&self, key: &str, value: &str, deadline: Duration) -> Result<(), Cause> {
        let mut client = self.client.kv_client();
        let put = async { client.put(key, value, None).await.map_err(Fault::of_client_owned) };
        self.ask("to write a key", deadline, put).await.map(drop)
    }

    /// Deletes one key, which need not exist.
    ///
    /// # Errors
    /// When it is not acknowledged within `deadline`.
    pub async fn delete(&self, key: &str, deadline: Duration) -> Result<(), Cause> {
        let mut client = self.client.kv_client();
        let deleted = async { client.delete(key, None).await.map_err(Fault::of_client_owned) };
        self.ask("to delete a key", deadline, deleted).await.map(drop)
    }

    /// The hash of all keys and their history up to `revision` (0: up to now), the revision it was asked at, and the one
    /// that was compacted last: two hashes compare only when that is the same.
    ///
    /// # Errors
    /// When that revision is compacted or not reached, or it is not told within `deadline`.
    pub async fn hash_at(&self, revision: i64, deadline: Duration) -> Result<(i64, u32, i64), Cause> {
        let mut client = self.client.maintenance_client();
        let hash = async { client.hash_kv(revision).await.map_err(Fault::of_client_owned) };
        let hash = self.ask("for the hash of its keys", deadline, hash).await?;
        let at = hash.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((at, hash.hash(), hash.compact_version()))
    }

    /// How far its own keys have come, whatever the others have.
    ///
    /// # Errors
    /// When it is not told within `deadline`.
    pub async fn revision(&self, deadline: Duration) -> Result<i64, Cause> {
        let options = GetOptions::new().with_serializable().with_keys_only().with_limit(1);
        let mut client = self.client.kv_client();
        let got = async { client.get("health", Some(options)).await.map_err(Fault::of_client_owned) };
        let got = self.ask("for its revision", deadline, got).await?;
        Ok(got.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// How many keys there are at `revision`.
    ///
    /// # Errors
    /// When that revision is compacted or not reached, or it is not told within `deadline`.
    pub async fn count_at(&self, revision: i64, deadline: Duration) -> Result<i64, Cause> {
        let options = GetOptions::new().with_all_keys().with_count_only().with_revision(revision);
        let mut client = self.client.kv_client();
        let count = async { client.get("", Some(options)).await.map_err(Fault::of_client_owned) };
        Ok(self.ask("for its number of keys", deadline, count).await?.count())
    }

    /// Hands leadership to another voter. Only the leader can.
    ///
    /// # Errors
    /// When it does not lead, `to` is no voter that could, or it is not done within `deadline`.
    pub async fn move_leader(&self, to: MemberId, deadline: Duration) -> Result<(), Cause> {
        let mut client = self.client.maintenance_client();
        let moved = async { client.move_leader(to.0).await.map_err(Fault::of_client_owned) };
        self.ask("to transfer leadership", deadline, moved).await.map(drop)
    }

    /// Whether the connection has ended, so that another is needed.
    pub fn is_lost(&self) -> bool {
        self.recorder.has_ended()
    }

    async fn ask<T>(
        &self,
        what: &'static str,
        deadline: Duration,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Cause> {
        let fault = match timeout(deadline, call).await {
            Ok(Ok(said)) => return Ok(said),
            Ok(Err(fault)) => fault,
            Err(_) => Fault::CallTimeout(what, deadline),
        };
        // What ended the connection says more than the call that noticed: a refused certificate shows only as that.
        Err(self.place.silent(self.recorder.fault().unwrap_or(fault)))
    }
}

const WINDOW_BYTES: u32 = 4 << 20;

/// HTTP/2 over one stream. When it ends there is no other: the caller connects again.
async fn channel_over<S>(address: &str, stream: S) -> Result<Channel, tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let authority = url::host(address);
    // Plain http to tonic, which must not add a second TLS; https to etcd.
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))?;
    let origin = format!("https://{authority}").parse().expect("the same text was a URI before");
    let slot = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let stream = slot.lock().expect("no one panics while holding it").take();
        let lost = || io::Error::new(io::ErrorKind::NotConnected, "the connection was lost");
        std::future::ready(stream.map(TokioIo::new).ok_or_else(lost))
    });
    // As much as a snapshot can be under way over a line of 50 ms without waiting for our word that it has come.
    endpoint
        .origin(origin)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect_with_connector(connector)
        .await
}
