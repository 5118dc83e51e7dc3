//! `[etcd]` and `[etcd.archive]`.

use super::{Key, Section, Shape};

pub(super) const ETCD: Section = Section {
    path: "etcd",
    about: "etcd's own settings. What is left out keeps etcd's default. A change is a rolling restart, one member at a time.",
    one_of: &[],
    keys: &[
        Key::new("quota-backend", Shape::Size, "The largest size of the database; etcd advises at most 8GiB")
            .etcds("\"2GiB\"")
            .more("At most 100GiB. When the database reaches it, only reads and deletes work; one that the database is over already is refused."),
        Key::new("heartbeat-interval", Shape::Duration, "How often the leader sends heartbeats").etcds("\"100ms\""),
        Key::new("election-timeout", Shape::Duration, "How long a member waits for the leader before an election")
            .etcds("\"1s\"")
            .more("At least five heartbeats, and at most 50s."),
        Key::new("auto-compaction", Shape::Table { keys: COMPACTION, one_of: &[] }, "Whether etcd compacts by itself")
            .otherwise("it does not, as Kubernetes compacts")
            .example("{ mode = \"periodic\", retention = \"8h\" }"),
        Key::new("image", Shape::Text, "The image of etcd's static pod")
            .otherwise("named as the one in the manifest, with the declared version in its tag")
            .example("\"registry.k8s.io/etcd:{version}-0\"")
            .more("Only with `layout = \"kubeadm\"`. `{version}` is filled in. A change is an upgrade, one member at a time."),
        Key::new("extra", Shape::EtcdSettings, "Any other key of etcd's configuration file")
            .otherwise("none")
            .example("{ max-request-bytes = 1572864 }")
            .more("Checked against the settings that the declared version knows. What quorate sets itself is refused."),
    ],
};

const COMPACTION: &[Key] = &[
    Key::new("mode", Shape::Choice(&["periodic", "revision"]), "What `retention` counts").required("\"periodic\""),
    Key::new("retention", Shape::Retention, "How much history is kept").required("\"8h\""),
];

pub(super) const ARCHIVE: Section = Section {
    path: "etcd.archive",
    about: "Where the etcd binaries come from: a release archive, checked here and copied over SSH; the hosts need no \
            internet access. Without this section, etcd must be on the hosts already, in `binaries` of `[paths]`.",
    one_of: &["url", "path", "preinstalled"],
    keys: &[
        Key::new("url", Shape::Url, "Where to download the archive")
            .example(
                "\"https://github.com/etcd-io/etcd/releases/download/v{version}/etcd-v{version}-linux-{arch}.tar.gz\"",
            )
            .more("`{version}` and `{arch}` are filled in. Downloaded by this machine; `HTTPS_PROXY` is honoured."),
        Key::new("path", Shape::Path, "The archive on this machine")
            .example("\"artifacts/etcd-v{version}-linux-{arch}.tar.gz\"")
            .more("`{version}` and `{arch}` are filled in."),
        Key::new("preinstalled", Shape::RemotePath, "The folder on the hosts where someone else keeps the binaries")
            .example("\"/usr/bin\""),
        Key::new("sha256", Shape::Table { keys: DIGESTS, one_of: &[] }, "The archive's SHA-256 for each architecture")
            .example("{ amd64 = \"0000000000000000000000000000000000000000000000000000000000000000\" }")
            .more("Needed with `url` and `path`. It is in SHA256SUMS beside the release."),
        Key::new(
            "via",
            Shape::Map(&Shape::Table { keys: DIGESTS, one_of: &[] }),
            "The SHA-256 of the versions at which an upgrade stops on its way",
        )
        .example("{ \"3.5.30\" = { amd64 = \"0000000000000000000000000000000000000000000000000000000000000000\" } }")
        .more("For an upgrade over more than one minor version."),
    ],
};

const DIGESTS: &[Key] = &[
    Key::new("amd64", Shape::Digest, "Of the archive for amd64").example(DIGEST),
    Key::new("arm64", Shape::Digest, "Of the archive for arm64").example(DIGEST),
    Key::new("ppc64le", Shape::Digest, "Of the archive for ppc64le").example(DIGEST),
    Key::new("s390x", Shape::Digest, "Of the archive for s390x").example(DIGEST),
];

/// The place of a digest: a real one would be taken for the right one.
const DIGEST: &str = "\"0000000000000000000000000000000000000000000000000000000000000000\"";
