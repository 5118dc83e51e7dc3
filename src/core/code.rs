//! The codes of findings and refusals: short, stable, and each with the page that `quorate explain CODE` prints.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::diagnostic::Kind;

/// Declares the codes with their exit kinds and pages in one table.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:ident, $page:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of failure it is when it stops a plan; the exit code follows.
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind,)* }
            }

            /// What it means, why quorate stops there, and the way out.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $page,)* }
            }
        }
    };
}

codes! {
    HostUnreachable = "host-unreachable", Unseen,
        "No SSH connection to the host could be made.\n\nquorate never acts on what it has not seen: an unreachable host may be serving. A new cluster is only\nstarted when every declared host was seen; in a cluster that serves, work on other hosts goes on as long as it\ncannot cost quorum.\n\nCheck the address in cluster.toml, that sshd runs, and that a firewall lets you through:\n\n    ssh HOST true";
    HostKey = "host-key", Unseen,
        "The host's SSH key is unknown, has changed, or is revoked.\n\nA connection to the wrong machine would hand it the cluster's certificates, so quorate never trusts a key on\nfirst use. Compare the fingerprint with the host's console, then add the line that the message shows to the\nknown_hosts file. A key that changed may mean that the host was reinstalled, or that someone is in between.";
    SshAuthentication = "ssh-authentication", Unseen,
        "The host refused every SSH key that was offered.\n\nThe message lists what was tried: keys of the agent first, then the identity files of the ssh configuration.\nCheck `ssh-add -l`, `[ssh] user`, and the host's authorized_keys.";
    Sudo = "sudo", Unseen,
        "The SSH user is not root and `sudo -n` does not work without a password.\n\nquorate reads certificates and etcd's data directory, which only root may. Allow it in /etc/sudoers.d, for\nexample `ops ALL=(root) NOPASSWD: ALL`, or connect as root.";
    ProbeFailed = "probe-failed", Unseen,
        "The host was reached, but its answer to the probe could not be read.\n\nThe probe needs a POSIX sh, coreutils and systemd. The message quotes what the host said.";
    Unsupported = "unsupported-host", Refused,
        "The host's architecture has no etcd release, or it does not run systemd.";
    MemberSilent = "member-silent", Unseen,
        "etcd runs on the host but does not answer on its client port.\n\nA member answers only once it has found a quorum. Look at `journalctl -u etcd` on the host. quorate restarts a\nsilent member only when what it loaded differs from what is declared.";
    AuthorityUnreadable = "authority-unreadable", Failure,
        "The certificate authority beside cluster.toml could not be read, or its key does not belong to its certificate.\n\nquorate never overwrites an authority. Restore ca.crt and ca.key from your backup. The key of `source = \"files\"` may\nbe encrypted (PKCS#8); `passphrase` in [ca] says where its passphrase is.";
    AuthorityMissing = "authority-missing", Refused,
        "Hosts already trust an authority, but ca.crt and ca.key are not beside cluster.toml.\n\nA second authority would cut the members off from each other. Restore the folder `[ca] dir` from your backup;\nwith `source = \"node\"`, restore ca.crt and ca.key on one node, and the others get the key from there.";
    AuthorityDiffers = "authority-differs", Refused,
        "A host trusts another authority than the one beside cluster.toml.\n\nReplacing the trust of one member cuts it off from its peers. If cluster.toml belongs to this cluster, restore\nthe right `[ca] dir`. With `source = \"node\"` it is also said of nodes that hold different keys: keep the pair that signed\nthe members' certificates, and move the other away. If the declared authority is to take the place of the one that the members trust, say in\n[ca.previous] where that one is (with the keys of [ca]): then the plan goes from that to this one.\n\n    [ca]\n    source = \"vault\"\n    …\n    [ca.previous]\n    source = \"generated\"\n    dir = \"pki\"";
    AuthorityReplaced = "authority-replaced", Refused,
        "The members trust the declared authority alone, and refuse the one of [ca.previous].\n\nEach look proved it on both ports of every member. Remove [ca.previous] from cluster.toml.";
    Vault = "vault", Failure,
        "Vault (`source = \"vault\"` in [ca]) could not be asked, refused, or gave what cannot be used.\n\nquorate asks for the authority (MOUNT/ca/pem, MOUNT/ca_chain) and has certificates signed (MOUNT/sign/ROLE) for keys that\nit makes itself. The token needs `update` on MOUNT/sign/ROLE alone. A role that does:\n\n    vault write pki/roles/etcd allow_any_name=true enforce_hostnames=false allow_ip_sans=true \\\n        server_flag=true client_flag=true key_type=any max_ttl=8760h\n\nIts max_ttl must be longer than `renew-before`. What Vault signs is checked: key, authority, names, usages, validity.";
    CertificateUnusable = "certificate-unusable", Refused,
        "A certificate or key that is given for a node (`source = \"external\"`) is missing or wrong.\n\nEvery pair is checked before anything is touched: that both files are there and belong together, that the authority\nof [ca] signed it, that it is valid now, that it names the node's address (and `server-names`), and that it is for\nservers and clients both. A member dials its peers with the certificate that it serves them with.";
    CertificateExpires = "certificate-expires", Refused,
        "A certificate ends soon: one that quorate did not issue and so cannot renew, or one that ends within the hour and may\nend during an apply.\n\nOne that is given (`source = \"external\"`): have it issued again and put it in its place; the next apply installs it,\nwithout a restart. One that quorate issues: renew it first, alone, with `quorate apply --renew-certs`.";
    NotServed = "certificate-not-served", Refused,
        "A member serves another certificate than the one in its file, or what it serves could not be seen.\n\netcd reads its certificate and key anew for every handshake, so a pair that was replaced is served at once. When it is\nnot, the process was started with other files, or something else answers on that port.";
    ArchiveUnusable = "archive-unusable", Failure,
        "The etcd archive is missing, does not have the declared SHA-256, or does not hold the binaries.\n\nNothing is copied to any host before the archive was checked here. Compare `[etcd.archive] sha256` with the\nSHA256SUMS that etcd publishes beside each release.";
    BinariesUndeclared = "binaries-undeclared", Refused,
        "A host lacks the declared etcd version and cluster.toml does not say where to get it.\n\nAdd `[etcd.archive]` with `url` or `path` and the archive's `sha256`, or `preinstalled = \"/usr/bin\"`.";
    BinariesForeign = "binaries-differ", Refused,
        "The folder of the declared version was not filled from the declared archive, or was changed afterwards.\n\nquorate does not overwrite binaries that may be running. Move the folder aside on the host and plan again.";
    PortTaken = "port-taken", Refused,
        "Another program listens on a port that etcd needs.\n\nStop it, or choose other ports in `[ports]`.";
    DataFound = "data-found", Refused,
        "A host holds a data directory, but nothing shows that it belongs to this cluster.\n\nStarting etcd on it, or a new cluster beside it, could lose what it holds. If it is no longer needed, move it\naside on the host (`mv /var/lib/etcd /var/lib/etcd.old`) and plan again.";
    DataLost = "data-lost", Refused,
        "A member of the cluster has lost its data directory.\n\nA member that comes back without its log could vote against what it had promised; it must be removed and\nadded again under a new id.";
    NotLost = "not-lost", Refused,
        "A member was called lost (`--lost`), and what was seen speaks against it.\n\nA member is lost when its host or its data will not come back. One that can be reached is started or repaired;\na cluster is made of one survivor only when the rest is gone for good, and every survivor was seen.";
    WritesMayBeLost = "writes-may-be-lost", Refused,
        "The quorum is gone for good, and one survivor is to go on alone.\n\netcd acknowledges a write once a quorum has it. The survivor with the highest raft index has seen the most, but\na write that only the lost members had acknowledged is not in it. quorate keeps a copy of the survivor's data\ndirectory beside it, starts it once with force-new-cluster, and adds the others as new members.\n\nWhen a recent backup holds more than the survivor, restore that instead.";
    Departed = "departed", Refused,
        "A member was removed while its host could not be reached.\n\nThe cluster does not take it back: its etcd ends as soon as it reaches another member. What is left on the host\n(unit, data, keys) is cleared away by the next apply that can reach it. If the machine is gone for good, say\n`apply --lost=NAME` once, and it is forgotten.";
    MembersDisagree = "members-disagree", Unseen,
        "Members answer with different cluster ids or member lists.\n\nEither a change is still spreading, or hosts of two clusters are declared together. quorate acts on neither.";
    QuorumAtRisk = "quorum-at-risk", Refused,
        "The step would leave fewer healthy voters than a quorum, so the cluster would stop serving.\n\nRepair the unhealthy members first; the plan shows what can be done meanwhile.";
    NotHealthy = "not-healthy", Refused,
        "A healthy member is only restarted when every voter answers, all follow one leader, no alarm is raised and a\nlinearizable read succeeds.";
    DowntimeNeeded = "downtime-needed", Refused,
        "A cluster of one or two members cannot restart one of them without an outage.\n\nIf the outage is acceptable, say `downtime = \"allowed\"` in `[cluster]`.";
    NoQuorum = "no-quorum", Refused,
        "Too few members run for a quorum, so the cluster neither reads nor writes.";
    ClockSkew = "clock-skew", Refused,
        "A host's clock differs from this machine's by more than certificates and leases can bear.\n\nSet up time synchronisation (chrony, systemd-timesyncd) on the host.";
    DropIn = "drop-in", Refused,
        "A systemd drop-in changes the unit that quorate keeps. It is not removed; what it sets may override the plan.";
    EvenVoters = "even-voters", Refused,
        "An even number of voters tolerates no more failures than one voter less.";
    Alarm = "alarm", Refused,
        "etcd has raised an alarm, and keeps it until it is disarmed.\n\nNOSPACE: the database reached its quota, and only reads and deletes work. The way out, with the health check's\ncertificate on any host:\n\n    1. raise `quota-backend` in [etcd] and apply, or find out what fills the database\n    2. etcdctl compact REVISION             (the revision of `etcdctl endpoint status -w json`)\n    3. etcdctl defrag                       on one member after the other, the leader last\n    4. etcdctl alarm disarm\n\nCORRUPT: a member's data differs from the others'. Do not disarm it. Compare `etcdctl endpoint hashkv` of all\nmembers at one revision, and replace the odd one.";
    AuthorityExpires = "authority-expires", Refused,
        "The certificate authority expires soon; every certificate it signed ends with it.\n\n`quorate plan --rotate-ca` replaces one that quorate has made: two rolling restarts, without an outage.";
    AuthorityEndsFirst = "authority-ends-first", Refused,
        "Certificates are valid for longer than the authority that signed them.\n\nNobody accepts them once the authority has ended, whatever their own end is: openssl and kubeadm sign such ones. Those\nthat quorate issues end with the authority at the latest. Replace the authority before its end\n(`quorate plan --rotate-ca`, or another [ca] with the old one as [ca.previous]).";
    BackupTooOld = "backup-too-old", Refused,
        "The last good snapshot is older than `max-age` in [backup] allows, or there is none.\n\nEvery node of [backup] has a timer, and one of them takes each snapshot. Look at what the last runs said:\n\n    systemctl list-timers quorate-backup.timer\n    journalctl -u quorate-backup.service\n\nA full disk, a member that does not run, or a cluster without a quorum keeps a node from taking one; the next\nnode takes it then, so all of them are kept from it.";
    CompressorMissing = "compressor-missing", Refused,
        "The program that `compression` in [backup] names is not installed on a node.\n\nquorate installs no packages. Install it there, for example with `apt-get install zstd`, or say\n`compression = \"gzip\"`, which is on every Debian host, or `\"none\"`.";
    UnknownUser = "unknown-user", Refused,
        "etcd knows a user that cluster.toml does not declare.\n\nSomeone may still come as it, so it is only told of. Declare it as [users.NAME], or remove it, and the roles that\nnobody else has, with\n\n    quorate apply --allow remove-user:NAME";
    UnknownRole = "unknown-role", Refused,
        "etcd knows a role that cluster.toml does not declare.\n\nA role by itself lets nobody do anything, so quorate leaves it alone. Declare it as [roles.NAME], or remove it with\n`etcdctl role delete NAME`; those of a user that is removed go with it.";
    AuthUnknown = "auth-unknown", Unseen,
        "The cluster did not say who its users are, and whether it asks who comes.\n\nUsers and roles are changed only when they were seen. When etcd denies the permission, authentication was turned\non without us: quorate comes with a certificate of the common name root, so the user root needs the role root:\n\n    etcdctl --user WHO user add root --no-password\n    etcdctl --user WHO user grant-role root root";
    UpgradePath = "upgrade-path", Refused,
        "etcd is upgraded one minor version at a time, and some steps ask for a certain patch first.\n\n    3.4 → 3.5   to 3.5.6 or newer: 3.5.0 to 3.5.2 can corrupt data\n    3.5 → 3.6   every member on 3.5.26 or newer first, and `etcdutl check v2store` clean\n    3.6 → 3.7   every member on 3.6.11 or newer first, no experimental-* setting left, and the raft log cut since\n                the last member of 3.5 (3.7 panics at entries that 3.5 wrote; the plan has a step for it)\n\nThe versions in between are taken from [etcd.archive], where each needs its SHA-256:\n\n    [etcd.archive.via]\n    \"3.5.30\" = { amd64 = \"…\" }";
    BrokenVersion = "broken-version", Refused,
        "etcd 3.5.0 to 3.5.2 can corrupt data when a member is killed (etcd-io/etcd#13766), and no cluster should be\nupgraded to a release before 3.5.6.\n\nDeclare 3.5.6 or newer.";
    V2Store = "v2-store", Refused,
        "etcd 3.6 no longer reads the v2 store, and a member of 3.5 still holds something in it.\n\nLook at it with `etcdutl check v2store --data-dir DIR` on the host, and remove what is there with a v2 client\nwhile 3.5 still runs. etcdutl reads the last snapshot of the log only: while `enable-v2` is set, what was written since\nis not seen, so set it to false and restart before the upgrade.";
    ExperimentalSetting = "experimental-setting", Refused,
        "etcd 3.7 does not know the experimental-* settings any more.\n\nReplace each by its successor (a setting without the prefix, or a feature gate) and apply that first.";
    SettingTooNew = "setting-too-new", Refused,
        "A setting is declared that the running version does not know yet.\n\netcd would ignore it without a word. Upgrade first, and declare the setting then.";
    UpgradeWaits = "upgrade-waits", Refused,
        "The version is only changed while every member is well, speaks one minor version, and none is being added.";
    Downgrade = "downgrade", Refused,
        "The declared version is older than the one the cluster has reached.\n\nA binary may go back only while the cluster version has not been raised, that is, while one member still runs the\nold minor version. After that, restore a snapshot that was saved before the upgrade.";
    SnapshotForeign = "snapshot-foreign", Failure,
        "The snapshot is of another cluster: none of the members that it knows of is declared in cluster.toml.\n\nMembers are compared by their peer URLs, as clusters often have members of the same names. When all members of this\ncluster have moved to other addresses since, the snapshot may be its own all the same; `restore` tells it in its plan, and\ngoes on.";
    SnapshotDiffers = "snapshot-differs", Failure,
        "The snapshot was restored into a scratch etcd, and what that holds is not what it should be.\n\nThe message says what differs: the revision or the number of keys from what `etcdutl snapshot status` says of the\nfile, or etcd's own hash of all keys from that of the live cluster at the same revision. Take another snapshot, and\ncompare `etcdctl endpoint hashkv` of all members: one of them may be the odd one.\n\nA cluster that was restored counts its revisions anew, and differs from a good snapshot of its former life. Where the\ncluster's id was noted beside the snapshot (NAME.json), such a cluster is told by its own and not compared; where it was\nnot, the message says so. A cluster that was begun again from one survivor (`--lost`) keeps its id, and may have lost what\na snapshot of before still has.";
    RestoreUnfinished = "restore-unfinished", Refused,
        "A restore was begun: a note on the hosts (/etc/etcd/restore) says which snapshot it is of.\n\nSome members may hold the old data and others the new, so nothing else is done until the restore is finished. Run\n`quorate restore SNAPSHOT --confirm CLUSTER` again with the same snapshot; it goes on where it was cut off. With\nanother one it begins anew. The old data directories are kept as DATA.before-restore-TIME.";
    RestoreDone = "restore-done", Refused,
        "Every member runs on data that was restored from this very snapshot.\n\nWhen that is long ago and it is to be done once more, say `--again`: what was written since is set aside.";
    RestoreLeavesMember = "restore-leaves-member", Refused,
        "A member of the cluster that is about to be replaced lives on a machine that cluster.toml does not declare.\n\nIt is none of the restored cluster, and goes on with the old data if it can. Stop etcd there.";
    SnapshotUnknown = "snapshot-unknown", Failure,
        "The file does not begin as a snapshot of etcd does.\n\nA snapshot is a bbolt database with the SHA-256 of it at its end, as `quorate backup run`, `etcdctl snapshot save`\nand the nodes write it: bare, or compressed by zstd or gzip.";
    SnapshotCut = "snapshot-cut", Failure,
        "The snapshot ends too early: its first page tells how long it has to be.\n\nA transfer that was cut off, or a full disk. Take another one; nothing can be restored from this one.";
    SnapshotWithoutHash = "snapshot-without-hash", Failure,
        "The snapshot has no SHA-256 at its end.\n\netcd sends one with every snapshot. A copy of `member/snap/db`, or a file whose last 32 bytes were lost, has none, and\nnothing tells whether what is left is whole and unchanged.";
    SnapshotDamaged = "snapshot-damaged", Failure,
        "The snapshot is not what etcd once sent: its SHA-256 is another one.\n\nA disk or a transfer has changed it. Nothing is restored from it; take another one, and look at the disk.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_explained() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| code.explanation().len() > 40));
    }
}
