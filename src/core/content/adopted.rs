//! The settings of a service that somebody else has set up: in which file and form they stand, and which of them
//! cluster.toml declares.
//!
//! ```text
//! [etcd] ─► quota-backend-bytes=…, heartbeat-interval=… ─► changed in the file, all else in it stays
//! [nodes], [ports], [paths] ─► compared, and never changed
//! ```

use core::net::IpAddr;
use std::collections::BTreeMap;

use super::form::{self, Form, Setting, Unreadable};
use super::{Initial, layout, settings};
use crate::core::desired::{Desired, Layout};
use crate::core::names::{HostName, PeerUrl, RemotePath, Version};
use crate::core::observed::File;
use crate::core::url;

/// The form of the file that holds the settings; `None` where quorate writes the whole of it.
pub fn form(desired: &Desired) -> Option<Form> {
    match desired.cluster.layout {
        Layout::Default | Layout::Canonical => None,
        Layout::Kubespray | Layout::Etcdadm | Layout::Autobase | Layout::Debian => Some(Form::Environment),
        Layout::CanonicalSnap => Some(Form::Arguments),
        Layout::Kubeadm => Some(Form::Manifest),
        // Flags of the unit, a configuration file, or variables in a file that the unit reads.
        Layout::Unit if is_yaml(&desired.paths.config) => Some(Form::Yaml),
        Layout::Unit => {
            Some(if desired.paths.config == desired.paths.unit() { Form::Flags } else { Form::Environment })
        }
    }
}

/// Whether a file with settings is etcd's own configuration file, by its name.
pub fn is_yaml(path: &RemotePath) -> bool {
    [".yaml", ".yml"].iter().any(|end| path.as_str().ends_with(end))
}

/// The file that etcd's settings stand in.
pub fn settings_file(desired: &Desired) -> File {
    if desired.cluster.layout.is_adopted() { File::Settings } else { File::Config }
}

/// What that file says of one setting, by the name of its flag; `None` where it does not set it, or cannot be read.
pub fn setting(desired: &Desired, text: &str, name: &str) -> Option<String> {
    match form(desired) {
        Some(form) => form::read(form, text).ok()?.remove(name)?.value,
        None => super::value_of(name, text).map(str::to_owned),
    }
}

/// All that the file says to what; a part that is only put in at the start (`${ADDRESS}`) is left out.
///
/// # Errors
/// What in it cannot be read without a guess.
pub fn read(desired: &Desired, text: &str) -> Result<BTreeMap<String, String>, Unreadable> {
    let form = form(desired).unwrap_or(Form::Yaml);
    let settings = form::read(form, text)?.into_iter();
    Ok(settings.filter_map(|(name, setting)| Some((name, setting.value?))).collect())
}

/// What `[etcd]` declares, by the names of flags.
pub fn declared(desired: &Desired) -> BTreeMap<String, String> {
    settings::in_file(&super::etcd_section(desired))
}

/// The text of the file with all that is declared.
///
/// # Errors
/// What cannot be changed in it without a guess.
pub fn text(desired: &Desired, before: &str) -> Result<String, Unreadable> {
    let form = form(desired).unwrap_or(Form::Yaml);
    let wanted = declared(desired).into_iter().map(|(name, value)| (name, Some(value)));
    form::with(form, before, &wanted.collect())
}

/// The image of a version: as it is declared, or by the name of the one in the manifest; `None` where neither says it.
pub fn image(desired: &Desired, text: &str, version: Version) -> Option<String> {
    match &desired.etcd.image {
        Some(image) => Some(image.replace("{version}", &version.to_string())),
        None => form::pod(text).ok()?.image_of(version),
    }
}

/// The text of a member's file as another host has it: with the names, addresses and paths of that one.
///
/// # Errors
/// What in it would be the other member's still, or cannot be changed without a guess.
///
/// # Panics
/// If one of the two hosts is not declared.
pub fn text_of_another(
    desired: &Desired,
    model: &str,
    (of, host): (&HostName, &HostName),
) -> Result<String, Unreadable> {
    let form = form(desired).unwrap_or(Form::Yaml);
    let [theirs, own] = [of, host].map(|host| desired.nodes[host].address.as_str());
    let text = form::with_word(model, theirs, own);
    let text = if form == Form::Manifest { form::startup_without_quorum(&text) } else { text };
    let wanted = identity(desired, host).into_iter().map(|(name, value)| (name.to_owned(), Some(value)));
    let text = form::with(form, &text, &wanted.collect())?;
    let settings = form::read(form, &text)?;
    for (name, setting) in settings.iter().filter(|(name, _)| name.starts_with("listen-")) {
        let urls = setting.value.as_deref().unwrap_or_default().split(',');
        let is_own =
            |at: &str| at == own || at.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
        if let Some(other) = urls.map(|url| PeerUrl::new(url).address().to_owned()).find(|at| !is_own(at)) {
            let what = format!("{name} has {other}, which is not an address of {host}");
            return Err(Unreadable { line: Some(setting.line), what });
        }
    }
    Ok(text)
}

