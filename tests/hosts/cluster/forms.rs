//! What systemd, bash and etcd make of the files that other tools leave, against what `core::content::form` reads in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use quorate::core::content::form::{self, Form};

use super::scene::Scene;
use crate::lab::{Host, Series};

/// The texts of `fixtures/forms`, and what becomes of them.
fn nasty<T: serde::de::DeserializeOwned>(what: &str) -> Vec<(String, T)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/forms").join(what).with_extension("json");
    serde_json::from_str(&fs::read_to_string(path).expect("it is there")).expect("it is JSON")
}

fn name_in(form: Form, text: &str) -> Result<Option<String>, form::Unreadable> {
    Ok(form::read(form, text)?.get("name").and_then(|name| name.value.clone()))
}

#[test]
fn other_tools_files_mean_to_us_what_they_mean_to_those_who_read_them() {
    let test = "other_tools_files_mean_to_us_what_they_mean_to_those_who_read_them";
    let Some(scene) = Scene::bare(test, 1, Series::V3_5) else { return };
    let host = scene.first();
    variables(host);
    commands(host);
    arguments(host);
    let unpacked = Command::new("tar")
        .arg("-C")
        .arg(host.root_dir().join("forms"))
        .args(["--strip-components=1", "--wildcards", "-xzf", &scene.archive.path.display().to_string(), "*/etcd"])
        .status();
    assert!(unpacked.is_ok_and(|status| status.success()), "tar");
    config_files(host);
}

/// Each text as an EnvironmentFile=, and again with a name of ours in it.
fn variables(host: &Host) {
    let mut texts: Vec<(String, Option<String>)> = nasty("variables");
    let mut changed = Vec::new();
    for (text, _) in &texts {
        for name in ["a b", "x\"y'z\\$h`#;%i", " ", "é"] {
            let change = BTreeMap::from([("name".to_owned(), Some(name.to_owned()))]);
            if let Ok(text) = form::with(Form::Environment, text, &change) {
                changed.push((text, Some(name.to_owned())));
            }
        }
    }
    assert!(changed.len() > 100, "only {} were changed", changed.len());
    texts.extend(changed);
    for (index, (text, _)) in texts.iter().enumerate() {
        fs::create_dir_all(host.root_dir().join("forms")).expect("a host's disk can be written");
        fs::write(host.root_dir().join(format!("forms/{index}.env")), text).expect("a host's disk can be written");
    }
    // A host may give every service a name for etcd.
    host.write(
        "/etc/systemd/system/forms-env@.service",
        "[Service]\nType=oneshot\nEnvironment=ETCD_NAME=\nEnvironmentFile=/forms/%i.env\nExecStart=/bin/sh -c 'exec /usr/bin/env -0 >/forms/%i.out'\n",
    );
    let last = texts.len() - 1;
    host.sh(&format!("systemctl daemon-reload; systemctl start $(printf 'forms-env@%s ' $(seq 0 {last}))"));
    for (index, (text, expected)) in texts.iter().enumerate() {
        let said = fs::read(host.root_dir().join(format!("forms/{index}.out"))).expect("the unit wrote it");
        let said = said.split(|&byte| byte == 0).find_map(|variable| variable.strip_prefix(b"ETCD_NAME="));
        let said = said.map(|name| String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty());
        assert_eq!(said, *expected, "systemd: {text}");
        assert_eq!(name_in(Form::Environment, text), Ok(said), "quorate: {text}");
    }
}

