//! What the process of a service was started with that somebody else has set up: ours tells what it has loaded.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, process};
use crate::core::content::adopted;
use crate::core::content::form::Form;
use crate::core::content::settings;
use crate::core::names::UnixSeconds;
use crate::core::observed::StartedWith;

pub(super) struct Look;

impl Section for Look {
    /// `None` where the service is ours.
    type Fact = Option<StartedWith>;

    const SHELL: &'static str = include_str!("started_with.sh");

    const NEEDS: &'static [&'static str] = &["sed", "tr"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        of.desired.cluster.layout.is_adopted().then(Vec::new)
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<StartedWith>, Trouble> {
        let Some(form) = adopted::form(of.desired) else { return Ok(None) };
        let said = |key| answer.values("started_with", key).map(str::to_owned);
        let arguments: Vec<_> = said("argument").collect();
        let variables: BTreeMap<_, _> = said("variable")
            .filter_map(|variable| variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        let config = of.desired.paths.config.as_str();
        let reads_declared_file = match form {
            // `EnvironmentFiles=/etc/etcd.env (ignore_errors=no)`, a line for each; of two that set one variable the last counts.
            Form::Environment => answer
                .values("unit", "EnvironmentFiles")
                .last()
                .is_some_and(|line| line.rsplit_once(" (").map_or(line, |(path, _)| path) == config),
            Form::Yaml => config_file(&arguments, &variables) == Some(config),
            Form::Flags => answer.value("unit", "FragmentPath") == Some(config),
            // Who reads them is a script of the snap, whose unit does not say so: what it was started with does.
            Form::Arguments => true,
            Form::Manifest => false,
        };
        // What etcd has read from it is what it says, unless it was written since.
        let (text, written_since) = match form {
            Form::Yaml => (text(answer, config), process::started(answer) < modified(answer, config)),
            _ => (None, false),
        };
        Ok(Some(StartedWith {
            flags: text.map_or_else(|| settings::of_flags(&arguments), settings::in_file),
            config_file: config_file(&arguments, &variables).is_some(),
            variables: settings::of_variables(&variables),
            reads_declared_file,
            written_since,
        }))
    }
}

fn text<'a>(answer: &Answer<'a>, path: &str) -> Option<&'a str> {
    core::str::from_utf8(answer.bodies.get(path)?).ok()
}

fn modified(answer: &Answer<'_>, path: &str) -> Option<UnixSeconds> {
    answer.stats.get(path).map(|stat| stat.modified)
}

/// The configuration file that it was told to read.
fn config_file<'a>(arguments: &'a [String], variables: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let flag = |argument: &'a String| argument.strip_prefix("--").or(argument.strip_prefix('-'));
    let mut named = arguments.iter().enumerate().filter_map(|(at, argument)| match flag(argument)?.split_once('=') {
        Some(("config-file", path)) => Some(path),
        None if flag(argument) == Some("config-file") => arguments.get(at + 1).map(String::as_str),
        _ => None,
    });
    let variable = || variables.get("ETCD_CONFIG_FILE").map(String::as_str).filter(|path| !path.is_empty());
    named.next_back().or_else(variable)
}