/// The same for the first start of a member: of one that joins, the token is left as it is, as etcd asks the members that it joins.
///
/// # Errors
/// What cannot be changed in it without a guess.
pub fn text_of_newcomer(desired: &Desired, before: &str, initial: &Initial) -> Result<String, Unreadable> {
    let form = form(desired).unwrap_or(Form::Yaml);
    let leads_elsewhere = |(name, setting): &(String, Setting)| makes_another_cluster(name, setting.value.as_deref());
    if let Some((name, setting)) = form::read(form, before)?.into_iter().find(leads_elsewhere) {
        let what = format!("{name} is set, with which etcd would not join the members that are there");
        return Err(Unreadable { line: Some(setting.line), what });
    }
    let joins = [("initial-cluster", &initial.cluster), ("initial-cluster-state", &initial.state)];
    let joins = joins.map(|(name, value)| (name.to_owned(), value.clone()));
    let begins = initial.is_new().then(|| ("initial-cluster-token".to_owned(), initial.token.to_string()));
    let joins = joins.into_iter().chain(begins);
    let wanted = declared(desired).into_iter().chain(joins).map(|(name, value)| (name, Some(value)));
    form::with(form, before, &wanted.collect())
}

/// The text once the member has its data, which alone says then who belongs to the cluster: a start without it is to fail. As a
/// member joins, etcd would begin with an empty log under its old id; as a cluster begins, it would begin another one. Where
/// `initial-cluster` does not name the member, etcd 3.4 to 3.7 end: "couldn't find local name … in the initial cluster
/// configuration". With data it is not looked at.
///
/// # Errors
/// What cannot be changed in it without a guess.
pub fn text_of_begun(desired: &Desired, before: &str, host: &HostName) -> Result<String, Unreadable> {
    let form = form(desired).unwrap_or(Form::Yaml);
    let nobody = format!("{host}-has-begun={}", desired.peer_url(host).as_str());
    let settings = [("initial-cluster", nobody), ("initial-cluster-state", "existing".to_owned())];
    form::with(form, before, &settings.map(|(name, value)| (name.to_owned(), Some(value))).into())
}

/// Settings by which a start without data finds its members elsewhere than in `initial-cluster`, or takes none.
fn makes_another_cluster(setting: &str, value: Option<&str>) -> bool {
    const THESE: [&str; 4] = ["discovery", "discovery-endpoints", "discovery-srv", "force-new-cluster"];
    THESE.contains(&setting) && !matches!(value, Some("" | "false" | "null"))
}

/// The line, from 1, of what may be a secret in the file: a plan shows what it writes. In a file of variables only those are
/// known to hold none that are etcd's own, or name files and addresses.
pub fn secret(desired: &Desired, text: &str) -> Option<usize> {
    let has_variables = form(desired) == Some(Form::Environment);
    const WORDS: [&str; 6] = ["PASSW", "PASSPHRASE", "SECRET", "PRIVATE KEY", "CREDENTIAL", "ETCDCTL_USER"];
    const PLAIN: [&str; 12] = [
        "DAEMON_ARGS",
        "ETCDCTL_API",
        "ETCDCTL_CACERT",
        "ETCDCTL_CERT",
        "ETCDCTL_ENDPOINTS",
        "ETCDCTL_KEY",
        "ETCDCTL_WRITE_OUT",
        "GOGC",
        "GOMAXPROCS",
        "GOMEMLIMIT",
        "LANG",
        "TZ",
    ];
    let is_plain = |line: &str| match line.split_once('=') {
        _ if line.is_empty() || line.starts_with(['#', ';']) => true,
        Some((name, _)) => name.starts_with("ETCD_") || PLAIN.contains(&name),
        None => false,
    };
    let may_be = |line: &str| {
        let upper = line.to_ascii_uppercase();
        WORDS.iter().any(|word| upper.contains(word)) || has_variables && !is_plain(line)
    };
    text.lines().zip(1..).find(|(line, _)| may_be(line.trim())).map(|(_, number)| number)
}

