//! Which machine it is, and what time it is there.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, missing};
use crate::core::names::{Architecture, UnixSeconds};

pub(super) struct Look;

pub(super) struct Machine {
    pub architecture: Architecture,
    /// What tells it, as it runs now, from every other one.
    pub id: Option<String>,
    pub now: UnixSeconds,
}

impl Section for Look {
    type Fact = Machine;

    const SHELL: &'static str = include_str!("host.sh");

    const NEEDS: &'static [&'static str] = &["cat", "date"];

    fn words(_: &Subject<'_>) -> Option<Words> {
        Some(Words::new())
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Machine, Trouble> {
        let said = |key: &str| answer.value("host", key);
        let machine = said("machine").ok_or_else(|| missing("its architecture"))?;
        let architecture = Architecture::from_uname(machine)
            .ok_or_else(|| Trouble::Unsupported(format!("there is no etcd release for {machine}")))?;
        if answer.has("no-systemd") {
            let init = said("init").unwrap_or("something else");
            return Err(Trouble::Unsupported(format!("its init is {init}, not systemd")));
        }
        let now = said("now").and_then(|text| text.parse().ok()).ok_or_else(|| missing("its time"))?;
        let id = said("identity").filter(|id| !id.is_empty()).map(str::to_owned);
        Ok(Machine { architecture, id, now: UnixSeconds(now) })
    }
}
