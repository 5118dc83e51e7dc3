//! The settings of an etcd that runs, as etcd itself put them together at its start.
//!
//! ```text
//! --config-file or ETCD_CONFIG_FILE     that file alone: no flag and no variable counts beside it
//! else                                  flags, and variables for what no flag says
//! ```
//!
//! Source: `parse` in server/etcdmain/config.go, `SetFlagsFromEnv` in pkg/flags, and Go's package flag. They have the names
//! of flags here, wherever they stand: `client-transport-security: {cert-file: …}` of a file is `cert-file`.

use std::collections::BTreeMap;

use yaml_serde::Value;

use super::duration;
use crate::core::desired::{SettingKind, is_boolean, is_setting, setting_kind};
use crate::core::names::RemotePath;
use crate::core::observed::survey::RunningEtcd;

/// What an etcd was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub by: Medium,
    /// By the names of flags; without what holds by default.
    pub values: BTreeMap<String, String>,
}

/// Where settings stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    Flags,
    Variables,
    FlagsAndVariables,
    File(RemotePath),
}

impl Told {
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The parts of a list: URLs, mostly.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.value(name).unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty())
    }

    pub fn is_on(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }
}

/// What `running` was told.
///
/// # Errors
/// Why its settings are not known: a file that is not there any more, or that is no YAML.
pub fn told(running: &RunningEtcd) -> Result<Told, String> {
    if let Some(config) = &running.config {
        let path = &config.path;
        let text = config.text.as_ref().ok_or_else(|| format!("{path} could not be read"))?;
        let values = of_file(text).map_err(|at| format!("{path} is no YAML of settings{at}"))?;
        return Ok(Told { by: Medium::File(path.clone()), values });
    }
    let mut values = of_variables(&running.variables);
    let has_variables = !values.is_empty();
    let flags = of_flags(&running.arguments);
    let by = match (flags.is_empty(), has_variables) {
        (_, false) => Medium::Flags,
        (true, true) => Medium::Variables,
        (false, true) => Medium::FlagsAndVariables,
    };
    values.extend(flags);
    Ok(Told { by, values })
}

/// What a configuration file says, by the names of flags; nothing where it cannot be read.
pub fn in_file(text: &str) -> BTreeMap<String, String> {
    of_file(text).unwrap_or_default()
}

/// The last one counts, also an empty one: it sets nothing. What is no setting of etcd is left out: it may be anybody's
/// secret, in the arguments of a program that only has etcd's name.
pub fn of_flags(arguments: &[String]) -> BTreeMap<String, String> {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let values = flags(&arguments).0.into_iter().map(|flag| (flag.name.to_owned(), normal(flag.name, flag.value)));
    let mut values: BTreeMap<_, _> = values.collect();
    values.retain(|_, value| !value.is_empty());
    values
}

/// A setting among arguments: which of them has its name, and which its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flag<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub name_at: usize,
    /// The same as `name_at` in `--name=x`, and where a boolean stands alone.
    pub value_at: usize,
}

/// `--name x`, `--name=x`, `-name=x`, and a boolean alone; and the first argument that is no flag any more, or one without
/// its value.
pub(super) fn flags<'a>(arguments: &[&'a str]) -> (Vec<Flag<'a>>, usize) {
    let mut found = Vec::new();
    let mut at = 0;
    while at < arguments.len() {
        let name_at = at;
        let argument = arguments[at];
        let name = argument.strip_prefix("--").or(argument.strip_prefix('-')).unwrap_or_default();
        // What comes first without a dash, or behind `--`, is no flag any more.
        if name.is_empty() {
            break;
        }
        at += 1;
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None if is_boolean(name) => (name, Some("true")),
            // One that nobody knows may be a boolean, too.
            None if !is_setting(name) && arguments.get(at).is_none_or(|next| next.starts_with('-')) => continue,
            None if at == arguments.len() => return (found, name_at),
            None => {
                at += 1;
                (name, Some(arguments[at - 1]))
            }
        };
        if let Some(value) = value.filter(|_| is_setting(name)) {
            found.push(Flag { name, value, name_at, value_at: at - 1 });
        }
    }
    (found, at)
}

/// `ETCD_DATA_DIR` is `data-dir`. An empty one counts as not set, and what is no setting is not etcd's: images and Kubernetes
/// give theirs the same beginning (`ETCD_ROOT_PASSWORD`, `ETCD_SERVICE_HOST`).
pub fn of_variables(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let setting = |(variable, value): (&String, &String)| {
        let name = name_of_variable(variable)?;
        (!value.is_empty()).then(|| (name.clone(), normal(&name, value)))
    };
    variables.iter().filter_map(setting).collect()
}

