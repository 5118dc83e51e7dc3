//! What etcd has complained of in the last hour.

use super::unreadable;
use crate::core::desired::Runtime;
use crate::core::observed::checkup::Complaint;
use crate::shell::live::probe::Trouble;
use crate::shell::live::probe::answer::Answer;
use crate::shell::live::probe::section::{Section, Subject, Words};

pub(super) struct Look;

impl Section for Look {
    type Fact = Vec<Complaint>;

    const SHELL: &'static str = include_str!("journal.sh");

    const NEEDS: &'static [&'static str] = &["grep", "head", "journalctl", "sed", "sort", "tail", "timeout", "uniq"];

    fn words(of: &Subject<'_>) -> Option<Words> {
        let unit = match of.desired.cluster.runtime {
            Runtime::Systemd => of.desired.paths.service.clone(),
            Runtime::StaticPod => String::new(),
        };
        Some(vec![("q_unit", unit)])
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Vec<Complaint>, Trouble> {
        answer.lines("journal").map(|line| complaint(line).ok_or_else(|| unreadable(line))).collect()
    }
}

/// Of uniq's `     12 "msg":"slow fdatasync"`.
fn complaint(line: &str) -> Option<Complaint> {
    let (count, message) = line.trim_start().split_once(' ')?;
    let text = message.strip_prefix("\"msg\":\"")?.strip_suffix('"')?;
    Some(Complaint { text: text.to_owned(), count: count.parse().ok()? })
}
