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
        let (flags, variables) = (settings::of_flags(&arguments), settings::of_variables(&variables));
        let config_file = flags.get("config-file").or_else(|| variables.get("config-file"));
        let config = of.desired.paths.config.as_str();
        let reads_declared_file = match form {
            // `EnvironmentFiles=/etc/etcd.env (ignore_errors=no)`, a line for each; of two that set one variable the last counts.
            Form::Environment => answer
                .values("unit", "EnvironmentFiles")
                .last()
                .is_some_and(|line| line.rsplit_once(" (").map_or(line, |(path, _)| path) == config),
            Form::Yaml => config_file.map(String::as_str) == Some(config),
            Form::Flags => answer.value("unit", "FragmentPath") == Some(config),
            // Who reads them is a script of the snap, whose unit does not say so: what it was started with does.
            Form::Arguments => true,
            // Whether the kubelet reads that folder is told of the kubelet.
            Form::Manifest => true,
        };
        // What etcd has read from it is what it says, unless it was written since.
        let (text, written_since) = match form {
            Form::Yaml => (text(answer, config), process::started(answer) < modified(answer, config)),
            _ => (None, false),
        };
        Ok(Some(StartedWith {
            flags: text.map_or(flags, settings::in_file),
            variables,
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
