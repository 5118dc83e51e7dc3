//! A drill on a node, with the etcd that is installed there: one script does all of it, and tells what it has seen.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Deserialize;

use super::{Claim, Drilled, Evidence, Restored, Subject, scratch, urls};
use crate::core::cluster::snapshot::{Fault, Listed, Parts, Sound};
use crate::core::complaint;
use crate::core::diagnostic::Diagnostic;
use crate::core::names::{Digest, HostName, RemotePath};
use crate::core::observed::auth::ROOT;
use crate::shell::live::lock::Operation;
use crate::shell::live::remote::Command;
use crate::shell::live::{Live, backup};

impl Live {
    /// Has `host` restore a snapshot in its `folder` into a scratch etcd of its own. `sources` are the members of
    /// the live cluster that are asked for their hash. Nobody else works on that host meanwhile.
    ///
    /// # Errors
    /// As [`Live::drill`]; and when the host is locked by someone else, has not the snapshot, or no room for a drill.
    pub async fn drill_on(
        &self,
        host: &HostName,
        folder: &RemotePath,
        listed: &Listed,
        sources: &[HostName],
        operation: Operation,
    ) -> Result<(Sound, Drilled), Diagnostic> {
        let begun = Instant::now();
        let name = &listed.name;
        let desired = &self.hosts.desired;
        let signer = scratch::authority(&desired.cluster.name)?;
        let pair = scratch::pair(&signer, ROOT, desired.certificates.validity_seconds)?;
        let binaries = self.hosts.running(host);
        let command = Command::drill(folder, listed, &binaries, signer.certificate_pem(), &pair);
        let said = self.run_alone(host, command, operation, &format!("test restore of {name}")).await?;
        let answer = Answer::read(&said);
        let label = format!("{name} on {host}");
        let sound = answer.sound().map_err(|fault| backup::unsound(&label, &fault))?;
        if answer.one("refused").is_some() {
            let said: Vec<_> = answer.all("refused").collect();
            let why = complaint::of_tool(&said.join("\n"));
            return Err(Diagnostic::failure("etcd rejects the snapshot").at(host.as_str()).with_cause(why));
        }
        let nonsense =
            || Diagnostic::failure(format!("unexpected answer from {host} about the test restore")).at(host.as_str());
        let evidence = answer.evidence().ok_or_else(nonsense)?;
        self.is_of_this_cluster(&label, &evidence.members)?;
        let subject = Subject { name: &label, cluster: listed.facts.cluster_id };
        Ok((sound, self.judge(subject, evidence, sources, begun).await?))
    }
}

/// What the script has printed: lines of a word and what it is about.
struct Answer<'a>(Vec<(&'a str, &'a str)>);

/// `etcdctl endpoint hashkv`, of one endpoint.
#[derive(Deserialize)]
struct Hashed {
    #[serde(rename = "HashKV")]
    hash_kv: HashKv,
}

#[derive(Deserialize)]
struct HashKv {
    header: Header,
    hash: u32,
    #[serde(default)]
    compact_revision: i64,
}

#[derive(Deserialize)]
struct Header {
    revision: i64,
}

impl<'a> Answer<'a> {
    fn read(said: &'a str) -> Self {
        Self(said.lines().filter_map(|line| line.split_once(' ')).collect())
    }

