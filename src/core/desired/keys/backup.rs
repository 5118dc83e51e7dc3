//! `[backup]`.

use super::{Key, Section, Shape};

pub(super) const BACKUP: Section = Section {
    path: "backup",
    about: "Snapshots on a schedule, as systemd timers on the nodes; one of the nodes takes each snapshot. Without this \
            section none are taken.",
    one_of: &[],
    keys: &[
        Key::new("schedule", Shape::Cron, "Cron, in UTC: minute, hour, day of month, month, day of week")
            .required("\"0 * * * *\""),
        Key::new("keep", Shape::Number { min: 1, max: 4000 }, "How many of the newest are kept, on each node")
            .default("14"),
        Key::new("compression", Shape::Choice(&["zstd", "gzip", "none"]), "The program must be on the nodes")
            .default("\"zstd\""),
        Key::new("directory", Shape::RemotePath, "Where snapshots are stored on the nodes")
            .default("\"/var/backups/etcd\""),
        Key::new("mount", Shape::Boolean, "Whether `directory` must be on a mount of its own")
            .default("false")
            .example("true")
            .more(
                "Where it is not mounted, plan refuses, and the timer takes no snapshot: it would fill the disk below. A \
                 mount is its own when it is at `directory`, or above it and neither at `/` nor above etcd's data.",
            ),
        Key::new("nodes", Shape::List(&Shape::Name), "The nodes that take snapshots")
            .otherwise("all")
            .example("[\"etcd-1\"]"),
        Key::new("max-age", Shape::Duration, "plan and status warn when the last snapshot is older")
            .otherwise("no warning")
            .example("\"2h\""),
        Key::new("metrics", Shape::RemotePath, "The folder of node exporter's textfile collector")
            .otherwise("there, if it exists")
            .example("\"/var/lib/prometheus/node-exporter\""),
        Key::new(
            "offsite",
            Shape::Url,
            "Where `backup run` also copies snapshots: s3://BUCKET/PREFIX or file:///FOLDER",
        )
        .otherwise("nowhere")
        .example("\"s3://bucket/prefix\"")
        .more("Credentials come from the environment of whoever runs quorate, and never reach a node."),
    ],
};
