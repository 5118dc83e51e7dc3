//! `[consumers.*]`: the clients of the cluster whose certificates are kept with its own.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::kinds;
use super::problem::Problem;
use super::table::Table;
use super::value::Value;
use crate::core::desired::{Auth, AuthoritySource, Consumer, Node};
use crate::core::names::{ConsumerName, HostName, RemotePath, UserName};

/// A consumer as it stands in the text.
pub(super) struct ConsumerSection {
    name: Range<usize>,
    user: Option<Range<usize>>,
    consumer: Consumer,
}

pub(super) fn consumers(
    table: &mut Table,
    nodes: &BTreeMap<HostName, Node>,
) -> BTreeMap<ConsumerName, ConsumerSection> {
    let mut consumers = BTreeMap::new();
    let mut paths: BTreeMap<(HostName, RemotePath), String> = BTreeMap::new();
    table.each_section(|name, table| {
        if let Err(why) = kinds::check_name(name.get_ref()) {
            let summary = format!("{:?} is not a valid consumer name", name.get_ref());
            table.report(Problem::new(name.span(), summary).hint(why));
        }
        let host = table.require("host", "\"control-plane-1\"", kinds::ssh_destination);
        let certificate = table.require("certificate", "\"/etc/app/etcd.crt\"", kinds::remote_path);
        let key = table.require("key", "\"/etc/app/etcd.key\"", kinds::remote_path);
        let authority = table.get_spanned("ca", kinds::remote_path);
        let user = table.get_spanned("user", kinds::user);
        let owner = table.get("owner", kinds::user).unwrap_or_else(|| "root".to_owned());
        let group = table.get("group", kinds::user).unwrap_or_else(|| owner.clone());
        let reload = table.get("reload", command);
        let (Some(host), Some(certificate), Some(key)) = (host, certificate, key) else { return };
        let host = machine(host.get_ref(), nodes);
        for path in [Some(&certificate), Some(&key), authority.as_ref()].into_iter().flatten() {
            let first = paths.insert((host.clone(), path.get_ref().clone()), (*name.get_ref()).to_owned());
            if let Some(first) = first {
                let what = format!("{} on {host} is already used by {first}", path.get_ref());
                table.report(Problem::new(path.span(), what).hint("each file needs a path of its own"));
            }
        }
        let of = user.as_ref().map_or((*name.get_ref()).to_owned(), |user| user.get_ref().clone());
        let consumer = Consumer {
            host,
            user: UserName::new(of),
            certificate: certificate.into_inner(),
            key: key.into_inner(),
            authority: authority.map(Spanned::into_inner),
            owner,
            group,
            reload,
        };
        let section = ConsumerSection { name: name.span(), user: user.map(|user| user.span()), consumer };
        consumers.insert(ConsumerName::new(*name.get_ref()), section);
    });
    consumers
}

/// A declared node is known by its name, however it is written: it has one connection and one lock.
fn machine(text: &str, nodes: &BTreeMap<HostName, Node>) -> HostName {
    let same = |(name, node): &(&HostName, &Node)| {
        name.as_str() == text || node.address == text || node.ssh.as_deref() == Some(text)
    };
    nodes.iter().find(same).map_or_else(|| HostName::new(text), |(name, _)| name.clone())
}

/// One line for a shell.
fn command(value: &Value) -> Result<String, Problem> {
    let text = value.text()?;
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(value
            .problem("`reload` must be one shell command line")
            .hint("write `reload = \"systemctl reload app\"`"));
    }
    Ok(text.to_owned())
}

