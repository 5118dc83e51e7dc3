//! What the process of a service was started with that somebody else has set up: ours tells what it has loaded.

use std::collections::BTreeMap;

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble};
use crate::core::content::adopted;
use crate::core::content::form::Form;
use crate::core::content::settings;
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
        let names_a_file = |argument: &String| {
            let flag = argument.trim_start_matches('-');
            argument.starts_with('-') && (flag == "config-file" || flag.starts_with("config-file="))
        };
        let config = of.desired.paths.config.as_str();
        let reads_declared_file = match form {
            // `EnvironmentFiles=/etc/etcd.env (ignore_errors=no)`, a line for each.
            Form::Environment => answer
                .values("unit", "EnvironmentFiles")
                .any(|line| line.rsplit_once(" (").map_or(line, |(path, _)| path) == config),
            _ => answer.value("unit", "FragmentPath") == Some(config),
        };
        Ok(Some(StartedWith {
            flags: settings::of_flags(&arguments),
            config_file: arguments.iter().any(names_a_file)
                || variables.get("ETCD_CONFIG_FILE").is_some_and(|path| !path.is_empty()),
            variables: settings::of_variables(&variables),
            reads_declared_file,
        }))
    }
}
