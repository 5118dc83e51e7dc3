//! What a cluster.toml had declared, read back from the files that quorate made of it.
//!
//! What cannot be read back gives no value: whoever asks compares the files that would be made with those that are there.

use std::collections::BTreeMap;

use crate::core::desired::Setting;
use crate::core::desired::owner;

/// `[backup]`, by its two units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// As it was declared.
    pub cron: String,
    /// `keep`, `compression`, `directory`, `metrics`: by the names of the variables behind `QUORATE_`.
    variables: BTreeMap<String, String>,
}

impl Schedule {
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

/// The name of the cluster, in the unit that starts etcd.
pub fn cluster_name(unit: &str) -> Option<&str> {
    unit.lines().find_map(|line| line.strip_prefix("Description=")?.strip_prefix(super::systemd::DESCRIPTION))
}

/// `extra` of `[etcd]`: what etcd.yaml says and no other key of cluster.toml decides. `None` where the text is no YAML.
pub fn extra(etcd_yaml: &str) -> Option<BTreeMap<String, Setting>> {
    let settings: BTreeMap<String, Setting> = yaml_serde::from_str(etcd_yaml).ok()?;
    Some(settings.into_iter().filter(|(name, _)| owner(name).is_none()).collect())
}

/// `[backup]`, from its service and its timer, without what differs from node to node.
pub fn schedule(service: &str, timer: &str) -> Option<Schedule> {
    let cron =
        timer.lines().find_map(|line| line.strip_prefix("Description=")?.rsplit_once(" (")?.1.strip_suffix(')'))?;
    let variable = |line: &str| {
        let (name, value) = line.strip_prefix("Environment=QUORATE_")?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let of_the_policy = |(name, _): &(String, String)| !["NODE", "DATA", "ENDPOINT"].contains(&name.as_str());
    let variables = service.lines().filter_map(variable).filter(of_the_policy).collect();
    Some(Schedule { cron: cron.replace("%%", "%"), variables })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::content::{Initial, backup, etcd_yaml, runtime};
    use crate::core::desired::read::parse;
    use crate::core::names::{HostName, Version};

    #[test]
    fn what_was_written_is_read_back() {
        let text = "[cluster]\nname = \"a.b\"\nversion = \"3.6.16\"\n[nodes.n-1]\naddress = \"10.0.0.1\"\n\
                    [etcd]\nquota-backend = \"4GiB\"\nextra = { max-request-bytes = 1572864, enable-pprof = true, \
                    cipher-suites = [\"TLS_A\", \"TLS_B\"], metrics = \"extensive\" }\n\
                    [backup]\nschedule = \"*/5 1,2 * * 1-5\"\nkeep = 3\ncompression = \"gzip\"\nmount = true\n";
        let desired = parse(text, "cluster.toml", std::path::Path::new("/"), None).expect("it is valid");
        let host = HostName::new("n-1");
        let config = etcd_yaml(&desired, &host, &Initial::member(&desired));
        assert_eq!(extra(&config), Some(desired.etcd.extra.clone()));
        assert_eq!(cluster_name(&runtime::text(&desired, Version::new(3, 6, 16))), Some("a.b"));
        let policy = desired.backup.as_ref().expect("it is declared");
        let found =
            schedule(&backup::service(&desired, policy, &host), &backup::timer(&desired, policy)).expect("it is there");
        assert_eq!(found.cron, "*/5 1,2 * * 1-5");
        let of = |name: &str| found.variable(name).unwrap_or_default().to_owned();
        assert_eq!(
            ["KEEP", "COMPRESSION", "DIRECTORY", "MOUNT"].map(of),
            ["3", "gzip", "/var/backups/etcd", "yes"].map(str::to_owned)
        );
    }

    #[test]
    fn what_others_wrote_says_nothing() {
        assert_eq!(cluster_name("[Unit]\nDescription=etcd - highly-available key value store\n"), None);
        assert_eq!(extra("name: [a\n"), None);
        assert_eq!(schedule("[Service]\n", "[Timer]\nOnCalendar=daily\n"), None);
    }
}