/// The variable that sets `name` (`FlagToEnv` in pkg/flags).
pub(super) fn variable(name: &str) -> String {
    format!("ETCD_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// The setting of this variable.
pub(super) fn name_of_variable(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("ETCD_")?;
    let name =
        (!name.contains(|c: char| c.is_ascii_lowercase())).then(|| name.to_ascii_lowercase().replace('_', "-"))?;
    is_setting(&name).then_some(name)
}

/// What stands in a section of a config file: the section, the key in it, and the flag.
#[rustfmt::skip]
const IN_SECTIONS: [(&str, &str, &str); 20] = [
    ("client-transport-security", "cert-file", "cert-file"),
    ("client-transport-security", "key-file", "key-file"),
    ("client-transport-security", "client-cert-file", "client-cert-file"),
    ("client-transport-security", "client-key-file", "client-key-file"),
    ("client-transport-security", "client-cert-auth", "client-cert-auth"),
    ("client-transport-security", "trusted-ca-file", "trusted-ca-file"),
    ("client-transport-security", "auto-tls", "auto-tls"),
    ("client-transport-security", "allowed-hostname", "client-cert-allowed-hostname"),
    ("peer-transport-security", "cert-file", "peer-cert-file"),
    ("peer-transport-security", "key-file", "peer-key-file"),
    ("peer-transport-security", "client-cert-file", "peer-client-cert-file"),
    ("peer-transport-security", "client-key-file", "peer-client-key-file"),
    ("peer-transport-security", "client-cert-auth", "peer-client-cert-auth"),
    ("peer-transport-security", "trusted-ca-file", "peer-trusted-ca-file"),
    ("peer-transport-security", "auto-tls", "peer-auto-tls"),
    ("peer-transport-security", "allowed-cn", "peer-cert-allowed-cn"),
    ("peer-transport-security", "allowed-hostname", "peer-cert-allowed-hostname"),
    ("peer-transport-security", "skip-client-san-verification", "peer-skip-client-san-verification"),
    ("socket-options", "reuse-port", "socket-reuse-port"),
    ("socket-options", "reuse-address", "socket-reuse-address"),
];

/// What no config file takes.
const FLAGS_ALONE: [&str; 4] = ["client-crl-file", "config-file", "discovery-endpoints", "peer-crl-file"];

/// Whether the key is one that holds others.
pub(super) fn is_section(key: &str) -> bool {
    IN_SECTIONS.iter().any(|&(section, _, _)| section == key)
}

/// The setting of a key in a config file, which stands in `section` or at the top.
pub(super) fn name_of_key<'a>(section: Option<&str>, key: &'a str) -> Option<&'a str> {
    match section {
        Some(section) => {
            IN_SECTIONS.iter().find(|&&(of, name, _)| of == section && name == key).map(|&(_, _, flag)| flag)
        }
        None => {
            let is_elsewhere = IN_SECTIONS.iter().any(|&(section, _, flag)| section == key || flag == key);
            (is_setting(key) && !is_elsewhere && !FLAGS_ALONE.contains(&key)).then_some(key)
        }
    }
}

/// The section and the key by which a config file sets `name`; `None` where no config file can.
pub(super) fn key_of_name(name: &str) -> Option<(Option<&'static str>, &str)> {
    match IN_SECTIONS.iter().find(|&&(_, _, flag)| flag == name) {
        Some(&(section, key, _)) => Some((Some(section), key)),
        None => name_of_key(None, name).map(|key| (None, key)),
    }
}

/// Keys that etcd does not know, and those without a value, set nothing.
///
/// # Errors
/// Where the text is no YAML, or no table. The words of the parser would repeat what stands there, whatever file it is.
fn of_file(text: &str) -> Result<BTreeMap<String, String>, String> {
    let read: Value = yaml_serde::from_str(text).map_err(|error| {
        error.location().map_or_else(String::new, |at| format!(": line {}, column {}", at.line(), at.column()))
    })?;
    let mut values = of_tree(&read).ok_or_else(String::new)?;
    values.retain(|_, value| !value.is_empty());
    Ok(values)
}

/// The settings of a config file that was read, also those that are no text; `None` where it is no table.
pub(super) fn of_tree(tree: &Value) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let table = match tree {
        Value::Mapping(table) => table,
        // A file without any key is null to YAML.
        Value::Null => return Some(values),
        _ => return None,
    };
    let mut add = |section: Option<&str>, (key, value): (&Value, &Value)| {
        let Some(name) = key.as_str().and_then(|key| name_of_key(section, key)) else { return };
        if let Some(value) = text_of(value) {
            values.insert(name.to_owned(), normal_of_key(name, &value));
        }
    };
    for (key, value) in table {
        match (key.as_str(), value) {
            (Some(section), Value::Mapping(table)) if is_section(section) => {
                table.iter().for_each(|entry| add(Some(section), entry));
            }
            _ => add(None, (key, value)),
        }
    }
    Some(values)
}

