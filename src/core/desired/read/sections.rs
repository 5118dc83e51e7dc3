//! The short sections of cluster.toml: one function each, which reads as the list of its keys.

use std::collections::BTreeMap;

use toml::Spanned;

use super::adopted;
use super::ca::{self, Given};
use super::kinds::{self, Local};
use super::problem::Problem;
use super::table::Table;
use super::value::{Value, duration, one_of, port};
use crate::core::desired::{CertificatePolicy, Downtime, EtcdAccess, Layout, Node, Ports, Runtime, Ssh, SshClient};
use crate::core::names::{ClusterName, HostName, Version};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// `[cluster]`: what other sections need is there even when something else in it is wrong.
pub(super) struct ClusterSection {
    pub name: Option<ClusterName>,
    pub version: Option<Version>,
    pub downtime: Downtime,
    pub layout: Layout,
}

pub(super) fn cluster(table: &mut Table) -> ClusterSection {
    let name = table.require("name", "\"prod\"", kinds::name);
    let version = table.require("version", "\"3.6.16\"", kinds::version);
    let runtimes = [("systemd", Some(Runtime::Systemd)), ("static-pod", Some(Runtime::StaticPod))];
    let runtime = table.get_spanned("runtime", one_of(&runtimes));
    table.get("topology", one_of(&[("external", Some(())), ("stacked", None)]));
    let named = Layout::ALL.iter().filter(|layout| Layout::of_name(layout.name()) == Some(**layout));
    let layouts: Vec<_> = named.map(|layout| (layout.name(), Some(*layout))).collect();
    let layout = table.get("layout", one_of(&layouts)).unwrap_or(Layout::Default);
    if let Some(runtime) = runtime.filter(|runtime| *runtime.get_ref() != layout.runtime()) {
        let (name, is) = (layout.name(), layout.runtime().name());
        let problem = Problem::new(runtime.span(), format!("with `layout = \"{name}\"`, etcd is run by {is}"));
        table.report(problem.hint(format!("omit `runtime`: it is \"{is}\" there")));
    }
    let downtimes = [("never", Some(Downtime::Never)), ("allowed", Some(Downtime::Allowed))];
    ClusterSection {
        name: name.map(|name| ClusterName::new(name.into_inner())),
        version: version.map(Spanned::into_inner),
        downtime: table.get("downtime", one_of(&downtimes)).unwrap_or(Downtime::Never),
        layout,
    }
}

pub(super) fn nodes(table: &mut Table, local: Local) -> (BTreeMap<HostName, Node>, BTreeMap<HostName, Given>) {
    let mut nodes = BTreeMap::new();
    let mut given = BTreeMap::new();
    let mut addresses = Places::default();
    let mut destinations = Places::default();
    let mut declared = false;
    table.each_section(|name, table| {
        declared = true;
        if let Err(why) = kinds::check_name(name.get_ref()) {
            let summary = format!("{:?} is not a valid node name", name.get_ref());
            table.report(Problem::new(name.span(), summary).hint(why));
        }
        let address = table.require("address", "\"10.0.0.11\"", kinds::address);
        let ssh = table.get_spanned("ssh", kinds::ssh_destination);
        let hostname = table.get("hostname", kinds::host_name);
        let peer_names = names(table, "peer-names");
        let host = HostName::new(*name.get_ref());
        let (section, pairs) =
            table.section("certificates", |table| (table.is_present().then(|| table.span()), ca::pairs(table, local)));
        given.insert(host.clone(), Given { node: name.span(), section, pairs });
        let Some(address) = address else { return };
        if let Some(problem) = addresses.again(&address, "two nodes have the address") {
            table.report(problem);
        }
        // A copied line that was not edited would put two members on one host.
        if let Some(problem) =
            ssh.as_ref().and_then(|ssh| destinations.again(ssh, "two nodes have the ssh destination"))
        {
            table.report(problem);
        }
        let node = Node { address: address.into_inner(), ssh: ssh.map(Spanned::into_inner), hostname, peer_names };
        nodes.insert(host, node);
    });
    if !declared {
        let problem = Problem::new(table.span(), "no nodes are declared");
        table.report_missing(problem.hint("add one section for each: [nodes.etcd-1] with `address = \"10.0.0.11\"`"));
    }
    (nodes, given)
}

/// Extra names of a certificate, sorted, each once.
fn names(table: &mut Table, key: &'static str) -> Vec<String> {
    let mut names = table.list(key, kinds::server_name);
    names.sort();
    names.dedup();
    names
}

