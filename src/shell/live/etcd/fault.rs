//! What went wrong between us and a member, in words that say what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use super::Place;
use crate::core::names::HostName;

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    NothingListens(u16),
    ConnectTimeout(Duration, u16),
    HandshakeTimeout(Duration),
    /// What was asked, and for how long.
    CallTimeout(&'static str, Duration),
    /// The member's certificate does not convince us.
    Certificate(CertificateError),
    /// Ours does not convince the member, or it gave up for another reason.
    Alert(AlertDescription),
    /// What answers does not speak TLS.
    NotTls,
    /// It speaks TLS, but not etcd's API.
    NotEtcd,
    Closed,
    NoLeader,
    Learner,
    /// etcd's own words.
    Said(String),
    Other(String),
}

const ENDED: [io::ErrorKind; 4] = [
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
];

/// The words of etcd's rpctypes, 3.4 to 3.7.
const DENIED: [&str; 2] = ["permission denied", "user name not found"];

/// A chain of causes longer than this goes in a circle.
const CAUSES_MAX: usize = 16;

impl Fault {
    /// Walks the causes: the outermost ones of tonic and hyper only say that something failed.
    pub fn of(error: &(dyn Error + 'static)) -> Fault {
        let mut next = Some(error);
        let mut innermost = error;
        for _ in 0..CAUSES_MAX {
            let Some(error) = next else { break };
            innermost = error;
            if let Some(error) = error.downcast_ref::<rustls::Error>() {
                return Fault::of_tls(error);
            }
            next = match error.downcast_ref::<io::Error>() {
                Some(io) => match (io.get_ref(), io.kind()) {
                    (Some(inner), kind) if !ENDED.contains(&kind) => Some(inner),
                    (Some(inner), _) if inner.is::<rustls::Error>() => Some(inner),
                    (Some(_), _) => return Fault::Closed,
                    (None, kind) if ENDED.contains(&kind) => return Fault::Closed,
                    (None, _) => return Fault::Other(io.to_string()),
                },
                None => error.source(),
            };
        }
        match innermost.downcast_ref::<tonic::Status>() {
            Some(status) => Fault::said(status),
            None => Fault::Other(innermost.to_string()),
        }
    }

    fn of_tls(error: &rustls::Error) -> Fault {
        match error {
            rustls::Error::InvalidCertificate(error) => Fault::Certificate(error.clone()),
            rustls::Error::AlertReceived(alert) => Fault::Alert(*alert),
            rustls::Error::InvalidMessage(_) => Fault::NotTls,
            rustls::Error::NoApplicationProtocol => Fault::NotEtcd,
            error => Fault::Other(error.to_string()),
        }
    }

    pub fn of_client(error: &etcd_client::Error) -> Fault {
        match error {
            etcd_client::Error::GRpcStatus(status) => Fault::said(status),
            etcd_client::Error::TransportError(error) => Fault::of(error),
            error => Fault::Other(error.to_string()),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn of_client_owned(error: etcd_client::Error) -> Fault {
        Fault::of_client(&error)
    }

    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub fn of_status(status: tonic::Status) -> Fault {
        Fault::said(&status)
    }

    /// A status that has a cause was made on this side; the others are etcd's.
    fn said(status: &tonic::Status) -> Fault {
        if let Some(source) = status.source() {
            return Fault::of(source);
        }
        match (status.code(), status.message()) {
            (_, message) if message.contains("no leader") => Fault::NoLeader,
            (_, message) if message.contains("not supported for learner") => Fault::Learner,
            (tonic::Code::Unimplemented, _) => Fault::NotEtcd,
            (code, "") => Fault::Said(code.to_string()),
            (_, message) => Fault::Said(message.to_owned()),
        }
    }

    /// Whether what answers has a certificate for other names.
    pub fn is_wrong_name(&self) -> bool {
        let Fault::Certificate(error) = self else { return false };
        matches!(error, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    }

    /// What happened, as the end of a sentence, and what to do.
    pub(super) fn told(&self, Place { host, address, log }: &Place) -> (String, String) {
        let log = format!("on {host}: {log}");
        match self {
            Fault::NothingListens(port) => (format!("nothing listens on {address}:{port}"), log),
            Fault::ConnectTimeout(after, port) => (
                format!("no connection to {address}:{port} within {}", seconds(*after)),
                "a firewall may be in between; etcd-access = \"tunnel\" in [ssh] needs no way to this port".to_owned(),
            ),
            Fault::HandshakeTimeout(after) => (
                format!("it accepted the connection and said nothing for {}", seconds(*after)),
                format!("a member serves only once it has found a quorum: are the others running? {log}"),
            ),
            Fault::CallTimeout(what, after) => {
                (format!("it was asked for {what} and said nothing for {}", seconds(*after)), log)
            }
            Fault::Certificate(error) => told_certificate(error, host, address),
            Fault::Alert(alert) => told_alert(*alert, host, log),
            Fault::NotTls => (
                "what listens there does not speak TLS".to_owned(),
                "etcd was started without certificates, or another program has its port".to_owned(),
            ),
            Fault::NotEtcd => (
                "what answers there is not etcd's API".to_owned(),
                format!("another program, or a proxy, has its port: on {host}, `ss -ltnp` tells which"),
            ),
            Fault::Closed => ("it closed the connection".to_owned(), log),
            Fault::NoLeader => (
                "it follows no leader".to_owned(),
                format!("there is no quorum, or {host} is cut off from it: are the other members running?"),
            ),
            Fault::Learner => ("a learner does not serve that".to_owned(), "ask a voter".to_owned()),
            Fault::Said(words) if DENIED.iter().any(|denied| words.contains(denied)) => (
                format!("it says: {words}"),
                "authentication is on, and the user root, as whom quorate comes, has not the role root: give it to root, \
                 or turn authentication off, as somebody who may"
                    .to_owned(),
            ),
            Fault::Said(words) => (format!("it says: {words}"), log),
            Fault::Other(words) => (words.clone(), log),
        }
    }
}

fn told_certificate(error: &CertificateError, host: &HostName, address: &str) -> (String, String) {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its server certificate has expired".to_owned(),
            "a new server.crt is read at the next connection, without a restart".to_owned(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "its server certificate is not valid yet".to_owned(),
            format!("compare the clocks of {host} and of this machine"),
        ),
        // Of another authority with the same name, the signature is what differs.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            "its server certificate was signed by another authority than the one beside cluster.toml".to_owned(),
            "restore the right ca.crt and ca.key where [ca] says".to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("its server certificate does not name {address}"),
            format!("correct `address`, or have {host} get a new server.crt"),
        ),
        error => (
            format!("its server certificate is not acceptable: {error}"),
            format!("on {host}: openssl x509 -in server.crt -noout -text"),
        ),
    }
}

fn told_alert(alert: AlertDescription, host: &HostName, log: String) -> (String, String) {
    let clocks = format!("compare the clocks of {host} and of this machine");
    match alert {
        AlertDescription::CertificateExpired => ("it finds our client certificate expired".to_owned(), clocks),
        AlertDescription::UnknownCA => (
            "it does not trust the authority beside cluster.toml".to_owned(),
            "restore the right ca.crt and ca.key where [ca] says".to_owned(),
        ),
        // What Go says of every fault of a client's certificate, but in its newest versions.
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => (
            "it refuses our client certificate".to_owned(),
            format!("it trusts another authority than the one beside cluster.toml, or its clock is off: {clocks}"),
        ),
        // Go cannot load what it would serve with.
        AlertDescription::InternalError => (
            "it cannot use its own server certificate".to_owned(),
            format!("on {host}, server.crt and server.key may be missing, unreadable, or not belong together"),
        ),
        alert => (format!("it broke off the TLS handshake: {alert:?}"), log),
    }
}

/// `3 s`, `0.5 s`.
fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_millis() as f64 / 1000.0)
}
