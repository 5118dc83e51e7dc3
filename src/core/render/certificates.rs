//! Every certificate of a cluster: a table as kubeadm's, and a document for programs.

use crate::core::render::pretty;
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::rfc3339;
use super::palette::Palette;
use super::status::{Unseen, unseen};
use super::{clean, table};
use crate::core::content::layout;
use crate::core::desired::Desired;
use crate::core::names::{ClusterName, ConsumerName, HostName};
use crate::core::observed::{Certificate, ConsumerFiles, Host, Observed, Role, Seen};
use crate::core::span;

/// What `certs list --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "quorate certs list")]
pub struct Document {
    pub format_version: u64,
    pub cluster: ClusterName,
    /// RFC 3339, in UTC.
    pub at: String,
    /// The authority first, then those of each node.
    pub certificates: Vec<Row>,
    /// Hosts that could not be seen, and why.
    pub unseen: Vec<Unseen>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The host; `null` for the authority.
    pub node: Option<HostName>,
    /// `authority`, `server`, `peer`, `healthcheck-client`, or `consumer NAME`.
    pub role: String,
    /// Where it lies on the node; `null` for the authority.
    pub path: Option<String>,
    pub common_name: Option<String>,
    /// DNS names and IP addresses.
    pub names: Vec<String>,
    pub issuer: Issuer,
    /// In hexadecimal; `null` for the authority.
    pub serial: Option<String>,
    /// RFC 3339, in UTC.
    pub expires: String,
    /// Negative once it has expired.
    pub seconds_left: i64,
}

/// Who signed a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Issuer {
    /// Our authority.
    Authority,
    /// The one that is taking its place.
    Next,
    /// Another one that the node trusts.
    Trusted,
    /// Nobody who is known.
    Unknown,
}

pub fn document(desired: &Desired, observed: &Observed) -> Document {
    let at = observed.at;
    let authority = observed.workstation.authority.known().and_then(Option::as_ref);
    let ours = authority.map(|authority| authority.fingerprint);
    let next = observed.workstation.next.as_ref().map(|next| next.fingerprint);
    let own = authority.map(|authority| Row {
        node: None,
        role: "authority".to_owned(),
        path: None,
        common_name: None,
        names: Vec::new(),
        issuer: Issuer::Authority,
        serial: None,
        expires: rfc3339(authority.not_after),
        seconds_left: authority.not_after.0.saturating_sub(at.0),
    });
    let row = |host: &HostName, role: String, path: String, certificate: &Certificate| Row {
        node: Some(host.clone()),
        role,
        path: Some(path),
        common_name: Some(certificate.common_name.clone()),
        names: certificate.names.iter().cloned().collect(),
        issuer: match certificate.signed_by {
            Some(signer) if Some(signer) == ours => Issuer::Authority,
            Some(signer) if Some(signer) == next => Issuer::Next,
            Some(_) => Issuer::Trusted,
            None => Issuer::Unknown,
        },
        serial: Some(certificate.serial.clone()),
        expires: rfc3339(certificate.not_after),
        seconds_left: certificate.not_after.0.saturating_sub(at.0),
    };
    let of_host = |(node, host): (&HostName, &Host)| -> Vec<Row> {
        let path = |role: Role| layout::path(desired, node, role.certificate()).to_string();
        let of_role =
            |(role, certificate): (&Role, &Certificate)| row(node, role.to_string(), path(*role), certificate);
        host.certificates.iter().map(of_role).collect()
    };
    let of_consumer = |(name, files): (&ConsumerName, &Seen<ConsumerFiles>)| -> Option<Row> {
        let consumer = desired.consumers.get(name)?;
        let certificate = files.known()?.certificate.as_ref()?;
        Some(row(&consumer.host, format!("consumer {name}"), consumer.certificate.to_string(), certificate))
    };
    let unseen_consumers = observed.consumers.iter().filter_map(|(name, files)| {
        let (host, cause) = (desired.consumers.get(name)?.host.clone(), files.unknown()?);
        Some(Unseen { host, code: cause.code, what: cause.summary.clone(), hint: cause.hint.clone() })
    });
    Document {
        format_version: 1,
        cluster: desired.cluster.name.clone(),
        at: rfc3339(at),
        certificates: own
            .into_iter()
            .chain(observed.seen_hosts().flat_map(of_host))
            .chain(observed.consumers.iter().filter_map(of_consumer))
            .collect(),
        unseen: observed
            .hosts
            .iter()
            .filter(|(_, host)| host.known().is_none())
            .filter_map(unseen)
            .chain(unseen_consumers)
            .collect(),
    }
}

/// The document as text, indented, with a newline at its end.
pub fn json(document: &Document) -> String {
    pretty(document)
}

/// The table. Those that end within `within_seconds` stand out. Ends with a newline.
pub fn text(document: &Document, within_seconds: i64, palette: Palette) -> String {
    let cells = |row: &Row| {
        let issuer = match row.issuer {
            Issuer::Authority if row.node.is_none() => "self-signed",
            Issuer::Authority => "this CA",
            Issuer::Next => "the new CA",
            Issuer::Trusted => "OTHER CA",
            Issuer::Unknown => "UNKNOWN",
        };
        [
            row.node.as_ref().map_or_else(|| "-".to_owned(), HostName::to_string),
            if row.node.is_none() { "CA".to_owned() } else { row.role.clone() },
            row.common_name.as_deref().map_or_else(|| "-".to_owned(), clean),
            issuer.to_owned(),
            row.expires.clone(),
            residual(row.seconds_left),
            clean(&row.names.join(",")),
        ]
    };
    let rows: Vec<_> = document.certificates.iter().map(cells).collect();
    let head = ["NODE", "ROLE", "NAME", "ISSUER", "EXPIRES", "EXPIRES IN", "ALTERNATIVE NAMES"];
    let (heading, lines) = table::lines(head, &rows);
    let mut out = String::new();
    let style = palette.heading;
    let _ = writeln!(out, "{style}{heading}{style:#}");
    for (line, row) in lines.iter().zip(&document.certificates) {
        let style = if row.seconds_left <= within_seconds { palette.code } else { anstyle::Style::new() };
        let _ = writeln!(out, "{style}{line}{style:#}");
    }
    for unseen in &document.unseen {
        let _ = writeln!(out, "\n{}: {}", unseen.host, clean(&unseen.what));
    }
    out
}

/// `365d`, as kubeadm says it; `10y`, and hours in the last two days.
fn residual(seconds: i64) -> String {
    match seconds {
        ..=0 => "expired".to_owned(),
        1..=172_800 => format!("{}h", seconds / 3600),
        // `365 days`, `10 years`
        _ => span::days(seconds).replace(" days", "d").replace(" years", "y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::sample;

    #[test]
    fn every_certificate_is_listed_with_its_end() {
        let desired = sample::desired(2);
        let mut observed = sample::healthy(&desired);
        let host = observed.host_mut(&sample::name(1)).expect("it is seen");
        host.certificates.get_mut(&Role::Peer).expect("it has one").not_after = sample::AT.plus_seconds(7200);
        let document = document(&desired, &observed);
        assert_eq!(document.certificates.len(), 1 + 2 * 3, "{document:?}");
        let text = text(&document, 0, Palette::plain());
        assert!(text.starts_with("NODE    ROLE                NAME"), "{text}");
        let peer = text.lines().find(|line| line.starts_with("etcd-2  peer ")).expect("it is listed");
        assert!(peer.contains("  2h") && peer.contains("this CA"), "{text}");
        let read: Document = serde_json::from_str(&json(&document)).expect("what is written can be read");
        assert_eq!(read, document);
    }
}
