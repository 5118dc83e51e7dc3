//! How long the host's own resolver takes.

use super::unreadable;
use crate::core::observed::checkup::{Lookup, Names};
use crate::shell::live::probe::answer::Answer;
use crate::shell::live::probe::section::{Section, Subject, Words};
use crate::shell::live::probe::{Trouble, missing};

pub(super) struct Look;

impl Section for Look {
    type Fact = Names;

    const SHELL: &'static str = include_str!("names.sh");

    const NEEDS: &'static [&'static str] = &["date", "getent", "timeout", "uname"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        Some(vec![("q_names", names(of).join(" "))])
    }

    fn read(of: &Subject<'_>, answer: &Answer<'_>) -> Result<Names, Trouble> {
        let mut lookups = answer.lines("names").map(|line| lookup(line).ok_or_else(|| unreadable(line)));
        let own = lookups.next().ok_or_else(|| missing("its own name"))??;
        // One that is both was looked up once.
        let both = names(of).contains(&own.name.as_str()).then(|| own.clone());
        let declared = both.map(Ok).into_iter().chain(lookups).collect::<Result<_, _>>()?;
        Ok(Names { own, declared })
    }
}

/// The names, not addresses, that nodes are declared by.
fn names<'a>(of: &Subject<'a>) -> Vec<&'a str> {
    let addresses = of.desired.nodes.values().map(|node| node.address.as_str());
    addresses.filter(|address| address.parse::<std::net::IpAddr>().is_err()).collect()
}

/// `12 etcd-1.example.com 10.0.0.11`, the address being absent where there is none.
fn lookup(line: &str) -> Option<Lookup> {
    let mut words = line.split(' ');
    let took_ms = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let address = words.next().filter(|address| !address.is_empty()).map(str::to_owned);
    Some(Lookup { name, took_ms, address })
}