/// What makes a member the one that is declared, by the names of flags: its name, its addresses, and where its files lie.
///
/// # Panics
/// If `host` is not declared.
pub fn identity(desired: &Desired, host: &HostName) -> [(&'static str, String); 9] {
    let path = |file| layout::path(desired, host, file).to_string();
    [
        ("name", host.to_string()),
        ("data-dir", desired.paths.data.to_string()),
        ("initial-advertise-peer-urls", desired.peer_url(host).as_str().to_owned()),
        ("advertise-client-urls", url::https(&desired.nodes[host].address, desired.ports.client)),
        ("trusted-ca-file", path(File::Trust)),
        ("cert-file", path(File::ServerCertificate)),
        ("key-file", path(File::ServerKey)),
        ("peer-cert-file", path(File::PeerCertificate)),
        ("peer-key-file", path(File::PeerKey)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::desired::{AutoCompaction, CompactionMode, Setting};
    use crate::laws::sample;

    fn desired(layout: Layout) -> Desired {
        let mut desired = sample::desired(1);
        desired.cluster.layout = layout;
        desired.etcd.quota_backend_bytes = Some(4 << 30);
        desired.etcd.heartbeat_interval_ms = Some(250);
        let retention = "8h".to_owned();
        desired.etcd.auto_compaction = Some(AutoCompaction { mode: CompactionMode::Periodic, retention });
        let extra = [
            ("max-request-bytes", Setting::Integer(1_572_864)),
            ("enable-pprof", Setting::Bool(true)),
            ("grpc-keepalive-interval", Setting::Integer(7_200_000_000_000)),
            ("cipher-suites", Setting::List(vec![Setting::Text("A".to_owned()), Setting::Text("B".to_owned())])),
        ];
        desired.etcd.extra = extra.map(|(name, value)| (name.to_owned(), value)).into();
        desired
    }

    #[test]
    fn what_is_declared_has_the_names_and_the_spelling_of_flags() {
        let declared: Vec<_> = declared(&desired(Layout::Kubespray)).into_iter().collect();
        let expected = [
            ("auto-compaction-mode", "periodic"),
            ("auto-compaction-retention", "8h"),
            ("cipher-suites", "A,B"),
            ("enable-pprof", "true"),
            ("grpc-keepalive-interval", "2h0m0s"),
            ("heartbeat-interval", "250"),
            ("max-request-bytes", "1572864"),
            ("quota-backend-bytes", "4294967296"),
        ];
        assert_eq!(declared, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn only_what_is_declared_is_changed_in_the_file() {
        let mut desired = desired(Layout::Kubespray);
        desired.etcd.extra.clear();
        desired.etcd.auto_compaction = None;
        let before = "# Ansible managed\nETCD_NAME=etcd1\nETCD_QUOTA_BACKEND_BYTES=2147483648\nETCD_METRICS=basic\n";
        let after = text(&desired, before).expect("it can be changed");
        let expected = before.replace("2147483648", "4294967296") + "ETCD_HEARTBEAT_INTERVAL=250\n";
        assert_eq!(after, expected);
        assert_eq!(text(&desired, &after).as_deref(), Ok(after.as_str()));
        assert_eq!(setting(&desired, &after, "metrics").as_deref(), Some("basic"));
    }

    #[test]
    fn what_may_be_a_secret_is_told_by_its_line() {
        let of = |text: &str| secret(&desired(Layout::Kubespray), text);
        assert_eq!(
            of("# Ansible managed\nETCD_NAME=a\n\nETCDCTL_CERT=/x\nETCD_INITIAL_CLUSTER_TOKEN=t\nGOMAXPROCS=2\n"),
            None
        );
        for line in [
            "ETCDCTL_PASSWORD=x",
            "#ETCDCTL_PASSWORD=x",
            "# root password: x",
            "PGPASS=x",
            "S3_KEY=x",
            "MIIEow",
            "ETCD_ROOT_PASSWORD=x",
        ] {
            assert_eq!(of(&format!("ETCD_NAME=a\n{line}\n")), Some(2), "{line}");
        }
        let mut with_flags = desired(Layout::Unit);
        with_flags.paths.config = with_flags.paths.unit();
        assert_eq!(secret(&with_flags, "[Service]\nUser=etcd\nEnvironment=\"A=b\" db_password=c\n"), Some(3));
        let mut with_yaml = desired(Layout::Unit);
        with_yaml.paths.config = RemotePath::new("/etc/etcd/etcd.conf.yml");
        assert_eq!(secret(&with_yaml, "name: a\nlog-level: info\n"), None);
    }
}
