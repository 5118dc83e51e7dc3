//! `[auth]`, `[users.NAME]`, `[roles.NAME]` and `[consumers.NAME]`.

use super::{Key, Section, Shape};

pub(super) const AUTH: Section = Section {
    path: "auth",
    about: "Authentication in etcd. Without this section, users, roles and authentication stay as they are.",
    one_of: &[],
    keys: &[Key::new("enabled", Shape::Boolean, "Whether authentication is on")
        .required("true")
        .more("Turning it off needs `apply --allow disable-auth:CLUSTER`.")],
};

pub(super) const USER: Section = Section {
    path: "users.NAME",
    about: "A user of etcd. NAME is the common name of its client certificate. Exactly one of `prefix`, `permissions` and \
            `roles` says what it may do. root is always there; kube-apiserver needs `roles = [\"root\"]`, as it compacts.",
    one_of: &["prefix", "permissions", "roles"],
    keys: &[
        Key::new("prefix", Shape::Text, "Read and write every key that begins with this").example("\"/app/\""),
        Key::new("permissions", Shape::List(&PERMISSION), "Single permissions")
            .example("[{ prefix = \"/app/\", access = \"read\" }]"),
        Key::new("roles", Shape::List(&Shape::Text), "Roles of `[roles.NAME]`, or `root`").example("[\"root\"]"),
        Key::new("password", secret(), "Where its password is, for clients that log in with one")
            .otherwise("none, as its certificate is enough")
            .example("{ env = \"APP_PASSWORD\" }")
            .more("Only `apply` reads it. etcd does not show passwords, so a changed one is not noticed."),
    ],
};

pub(super) const ROLE: Section = Section {
    path: "roles.NAME",
    about: "A role that users share.",
    one_of: &[],
    keys: &[Key::new("permissions", Shape::List(&PERMISSION), "What it allows")
        .required("[{ prefix = \"/app/\", access = \"read\" }]")],
};

const PERMISSION: Shape = Shape::Table {
    keys: &[
        Key::new("access", Shape::Choice(&["read", "write", "readwrite"]), "What is allowed").required("\"read\""),
        Key::new("prefix", Shape::Text, "On every key that begins with this").example("\"/app/\""),
        Key::new("key", Shape::Text, "On this key alone").example("\"/version\""),
        Key::new("range", Shape::Range, "On the keys from the first up to, not including, the second")
            .example("[\"/a\", \"/c\"]"),
    ],
    one_of: &["prefix", "key", "range"],
};

/// Where a secret is, never the secret itself.
pub(super) const fn secret() -> Shape {
    Shape::Table { keys: SECRET, one_of: &["file", "env", "command"] }
}

const SECRET: &[Key] = &[
    Key::new("file", Shape::Path, "The first line of this file").example("\"app.password\""),
    Key::new("env", Shape::Text, "The value of this environment variable").example("\"APP_PASSWORD\""),
    Key::new("command", Shape::List(&Shape::Text), "The first line that this program prints")
        .example("[\"pass\", \"show\", \"etcd/app\"]"),
];

pub(super) const CONSUMER: Section = Section {
    path: "consumers.NAME",
    about: "A client of the cluster whose certificate quorate keeps: it is issued, renewed and rotated with the members' own.",
    one_of: &[],
    keys: &[
        Key::new("host", Shape::Text, "Where it runs: a node's name, or what ssh connects to")
            .required("\"app-1.example\""),
        Key::new("certificate", Shape::RemotePath, "Its certificate").required("\"/etc/app/etcd.crt\""),
        Key::new("key", Shape::RemotePath, "Its key").required("\"/etc/app/etcd.key\""),
        Key::new("ca", Shape::RemotePath, "The file of the CAs that it trusts")
            .otherwise("not kept by quorate")
            .example("\"/etc/app/etcd-ca.crt\""),
        Key::new("user", Shape::Text, "The certificate's common name")
            .otherwise("the name of the section")
            .example("\"app\""),
        Key::new("owner", Shape::Text, "The owner of the files").default("\"root\""),
        Key::new("group", Shape::Text, "The group of the files").otherwise("the owner's name").example("\"root\""),
        Key::new("reload", Shape::Text, "A command for root's shell, run when a file has changed")
            .otherwise("none")
            .example("\"systemctl reload app\""),
    ],
};
