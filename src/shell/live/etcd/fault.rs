//! What went wrong between us and a member, in words that say what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use super::Place;
use crate::core::names::HostName;
use crate::core::span;

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    NothingListens(u16),
    ConnectTimeout(Duration, u16),
    HandshakeTimeout(Duration),
    /// What was asked, after `the request` (`for the member list`, `to promote a learner`), and for how long.
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

    /// Whether it answers, and who asks may not.
    pub fn is_denial(&self) -> bool {
        matches!(self, Fault::Said(words) if DENIED.iter().any(|denied| words.contains(denied)))
    }

    /// What happened, as the end of a sentence, and what to do.
    pub(super) fn why_and_hint(&self, Place { host, address, log, ca }: &Place) -> (String, String) {
        let log = format!("on {host}: {log}");
        match self {
            Fault::NothingListens(port) => (format!("nothing listens on {address}:{port}"), log),
            Fault::ConnectTimeout(after, port) => (
                format!("no connection to {address}:{port} within {}", span::limit(*after)),
                "a firewall may block it; with etcd-access = \"tunnel\" in [ssh], this port need not be reachable"
                    .to_owned(),
            ),
            Fault::HandshakeTimeout(after) => (
                format!("it accepted the connection but did not answer for {}", span::limit(*after)),
                format!(
                    "a member serves only once it is part of a quorum: either too few of the others run, or they and it do not \
                     reach or accept each other (`quorate doctor`); {log}"
                ),
            ),
            Fault::CallTimeout(what, after) => {
                (format!("no answer to the request {what} within {}", span::limit(*after)), log)
            }
            Fault::Certificate(error) => certificate_problem(error, host, address, ca),
            Fault::Alert(alert) => alert_problem(*alert, host, log, ca),
            Fault::NotTls => (
                "the program that listens there does not speak TLS".to_owned(),
                "etcd was started without certificates, or another program uses its port".to_owned(),
            ),
            Fault::NotEtcd => (
                "the program that answers there is not etcd".to_owned(),
                format!("another program or a proxy uses its port: run `ss -ltnp` on {host}"),
            ),
            Fault::Closed => ("it closed the connection".to_owned(), log),
            Fault::NoLeader => (
                "it has no leader".to_owned(),
                format!(
                    "the cluster has no quorum, or {host} is cut off from it: check that the other members are \
                         running"
                ),
            ),
            Fault::Learner => ("learners do not serve this request".to_owned(), "a voter must be available".to_owned()),
            Fault::Said(words) if DENIED.iter().any(|denied| words.contains(denied)) => (
                format!("it reports: {words}"),
                "authentication is on, and quorate connects as user root, which lacks the role root: grant it, or \
                 disable authentication, as a user who may"
                    .to_owned(),
            ),
            Fault::Said(words) => (format!("it reports: {words}"), log),
            Fault::Other(words) => (words.clone(), log),
        }
    }
}

fn certificate_problem(error: &CertificateError, host: &HostName, address: &str, ca: &str) -> (String, String) {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            "its server certificate has expired".to_owned(),
            "`quorate apply` puts a new one in place: etcd reads it at the next connection, without a restart"
                .to_owned(),
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            "its server certificate is not valid yet".to_owned(),
            format!("compare the clocks of {host} and of this machine"),
        ),
        // Of another authority with the same name, the signature is what differs.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            format!("its server certificate was signed by a different CA from the one in {ca}"),
            "restore the right ca.crt and ca.key to the location in [ca]".to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("its server certificate does not name {address}"),
            format!("correct `address`, or put a new server.crt on {host}"),
        ),
        error => (
            format!("its server certificate is not acceptable: {error}"),
            format!("on {host}: openssl x509 -in server.crt -noout -text"),
        ),
    }
}

fn alert_problem(alert: AlertDescription, host: &HostName, log: String, ca: &str) -> (String, String) {
    let clocks = format!("compare the clocks of {host} and of this machine");
    match alert {
        AlertDescription::CertificateExpired => ("it rejects our client certificate as expired".to_owned(), clocks),
        AlertDescription::UnknownCA => (
            format!("it does not trust the CA in {ca}"),
            "restore the right ca.crt and ca.key to the location in [ca]".to_owned(),
        ),
        // What Go says of every fault of a client's certificate, but in its newest versions.
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => (
            "it rejects our client certificate".to_owned(),
            format!("it trusts a different CA from the one in {ca}, or its clock is off: {clocks}"),
        ),
        // Go cannot load what it would serve with.
        AlertDescription::InternalError => (
            "it cannot use its own server certificate".to_owned(),
            format!("on {host}, server.crt and server.key may be missing, unreadable, or not match"),
        ),
        alert => (format!("it aborted the TLS handshake: {}", alert_words(alert)), log),
    }
}

/// As TLS calls it, in words: `handshake failure`.
fn alert_words(alert: AlertDescription) -> String {
    let name = alert.as_str().map_or_else(|| format!("alert {}", u8::from(alert)), str::to_owned);
    let spaced = name.chars().flat_map(|c| [c.is_ascii_uppercase().then_some(' '), Some(c.to_ascii_lowercase())]);
    spaced.flatten().collect::<String>().trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_answer_is_told_as_a_sentence() {
        let place = Place::new(&crate::core::names::HostName::new("etcd-1"), "10.0.0.11", "its log".to_owned());
        let why = |what| Fault::CallTimeout(what, Duration::from_secs(3)).why_and_hint(&place).0;
        assert_eq!(why("for the member list"), "no answer to the request for the member list within 3 s");
        assert_eq!(why("to promote a learner"), "no answer to the request to promote a learner within 3 s");
    }

    #[test]
    fn an_alert_is_told_in_words() {
        assert_eq!(alert_words(AlertDescription::HandshakeFailure), "handshake failure");
        assert_eq!(alert_words(AlertDescription::NoApplicationProtocol), "no application protocol");
        assert_eq!(alert_words(AlertDescription::from(200)), "alert 200");
    }
}
