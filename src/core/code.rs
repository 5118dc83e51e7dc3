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
        "No SSH connection to the host could be made.\n\nquorate never acts on hosts that it cannot reach: an unreachable host may still be serving. A new cluster is only\nstarted when every declared host is reachable. In a running cluster, work on the other hosts continues as long as it\ncannot cost quorum.\n\nCheck the address in cluster.toml, that sshd is running, and that no firewall is in the way. With a\n`config` or a `user` in [ssh], ssh is to be given them as well:\n\n    ssh -F CONFIG -l USER HOST true";
    HostKey = "host-key", Unseen,
        "The host's SSH key is unknown, has changed, or is revoked.\n\nA connection to the wrong machine would give it \
         the cluster's private keys, so quorate never trusts a key on first\nuse. Compare the fingerprint with the one \
         on the host's console, then add the line from the message to the\nknown_hosts file. A changed key may mean \
         that the host was reinstalled, or a man-in-the-middle attack.";
    SshAuthentication = "ssh-authentication", Unseen,
        "The host refused every SSH key that was offered.\n\nThe message lists what was tried: the keys of the agent \
         first, then the identity files of the ssh configuration.\nCheck `ssh-add -l`, `[ssh] user`, and \
         authorized_keys on the host.";
    Sudo = "sudo", Unseen,
        "The SSH user is not root, and `sudo -n` did not make it root.\n\nquorate reads certificates and etcd's data \
         directory, which only root may read. Allow it in /etc/sudoers.d, for\nexample `ops ALL=(root) NOPASSWD: ALL`, \
         or connect as root. The message quotes sudo, and its hint names what is in the way:\na password, an option \
         (`requiretty`, `noexec`), or time: where the host's own name does not resolve, sudo waits for name\nservers. It \
         is asked once a connection, and what it may record (`log_input`) holds no key.";
    ProbeFailed = "probe-failed", Unseen,
        "The host is reachable, but the output of the script that inspects it could not be read.\n\nThe script needs a \
         POSIX sh, GNU coreutils, grep and systemd. The message quotes what the host printed.";
    Unsupported = "unsupported-host", Refused,
        "There is no etcd release for the host's architecture, or the host does not run systemd.";
    MemberSilent = "member-silent", Unseen,
        "etcd is running on the host but does not answer on its client port.\n\nA member answers only once it is part \
         of a quorum. Look at the log of its unit on the host. quorate restarts such a\nmember only if its configuration, \
         version or unit differs from cluster.toml.";
    AuthorityUnreadable = "authority-unreadable", Failure,
        "The CA could not be read, or its key does not match its certificate.\n\nquorate never overwrites a CA. \
         Restore ca.crt and ca.key from your backup. With `source = \"files\"`, the key may be\nencrypted (PKCS#8); \
         `passphrase` in [ca] says where its passphrase comes from.\n\nA CA that has expired: certificates that it \
         signed are no longer accepted, and nothing can connect anew. Renew it\nwith the same key, and they are valid again. A \
         new CA in its place works as well: apply issues all certificates anew. One in [ca.previous] that has expired is not used\nany \
         more: remove [ca.previous].\n\n    openssl x509 -in pki/ca.crt -signkey pki/ca.key -days 3650 -out new-ca.crt\n    mv new-ca.crt \
         pki/ca.crt\n    systemctl stop etcd           on every node: etcd reads ca.crt only when it starts\n    quorate \
         apply                 replaces ca.crt on the nodes, and starts all members together\n\nClients need the new \
         ca.crt as well.";
    AuthorityMissing = "authority-missing", Refused,
        "Hosts already trust a CA, but ca.crt and ca.key are missing here.\n\nA second CA would cut the members off \
         from each other. Restore the directory `[ca] dir` from your backup. With\n`source = \"node\"`, restore ca.crt \
         and ca.key on one node; the key is copied to the others from there.";
    KeyNotHere = "ca-key-not-here", Refused,
        "The key of the CA is not here, and etcd was asked with a client certificate that lies on a node.\n\n`plan`, `status`, \
         `doctor`, `certs list` and `backup list` need no more: in a pipeline, or in a fresh clone. Over SSH as root they\nread \
         healthcheck-client.crt and its key (peer.crt where that is missing; with [auth] and [backup], backup-client.crt,\nwhich may \
         read users and roles), and keep them in memory alone. The pair signs nothing and is written nowhere.\n\n`apply` needs the \
         CA's certificate, which shows that these are the nodes of this cluster, and its key where the plan\nissues a certificate or \
         with [auth]. `certs issue`, `restore` and what changes users need the key. Restore both from\nyour backup to the location in \
         [ca], or run it where they are.";
    KeyEncrypted = "ca-key-encrypted", Refused,
        "The key of the CA is encrypted, and only what signs opens it.\n\n`plan`, `status` and what else only reads ask etcd with the \
         certificate that `reader` in [ca] names, or with one that lies on a\nnode, and need no passphrase. `apply` shows its plan first, then opens \
         the key where the plan issues certificates or\nwith [auth]; `certs issue` and `root-issue` open it, too. The passphrase is \
         asked for once a run, on the terminal, or\nread from where `passphrase` in [ca] says, or from the file that \
         QUORATE_CA_PASSPHRASE_FILE names (/dev/fd/3, or a\ncredential of systemd). For age, the program `age` opens it with `age.identity` in \
         [ca].\n\nWhere authentication is on and what looks has no right to (no `reader` whose user has the role root, no certificate\nof \
         [backup] on the nodes), `apply` opens the key and looks again before it plans.\n\n\
         To encrypt a key that is there, and say so in cluster.toml (`passphrase = { prompt = true }`):\n\n    \
         umask 077\n    openssl pkcs8 -topk8 -v2 aes-256-cbc -in pki/ca.key -out pki/ca.key.new\n    mv pki/ca.key.new pki/ca.key";
    ReaderUnusable = "reader-unusable", Refused,
        "The client certificate for looking (`reader` in [ca], or QUORATE_CLIENT_CERTIFICATE) cannot be used.\n\nIt is used where the \
         CA's key is not here or encrypted. The message says what is wrong: a file is missing, it has expired, the CA\nof this \
         cluster has not signed it, or the key is another one. quorate does not take another certificate in its place,\nas that may have \
         more rights. Replace the pair, with the CA's key at hand:\n\n    quorate certs issue USER --ttl 720h -d DIR\n\nor remove \
         `reader`: then one that lies on a node is used.";
    AuthorityDiffers = "authority-differs", Refused,
        "A host trusts a different CA from the one in [ca].\n\nChanging the CA of one member alone cuts it off from its peers. If cluster.toml belongs to this cluster, restore the\nright `[ca] dir`. With `source = \"node\"`, this also means nodes with different CA keys: keep the pair that signed the\nmembers' certificates, and move the other away. If the declared CA is to replace the one that the members trust,\ndescribe the old one in [ca.previous] (with the keys of [ca]); the plan then rotates from that one to this one.\n\n    [ca]\n    source = \"vault\"\n    …\n    [ca.previous]\n    source = \"generated\"\n    dir = \"pki\"";
    OldCaClients = "old-ca-clients", Refused,
        "A CA rotation has come to the point where every member trusts both CAs and has certificates of the new one.\n\n\
         The last part, in which members trust only the new CA, refuses every client that still has a certificate of the\n\
         old one. quorate renews those in [consumers] itself; of all others it sees only who is connected now, and a client\n\
         that connects once a day is not. So apply stops there. The cluster is safe in this state for as long as it takes.\n\n\
         Give each client the nodes' ca.crt, which holds both CAs, and a new certificate:\n\n    \
         quorate certs issue USER\n\n\
         Then finish the rotation:\n\n    quorate apply --allow drop-old-ca:CLUSTER";
    AuthorityReplaced = "authority-replaced", Refused,
        "The members trust only the declared CA, and reject the one in [ca.previous].\n\nThis was verified on both \
         ports of every member; or, where its key is not here any more or it has expired, by what every member has loaded.\nRemove \
         [ca.previous] from cluster.toml.";
    Vault = "vault", Failure,
        "Vault (`source = \"vault\"` in [ca]) is unreachable, refused the request, or returned something unusable.\n\nquorate reads the CA (MOUNT/ca/pem, MOUNT/ca_chain) and has certificates signed (MOUNT/sign/ROLE) for keys that it\ncreates itself. The token only needs `update` on MOUNT/sign/ROLE. A role that works:\n\n    vault write pki/roles/etcd allow_any_name=true enforce_hostnames=false allow_ip_sans=true \\\n        server_flag=true client_flag=true key_type=any max_ttl=8760h\n\nIts max_ttl must be longer than `renew-before`. What Vault signs is checked: key, CA, names, usages, validity.";
    CertificateUnusable = "certificate-unusable", Refused,
        "A certificate or key configured for a node (`source = \"external\"`) is missing or wrong.\n\nEvery pair is \
         checked before anything is changed: both files exist and match, the CA in [ca] signed the certificate,\nit is \
         valid now, it names the node's address (and `server-names`), and it has both serverAuth and clientAuth. \
         A\nmember uses its peer certificate as a client, too.";
    CertificateExpires = "certificate-expires", Refused,
        "A certificate expires soon: one that quorate did not issue, or one with less than an hour left.\n\nquorate cannot renew what it did not issue, and a certificate that expires during an apply can stop it.\n\nOne that you provide (`source = \"external\"`): reissue it and replace the file; the next apply installs it without a\nrestart. One that quorate issues: renew it first, on its own, with `quorate apply --renew-certs`.";
    NotInLayout = "not-in-layout", Refused,
        "Somebody else set this cluster's etcd up (`layout` in [cluster]), and quorate does not do there what is asked for, or\nit is not as cluster.toml says.\n\n\
         In such a layout quorate keeps the settings of [etcd] in the file that is there, renews certificates that are due, replaces and removes\nmembers, restores snapshots, and \
         keeps users and scheduled snapshots. Names, addresses, places of files, hosts that were not set up yet and the CA\nstay with the tool that set the cluster up: the message says what differs. Change it \
         with that tool, or declare in cluster.toml what is there. `quorate status\n--from-live HOST` shows what etcd was started with, and `quorate init --from-live HOST` \
         declares it.";
    AlsoWritten = "also-written", Refused,
        "Another program writes the file that this plan changes: the tool that set the cluster up, or a package.\n\nquorate changes only what \
         [etcd] declares, and finds it again when somebody has changed it back; until then both are at work on one\nfile. Make the same change in that \
         tool (for kubespray its variables `etcd_quota_backend_bytes`, `etcd_heartbeat_interval` and\nso on), or stop it from writing, as the \
         message says.";
    SettingsUnreadable = "settings-unreadable", Refused,
        "The file that holds etcd's settings (`config` in [paths]) cannot be read or changed without a guess.\n\nquorate reads \
         such a file as systemd and etcd do, and changes one setting with every other byte kept. What it would have to\nguess it leaves alone: a value that a shell would \
         put in, a line that systemd does not read as it looks, two commands in one\nunit. So it does where the file holds a\nsecret, which a plan of the change would show. The message names the line. Write the setting plainly, or change \
         it by hand: once the file says what is declared, there is\nnothing to change.";
    SettingElsewhere = "setting-elsewhere", Refused,
        "A setting of [etcd] is not given by the file that quorate keeps (`config` in [paths]), but by a flag, a variable of the\nunit, or another file.\n\nWritten into \
         the file it would not decide anything, or etcd would not start any more: it refuses a setting that is both a flag and a\nvariable. Move it into the file by hand, one member at a time \
         with a restart each, or take it out of [etcd]: then it stays as it is.";
    NotServed = "certificate-not-served", Refused,
        "A member serves a different certificate from the one on disk, or the one it serves could not be \
         checked.\n\netcd rereads its certificate and key for every TLS handshake, so a replaced pair is served at \
         once. If it is not, the\nprocess was started with other files, or another program answers on that port.";
    ArchiveUnusable = "archive-unusable", Failure,
        "The etcd archive is missing, does not have the declared SHA-256, or does not contain the binaries.\n\nNothing \
         is copied to any host before the archive has been checked here. Compare `sha256` in [etcd.archive] with \
         the\nSHA256SUMS that etcd publishes with each release.";
    BinariesUndeclared = "binaries-undeclared", Refused,
        "A host lacks the declared etcd version, and no archive is configured.\n\nAdd `[etcd.archive]` with `url` or \
         `path` and the archive's `sha256`, or `preinstalled = \"/usr/bin\"`.";
    BinariesForeign = "binaries-differ", Refused,
        "The binaries of the declared version on the host do not match the declared archive.\n\nquorate does not \
         overwrite binaries that may be running. Move the directory aside on the host and plan again.";
    PortTaken = "port-taken", Refused,
        "Another program listens on a port that etcd needs.\n\nStop it, or choose other ports in `[ports]`.";
    DataDiffers = "data-differs", Refused,
        "The members hold different data: etcd's HashKV, at one revision, is not the same on all of them.\n\nA member whose data \
         has diverged votes and serves like the others, and answers reads with what it has. Before `apply` restarts\nor removes \
         the first member it compares them, as `quorate status --deep` does; a difference that is seen again and again\nis \
         refused, because the wrong data could be left with the quorum. Replace the one that differs from the \
         majority:\n\n    quorate apply --lost=NAME --allow replace-member:NAME\n\nWhere no hash is a majority's, look at the data (a \
         snapshot of each: `quorate backup run --on NAME`), decide which is right,\nand replace the others. Members that lag \
         are compared at a revision that all have reached.";
    OtherEtcd = "other-etcd", Refused,
        "An etcd on the host is not one that quorate runs: another unit, a kubelet, a container or somebody has started it.\n\nWhere it has the declared data directory, one of the declared ports or the name of the unit, nothing on that host is\ntouched: quorate does not take over an etcd that another program runs, and does not start a second one in its place.\nDo not move its data directory while it runs. Its health is told where it answers with this cluster's credentials;\notherwise it is not known.\n\nDeclare other hosts; or, for a cluster of its own beside it, other [ports] and other [paths] (`data`, `config`,\n`certificates`, `service`). An etcd that is beside this cluster's, on other ports and with other data, is only told.";
    DataFound = "data-found", Refused,
        "A host has a data directory, but nothing shows that it belongs to this cluster.\n\nStarting etcd on it, or a \
         new cluster next to it, could lose what is in it. If it is no longer needed, and no program uses\nit, move it \
         aside on the host (`mv /var/lib/etcd /var/lib/etcd.old`) and plan again.";
    AddressTaken = "address-taken", Refused,
        "The address of a node in cluster.toml is one where another member runs.\n\nTwo addresses were swapped, or one was \
         mistyped or copied. etcd knows a member by its id and its peer URL, so neither the\nmember that is there nor the \
         one that has the node's name is touched. The message says what was seen at each address.\n\nCorrect `address` in \
         [nodes]: each member keeps the address that it has, and a new machine has one of its own. To move\ntwo members to \
         each other's machines, move one of them to a third machine first. To rename a member, change its name\nin [nodes] \
         and keep the address; a name that another member has must be free before.";
    FileInUse = "file-in-use", Refused,
        "A file that cluster.toml calls by a new name (`names` in [paths]) would have the name of another one that the member \
         uses.\n\netcd reads its certificates and keys at every handshake: what is put there would be shown to clients or peers at \
         once, as\nthe certificate of somebody else. Nothing of it is written.\n\nChoose a name that none of the member's files has. \
         To exchange two names, give one of them a third name first, and apply. A certificate and\nits key are issued together, \
         so both of them get new names.";
    NewCluster = "new-cluster", Refused,
        "Every host is bare, and something shows that this cluster has existed: its CA has signed certificates, or there are \
         snapshots.\n\nA new cluster would be empty. If the old one is lost, restore it:\n\n    quorate backup list\n    quorate \
         restore SNAPSHOT --confirm CLUSTER\n\nWhat counts: the CA that quorate created for this cluster, once it has issued a \
         certificate (until then the file\n.ca.unused is beside it); a CA that has been rotated; and snapshots in this \
         directory, in the snapshot directory of a node\nor off-site, also where another cluster shares that place. Only if an \
         empty cluster is intended:\n\n    quorate apply --allow new-cluster:CLUSTER\n\nA first apply that was interrupted \
         needs no flag: the new-data marker on the hosts shows it.";
    CannotStart = "cannot-start", Refused,
        "etcd could not start again on the host as it is declared, so nothing on the host is touched.\n\nBefore a member is stopped, or made ready for a start, everything that the start needs is checked with what will be on\ndisk then: that etcd's user can enter every directory on the way to its data, certificates, configuration and program,\nthat the unit and its drop-ins do not hide them (ProtectHome=true hides /home, /root and /run/user), that the program's file system is\nnot mounted noexec and the data's not read-only, that the data is its user's own, that the declared address is on the host, that no other program holds\nthe ports, and that all files are there.\n\nChange what the message names on the host, or choose another place in [paths].\n\nA member whose log or database is damaged, as etcd said when it ended, is only reported: it is started, and will hardly come\nup. While the others serve, replace it: `quorate plan --lost=NAME` shows the steps, and its data is kept aside.";
    LostAtBoot = "lost-at-boot", Refused,
        "What etcd needs is, or would be, in a place that is empty after a boot.\n\nA tmpfs lives in memory, and /run, /tmp and /var/tmp are cleared. A member without its data, its certificates or its\nprogram does not come back; when a whole cluster loses power, all of it is gone. Nothing is put in such a place. What is\nthere already is only reported, as a restart alone does not lose it.\n\nChoose another directory in [paths].";
    DataElsewhere = "data-elsewhere", Refused,
        "A member's data is in another directory than the one in [paths].\n\nIn the declared directory etcd would start with no data, or with other data: the member's own would be left behind. So\nnothing is touched on the host. If the data is where it should be, declare that directory:\n\n    [paths]\n    data = \"/data/etcd\"\n\nTo move it instead, one member at a time while all others are healthy (NEW is the declared directory, OLD the other one):\n\n    quorate status                      (every member is healthy)\n    systemctl stop etcd                 on the host\n    mkdir -p $(dirname NEW) && mv -T OLD NEW\n    quorate apply                       (writes etcd.yaml and the unit, and starts the member; the others wait)\n\nWhere OLD and NEW are on different file systems, copy instead of mv, and keep OLD until the member is healthy:\n\n    cp -a OLD NEW && diff -r OLD NEW && mv OLD OLD.moved";
    DataLost = "data-lost", Refused,
        "A member of the cluster has lost its data directory, its log, or its database.\n\nThe log (member/wal/*.wal) holds \
         what a member has promised: its votes, and the writes that it has acknowledged. Without\none etcd begins an empty \
         log under the old member id, whatever else lies there, and acknowledged writes can be lost.\nSo the unit does not \
         start it, at boot either. It must be removed from the cluster and added again under a new id:\n\n    quorate apply \
         --allow replace-member:NAME\n\nIf all members have lost theirs, restore a snapshot: quorate restore SNAPSHOT.\n\nFirst \
         look where the data may be: a disk that is not mounted (one that fstab or a mount unit names, or a link that leads\nnowhere, \
         is never taken for lost: mount it and apply again), or another directory than the declared one\n(`find / -path \
         '*/member/snap/db'` on every host). Only if there is none on any disk, and no snapshot, can an empty\ncluster take its \
         place: rename etcd.yaml and the unit on every host, and plan again.";
    NotLost = "not-lost", Refused,
        "--lost names a member that appears to be alive, or does not name all that are gone.\n\nA member is lost when \
         its host or its data will not come back. A reachable one is started or repaired instead. A new\ncluster is \
         made from one survivor only when all others are gone for good and every survivor is reachable.";
    WritesMayBeLost = "writes-may-be-lost", Refused,
        "Quorum is permanently lost, and one survivor is to continue alone.\n\netcd acknowledges a write once a quorum has it. The survivor with the highest raft index is the most up to date, but\nwrites that only the lost members had acknowledged are not in it. quorate keeps a copy of the survivor's data\ndirectory next to it, starts it once with --force-new-cluster, and adds the others as new members.\n\nMembers that are called lost must not come back by themselves: two of three that start again without the survivor are a\nquorum, and serve the old cluster beside the new one. Keep their machines off, or etcd on them disabled, until quorate can\nreach them: it then takes them in as new members.\n\nIf a recent backup is newer than the survivor's data, restore that instead.";
    Departed = "departed", Refused,
        "A member was removed while its host was unreachable.\n\nIt cannot rejoin: its etcd exits as soon as it \
         contacts another member. What is left on the host (unit, data, private\nkeys) is cleaned up by the next apply \
         that can reach it. If the machine is gone for good, run\n`quorate apply --lost=NAME` once, and quorate \
         forgets it.";
    MembersDisagree = "members-disagree", Unseen,
        "Members report different cluster ids or member lists.\n\nEither a membership change is still being \
         replicated, or cluster.toml mixes hosts of two clusters, or members that were given\nup with `--lost` have come back as a quorum \
         of their own and serve beside the cluster that went on without them. quorate does\nnothing in any of these cases. In the last \
         one, stop etcd at once on the hosts that were called lost (`systemctl disable --now etcd`):\nwhat is written there is lost \
         when they join again.";
    QuorumAtRisk = "quorum-at-risk", Refused,
        "The step would leave fewer healthy voters than quorum needs, so the cluster would become \
         unavailable.\n\nRepair the unhealthy members first; the plan shows what can be done meanwhile.";
    NotHealthy = "not-healthy", Refused,
        "A member is unhealthy, so the healthy ones are left alone.\n\nA healthy member is only restarted when every \
         voter answers, all follow the same leader, no CORRUPT alarm is active\nfor another member, and a linearizable read succeeds.";
    DowntimeNeeded = "downtime-needed", Refused,
        "A cluster of one or two members cannot restart one of them without an outage.\n\nIf the outage is acceptable, \
         set `downtime = \"allowed\"` in `[cluster]`.";
    NoQuorum = "no-quorum", Refused,
        "Too few members are running for quorum, so the cluster serves neither reads nor writes.\n\n    1. bring back the hosts or members that are down (`quorate status` lists them)\n    2. if they are gone for good, name every lost member: quorate plan --lost=NAME --lost=NAME\n       (this continues with the most up-to-date survivor; the lost machines must stay off, or etcd on them disabled)\n    3. if no member is left: quorate restore SNAPSHOT --confirm CLUSTER\n\nA voter that was added (`etcdctl member add`) and has never started counts from the moment that it is added. If that costs\nthe quorum, it cannot be removed again before there is one. Start it once, at the URL that the message names, on any\nmachine that has or can take that address. Its peer certificate must name that address. With\nthe default layout (DIR is an empty directory; OWN and OWN-URL are the member that waits and its peer URL):\n\n    /opt/etcd/VERSION/etcd --name NEW --data-dir DIR --listen-peer-urls URL --initial-advertise-peer-urls URL \\\n        --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \\\n        --initial-cluster OWN=OWN-URL,NEW=URL --initial-cluster-state existing --peer-client-cert-auth \\\n        --peer-trusted-ca-file /etc/etcd/pki/ca.crt --peer-cert-file /etc/etcd/pki/peer.crt \\\n        --peer-key-file /etc/etcd/pki/peer.key\n    etcdctl member remove ID       (refused as \"unhealthy cluster\" for the first seconds: repeat)";
    ClockSkew = "clock-skew", Refused,
        "A host's clock differs from this machine's by more than certificates and leases tolerate.\n\nSet up time \
         synchronisation (chrony, systemd-timesyncd) on the host.";
    Locked = "locked", Locked,
        "Another run of quorate holds the lock on hosts: somebody applies, restores or cleans up just now.\n\nWhat is seen meanwhile \
         may be in the middle of a step: a member that restarts, a port that is closed. Look again when it has\nfinished. `quorate \
         apply --lock-timeout 5m` waits for it; without that, apply exits 5. A lock is a process on each host that ends\nwith the \
         connection of its run, so one that was killed leaves none. If the run hangs:\n\n    quorate lock status             who \
         holds it, since when and for what\n    quorate lock break              ends it before its next action";
    DropIn = "drop-in", Refused,
        "A systemd drop-in overrides the unit that quorate manages.\n\nquorate does not remove it; what it sets may \
         override the plan: another command, another user, or\nno condition for a start without data. etcd's own settings \
         belong in [etcd], [ports] and [paths] of cluster.toml.\n`systemctl cat etcd` (or the name of `service` in [paths]) on the host shows both.";
    UnitExtended = "unit-extended", Refused,
        "A systemd drop-in adds settings to the unit that quorate manages, as MemoryMax or Nice.\n\ncluster.toml has no \
         keys for these, and nothing that quorate does depends on them: the drop-in may stay. quorate\nneither changes nor \
         removes it. Environment variables beginning with ETCD_ have no effect beside etcd.yaml: declare such a\nsetting in \
         [etcd].";
    KeyReadable = "key-readable", Refused,
        "A private key on a host can be read by others than its owner and root.\n\nThe plan takes that right away again, but \
         who has read the key until then can still pass for this member or client,\nuntil the certificate expires: etcd asks \
         no list of revoked certificates. If others could log in there:\n\n    quorate apply --renew-certs=NODE      a new key \
         and certificate; the old ones are still accepted\n    quorate apply --rotate-ca             a new CA: nothing that the \
         old one signed is accepted afterwards\n\nA key that was issued elsewhere is to be replaced there.";
    EvenVoters = "even-voters", Refused,
        "An even number of voters tolerates no more failures than with one voter fewer.";
    Alarm = "alarm", Refused,
        "etcd has raised an alarm, and keeps it until it is disarmed.\n\nNOSPACE: the database has reached its quota, and only reads and deletes work. To fix it\n(`quorate etcdctl` runs etcdctl on a node; with authentication on, add `--as root`):\n\n    1. raise `quota-backend` in [etcd] and apply, or find out what fills the database\n    2. quorate etcdctl -- compact REVISION        (the revision from `quorate etcdctl -- endpoint status -w json`)\n    3. quorate etcdctl --node NODE -- defrag      one member at a time, the leader last\n    4. quorate etcdctl -- alarm disarm\n\nCORRUPT: a member's data differs from the others', and every write is refused. All members go on voting, so one can be\nreplaced. Do not disarm it before that.\n\n    1. compare the data of all members: at one REVISION, whose HASH differs from most?\n       quorate etcdctl -- endpoint hashkv --cluster    (the alarm names those that differ from the leader, which may itself\n                                                be the odd one; members that are behind answer for an older revision: repeat)\n    2. quorate apply --lost=NAME --allow replace-member:NAME      (the odd one is removed, and added again with the others'\n                                                data; an alarm for a member that is gone holds nothing up)\n    3. quorate etcdctl -- alarm disarm          and compare once more\n\nWhere step 2 stops before the new member is added, because the alarm names one whose data is right, do step 3 and apply\nagain.";
    SourceAddress = "source-address", Refused,
        "A host speaks to another node from an address that its peer certificate does not name.\n\nA member shows its peer certificate when it connects to another one, which compares it with the address that the\nconnection comes from, and refuses it if they differ. Only the refusing member's log tells:\n\n    rejected connection … tls: \"10.0.0.99\" does not match any of DNSNames [\"etcd-1\"]\n\nA host with a second address in the same network (a virtual address, a second interface) may prefer that one. See which\nit takes with `ip route get ADDRESS-OF-THE-OTHER` on it. Either let it prefer the declared address (the `src` of its\nroute), or name the other address, too:\n\n    [nodes.etcd-1]\n    address = \"10.0.0.11\"\n    peer-names = [\"10.0.0.99\"]\n\nUntil then no new cluster is started, and no member that this concerns is added or restarted. Members that run keep the\nconnections that they have.";
    PeerInactive = "peer-inactive", Refused,
        "Two members are healthy, and one has no connection to the other for raft's messages.\n\nIt follows the leader and serves, so nothing else shows it. But once the leader or a third member stops, the two may have\nto be the quorum, and cannot. So no other member is added, changed, restarted or removed meanwhile where the rest could be no\nquorum; each of the two may be. What says so is the member's own metric etcd_network_active_peers, and that its host does\nnot reach the other's peer port. After a restart it takes a moment until all are connected.\n\nWhere its host reaches that port, it is only reported: the metric may stay at 0 after a restart although all is well (etcd\nissue 14523). `quorate apply --restart=NODE` of the one that has none makes it connect anew.\n\nThe connection is made by the one that has none, from its host to the peer port of the other, and shows its peer\ncertificate there. The other refuses it where the certificate does not name the address that it comes from, and only\nits log says so:\n\n    quorate doctor\n    quorate logs NODE               of both\n\nOften a firewall passes the port in one direction only, or the host speaks from another address than the declared one\n(`peer-names` in [nodes]).";
    QuotaTooSmall = "quota-too-small", Refused,
        "The database is larger than `quota-backend` in [etcd], or nearly fills it.\n\nWithout `quota-backend` etcd's default of 2 GiB holds. A member whose database file reaches the quota raises the alarm\nNOSPACE, and the whole cluster refuses writes. So no smaller quota is written, no member is restarted with one that its\ndatabase has outgrown, and no snapshot is restored into one; from 80% on it is only reported. Either set a larger\n`quota-backend`, or make the file smaller first: compact, then defragment one member at a time, the leader last (the\nfile counts with its free pages).\n\n    quorate status                          (DB is the size of the file, IN USE what defragmenting leaves)\n    quorate etcdctl -- compact REVISION     (the revision from `quorate etcdctl -- endpoint status -w json`)\n    quorate etcdctl --node NODE -- defrag";
    AuthorityExpires = "authority-expires", Refused,
        "The CA expires soon, and every certificate that it signed stops being accepted with it.\n\n`quorate plan \
         --rotate-ca` replaces a CA that quorate created: two rolling restarts, without an outage.";
    AuthorityEndsFirst = "authority-ends-first", Refused,
        "Certificates are valid for longer than the CA that signed them.\n\nThey stop being accepted when the CA \
         expires, whatever their own expiry (openssl and kubeadm allow this).\nCertificates that quorate issues expire \
         no later than the CA. Replace the CA before it expires\n(`quorate plan --rotate-ca`, or a new [ca] with the \
         old one as [ca.previous]).";
    BackupTooOld = "backup-too-old", Refused,
        "The last good snapshot is older than `max-age` in [backup], or there is none.\n\nEvery node in [backup] has a timer, and one of them takes each snapshot. See what the last runs reported:\n\n    systemctl list-timers quorate-backup.timer\n    journalctl -u quorate-backup.service\n\nA full disk or a stopped member stops one node, and the next one takes over; `status` says why a run failed. If there is\nno snapshot at all, every node was stopped. Only snapshots of this cluster count that are as long as when they were\nchecked: `quorate backup list` shows what else has such a name.";
    BackupSpace = "backup-no-space", Refused,
        "The next scheduled snapshot would not fit into the directory of [backup] on a node.\n\nIt takes as much as the \
         database, and as much again while it is compressed; what is free is compared with that. A run that has no\nroom \
         fails, and the next node takes over. Make room, keep fewer snapshots (`keep`), or choose another `directory`. What \
         may be\nremoved: `quorate backup list`, `quorate backup prune`.";
    DiskFilling = "disk-filling", Refused,
        "A file system on which quorate or etcd writes is 85 % full, or has used 85 % of its inodes.\n\nCounted as `df` counts it: what is reserved for root is not free. etcd exits when its disk is full, and starts again\nonly once there is room. See `quorate explain disk-full` for what may be removed.";
    DiskFull = "disk-full", Refused,
        "A file system on a host is full, or has less room than what is to be written there.\n\nA step that needs more than is free is refused before the first step. While the disk of a member's data is full, no member\nis restarted: etcd allocates its log in parts of 64 MB, and the member with the full disk may exit at any moment.\n\nWhat may be removed on the host:\n\n    apt-get clean, dnf clean all           packages that were downloaded\n    quorate backup prune                   snapshots of [backup] beyond `keep`\n    journalctl --vacuum-size=200M          old logs, etcd's among them: look at `quorate logs NODE` first\n\nThese are kept until you delete them, one by one and once you are sure that nobody needs them: etcd versions that no\nmember runs any more (/opt/etcd/VERSION), former data (/var/lib/etcd.removed-TIME and the like), and snapshots saved\nbefore upgrades (/var/backups/etcd/before-VERSION-…).\n\nNever delete files in the data directory itself (member/wal, member/snap): etcd does not start without them, or starts\nwith less than it has promised. Compaction and `etcdctl defrag` make the database smaller, but defragmenting writes a\nsecond copy of it first. Otherwise enlarge the disk, or move the data to\nanother one: `data` in [paths]; the old copy stays under another name until you delete it.";
    SettingUnsuited = "setting-unsuited", Refused,
        "A setting of etcd is valid, and does not suit this cluster.\n\n`max-request-bytes`: one request holds up all others \
         of a member while it is written to the log, sent to each peer and\napplied. etcd itself warns above 10 MiB \
         (10485760). Store large values elsewhere, and split large transactions.\n\n`heartbeat-interval`, `election-timeout`: etcd \
         asks for a heartbeat about as long as a round trip between the members, and for\nan election timeout of ten round \
         trips. With less, leaders are lost whenever a message is late. Each member measures its\nround trips \
         (etcd_network_peer_round_trip_time_seconds), and their median since it started is compared. A new election\ntimeout \
         that is no longer than a round trip to a majority, from any voter, is refused: a candidate would begin anew before\nits \
         votes can arrive, and the cluster would have no leader. `quorate doctor` shows the round trips.";
    ConsumerUnready = "consumer-unready", Refused,
        "The directory, user or group that a consumer's files need is not on its host.\n\nquorate writes the certificate, the \
         key and the CA of a consumer, and makes neither the directory nor the account: they\nbelong to the program that \
         reads them. Create them, or correct `certificate`, `key`, `ca`, `owner` or `group` in\n[consumers.NAME]. A rotation of \
         the CA waits for it.";
    BackupNotMounted = "backup-not-mounted", Refused,
        "The directory of [backup] must be on a mount of its own (`mount = true`), and on a node it is not.\n\nWithout the mount, snapshots would fill the disk below it, next to etcd's data. So plan refuses, and a timer that runs\ndoes not take a snapshot. Mount it on the node and plan again. A mount is the directory's own when it is at the\ndirectory, or above it and neither at / nor above etcd's data:\n\n    findmnt -T DIRECTORY";
    EtcdctlMissing = "etcdctl-missing", Refused,
        "There is no etcdctl beside the etcd that runs on a node, and scheduled snapshots are saved with it.\n\nquorate takes \
         the etcdctl in the folder of the running etcd, because that is of its version. Distributions\nhave it in a package of its \
         own: `apt-get install etcd-client` on Debian and Ubuntu. For one that was set up by hand,\nput etcdctl (and etcdutl) of \
         the same release into that folder.";
    CompressorMissing = "compressor-missing", Refused,
        "The program named by `compression` in [backup] is not installed on a node.\n\nquorate installs no packages. \
         Install it there, for example with `apt-get install zstd`, or set\n`compression = \"gzip\"`, which every \
         Debian host has, or `\"none\"`.";
    UnknownUser = "unknown-user", Refused,
        "etcd has a user that is not in cluster.toml.\n\nA client may still use it, so it is only reported. Add \
         [users.NAME], or remove the user, and the roles that nobody\nelse has, with\n\n    quorate apply --allow \
         remove-user:NAME";
    UnknownRole = "unknown-role", Refused,
        "etcd has a role that is not in cluster.toml.\n\nA role grants nothing until a user has it, so quorate leaves \
         it alone. Add [roles.NAME], or remove it with\n`quorate etcdctl --as root -- role delete NAME`. When a user is removed, the roles \
         that only it has are removed with it.";
    AuthUnknown = "auth-unknown", Unseen,
        "Could not read the cluster's users, or whether authentication is on.\n\nUsers and roles are only changed \
         after they have been read. If etcd denies permission, authentication was turned on\noutside quorate, which \
         connects as user root (certificate CN). Give that user the role root:\n\n    etcdctl --user WHO user add root \
         --no-password\n    etcdctl --user WHO user grant-role root root";
    UpgradePath = "upgrade-path", Refused,
        "etcd is upgraded one minor version at a time, and some upgrades need a certain patch release first.\n\n    3.4 → 3.5   to 3.5.6 or newer: 3.5.0 to 3.5.2 can corrupt data\n    3.5 → 3.6   every member on 3.5.26 or newer first, and `etcdutl check v2store` clean\n    3.6 → 3.7   every member on 3.6.11 or newer first, no experimental-* setting left, and no raft log entries\n                from the last member on 3.5 (they crash 3.7; the plan has a step that flushes them)\n\nThe versions in between come from [etcd.archive], where each needs its SHA-256:\n\n    [etcd.archive.via]\n    \"3.5.30\" = { amd64 = \"…\" }";
    BrokenVersion = "broken-version", Refused,
        "This etcd release can corrupt data.\n\netcd 3.5.0 to 3.5.2 can do so when a member is killed \
         (etcd-io/etcd#13766), and no cluster should be\nupgraded to a release before 3.5.6.\n\nDeclare 3.5.6 or \
         newer.";
    V2Store = "v2-store", Refused,
        "etcd 3.6 no longer reads the v2 store, and a member on 3.5 still has content in it.\n\nInspect it with \
         `etcdutl check v2store --data-dir DIR` on the host, and remove the content with a v2 client while 3.5\nis \
         still running. etcdutl only reads the last snapshot of the log: while `enable-v2` is set, newer writes are \
         not\nseen, so set it to false and restart before the upgrade.";
    ExperimentalSetting = "experimental-setting", Refused,
        "etcd 3.7 removed the experimental-* settings.\n\nReplace each by its successor (a setting without the prefix, \
         or a feature gate) and apply that first.";
    SettingTooNew = "setting-too-new", Refused,
        "cluster.toml has a setting that the running version does not support.\n\netcd would silently ignore it. \
         Upgrade first, then add the setting.";
    UpgradeWaits = "upgrade-waits", Refused,
        "The version is only changed while all members are healthy, on the same minor version, and none is joining.";
    Downgrade = "downgrade", Refused,
        "The declared version is older than the one that the cluster has reached.\n\nA downgrade is possible only \
         until the cluster version has been raised, that is, while one member still runs the old\nminor version. After \
         that, restore a snapshot from before the upgrade.";
    SnapshotForeign = "snapshot-foreign", Failure,
        "The snapshot is from a different cluster: none of its members is in cluster.toml.\n\nMembers are compared by \
         their peer URLs, because clusters often use the same member names. If all members of this\ncluster have moved \
         to other addresses since, the snapshot may be its own all the same; `restore` shows this in its\nplan and \
         continues.";
    SnapshotDiffers = "snapshot-differs", Failure,
        "The snapshot was restored into a scratch etcd, and the result is not what it should be.\n\nThe message says what differs: the revision or number of keys from what `etcdutl snapshot status` reports for the\nfile, or etcd's hash of all keys from that of the live cluster at the same revision. Take another snapshot, and\ncompare `etcdctl endpoint hashkv` of all members: one of them may have diverged.\n\nA restored cluster starts counting revisions again, and differs from good snapshots of its former life. If the\ncluster id was recorded with the snapshot (NAME.json), such a cluster is recognised and not compared; if it was not,\nthe message says so. A cluster recovered from one survivor (`--lost`) keeps its id, and may have lost writes that an\nolder snapshot still has.";
    RestoreUnfinished = "restore-unfinished", Refused,
        "A restore is unfinished: a marker on the hosts (/etc/etcd/restore) records the snapshot.\n\nSome members may have the old data and others the new, so nothing else is done until the restore is finished. Run\n`quorate restore SNAPSHOT --confirm CLUSTER` again with the same snapshot, and it resumes. With a different snapshot\nit starts over. The old data directories are kept as DATA.before-restore-TIME.";
    RestoreDone = "restore-done", Refused,
        "Every member already runs on data restored from this snapshot.\n\nTo restore it again, pass `--again`: \
         everything written since is set aside.";
    RestoreLeavesMember = "restore-leaves-member", Refused,
        "A member of the cluster that is being replaced runs on a machine that is not in cluster.toml.\n\nIt is not \
         part of the restored cluster and may keep serving the old data. Stop etcd there.";
    SnapshotUnknown = "snapshot-unknown", Failure,
        "The file is not an etcd snapshot.\n\nA snapshot is a bbolt database followed by its SHA-256, as `quorate \
         backup run`, `etcdctl snapshot save` and the\nscheduled backups write it: plain, or compressed with zstd or \
         gzip.";
    SnapshotCut = "snapshot-cut", Failure,
        "The snapshot is truncated: the file is shorter than its header says.\n\nThe cause is an interrupted transfer \
         or a full disk. Take another one; this one cannot be restored.";
    SnapshotWithoutHash = "snapshot-without-hash", Failure,
        "The snapshot has no SHA-256 at its end.\n\netcd appends one to every snapshot. A copy of `member/snap/db`, or \
         a file that lost its last 32 bytes, has none, so\nit cannot be verified.";
    SnapshotDamaged = "snapshot-damaged", Failure,
        "Checksum mismatch: the file has changed since etcd wrote it.\n\nA disk or a transfer has damaged it. It is \
         not restored; take another one, and check the disk.";
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