enum Expected {
    Words(Vec<String>),
    Name(&'static str),
}

impl Expected {
    /// `said` is words with a zero byte behind each.
    #[track_caller]
    fn is(&self, who: &str, text: &str, said: &[u8]) {
        let said = String::from_utf8_lossy(said);
        let said: Vec<_> = said.split_terminator('\0').collect();
        match self {
            Expected::Words(words) => assert_eq!(said, *words, "{who}: {text}"),
            Expected::Name(name) => {
                let in_one = |word: &&str| word.strip_prefix("--name=").or(word.strip_prefix("-name=")) == Some(*name);
                let in_two = said.windows(2).any(|words| ["--name", "-name"].contains(&words[0]) && words[1] == *name);
                assert!(in_two || said.iter().any(in_one), "{who}: {text}: {said:?}");
            }
        }
    }
}

/// Each command in a unit of its own, and again with a name of ours in it.
fn commands(host: &Host) {
    host.write("/forms/words/etcd", "#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done >/forms/$NUMBER.out\n");
    host.sh("chmod +x /forms/words/etcd");
    let unit = |command: &str| {
        format!("[Service]\nType=oneshot\nExecStart={}\n", command.replace("ETCD", "/forms/words/etcd"))
    };
    let mut units = Vec::new();
    for (command, words) in nasty("commands") {
        let text = unit(&command);
        for name in ["a b", "x\"y'z\\$h#;%i", "$x", "é;"] {
            let change = BTreeMap::from([("name".to_owned(), Some(name.to_owned()))]);
            units.extend(form::with(Form::Flags, &text, &change).map(|text| (text, Expected::Name(name))));
        }
        units.push((text, Expected::Words(words)));
    }
    assert!(units.len() > 40, "only {} units", units.len());
    let mut names = String::new();
    for (index, (text, _)) in units.iter().enumerate() {
        let path = host.root_dir().join(format!("etc/systemd/system/forms-{index}.service"));
        fs::write(path, format!("{text}\n[Service]\nEnvironment=NUMBER={index}\n"))
            .expect("a host's disk can be written");
        fs::remove_file(host.root_dir().join(format!("forms/{index}.out"))).ok();
        write!(names, " forms-{index}").expect("a String takes every write");
    }
    host.sh(&format!("systemctl daemon-reload; systemctl start {names}"));
    for (index, (text, expected)) in units.iter().enumerate() {
        let said = fs::read(host.root_dir().join(format!("forms/{index}.out"))).expect("the unit wrote it");
        expected.is("systemd", text, &said);
    }
}

/// Each text as the script of Canonical's snap reads it, and again with a name of ours in it.
fn arguments(host: &Host) {
    let mut texts = Vec::new();
    for (text, words) in nasty("arguments") {
        for name in ["a b", "x\"y'z\\$h#;%i*", "$x", "`id`"] {
            let change = BTreeMap::from([("name".to_owned(), Some(name.to_owned()))]);
            texts.extend(form::with(Form::Arguments, &text, &change).map(|text| (text, Expected::Name(name))));
        }
        texts.push((text, Expected::Words(words)));
    }
    assert!(texts.len() > 40, "only {} texts", texts.len());
    for (index, (text, _)) in texts.iter().enumerate() {
        fs::write(host.root_dir().join(format!("forms/{index}.args")), text).expect("a host's disk can be written");
    }
    host.write(
        "/forms/read-arguments",
        "for file; do\n  declare -a args=\"($(cat $file))\"\n\
         for word in \"${args[@]}\"; do printf '%s\\0' \"$word\"; done >$file.out\ndone\n",
    );
    host.sh("cd /forms; bash read-arguments *.args");
    for (index, (text, expected)) in texts.iter().enumerate() {
        let said = fs::read(host.root_dir().join(format!("forms/{index}.args.out"))).expect("bash wrote it");
        expected.is("bash", text, &said);
    }
}

/// etcd tells its name by the data directory that it takes where none is set; it may not write one here.
fn config_files(host: &Host) {
    let mut texts: Vec<(String, Option<String>)> = nasty("config");
    for text in ["name: a\n", "name: 'a' # b\n", "metrics: \"basic\""] {
        for name in [
            "a b",
            "x\"y'z\\$h #;%i",
            " ",
            "é",
            "no",
            "1e3",
            "-1",
            "~",
            "a: b",
            "[a",
            "2001-01-01",
            "0x1f",
            "- a",
            "!a",
        ] {
            let change = BTreeMap::from([("name".to_owned(), Some(name.to_owned()))]);
            let changed = form::with(Form::Yaml, text, &change).expect("any name can be written");
            texts.push((changed, Some(name.to_owned())));
        }
    }
    for (index, (text, _)) in texts.iter().enumerate() {
        fs::write(host.root_dir().join(format!("forms/{index}.yaml")), text).expect("a host's disk can be written");
    }
    host.sh(&format!(
        "cd /proc; for file in $(seq 0 {}); do timeout 5 setpriv --reuid=65534 --clear-groups /forms/etcd --config-file=/forms/$file.yaml \
         >/forms/$file.log 2>&1 || true; done",
        texts.len() - 1
    ));
    for (index, (text, expected)) in texts.iter().enumerate() {
        let log = fs::read_to_string(host.root_dir().join(format!("forms/{index}.log"))).expect("etcd wrote it");
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut folders =
            lines.filter_map(|line| Some(line.get("data-dir")?.as_str()?.strip_suffix(".etcd")?.to_owned()));
        let said = folders.next();
        match name_in(Form::Yaml, text) {
            Err(why) => assert_eq!(said, None, "etcd starts: {why}: {text}"),
            Ok(None) => assert_eq!(said.as_deref(), Some("default"), "etcd: {text}: {log}"),
            Ok(Some(name)) => assert_eq!(said, Some(name), "etcd: {text}: {log}"),
        }
        assert!(expected.is_none() || said == *expected, "etcd: {text}: {log}");
    }
}