/// What contradicts the other sections is reported.
pub(super) fn complete(
    root: &mut Table,
    sections: BTreeMap<ConsumerName, ConsumerSection>,
    authority: &AuthoritySource,
    auth: Option<&Auth>,
    certificates: &RemotePath,
) -> BTreeMap<ConsumerName, Consumer> {
    let complete = |(name, section): (ConsumerName, ConsumerSection)| {
        let ConsumerSection { name: span, user, consumer } = section;
        if let AuthoritySource::External { .. } = authority {
            let problem = Problem::new(span.clone(), format!("the certificate of {name} cannot be issued"));
            root.report(problem.hint(
                "with `source = \"external\"`, quorate does not issue certificates, for consumers \
                                      either",
            ));
        }
        if let Some(auth) = auth.filter(|auth| auth.enabled && !auth.users.contains_key(&consumer.user)) {
            let place = user.unwrap_or_else(|| span.clone());
            let problem =
                Problem::new(place, format!("etcd would reject {name}: there is no user `{}`", consumer.user));
            let known: Vec<_> = auth.users.keys().map(UserName::as_str).collect();
            let hint = format!("add [users.{}], or set `user` to one of {}", consumer.user, known.join(", "));
            root.report(problem.hint(hint));
        }
        let files = [Some(&consumer.certificate), Some(&consumer.key), consumer.authority.as_ref()];
        for path in files.into_iter().flatten().filter(|path| path.parent() == *certificates) {
            let problem = Problem::new(span.clone(), format!("{path} is in the members' own certificate directory"));
            root.report(problem.hint("choose another directory; omit `ca` if the consumer reads the members' ca.crt"));
        }
        (name, consumer)
    };
    sections.into_iter().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::desired::Desired;
    use crate::core::desired::read::parse;

    fn read(more: &str) -> Result<Desired, Vec<String>> {
        let text = format!(
            "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\n[nodes.a]\naddress = \"10.0.0.1\"\nssh = \"ops@a:22\"\n{more}"
        );
        let in_words = |problem: &Problem| {
            format!(
                "{} {} -> {}",
                problem.position(&text).0,
                problem.summary,
                problem.hint.as_deref().unwrap_or_default()
            )
        };
        parse(&text, "cluster.toml", Path::new("/ops"), None)
            .map_err(|problems| problems.iter().map(in_words).collect())
    }

    #[test]
    fn a_consumer_is_on_a_node_or_elsewhere() {
        let desired = read(
            "[consumers.app]\nhost = \"10.0.0.1\"\ncertificate = \"/app/c.crt\"\nkey = \"/app/c.key\"\n\
             [consumers.kube]\nhost = \"cp-1\"\ncertificate = \"/k/c.crt\"\nkey = \"/k/c.key\"\nca = \"/k/ca.crt\"\n\
             user = \"kube-apiserver\"\nowner = \"kube\"\nreload = \"systemctl restart kubelet\"\n",
        );
        let consumers = desired.expect("it is valid").consumers;
        let app = &consumers[&ConsumerName::new("app")];
        assert_eq!((app.host.as_str(), app.user.as_str(), app.owner.as_str()), ("a", "app", "root"));
        assert_eq!((&app.authority, &app.reload), (&None, &None));
        let kube = &consumers[&ConsumerName::new("kube")];
        assert_eq!((kube.host.as_str(), kube.user.as_str(), kube.group.as_str()), ("cp-1", "kube-apiserver", "kube"));
        assert_eq!(kube.authority, Some(RemotePath::new("/k/ca.crt")));
        assert_eq!(kube.reload.as_deref(), Some("systemctl restart kubelet"));
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        let said = read(
            "[consumers.app]\nhost = \"a\"\ncertificate = \"/app/c.crt\"\nkey = \"/app/c.crt\"\n\
             [consumers.kube]\nhost = \"ops@a:22\"\ncertificate = \"/app/c.crt\"\nkey = \"/etc/etcd/pki/x.key\"\nreload = \"\"\n\
             [consumers.some]\nhost = \"b\"\n[auth]\nenabled = true\n[users.app]\nprefix = \"/\"\n",
        );
        let said = said.expect_err("it is not valid").join("\n");
        for words in [
            "10 /app/c.crt on a is already used by app -> each file needs a path of its own",
            "13 /app/c.crt on a is already used by app",
            "11 /etc/etcd/pki/x.key is in the members' own certificate directory",
            "15 `reload` must be one shell command line",
            "16 missing key `certificate` in [consumers.some] -> add `certificate = \"/etc/app/etcd.crt\"`",
            "11 etcd would reject kube: there is no user `kube` -> add [users.kube], or set `user` to one of app, root",
        ] {
            assert!(said.contains(words), "{words} is not in\n{said}");
        }
        let external = read(
            "certificates = { server = \"s\", server-key = \"s\", peer = \"p\", peer-key = \"p\" }\n\
             [ca]\nsource = \"external\"\ncertificate = \"c\"\nclient = \"c\"\nclient-key = \"k\"\n\
             [consumers.app]\nhost = \"a\"\ncertificate = \"/app/c.crt\"\nkey = \"/app/c.key\"\n",
        );
        let said = external.expect_err("nobody can sign").join("\n");
        assert!(said.starts_with("13 the certificate of app cannot be issued"), "{said}");
    }
}
