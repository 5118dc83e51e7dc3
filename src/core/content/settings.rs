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

use crate::core::desired::{is_boolean, is_setting};
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

/// `--name x`, `--name=x`, `-name=x`, and a boolean alone. The last one counts. What is no setting of etcd is left out: it may
/// be anybody's secret, in the arguments of a program that only has etcd's name.
fn of_flags(arguments: &[String]) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.strip_prefix("--").or(argument.strip_prefix('-')).unwrap_or_default();
        // What comes first without a dash, or behind `--`, is no flag any more.
        if name.is_empty() {
            break;
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None if is_boolean(name) => (name, Some("true".to_owned())),
            // One that nobody knows may be a boolean, too.
            None if !is_setting(name) && arguments.as_slice().first().is_some_and(|next| next.starts_with('-')) => {
                continue;
            }
            None => (name, arguments.next().cloned()),
        };
        if let Some(value) = value.filter(|value| is_setting(name) && !value.is_empty()) {
            values.insert(name.to_owned(), normal(name, &value));
        }
    }
    values
}

/// `ETCD_DATA_DIR` is `data-dir`. An empty one counts as not set, and what is no setting is not etcd's: images and Kubernetes
/// give theirs the same beginning (`ETCD_ROOT_PASSWORD`, `ETCD_SERVICE_HOST`).
fn of_variables(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let setting = |(name, value): (&String, &String)| {
        let name = name.strip_prefix("ETCD_")?.to_ascii_lowercase().replace('_', "-");
        (!value.is_empty() && is_setting(&name)).then(|| (name.clone(), normal(&name, value)))
    };
    variables.iter().filter_map(setting).collect()
}

/// Keys that etcd does not know, and those without a value, set nothing.
///
/// # Errors
/// Where the text is no YAML, or no table. The words of the parser would repeat what stands there, whatever file it is.
fn of_file(text: &str) -> Result<BTreeMap<String, String>, String> {
    let read: Value = yaml_serde::from_str(text).map_err(|error| {
        error.location().map_or_else(String::new, |at| format!(": line {}, column {}", at.line(), at.column()))
    })?;
    let mut values = BTreeMap::new();
    let table = match read {
        Value::Mapping(table) => table,
        // A file without any key is null to YAML.
        Value::Null => return Ok(values),
        _ => return Err(String::new()),
    };
    let mut add = |name: String, value: &Value| {
        if let Some(value) = text_of(value).filter(|value| !value.is_empty() && is_setting(&name)) {
            values.insert(name.clone(), normal(&name, &value));
        }
    };
    for (key, value) in &table {
        let Some(key) = key.as_str() else { continue };
        match (key, value) {
            ("client-transport-security", Value::Mapping(table)) => {
                table.iter().for_each(|(name, value)| add(name.as_str().unwrap_or_default().to_owned(), value));
            }
            ("peer-transport-security", Value::Mapping(table)) => {
                table
                    .iter()
                    .for_each(|(name, value)| add(format!("peer-{}", name.as_str().unwrap_or_default()), value));
            }
            _ => add(key.to_owned(), value),
        }
    }
    Ok(values)
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

/// Go takes `1`, `t` and `True` for true, too (`strconv.ParseBool`); so does what writes them: `True` is Ansible's.
fn normal(name: &str, value: &str) -> String {
    match value {
        "1" | "t" | "T" | "TRUE" | "True" if is_boolean(name) => "true".to_owned(),
        "0" | "f" | "F" | "FALSE" | "False" if is_boolean(name) => "false".to_owned(),
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