    fn all(&self, word: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| *of == word).map(|(_, what)| *what)
    }

    fn one(&self, word: &str) -> Option<&'a str> {
        self.all(word).next()
    }

    fn bytes(&self, word: &str) -> Vec<u8> {
        let digits = self.one(word).unwrap_or_default();
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        (0..digits.len()).step_by(2).map_while(byte).collect()
    }

    fn database_bytes(&self) -> u64 {
        self.one("bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
    }

    /// What the file is, judged here as every other.
    fn sound(&self) -> Result<Sound, Fault> {
        if let Some(said) = self.one("packed") {
            // gzip: "unexpected end of file"; zstd: "premature end", "unexpected end of file".
            let cut = ["unexpected end", "premature end"].iter().any(|words| said.contains(words));
            return Err(if cut { Fault::PackedCut } else { Fault::Damaged(format!("its compressed data: {said}")) });
        }
        let (head, tail) = (self.bytes("head"), self.bytes("tail"));
        let digest = self.one("sum").and_then(|sum| sum.parse().ok()).unwrap_or(Digest::from_bytes([0; 32]));
        Parts { head: &head, tail: &tail, digest, bytes: self.database_bytes() }.judged()
    }

    fn evidence(&self) -> Option<Evidence> {
        let claim: Claim = serde_json::from_str(self.one("claim")?).ok()?;
        let hashed: Vec<Hashed> = serde_json::from_str(self.one("hash")?).ok()?;
        let HashKv { header, hash, compact_revision } = hashed.into_iter().next()?.hash_kv;
        let keys = self.one("keys")?.parse().ok()?;
        let restored = Restored { revision: header.revision, hash, compacted: compact_revision, keys };
        // "peerURLs":["https://10.0.0.1:2380"]
        let lists = self.all("peers").filter_map(|said| said.split_once(':'));
        let members: BTreeSet<_> = lists.flat_map(|(_, list)| urls(list.as_bytes())).collect();
        Some(Evidence { bytes: self.database_bytes(), claim, members, restored })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::snapshot::tests::snapshot;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn of(bytes: &[u8]) -> String {
        let body = bytes.len() - 32;
        let sum = Digest::of(&bytes[..body]);
        let head = hex(&bytes[..bytes.len().min(9000)]);
        format!("bytes {}\nhead {head}\ntail {}\nsum {sum}\n", bytes.len(), hex(&bytes[body..]))
    }

    #[test]
    fn what_a_node_has_seen_is_judged_as_what_lies_here() {
        let whole = snapshot();
        let of_whole = of(&whole);
        assert_eq!(Answer::read(&of_whole).sound().expect("it is sound").bytes, whole.len() as u64);
        let mut flipped = whole.clone();
        flipped[9000] ^= 1;
        for (bytes, code) in [
            (&flipped[..], "snapshot-damaged"),
            (&whole[..9000], "snapshot-cut"),
            (&whole[..whole.len() - 32], "snapshot-without-hash"),
            (&[0; 5000], "snapshot-unknown"),
        ] {
            let said = of(bytes);
            assert_eq!(Answer::read(&said).sound().expect_err("it is not").code().as_str(), code);
        }
        for (said, code) in [
            ("packed gzip: x.db.gz: unexpected end of file", "snapshot-cut"),
            ("packed zstd: x.db.zst : Decoding error (36) : Data corruption detected", "snapshot-damaged"),
            ("", "snapshot-unknown"),
        ] {
            assert_eq!(Answer::read(said).sound().expect_err("it is not").code().as_str(), code);
        }
    }

    #[test]
    fn what_the_scratch_etcd_holds_is_read() {
        let said = "claim {\"hash\":1,\"revision\":7,\"totalKey\":9,\"totalSize\":4096}\n\
            peers \"peerURLs\":[\"https://10.0.0.1:2380\",\"https://10.0.0.2:2380\"]\n\
            hash [{\"Endpoint\":\"https://127.0.0.1:2\",\"HashKV\":{\"header\":{\"revision\":7},\"hash\":5,\"compact_revision\":3}}]\n\
            keys 4\n";
        let evidence = Answer::read(said).evidence().expect("it is whole");
        assert_eq!(evidence.claim, Claim { hash: 1, revision: 7, total_key: 9 });
        assert_eq!(evidence.restored, Restored { revision: 7, hash: 5, compacted: 3, keys: 4 });
        assert_eq!(evidence.members.len(), 2);
        assert!(Answer::read("claim {}\n").evidence().is_none());
    }

    /// The script's own function, by the shell that hosts have.
    #[test]
    fn a_node_finds_members_of_either_family() {
        let script = include_str!("../script/drill.sh");
        let from = script.find("peers() {").expect("it has that function");
        let (function, _) = script[from..].split_once("\n}\n").expect("it ends");
        let mut database = b"\xff\xfe\0".to_vec();
        for list in [r#"["https://10.0.0.1:2380"]"#, r#"["https://[fd00::1]:2380","https://[fd00::2]:2380"]"#, "[]"] {
            database.extend(format!("\u{7f}\0{{\"id\":1,\"peerURLs\":{list},\"name\":\"a]\"}}\n\0]").bytes());
        }
        let file = tempfile::tempdir().expect("a folder");
        std::fs::write(file.path().join("db"), &database).expect("it can be written");
        let run = std::process::Command::new("sh")
            .args(["-euc", &format!("{function}\n}}\npeers \"$1\""), "sh"])
            .arg(file.path().join("db"))
            .output()
            .expect("sh runs");
        let said = String::from_utf8(run.stdout).expect("it is text");
        let found = Answer(said.lines().filter_map(|line| line.split_once(' ')).collect());
        let said = format!(
            "claim {{\"hash\":1,\"revision\":7,\"totalKey\":9}}\n{said}keys 4\n\
            hash [{{\"HashKV\":{{\"header\":{{\"revision\":7}},\"hash\":5}}}}]\n"
        );
        assert_eq!(found.all("peers").count(), 3, "{said}");
        let wanted = ["https://10.0.0.1:2380", "https://[fd00::1]:2380", "https://[fd00::2]:2380"];
        assert_eq!(Answer::read(&said).evidence().expect("it is whole").members, wanted.map(str::to_owned).into());
    }
}
