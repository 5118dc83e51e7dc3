//! Whether the store that etcd 3.6 no longer reads holds anything.

use super::section::{Section, Subject, Words};
use super::{Answer, Trouble, installed};
use crate::core::complaint;
use crate::core::desired::Runtime;
use crate::core::observed::V2Store;

pub(super) struct Look;

impl Section for Look {
    type Fact = Option<V2Store>;

    const SHELL: &'static str = include_str!("v2store.sh");

    fn words(of: &Subject<'_>) -> Option<Words> {
        let desired = of.desired;
        let matters = desired.cluster.version.minor > 5;
        let manifest = match desired.cluster.runtime {
            Runtime::Systemd => String::new(),
            Runtime::StaticPod => desired.paths.config.to_string(),
        };
        matters.then(|| {
            vec![
                installed::binaries(desired),
                ("q_data", desired.paths.data.to_string()),
                ("q_in_image", desired.binaries_folder().to_string()),
                ("q_manifest", manifest),
            ]
        })
    }

    fn read(_: &Subject<'_>, answer: &Answer<'_>) -> Result<Option<V2Store>, Trouble> {
        Ok(v2store(answer))
    }
}

/// What `timeout` ends with when it had to end the program.
const TIMED_OUT: &str = "124";

/// etcdutl says `Error: detected custom content in v2store` and ends with 1; when there is none it ends with 0 (3.5.30).
fn v2store(answer: &Answer<'_>) -> Option<V2Store> {
    let status = answer.value("v2store", "status")?;
    if status == "0" {
        return Some(V2Store::Clean);
    }
    if status == TIMED_OUT {
        return Some(V2Store::Refused("`etcdutl check v2store` did not finish within 10 s".to_owned()));
    }
    let said: Vec<_> = answer.lines("v2store").filter(|line| !line.starts_with("status=")).collect();
    Some(V2Store::Refused(complaint::of(&said.join("\n")).unwrap_or_else(|| format!("the check exited with {status}"))))
}