/// The first place of each text.
#[derive(Default)]
struct Places(BTreeMap<String, std::ops::Range<usize>>);

impl Places {
    /// The problem that `text` was there before.
    fn again(&mut self, text: &Spanned<String>, summary: &str) -> Option<Problem> {
        let text_itself = text.get_ref();
        if let Some(first) = self.0.get(text_itself) {
            let problem = Problem::new(text.span(), format!("{summary} {text_itself:?}"));
            return Some(problem.label("again").related(first.clone(), "here first"));
        }
        self.0.insert(text_itself.clone(), text.span());
        None
    }
}

pub(super) fn ports(table: &mut Table) -> Ports {
    let ports = [("client", 2379), ("peer", 2380), ("metrics", 2381)].map(|(name, default)| {
        let declared = table.get_spanned(name, port);
        (name, declared.as_ref().map(Spanned::span), declared.map_or(default, Spanned::into_inner))
    });
    for (index, (name, span, number)) in ports.iter().enumerate() {
        let Some((other, first, _)) = ports[..index].iter().find(|(_, _, other)| other == number) else { continue };
        // Two defaults are never equal, so one of them was declared.
        let here = span.clone().or(first.clone()).unwrap_or(table.span());
        let problem = Problem::new(here.clone(), format!("`{other}` and `{name}` are both port {number}"))
            .hint("the defaults are client 2379, peer 2380 and metrics 2381");
        table.report(match first.clone().filter(|there| *there != here) {
            Some(there) => problem.related(there, *other),
            None => problem,
        });
    }
    let [client, peer, metrics] = ports.map(|(_, _, number)| number);
    Ports { client, peer, metrics }
}

pub(super) fn ssh(table: &mut Table, local: Local) -> Ssh {
    let accesses = [("tunnel", Some(EtcdAccess::Tunnel)), ("direct", Some(EtcdAccess::Direct))];
    let clients = [("built-in", Some(SshClient::BuiltIn)), ("openssh", Some(SshClient::OpenSsh))];
    Ssh {
        client: table.get("client", one_of(&clients)).unwrap_or_default(),
        user: table.get("user", kinds::user),
        config: table.get("config", |value| local.path(value)),
        known_hosts: table.get("known-hosts", |value| local.path(value)),
        sudo: table.get("sudo", Value::boolean),
        etcd_access: table.get("etcd-access", one_of(&accesses)).unwrap_or_default(),
    }
}

pub(super) fn certificates(table: &mut Table, layout: Layout) -> CertificatePolicy {
    const VALIDITY_MIN_SECONDS: u64 = 60;
    // The authority that we generate lives ten years.
    const VALIDITY_MAX_SECONDS: u64 = 3650 * DAY_SECONDS;
    const VALIDITY_DEFAULT_SECONDS: u64 = 365 * DAY_SECONDS;
    const RENEW_BEFORE_MAX_SECONDS: u64 = 90 * DAY_SECONDS;

    let validity = table.get_spanned("validity", |value| match duration(value, "d")?.as_secs() {
        seconds @ VALIDITY_MIN_SECONDS..=VALIDITY_MAX_SECONDS => Ok(seconds),
        _ => Err(value.problem("`validity` must be between one minute and ten years").hint("for example \"365d\"")),
    });
    let validity = validity.unwrap_or(Spanned::new(table.span(), VALIDITY_DEFAULT_SECONDS));
    let validity_seconds = *validity.get_ref();
    let renew_before = table.get_spanned("renew-before", |value| Ok(duration(value, "d")?.as_secs()));
    if let Some(renew_before) = renew_before.as_ref().filter(|renew_before| *renew_before.get_ref() >= validity_seconds)
    {
        let problem = Problem::new(renew_before.span(), "`renew-before` must be shorter than `validity`")
            .label("a new certificate would be due at once")
            .hint("a quarter of `validity` is usual");
        table.report(problem.related(validity.span(), "their validity"));
    }
    if let Some(span) = table.declares("server-names").filter(|_| layout.is_adopted()) {
        let what = format!("`server-names` has no effect with `layout = \"{}\"`", layout.name());
        table.report(adopted::names_stay(Problem::new(span, what)));
    }
    CertificatePolicy {
        validity_seconds,
        renew_before_seconds: renew_before
            .map_or(RENEW_BEFORE_MAX_SECONDS.min(validity_seconds / 4), Spanned::into_inner),
        server_names: names(table, "server-names"),
    }
}
