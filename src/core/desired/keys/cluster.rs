//! `[cluster]`, `[nodes.NAME]`, `[ports]`, `[ssh]` and `[paths]`.

use super::{Key, Section, Shape};

pub(super) const CLUSTER: Section = Section {
    path: "cluster",
    about: "The cluster as a whole.",
    one_of: &[],
    keys: &[
        Key::new("name", Shape::Name, "The cluster's name")
            .required("\"prod\"")
            .more("Dangerous commands ask for it, such as `restore --confirm prod`."),
        Key::new("version", Shape::Version, "The etcd version to run: 3.4, 3.5, 3.6 or 3.7")
            .required("\"3.6.16\"")
            .more("All three numbers. Change it to upgrade: one minor version at a time."),
        Key::new("downtime", Shape::Choice(&["never", "allowed"]), "Whether a step may interrupt service")
            .default("\"never\"")
            .more("Clusters of one or two members cannot restart a member without an outage, so they need `\"allowed\"` for it."),
        Key::new(
            "layout",
            Shape::Choice(&["default", "canonical", "kubeadm", "kubespray", "etcdadm", "autobase", "debian", "unit"]),
            "Who set etcd up",
        )
        .default("\"default\"")
        .more(
            "`canonical`: quorate, in the folders of Canonical Kubernetes; with `config = \"/var/snap/k8s/common/args/etcd\"`, its \
             snap. All others are an etcd that somebody else set up, whose settings stay where they are: the manifest of kubeadm's static pod, /etc/etcd.env, /etc/etcd/etcd.env, /etc/etcd/etcd.conf, /etc/default/etcd, or \
             flags in the unit. `quorate init --from-live HOST` writes it.",
        ),
        Key::new("runtime", Shape::Choice(&["systemd", "static-pod"]), "What runs etcd on the hosts")
            .otherwise("what the layout has")
            .example("\"systemd\"")
            .more("`static-pod` with `layout = \"kubeadm\"`, `systemd` with all others."),
        Key::new("topology", Shape::Choice(&["external"]), "etcd runs outside the Kubernetes that uses it")
            .default("\"external\""),
    ],
};

pub(super) const NODE: Section = Section {
    path: "nodes.NAME",
    about: "One section for each member. NAME is the member's name in etcd: letters, digits, `-`, `.` and `_`.",
    one_of: &[],
    keys: &[
        Key::new("address", Shape::Address, "The IP address or DNS name that peers and clients use")
            .required("\"10.0.0.11\"")
            .more("Without a port or a scheme."),
        Key::new("ssh", Shape::Text, "Where to connect: a host, an alias of your ssh config, or user@host:port")
            .otherwise("the address")
            .example("\"etcd-1.example\""),
        Key::new("hostname", Shape::Text, "What `{host}` stands for in `names` of [paths]")
            .otherwise("what ssh connects to")
            .example("\"node-1\""),
        Key::new("peer-names", Shape::List(&Shape::Text), "More names for the peer certificate of this node")
            .default("[]")
            .more(
                "Other addresses from which it speaks to its peers: a second interface, a virtual address. They refuse \
                 connections from an address that the certificate does not name.",
            ),
    ],
};

pub(super) const NODE_CERTIFICATES: Section = Section {
    path: "nodes.NAME.certificates",
    about: "Only with `source = \"external\"` in `[ca]`: the certificates and keys of this node, as files on this machine. \
            All of them are checked before anything is changed.",
    one_of: &[],
    keys: &[
        Key::new("server", Shape::Path, "The certificate for clients").required("\"etcd-1/server.crt\""),
        Key::new("server-key", Shape::Path, "Its key").required("\"etcd-1/server.key\""),
        Key::new("peer", Shape::Path, "The certificate for the other members").required("\"etcd-1/peer.crt\""),
        Key::new("peer-key", Shape::Path, "Its key").required("\"etcd-1/peer.key\""),
    ],
};