/// `None` of what has no value, and of what etcd takes from no flag.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Tagged(_) => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Sequence(values) => Some(values.iter().filter_map(text_of).collect::<Vec<_>>().join(",")),
        Value::Mapping(table) => {
            let entry = |(key, value): (&Value, &Value)| Some(format!("{}={}", text_of(key)?, text_of(value)?));
            Some(table.iter().filter_map(entry).collect::<Vec<_>>().join(","))
        }
    }
}

/// The one text of all that mean the same to etcd. Go takes `1`, `t` and `True` for true, too (`strconv.ParseBool`); so does
/// what writes them: `True` is Ansible's. `300s` is `5m0s`.
pub(super) fn normal(name: &str, value: &str) -> String {
    match setting_kind(name) {
        Some(SettingKind::Bool) => match value {
            "1" | "t" | "T" | "TRUE" | "True" => "true".to_owned(),
            "0" | "f" | "F" | "FALSE" | "False" => "false".to_owned(),
            _ => value.to_owned(),
        },
        Some(SettingKind::Nanoseconds) => duration::nanoseconds(value).map_or_else(|| value.to_owned(), duration::text),
        _ => value.to_owned(),
    }
}

/// The same of a value in a config file. Go's YAML has more words for true, and a duration is a number of nanoseconds there.
fn normal_of_key(name: &str, value: &str) -> String {
    match setting_kind(name) {
        Some(SettingKind::Bool) => match value {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => "true".to_owned(),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => "false".to_owned(),
            _ => normal(name, value),
        },
        Some(SettingKind::Nanoseconds) => value.parse().map_or_else(|_| value.to_owned(), duration::text),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::Runner;
    use crate::core::observed::survey::ConfigFile;

    fn running(arguments: &str, variables: &[(&str, &str)], config: Option<&str>) -> RunningEtcd {
        RunningEtcd {
            pid: 1,
            runner: Runner::Unknown,
            executable: RemotePath::new("/usr/bin/etcd"),
            account: "etcd".to_owned(),
            since: None,
            variable_files: Vec::new(),
            package: None,
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            config: config.map(|text| ConfigFile {
                path: RemotePath::new("/etc/etcd/etcd.yaml"),
                text: Some(text.to_owned()),
                written: None,
            }),
            is_ours: false,
        }
    }

    fn values(told: &Told) -> Vec<String> {
        told.values.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let of = |line: &str| values(&told(&running(line, &[], None)).unwrap());
        assert_eq!(
            of("--name a-1 --cert-file=/x.pem -key-file=/k --client-cert-auth --peer-client-cert-auth --data-dir /d"),
            [
                "cert-file=/x.pem",
                "client-cert-auth=true",
                "data-dir=/d",
                "key-file=/k",
                "name=a-1",
                "peer-client-cert-auth=true"
            ]
        );
        // A value may look like a flag; a boolean never takes the next word, and the last one counts.
        assert_eq!(of("--name -x --name=b"), ["name=b"]);
        assert_eq!(of("--client-cert-auth false --name a"), ["client-cert-auth=true"]);
        assert_eq!(
            of("--auto-tls=0 --experimental-initial-corrupt-check"),
            ["auto-tls=false", "experimental-initial-corrupt-check=true"]
        );
        assert_eq!(of("--name a -- --data-dir /d"), ["name=a"]);
        assert_eq!(of("--name=a --data-dir=/d --name="), ["data-dir=/d"]);
        assert_eq!(of("--watch-progress-notify-interval=300s"), ["watch-progress-notify-interval=5m0s"]);
        // The one that has no value was never there: etcd does not start with it.
        assert_eq!(
            of("--initial-cluster=a=https://x:1,b=https://y:2 --name"),
            ["initial-cluster=a=https://x:1,b=https://y:2"]
        );
    }

    #[test]
    fn a_flag_goes_before_a_variable_and_an_empty_one_is_none() {
        let variables = [("ETCD_NAME", "of-env"), ("ETCD_DATA_DIR", ""), ("ETCD_PEER_CLIENT_CERT_AUTH", "True")];
        let both = told(&running("--snapshot-count=7", &variables, None)).unwrap();
        assert_eq!(both.by, Medium::FlagsAndVariables);
        assert_eq!(values(&both), ["name=of-env", "peer-client-cert-auth=true", "snapshot-count=7"]);
        // etcd asks for names in capitals alone.
        assert_eq!(values(&told(&running("", &[("ETCD_Name", "a"), ("ETCD_data_dir", "/d")], None)).unwrap()), [""; 0]);
        assert_eq!(told(&running("", &variables, None)).unwrap().by, Medium::Variables);
        assert_eq!(told(&running("--name a", &[], None)).unwrap().by, Medium::Flags);
    }

    /// With a file, flags and variables are ignored.
    #[test]
    fn a_file_counts_alone_and_has_the_names_of_flags() {
        let text = "name: a\r\nlisten-client-urls: https://1.2.3.4:2379,https://127.0.0.1:2379\r\n\
                    client-transport-security:\r\n  cert-file: \"/x.crt\"\r\n  client-cert-auth: true\r\n\
                    peer-transport-security: {key-file: /p.key}\r\nsnapshot-count: 5000\r\n\
                    cipher-suites: [A, B]\r\n";
        let told = told(&running("--config-file=/etc/etcd/etcd.yaml --name b", &[("ETCD_NAME", "c")], Some(text)));
        let told = told.unwrap();
        assert_eq!(told.by, Medium::File(RemotePath::new("/etc/etcd/etcd.yaml")));
        assert_eq!(
            values(&told),
            [
                "cert-file=/x.crt",
                "cipher-suites=A,B",
                "client-cert-auth=true",
                "listen-client-urls=https://1.2.3.4:2379,https://127.0.0.1:2379",
                "name=a",
                "peer-key-file=/p.key",
                "snapshot-count=5000"
            ]
        );
        assert_eq!(told.list("listen-client-urls").count(), 2);
        assert!(told.is_on("client-cert-auth") && !told.is_on("auto-tls"));
        assert_eq!(values(&super::told(&running("", &[], Some("# nothing\n"))).unwrap()), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_setting_is_nobodys_to_see() {
        let variables = [("ETCD_ROOT_PASSWORD", "s3cret"), ("ETCD_SERVICE_HOST", "10.0.0.1"), ("ETCD_PORT", "tcp://x")];
        let told =
            told(&running("--name a --password s3cret --socket-reuse-port --data-dir /d", &variables, None)).unwrap();
        assert_eq!(
            (values(&told), told.by),
            (vec!["data-dir=/d".to_owned(), "name=a".to_owned(), "socket-reuse-port=true".to_owned()], Medium::Flags)
        );
    }

    /// As etcd's own sample has it.
    #[test]
    fn a_key_without_a_value_sets_nothing() {
        let text =
            "name: a\nwal-dir:\ndiscovery:\nclient-transport-security:\n  cert-file:\n  auto-tls: true\nnope: 1\n";
        assert_eq!(values(&told(&running("", &[], Some(text))).unwrap()), ["auto-tls=true", "name=a"]);
    }

    /// What stands in a section has another name there, or means nothing outside.
    #[test]
    fn each_key_of_a_file_has_its_place() {
        let text = "cert-file: /outside\nclient-transport-security: {allowed-hostname: [a, b], auto-tls: yes}\n\
                    peer-transport-security:\n  allowed-cn: [x]\n  skip-client-san-verification: true\n\
                    socket-options: {reuse-port: true}\nwatch-progress-notify-interval: 5000000000\n\
                    config-file: /x\n";
        assert_eq!(
            values(&told(&running("", &[], Some(text))).unwrap()),
            [
                "auto-tls=true",
                "client-cert-allowed-hostname=a,b",
                "peer-cert-allowed-cn=x",
                "peer-skip-client-san-verification=true",
                "socket-reuse-port=true",
                "watch-progress-notify-interval=5s"
            ]
        );
        for (section, key, flag) in IN_SECTIONS {
            assert!(is_setting(flag), "{flag}");
            assert_eq!(key_of_name(flag), Some((Some(section), key)));
            assert_eq!(name_of_key(Some(section), key), Some(flag));
        }
        for flag in FLAGS_ALONE {
            assert!(is_setting(flag) && key_of_name(flag).is_none(), "{flag}");
        }
        assert_eq!(key_of_name("data-dir"), Some((None, "data-dir")));
        assert_eq!(name_of_variable(&variable("peer-cert-file")).as_deref(), Some("peer-cert-file"));
    }

    #[test]
    fn what_cannot_be_read_is_told_and_not_guessed() {
        let broken = told(&running("", &[], Some("name: [a\n"))).unwrap_err();
        assert!(broken.starts_with("/etc/etcd/etcd.yaml is no YAML of settings"), "{broken}");
        // Whatever file a process names: nothing of it is repeated.
        for text in
            ["-----BEGIN PRIVATE KEY-----\nMIIE\n", "root:$6$hash:1:0:\n", "users:\n- user: {client-key-data: MIIE}\n"]
        {
            let told = told(&running("", &[], Some(text)));
            assert!(!format!("{told:?}").contains("MIIE") && !format!("{told:?}").contains("hash"), "{told:?}");
        }
        let mut gone = running("", &[], Some(""));
        gone.config.as_mut().unwrap().text = None;
        assert_eq!(told(&gone).unwrap_err(), "/etc/etcd/etcd.yaml could not be read");
    }
}
