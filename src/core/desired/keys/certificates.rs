//! `[ca]`, `[ca.previous]` and `[certificates]`.

use super::access::secret;
use super::{Key, Section, Shape};

pub(super) const CA: Section = Section {
    path: "ca",
    about: "Who signs the certificates. `generated`: quorate makes ca.crt and ca.key (0600) in `dir`, once, and never \
            overwrites them; keep a copy. `files`: a CA that you have, such as kubeadm's. `external`: somebody else signs, \
            and each node names its own pairs. `vault`: Vault's PKI engine signs. `node`: the CA is stored on the nodes, as \
            kubeadm has it.",
    one_of: &[],
    keys: AUTHORITY,
};

pub(super) const CA_PREVIOUS: Section = Section {
    path: "ca.previous",
    about: "The CA that the members trust now, while `[ca]` is to replace it. It takes the keys of `[ca]`, for `generated`, \
            `files` and `vault`. Remove it when the change is done.",
    one_of: &[],
    keys: AUTHORITY,
};

const AUTHORITY: &[Key] = &[
    Key::new("source", Shape::Choice(&["generated", "files", "external", "vault", "node"]), "Who signs")
        .default("\"generated\""),
    Key::new("dir", Shape::Path, "The folder of ca.crt and ca.key, made once; keep a copy")
        .default("\"pki\"")
        .with(&["generated"]),
    Key::new("certificate", Shape::Path, "The CA's certificate")
        .example("\"ca.crt\"")
        .with(&["files", "external", "node"])
        .required_with(&["files", "external"])
        .more("With `node` a path on the hosts; left out, it is ca.crt in `certificates` of `[paths]`."),
    Key::new("key", Shape::Path, "The CA's key")
        .example("\"ca.key\"")
        .with(&["files", "node"])
        .required_with(&["files"])
        .more("With `node` a path on the hosts; left out, it is ca.key in `certificates` of `[paths]`."),
    Key::new(
        "passphrase",
        Shape::Table { keys: PASSPHRASE, one_of: &["file", "env", "prompt"] },
        "Of an encrypted key",
    )
    .example("{ prompt = true }")
    .with(&["generated", "files"])
    .more(
        "Where it is, never the passphrase itself. With `generated`, a new key is encrypted with it. The file that \
         QUORATE_CA_PASSPHRASE_FILE names goes before it. Left out, whoever runs `apply` on a terminal is asked.",
    ),
    Key::new("age", Shape::Table { keys: AGE, one_of: &[] }, "Encryption of the key by the program age")
        .example("{ recipients = [\"age1…\"], identity = \"~/.config/age/keys.txt\" }")
        .with(&["generated", "files"])
        .more("With `generated`, a new key is encrypted for these recipients."),
    Key::new("reader", Shape::Table { keys: READER, one_of: &[] }, "A client certificate for what only reads")
        .example("{ certificate = \"reader.crt\", key = \"reader.key\" }")
        .with(&["generated", "files", "vault"])
        .more(
            "`plan`, `status` and the like ask etcd with it where the CA's key is encrypted or not here. Left out, or where \
             its files are not here, they use one that lies on a node. QUORATE_CLIENT_CERTIFICATE and QUORATE_CLIENT_KEY go \
             before it.",
        ),
    Key::new("client", Shape::Path, "The certificate with which quorate connects to etcd")
        .example("\"client.crt\"")
        .with(&["external"])
        .required_with(&["external"]),
    Key::new("client-key", Shape::Path, "Its key")
        .example("\"client.key\"")
        .with(&["external"])
        .required_with(&["external"]),
    Key::new("address", Shape::Url, "Vault's address")
        .example("\"https://vault.example:8200\"")
        .with(&["vault"])
        .required_with(&["vault"]),
    Key::new("role", Shape::Text, "The role of the PKI engine that signs")
        .example("\"etcd\"")
        .with(&["vault"])
        .required_with(&["vault"])
        .more("Its max_ttl must be longer than `renew-before`."),
    Key::new("mount", Shape::Text, "Where the PKI engine is mounted").default("\"pki\"").with(&["vault"]),
    Key::new("namespace", Shape::Text, "Vault's namespace").example("\"ops\"").with(&["vault"]),
    Key::new("vault-ca", Shape::Path, "The CA of Vault's own certificate")
        .otherwise("what this machine trusts")
        .example("\"vault-ca.crt\"")
        .with(&["vault"]),
    Key::new("token", secret(), "Where Vault's token is")
        .otherwise("the environment variable VAULT_TOKEN")
        .example("{ file = \"~/.vault-token\" }")
        .with(&["vault"]),
    Key::new("approle", Shape::Table { keys: APPROLE, one_of: &[] }, "An AppRole, instead of a token")
        .example("{ role-id = \"etcd\", secret-id = { env = \"VAULT_SECRET_ID\" } }")
        .with(&["vault"]),
];

const PASSPHRASE: &[Key] = &[
    Key::new("file", Shape::Path, "The first line of this file").example("\"ca.passphrase\""),
    Key::new("env", Shape::Text, "The value of this environment variable").example("\"CA_PASSPHRASE\""),
    Key::new("prompt", Shape::Boolean, "Ask for it, once a run").example("true"),
];

const READER: &[Key] = &[
    Key::new("certificate", Shape::Path, "The certificate").required("\"reader.crt\""),
    Key::new("key", Shape::Path, "Its key").required("\"reader.key\""),
];

const AGE: &[Key] = &[
    Key::new("recipients", Shape::List(&Shape::Text), "Who can open a new key").required("[\"age1…\"]"),
    Key::new("identity", Shape::Path, "The identity that opens it here")
        .required("\"~/.config/age/keys.txt\"")
        .more("The file that QUORATE_AGE_IDENTITY names goes before it."),
];

const APPROLE: &[Key] = &[
    Key::new("role-id", Shape::Text, "The role's id").required("\"etcd\""),
    Key::new("secret-id", secret(), "Where its secret is").required("{ env = \"VAULT_SECRET_ID\" }"),
    Key::new("mount", Shape::Text, "Where the AppRole engine is mounted").otherwise("`approle`").example("\"approle\""),
];

pub(super) const CERTIFICATES: Section = Section {
    path: "certificates",
    about: "The certificates of members and consumers.",
    one_of: &[],
    keys: &[
        Key::new("validity", Shape::Duration, "How long a new certificate is valid")
            .default("\"365d\"")
            .more("Between one minute and ten years."),
        Key::new("renew-before", Shape::Duration, "How long before it expires a certificate is replaced")
            .otherwise("90 days, or a quarter of the validity if that is less")
            .example("\"90d\""),
        Key::new("server-names", Shape::List(&Shape::Text), "More names for every server certificate")
            .default("[]")
            .more("DNS names, of which the first label may be `*`, and IP addresses."),
    ],
};