pub(super) const PORTS: Section = Section {
    path: "ports",
    about: "The ports of every member. Three different ones.",
    one_of: &[],
    keys: &[
        Key::new("client", Shape::Port, "For clients").default("2379"),
        Key::new("peer", Shape::Port, "For the other members").default("2380"),
        Key::new("metrics", Shape::Port, "For /metrics and /health, on loopback, without TLS").default("2381"),
    ],
};

pub(super) const SSH: Section = Section {
    path: "ssh",
    about: "How to reach the hosts. Your ssh config and agent are used; host keys are always checked.",
    one_of: &[],
    keys: &[
        Key::new("user", Shape::Text, "The user to log in as")
            .otherwise("what your ssh config says, or your own name")
            .example("\"ops\"")
            .more("root, or a user with `sudo -n`."),
        Key::new("config", Shape::Path, "The ssh config to use")
            .otherwise("your own and the system's")
            .example("\"~/.ssh/config\""),
        Key::new("known-hosts", Shape::Path, "The host keys to trust")
            .otherwise("your own known_hosts")
            .example("\"known_hosts\"")
            .more("A key that is unknown or has changed is refused."),
        Key::new("sudo", Shape::Boolean, "Whether to use `sudo -n` on the hosts")
            .otherwise("only when the user is not root")
            .example("true"),
        Key::new("client", Shape::Choice(&["built-in", "openssh"]), "What connects to the hosts")
            .default("\"built-in\"")
            .more(
                "`openssh` is the system's ssh, over one connection a host: for servers with post-quantum key exchange only, \
                 hardware keys, Kerberos or second factors. It may ask on the terminal.",
            ),
        Key::new("etcd-access", Shape::Choice(&["tunnel", "direct"]), "How to reach etcd's client port")
            .default("\"tunnel\"")
            .more("`tunnel` goes through the SSH connection; `direct` needs a route to the client port."),
    ],
};

pub(super) const PATHS: Section = Section {
    path: "paths",
    about: "Where files are stored on the hosts. The defaults are those of `layout = \"default\"`.",
    one_of: &[],
    keys: &[
        Key::new("config", Shape::RemotePath, "etcd's configuration file, in a folder of its own")
            .default("\"/etc/etcd/etcd.yaml\""),
        Key::new("data", Shape::RemotePath, "The data directory")
            .default("\"/var/lib/etcd\"")
            .more("When it is changed, the data of each member is moved there, one member at a time."),
        Key::new("certificates", Shape::RemotePath, "The folder of certificates and keys").default("\"/etc/etcd/pki\""),
        Key::new("service", Shape::Text, "The name of the systemd unit: etcd's, or that of the kubelet which runs it")
            .default("\"etcd.service\""),
        Key::new("binaries", Shape::RemotePath, "The folder of the binaries, with one folder for each version")
            .default("\"/opt/etcd\""),
        Key::new("names", Shape::Table { keys: NAMES, one_of: &[] }, "What the files in `certificates` are called")
            .otherwise("kubeadm's names")
            .example("{ ca = \"ca.pem\", server = \"{member}.pem\", server-key = \"{member}-key.pem\" }"),
    ],
};

const NAMES: &[Key] = &[
    Key::new("ca", Shape::Text, "The CA's certificate").default("\"ca.crt\""),
    Key::new("server", Shape::Text, "The certificate for clients")
        .default("\"server.crt\"")
        .more("`{member}` stands for the node's name, `{host}` for the host that ssh connects to."),
    Key::new("server-key", Shape::Text, "Its key").default("\"server.key\""),
    Key::new("peer", Shape::Text, "The certificate for the other members").default("\"peer.crt\""),
    Key::new("peer-key", Shape::Text, "Its key").default("\"peer.key\""),
    Key::new("healthcheck-client", Shape::Text, "The client certificate for health checks")
        .default("\"healthcheck-client.crt\""),
    Key::new("healthcheck-client-key", Shape::Text, "Its key").default("\"healthcheck-client.key\""),
    Key::new("backup-client", Shape::Text, "The client certificate for snapshots").default("\"backup-client.crt\""),
    Key::new("backup-client-key", Shape::Text, "Its key").default("\"backup-client.key\""),
];
