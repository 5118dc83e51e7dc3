//! Each form as its tools write it, what is nasty about it, and what holds for any text at all.

use proptest::prelude::*;

use super::*;
use crate::core::names::{RemotePath, Version};

/// kubeadm 1.33.
const MANIFEST: &str = "\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/etcd.advertise-client-urls: https://10.0.0.1:2379
  creationTimestamp: null
  labels:
    component: etcd
    tier: control-plane
  name: etcd
  namespace: kube-system
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://10.0.0.1:2379
    - --cert-file=/etc/kubernetes/pki/etcd/server.crt
    - --client-cert-auth=true
    - --data-dir=/var/lib/etcd
    - --experimental-watch-progress-notify-interval=5s
    - --initial-cluster=node-1=https://10.0.0.1:2380
    - --name=node-1
    - --snapshot-count=10000
    image: registry.k8s.io/etcd:3.5.21-0
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: 127.0.0.1
        path: /livez
        port: 2381
    name: etcd
    volumeMounts:
    - mountPath: /var/lib/etcd
      name: etcd-data
  hostNetwork: true
status: {}
";

/// kubespray's /etc/etcd.env.
const KUBESPRAY: &str = "\
# Environment file for etcd 3.5.21
ETCD_DATA_DIR=/var/lib/etcd
ETCD_ADVERTISE_CLIENT_URLS=https://10.0.0.1:2379
ETCD_LISTEN_CLIENT_URLS=https://10.0.0.1:2379,https://127.0.0.1:2379
ETCD_NAME=etcd1
ETCD_PROXY=off
ETCD_QUOTA_BACKEND_BYTES=2147483648
# Flannel need etcd v2 API
ETCD_ENABLE_V2=true

# TLS settings
ETCD_CERT_FILE=/etc/ssl/etcd/ssl/member-node1.pem
ETCD_CLIENT_CERT_AUTH=true
ETCD_PEER_CLIENT_CERT_AUTH=True

# CLI settings
ETCDCTL_ENDPOINTS=https://127.0.0.1:2379
ETCDCTL_CACERT=/etc/ssl/etcd/ssl/ca.pem
";

/// autobase's /etc/etcd/etcd.conf.
const AUTOBASE: &str = "\
ETCD_NAME=\"db-1\"
ETCD_LISTEN_CLIENT_URLS=\"https://10.0.0.1:2379,https://127.0.0.1:2379\"
ETCD_DATA_DIR=\"/var/lib/etcd\"
ETCD_ELECTION_TIMEOUT=\"5000\"
ETCD_INITIAL_ELECTION_TICK_ADVANCE=\"false\"
";

/// Kubernetes the hard way, 1.18.6.
const HARD_WAY: &str = "\
[Unit]
Description=etcd
Documentation=https://github.com/coreos

[Service]
Type=notify
ExecStart=/usr/local/bin/etcd \\
  --name controller-0 \\
  --cert-file=/etc/etcd/kubernetes.pem \\
  --client-cert-auth \\
  --listen-client-urls https://10.0.0.1:2379,https://127.0.0.1:2379 \\
  --initial-cluster-token etcd-cluster-0 \\
  --data-dir=/var/lib/etcd
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
";

/// Canonical Kubernetes.
const CANONICAL: &str = "\
--advertise-client-urls=\"https://10.0.0.1:2379\"
--client-cert-auth=\"true\"
--data-dir=\"/var/snap/k8s/common/var/lib/etcd/data\"
--name=\"node-1\"
";

/// RKE2's and k3s' config.
const RKE2: &str = "\
advertise-client-urls: https://10.0.0.1:2379
client-transport-security:
  cert-file: /var/lib/rancher/rke2/server/tls/etcd/server-client.crt
  client-cert-auth: true
  trusted-ca-file: /var/lib/rancher/rke2/server/tls/etcd/server-ca.crt
data-dir: /var/lib/rancher/rke2/server/db/etcd
election-timeout: 5000
experimental-watch-progress-notify-interval: 5000000000
log-outputs:
- stderr
logger: zap
name: node-1-2a3b
peer-transport-security:
  cert-file: /var/lib/rancher/rke2/server/tls/etcd/peer-server-client.crt
snapshot-count: 10000
";

const FILES: [(Form, &str); 6] = [
    (Form::Yaml, RKE2),
    (Form::Environment, KUBESPRAY),
    (Form::Environment, AUTOBASE),
    (Form::Flags, HARD_WAY),
    (Form::Arguments, CANONICAL),
    (Form::Manifest, MANIFEST),
];

fn changes(of: &[(&str, &str)]) -> BTreeMap<String, Option<String>> {
    let value = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    of.iter().map(|(name, new)| ((*name).to_owned(), value(new))).collect()
}

/// The lines that are gone (`-`) and those that are new (`+`).
#[track_caller]
fn difference(form: Form, text: &str, of: &[(&str, &str)]) -> Vec<String> {
    let changed = with(form, text, &changes(of)).unwrap_or_else(|why| panic!("{why}\n{text}"));
    assert_eq!(with(form, &changed, &changes(of)).as_deref(), Ok(changed.as_str()), "it is so already");
    lines_of(text, &changed)
}

fn lines_of(before: &str, after: &str) -> Vec<String> {
    let difference = similar::TextDiff::from_lines(before, after);
    let of = difference.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    of.map(|change| format!("{}{}", change.tag(), change.value())).collect()
}

#[track_caller]
fn values(form: Form, text: &str) -> Vec<String> {
    let settings = read(form, text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let value = |setting: &Setting| setting.value.clone().unwrap_or_else(|| "?".to_owned());
    settings.iter().map(|(name, setting)| format!("{}:{name}={}", setting.line, value(setting))).collect()
}

#[track_caller]
fn refusal(form: Form, text: &str, of: &[(&str, &str)]) -> String {
    match with(form, text, &changes(of)) {
        Err(why) => why.to_string(),
        Ok(changed) => panic!("not refused: {changed}"),
    }
}

#[test]
fn a_changed_setting_is_one_changed_line_in_every_form() {
    for (form, text) in FILES {
        let name = &read(form, text).unwrap()["name"];
        let [gone, new] = &difference(form, text, &[("name", "other-1")])[..] else { panic!("{form:?}") };
        assert_eq!(*gone, format!("-{}\n", text.lines().nth(name.line - 1).unwrap()));
        let old = name.value.as_deref().unwrap();
        assert_eq!(*new, format!("+{}\n", &gone[1..gone.len() - 1].replacen(old, "other-1", 1)), "{form:?}");
        let told = changes(&[("name", old), ("wal-dir", "")]);
        assert_eq!(with(form, text, &told).as_deref(), Ok(text));
        let windows = text.replace('\n', "\r\n");
        if form != Form::Arguments {
            let [_, new] = &difference(form, &windows, &[("name", "other-1")])[..] else { panic!("{form:?}") };
            assert!(new.ends_with("\r\n"), "{new:?}");
        }
        let unended = text.trim_end();
        let changed = with(form, unended, &changes(&[("wal-dir", "/wal"), ("name", "other-1")])).unwrap();
        assert!(!changed.ends_with('\n') && changed.contains("/wal") && changed.contains("other-1"), "{changed}");
        let back = with(form, &changed, &changes(&[("wal-dir", ""), ("name", old)])).unwrap();
        assert_eq!(back, unended);
    }
}

#[test]
fn the_image_of_a_manifest_says_a_version_and_its_volumes_where_a_path_is() {
    let version = |image: &str| Pod { image: Some(image.to_owned()), mounts: Vec::new() }.version();
    let known = Some(Version::new(3, 6, 8));
    for image in ["registry.k8s.io/etcd:3.6.8-0", "quay.io/coreos/etcd:v3.6.8", "host:5000/etcd:3.6.8@sha256:0a"] {
        assert_eq!(version(image), known, "{image}");
    }
    for image in ["registry.k8s.io/etcd", "host:5000/etcd", "etcd:latest", "etcd@sha256:0a", "etcd:3.6"] {
        assert_eq!(version(image), None, "{image}");
    }
    let text = "spec:\n  containers:\n  - name: helper\n    image: a\n  - name: etcd\n    image: b:3.5.1\n    volumeMounts:\n\
                \x20   - {name: data, mountPath: /var/lib/etcd/}\n    - {name: pki, mountPath: /pki, subPath: etcd}\n    - \
                {name: other, mountPath: /tmp}\n  volumes:\n  - {name: data, hostPath: {path: /srv/etcd}}\n  - {name: pki, \
                hostPath: {path: /etc/pki/}}\n  - {name: other, emptyDir: {}}\n";
    let pod = pod(text).unwrap();
    assert_eq!(pod.image.as_deref(), Some("b:3.5.1"));
    let on_host = |path: &str| pod.on_host(&RemotePath::new(path)).map(|path| path.to_string());
    assert_eq!(on_host("/var/lib/etcd").as_deref(), Some("/srv/etcd"));
    assert_eq!(on_host("/var/lib/etcd/member").as_deref(), Some("/srv/etcd/member"));
    assert_eq!(on_host("/pki/ca.crt").as_deref(), Some("/etc/pki/etcd/ca.crt"));
    assert_eq!((on_host("/tmp/x"), on_host("/var/lib/etcd-2")), (None, None));
}

#[test]
fn another_image_is_one_line_and_named_as_the_one_before() {
    let of = |image: &str| Pod { image: Some(image.to_owned()), mounts: Vec::new() }.image_of(Version::new(3, 6, 16));
    for (is, wanted) in [
        ("registry.k8s.io/etcd:3.6.8-0", Some("registry.k8s.io/etcd:3.6.16-0")),
        ("host:5000/k8s/etcd:v3.6.8", Some("host:5000/k8s/etcd:v3.6.16")),
        ("etcd:latest", None),
        ("etcd", None),
        ("etcd:3.6.8@sha256:0a", None),
    ] {
        assert_eq!(of(is).as_deref(), wanted, "{is}");
    }
    let is = pod(MANIFEST).unwrap().image.expect("it has one");
    let changed = with_image(MANIFEST, "b/etcd:3.6.16-0").expect("it is one line");
    assert_eq!(
        lines_of(MANIFEST, &changed),
        [format!("-    image: {is}\n"), "+    image: b/etcd:3.6.16-0\n".to_owned()]
    );
    assert_eq!(with_image(&changed, &is).as_deref(), Ok(MANIFEST));
    let quoted = MANIFEST.replace(&format!("image: {is}"), &format!("image: \"{is}\" # ours"));
    assert!(with_image(&quoted, "b:1").expect("it is one line").contains("\n    image: \"b:1\" # ours\n"));
    println!("another container has the same, or it stands in brackets");
    let twice = MANIFEST
        .replace("  containers:\n", &format!("  initContainers:\n  - name: a\n    image: {is}\n  containers:\n"));
    assert!(twice.len() > MANIFEST.len());
    assert!(with_image(&twice, "b:1").is_err());
    assert!(with_image("spec: {containers: [{name: etcd, image: a}]}\n", "b:1").is_err());
}

#[test]
fn a_manifest_of_kubeadm() {
    assert_eq!(
        values(Form::Manifest, MANIFEST)[3..6],
        [
            "19:data-dir=/var/lib/etcd",
            "20:experimental-watch-progress-notify-interval=5s",
            "21:initial-cluster=node-1=https://10.0.0.1:2380"
        ]
    );
    assert_eq!(
        difference(Form::Manifest, MANIFEST, &[("quota-backend-bytes", "8589934592"), ("snapshot-count", "")]),
        ["-    - --snapshot-count=10000\n", "+    - --quota-backend-bytes=8589934592\n"]
    );
    let quoted = MANIFEST.replace("- --name=node-1", "- \"--name=node-1\" # us");
    assert_eq!(difference(Form::Manifest, &quoted, &[("name", "b\"c")])[1], "+    - \"--name=b\\\"c\" # us\n");
    let apart = MANIFEST.replace("    - --name=node-1\n", "    - --name\n    - node-1\n");
    assert_eq!(difference(Form::Manifest, &apart, &[("name", "c")]), ["-    - node-1\n", "+    - c\n"]);
    assert_eq!(difference(Form::Manifest, &apart, &[("name", "")]), ["-    - --name\n", "-    - node-1\n"]);
    let arguments = "kind: Pod\nspec:\n  containers:\n    - name: etcd\n      command: # the program\n        - /usr/local/bin/etcd\n      args:\n\
                     \x20       - --name=$(NODE)\n        # its place\n        - --data-dir=/a$$b\n";
    assert_eq!(values(Form::Manifest, arguments), ["10:data-dir=/a$b", "8:name=?"]);
    assert_eq!(
        difference(Form::Manifest, arguments, &[("data-dir", "/c$(d)")])[1],
        "+        - \"--data-dir=/c$$(d)\"\n"
    );
    assert!(
        refusal(Form::Manifest, arguments, &[("name", "b")])
            .starts_with("line 8: a part of the value of name is put in")
    );
    assert_eq!(difference(Form::Manifest, arguments, &[("name", "")]), ["-        - --name=$(NODE)\n"]);
    let refused = |from: &str, to: &str| refusal(Form::Manifest, &MANIFEST.replacen(from, to, 1), &[("name", "b")]);
    for (from, to, words) in [
        ("    - etcd\n", "    - sh\n    - -c\n    - exec etcd\n", "line 15: etcd is started by another program"),
        ("    - etcd\n", "", "etcd is started by another program"),
        ("  hostNetwork", "  - name: b\n    command: [etcd]\n  hostNetwork", "more than one container"),
        (
            "    image:",
            "    env:\n    - name: ETCD_NAME\n      value: a\n    image:",
            "line 24: `env` of the container sets name",
        ),
        (
            "- --name=node-1",
            "- >-\n      --name=node-1",
            "line 14: `command` of etcd is not written with one item a line",
        ),
        ("- --name=node-1", "- &a --name=node-1", "is not written with one item a line"),
        ("- --snapshot-count=10000", "- 10000", "line 14: `command` of etcd is no list of text"),
        ("apiVersion", "---\nb: c\n---\napiVersion", "line 3: more than one document"),
        (
            "    - --name=node-1\n",
            "    - --\n    - --name=node-1\n",
            "line 22: etcd does not start with what stands here",
        ),
        ("status: {}", "status: {", "line 37: "),
        ("kind: Pod", "kind: Pod\nkind: Pod", "a key is there twice"),
        (
            "  - command:\n    - etcd\n",
            "  - command: [etcd, --name=a]\n    args:\n",
            "is not written with one item a line",
        ),
    ] {
        let why = refused(from, to);
        assert!(why.contains(words), "{to}: {why}");
    }
    let why = refusal(Form::Manifest, "{\"kind\":\"Pod\"}", &[]);
    assert_eq!(why, "line 1: a manifest in brackets, as JSON has it");
    assert_eq!(refusal(Form::Manifest, "kind: Pod\n", &[]), "no container of this pod starts etcd");
}

#[test]
fn variables_of_kubespray_debian_and_autobase() {
    assert_eq!(
        values(Form::Environment, KUBESPRAY)[6..],
        ["5:name=etcd1", "14:peer-client-cert-auth=true", "6:proxy=off", "7:quota-backend-bytes=2147483648"]
    );
    assert_eq!(difference(Form::Environment, KUBESPRAY, &[("peer-client-cert-auth", "true")]), [""; 0]);
    assert_eq!(difference(Form::Environment, KUBESPRAY, &[("max-wals", "9")]), ["+ETCD_MAX_WALS=9\n"]);
    assert_eq!(
        difference(Form::Environment, AUTOBASE, &[("name", "a b"), ("max-wals", "9"), ("data-dir", "")]),
        [
            "-ETCD_NAME=\"db-1\"\n",
            "+ETCD_NAME=\"a b\"\n",
            "-ETCD_DATA_DIR=\"/var/lib/etcd\"\n",
            "+ETCD_MAX_WALS=\"9\"\n"
        ]
    );
    let debian = "## etcd(1) daemon options\n## See \"/usr/share/doc/etcd-server/op-guide/configuration.md.gz\"\n\n### Member flags\n";
    assert_eq!(values(Form::Environment, debian), [""; 0]);
    assert_eq!(difference(Form::Environment, debian, &[("name", "a")]), ["+ETCD_NAME=a\n"]);
    assert_eq!(with(Form::Environment, "", &changes(&[("name", "a")])).as_deref(), Ok("ETCD_NAME=a\n"));
}

#[test]
fn variables_are_read_as_systemd_reads_them() {
    for (text, name) in nasty::<Option<String>>("variables") {
        let settings = read(Form::Environment, &text).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(settings.get("name").and_then(|name| name.value.clone()), name, "{text}");
    }
    let refused = |text: &str| read(Form::Environment, text).unwrap_err().to_string();
    for (text, words) in [
        ("A=1\nexport ETCD_NAME=a\n", "line 2: systemd ignores a line with `export`"),
        ("set ETCD_NAME=a\n", "line 1: systemd ignores this line"),
        ("ETCD_NAME=a$HOME\n", "line 1: a `$`"),
        ("ETCD_NAME=\"${A}\"\n", "line 1: a `$`"),
        ("ETCD_NAME=`id`\n", "line 1: a `$` or a backquote"),
        ("# a \\\nETCD_NAME=a\n", "line 1: a comment that ends in a backslash"),
        ("A=b\0\n", "line 1: a zero byte"),
        ("A=b\nB=a\rC=d\n", "line 2: a carriage return inside of a line"),
    ] {
        assert!(refused(text).starts_with(words), "{text}: {}", refused(text));
    }
    // What is no setting of etcd may hold anything.
    assert_eq!(
        values(Form::Environment, "A=$(b)\nETCD_ROOT_PASSWORD=`c`\nexport D=e\n#\\\n\nETCD_NAME=a\n"),
        ["6:name=a"]
    );
    assert_eq!(
        refusal(Form::Environment, "ETCD_NAME=a\\\nb\n", &[("name", "c")]),
        "line 1: its value goes over several lines"
    );
    assert_eq!(
        difference(Form::Environment, "ETCD_NAME=a\nETCD_NAME='b' \n", &[("name", "c'd")]),
        ["-ETCD_NAME='b' \n", "+ETCD_NAME=\"c'd\" \n"]
    );
    assert_eq!(difference(Form::Environment, "ETCD_NAME=a\nETCD_NAME=b\n", &[("name", "")]).len(), 2);
    assert_eq!(difference(Form::Environment, "ETCD_NAME= \n", &[("name", "a")]), ["-ETCD_NAME= \n", "+ETCD_NAME=a \n"]);
    let why = refusal(Form::Environment, "ETCD_CONFIG_FILE=/x\n", &[("name", "a")]);
    assert!(why.starts_with("line 1: etcd takes its settings from the config file"), "{why}");
    let why = refusal(Form::Environment, "ETCD_NAME=\"a", &[("data-dir", "/d")]);
    assert_eq!(why, "changed in this place the file would not say what was asked for: its settings");
}

/// Texts and what becomes of them. A real systemd, bash and etcd are given the same, in tests/hosts/cluster/forms.rs:
/// `arguments` and the words that bash makes of them;
/// `variables` and what etcd gets for its name; `commands`, which stand behind ExecStart=, and the arguments that etcd gets;
/// `config` files and what etcd takes for its name, null where it does not start or has none.
fn nasty<T: serde::de::DeserializeOwned>(what: &str) -> Vec<(String, T)> {
    let text = match what {
        "variables" => include_str!("../../../../fixtures/forms/variables.json"),
        "arguments" => include_str!("../../../../fixtures/forms/arguments.json"),
        "commands" => include_str!("../../../../fixtures/forms/commands.json"),
        _ => include_str!("../../../../fixtures/forms/config.json"),
    };
    serde_json::from_str(text).unwrap()
}

#[test]
fn commands_are_read_as_systemd_reads_them() {
    for (command, words) in nasty::<Vec<String>>("commands") {
        let text = format!("[Service]\nExecStart={}\n", command.replace("ETCD", "/usr/bin/etcd"));
        let read = unit::list(&text).unwrap_or_else(|why| panic!("{why}: {command}"));
        let read: Vec<_> = read.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(read, words, "{command}");
    }
}

#[test]
fn arguments_are_read_as_bash_reads_them() {
    for (text, words) in nasty::<Vec<String>>("arguments") {
        let read = arguments::list(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(read.iter().map(|word| word.text.as_str()).collect::<Vec<_>>(), words, "{text}");
    }
}

#[test]
fn config_files_are_read_as_etcd_reads_them() {
    for (text, name) in nasty::<Option<String>>("config") {
        let name_read = read(Form::Yaml, &text).ok().and_then(|settings| settings.get("name")?.value.clone());
        assert_eq!(name_read, name, "{text}");
    }
}

#[test]
fn a_unit_with_flags() {
    assert_eq!(
        values(Form::Flags, HARD_WAY),
        [
            "9:cert-file=/etc/etcd/kubernetes.pem",
            "10:client-cert-auth=true",
            "13:data-dir=/var/lib/etcd",
            "12:initial-cluster-token=etcd-cluster-0",
            "11:listen-client-urls=https://10.0.0.1:2379,https://127.0.0.1:2379",
            "8:name=controller-0"
        ]
    );
    assert_eq!(
        difference(Form::Flags, HARD_WAY, &[("max-wals", "9"), ("peer-client-cert-auth", "true")]),
        [
            "-  --data-dir=/var/lib/etcd\n",
            "+  --data-dir=/var/lib/etcd \\\n",
            "+  --max-wals=9 \\\n",
            "+  --peer-client-cert-auth\n"
        ]
    );
    assert_eq!(
        difference(Form::Flags, HARD_WAY, &[("client-cert-auth", "false"), ("data-dir", "")]),
        [
            "-  --client-cert-auth \\\n",
            "+  --client-cert-auth=false \\\n",
            "-  --initial-cluster-token etcd-cluster-0 \\\n",
            "-  --data-dir=/var/lib/etcd\n",
            "+  --initial-cluster-token etcd-cluster-0\n"
        ]
    );
    assert_eq!(difference(Form::Flags, HARD_WAY, &[("name", "")]), ["-  --name controller-0 \\\n"]);
    let line = |exec: &str| format!("[Service]\nExecStart={exec}\n");
    let new = |exec: &str, of: &[(&str, &str)]| {
        let changed = difference(Form::Flags, &line(exec), of).pop().unwrap();
        changed["+ExecStart=".len()..].trim_end_matches('\n').to_owned()
    };
    for (exec, of, expected) in [
        ("/bin/etcd --name=a", ("name", "b"), "/bin/etcd --name=b"),
        ("/bin/etcd -name=a", ("name", "b c"), "/bin/etcd -name=\"b c\""),
        ("/bin/etcd -name=a", ("max-wals", "1"), "/bin/etcd -name=a -max-wals=1"),
        ("/bin/etcd --name a", ("max-wals", "1"), "/bin/etcd --name a --max-wals 1"),
        ("/bin/etcd --name 'a' --debug", ("name", "b'"), "/bin/etcd --name 'b\\'' --debug"),
        ("/bin/etcd \"--name=a\"", ("name", "b"), "/bin/etcd \"--name=b\""),
        ("/bin/etcd --name='a'", ("max-wals", "1"), "/bin/etcd --name='a' --max-wals='1'"),
        ("/bin/etcd --name=a --data-dir=/d", ("name", ""), "/bin/etcd --data-dir=/d"),
        ("/bin/etcd --name a", ("name", ""), "/bin/etcd"),
        ("/bin/etcd", ("name", "a"), "/bin/etcd --name=a"),
        ("-/bin/etcd --name=a ; /bin/true", ("max-wals", "1"), "-/bin/etcd --name=a --max-wals=1 ; /bin/true"),
        ("/bin/etcd --name=a --nope", ("wal-dir", "/w"), "/bin/etcd --name=a --nope --wal-dir=/w"),
        ("@/bin/etcd x --name=a", ("name", "$b%"), "@/bin/etcd x --name=$$b%%"),
        (":/bin/etcd --name=$$a", ("name", "$b"), ":/bin/etcd --name=$b"),
        ("/bin/etcd --name=a --name=b", ("name", "c"), "/bin/etcd --name=a --name=c"),
        ("/bin/etcd --name=a --name=b", ("name", ""), "/bin/etcd"),
        ("/bin/etcd --name=%H", ("name", ""), "/bin/etcd"),
        ("/bin/etcd --name=${A}", ("data-dir", "/d"), "/bin/etcd --name=${A} --data-dir=/d"),
        ("/bin/etcd --name=\"a\"b", ("name", "c"), "/bin/etcd --name=\"c\""),
        ("/bin/etcd --name=", ("name", "c"), "/bin/etcd --name=c"),
        ("/bin/etcd --name=a;b", ("name", "c;d"), "/bin/etcd --name=\"c;d\""),
    ] {
        assert_eq!(new(exec, &[of]), expected, "{exec}");
    }
    assert_eq!(
        values(Form::Flags, &line("/bin/etcd --name=${A} --data-dir=/%% --wal-dir=/$$x")),
        ["2:data-dir=/%", "2:name=?", "2:wal-dir=/$x"]
    );
    for (exec, words) in [
        ("/bin/etcd --name=%i", "line 2: a part of the value of name is put in"),
        ("/bin/etcd --name=a${B}", "line 2: a part of the value of name is put in"),
        ("/bin/etcd $ARGS --name=b", "line 2: the flags that this variable stands for"),
        ("/bin/etcd --name $A", "line 2: the flags that this variable stands for"),
        ("/bin/sh -c 'exec /bin/etcd'", "line 2: a shell is started here"),
        ("/usr/bin/docker run etcd", "no ExecStart= here starts etcd"),
        ("/bin/etcd --name='a", "line 2: quotes that are not closed"),
        ("/bin/etcd --name=\"a\\\n b\"", "line 2: its value goes over several lines"),
        ("/bin/etcd --name \\\n  a\nEnvironment=\"B=c\" ETCD_WAL_DIR=/x", "line 4: wal-dir is set by a variable"),
        ("/bin/etcd\nExecStart=/opt/etcd", "line 3: a second ExecStart="),
        ("/bin/etcd x --name=a", "line 2: etcd does not start with what stands here"),
        ("/bin/etcd --data-dir=/d --name", "line 2: etcd does not start with what stands here"),
        ("/bin/etcd\n[Serv", "line 3: a section that is not closed"),
        ("/bin/etcd --config-file=/x --name=a", "line 2: etcd takes its settings from the config file"),
    ] {
        let why = refusal(Form::Flags, &line(exec), &[("name", "z"), ("wal-dir", "/w")]);
        assert!(why.starts_with(words), "{exec}: {why}");
    }
    assert_eq!(
        refusal(Form::Flags, &line("/bin/etcd --name \\\n  a"), &[("name", "")]),
        "line 2: the flag and its value go over several lines"
    );
}

#[test]
fn lines_of_a_unit_are_joined_as_systemd_joins_them() {
    let text = "[Unit]\nExecStart=/bin/etcd --name=unit\n[Service]\nExecStart=/bin/etcd --name=before\nExecStart=\n\
                ExecStart = /bin/etcd \\\n# a comment \\\n   --name=a \\\n; another\n\t--data-dir=/d\nRestart=no\n";
    assert_eq!(values(Form::Flags, text), ["10:data-dir=/d", "8:name=a"]);
    assert_eq!(
        difference(Form::Flags, text, &[("wal-dir", "/w")]),
        ["-\t--data-dir=/d\n", "+\t--data-dir=/d \\\n", "+\t--wal-dir=/w\n"]
    );
    assert_eq!(
        difference(Form::Flags, text, &[("data-dir", "")]),
        ["-   --name=a \\\n", "+   --name=a\n", "-\t--data-dir=/d\n"]
    );
    assert_eq!(difference(Form::Flags, text, &[("name", "")]), ["-   --name=a \\\n"]);
    let two_a_line = "[Service]\nExecStart=/bin/etcd --name=a \\\n  --data-dir=/d --wal-dir=/w\n";
    assert_eq!(
        difference(Form::Flags, two_a_line, &[("data-dir", "")]),
        ["-  --data-dir=/d --wal-dir=/w\n", "+  --wal-dir=/w\n"]
    );
    // A last line that says to go on, and nothing follows.
    let open = "[Service]\nExecStart=/bin/etcd --name=a \\\n";
    assert_eq!(values(Form::Flags, open), ["2:name=a"]);
    assert_eq!(
        difference(Form::Flags, open, &[("wal-dir", "/w")]),
        ["-ExecStart=/bin/etcd --name=a \\\n", "+ExecStart=/bin/etcd --name=a --wal-dir=/w \\\n"]
    );
}

#[test]
fn arguments_of_canonical() {
    assert_eq!(
        values(Form::Arguments, CANONICAL),
        [
            "1:advertise-client-urls=https://10.0.0.1:2379",
            "2:client-cert-auth=true",
            "3:data-dir=/var/snap/k8s/common/var/lib/etcd/data",
            "4:name=node-1"
        ]
    );
    assert_eq!(
        difference(Form::Arguments, CANONICAL, &[("max-wals", "9"), ("client-cert-auth", "")]),
        ["---client-cert-auth=\"true\"\n", "+--max-wals=\"9\"\n"]
    );
    assert_eq!(
        difference(Form::Arguments, "--name a # b\n# c\n--data-dir=/d\n", &[("name", "d e")]),
        ["---name a # b\n", "+--name \"d e\" # b\n"]
    );
    assert_eq!(
        difference(Form::Arguments, "--name='a'\n--data-dir=\"${SNAP}/d\"", &[("name", "b$c"), ("wal-dir", "/w")]),
        [
            "---name='a'\n",
            "---data-dir=\"${SNAP}/d\"",
            "+--name='b$c'\n",
            "+--data-dir=\"${SNAP}/d\"\n",
            "+--wal-dir=\"/w\""
        ]
    );
    for (text, words) in [
        ("--name=a\n--data-dir=$(pwd)\n", "line 2: a `$`"),
        ("--name=`id`\n", "line 1: a command whose output"),
        ("$ARGS\n", "line 1: the flags that this variable stands for"),
        ("--name=a*\n", "line 1: a character outside of quotes"),
        ("--name=\"a\nb\"\n", "line 1: quotes that are not closed"),
        ("--name=a\\\nb\n", "line 1: a line that goes on"),
        ("--name=$A\n", "line 1: a part of the value of name"),
        ("--name=a\r\n", "line 1: a line that ends as on Windows"),
    ] {
        let why = refusal(Form::Arguments, text, &[("name", "z")]);
        assert!(why.starts_with(words), "{text}: {why}");
    }
}

#[test]
fn a_config_file() {
    assert_eq!(
        values(Form::Yaml, RKE2),
        [
            "1:advertise-client-urls=https://10.0.0.1:2379",
            "3:cert-file=/var/lib/rancher/rke2/server/tls/etcd/server-client.crt",
            "4:client-cert-auth=true",
            "6:data-dir=/var/lib/rancher/rke2/server/db/etcd",
            "7:election-timeout=5000",
            "8:experimental-watch-progress-notify-interval=5s",
            "9:log-outputs=stderr",
            "11:logger=zap",
            "12:name=node-1-2a3b",
            "14:peer-cert-file=/var/lib/rancher/rke2/server/tls/etcd/peer-server-client.crt",
            "15:snapshot-count=10000",
            "5:trusted-ca-file=/var/lib/rancher/rke2/server/tls/etcd/server-ca.crt"
        ]
    );
    assert_eq!(
        difference(
            Form::Yaml,
            RKE2,
            &[
                ("peer-key-file", "/k"),
                ("experimental-watch-progress-notify-interval", "1m"),
                ("initial-cluster-token", "1e3"),
                ("trusted-ca-file", ""),
                ("socket-reuse-port", "true"),
                ("cipher-suites", "A,B"),
            ]
        ),
        [
            "-  trusted-ca-file: /var/lib/rancher/rke2/server/tls/etcd/server-ca.crt\n",
            "-experimental-watch-progress-notify-interval: 5000000000\n",
            "+experimental-watch-progress-notify-interval: 60000000000\n",
            "+  key-file: /k\n",
            "+cipher-suites: [A, B]\n",
            "+initial-cluster-token: \"1e3\"\n",
            "+socket-options:\n",
            "+  reuse-port: true\n"
        ]
    );
    // The sample that etcd ships, in its forms.
    let sample = "# This is the configuration file for the etcd server.\n\nname: 'default'\nwal-dir:\nsnapshot-count: 10000\n\
                  client-transport-security:\n  # Path to the client server TLS cert file.\n  cert-file:\n\n  auto-tls: false\n\
                  # Enable debug.\nlog-outputs: [stderr]\n";
    assert_eq!(
        values(Form::Yaml, sample),
        ["10:auto-tls=false", "12:log-outputs=stderr", "3:name=default", "5:snapshot-count=10000"]
    );
    assert_eq!(
        difference(
            Form::Yaml,
            sample,
            &[
                ("wal-dir", "/w"),
                ("cert-file", "/c"),
                ("name", "it's"),
                ("log-outputs", "stdout"),
                ("key-file", "/k"),
                ("discovery-srv", "x")
            ]
        ),
        [
            "-name: 'default'\n",
            "-wal-dir:\n",
            "+name: 'it''s'\n",
            "+wal-dir: /w\n",
            "-  cert-file:\n",
            "+  cert-file: /c\n",
            "+  key-file: /k\n",
            "-log-outputs: [stderr]\n",
            "+log-outputs: [stdout]\n",
            "+discovery-srv: 'x'\n"
        ]
    );
    for (text, of, words) in [
        ("name: a\nname: b\n", ("name", "c"), "line 2: a key that is in line 1, too"),
        ("name: a\n---\nname: b\n", ("name", "c"), "line 2: more than one document"),
        ("{name: a}\n", ("name", "c"), "line 1: the whole file is in brackets"),
        ("name: |\n  a\n", ("name", "c"), "line 1: the value of name is more than a plain value in its line"),
        ("name: a\n  b\n", ("name", "c"), "line 1: the value of name is more than a plain value in its line"),
        ("name: &x a\n", ("name", "c"), "line 1: the value of name is more than a plain value in its line"),
        ("name: !!str a\n", ("name", "c"), "line 1: the value of name is more than a plain value in its line"),
        (
            "log-outputs:\n- a\n",
            ("log-outputs", "b"),
            "line 1: the value of log-outputs is more than a plain value in its line",
        ),
        ("Name: a\n", ("name", "c"), "line 1: a key in another spelling"),
        ("client-transport-security: {cert-file: /a}\n", ("cert-file", "c"), "line 1: a section in brackets"),
        ("name: a\n", ("peer-crl-file", "c"), "peer-crl-file is a flag alone"),
        ("name: a\n", ("snapshot-count", "0x10"), "the value for snapshot-count is of another kind"),
        ("name: a\n", ("backend-batch-interval", "5"), "the value for backend-batch-interval is of another kind"),
        ("name: a\n", ("auto-tls", "maybe"), "the value for auto-tls is of another kind"),
        ("name: no\n", ("data-dir", "/d"), "line 1: a value for name of another kind"),
        ("snapshot-count: 0x10\n", ("name", "a"), "line 1: a value for snapshot-count of another kind"),
        ("name: a\n", ("nmae", "c"), "etcd has no setting \"nmae\""),
        ("name: a\n", ("name", "a\nb"), "the value for name holds a character that cannot be printed"),
        ("name: [a\n", ("name", "c"), "line "),
        ("? name\n: a\n", ("name", "c"), "line 1: a line that is no `key: value`"),
        // The text of another key would have one more line end.
        (
            "nope: |\n  a",
            ("name", "c"),
            "changed in this place the file would not say what was asked for: what else it holds",
        ),
        (
            "a: \"x\nname: b\"\n",
            ("name", "c"),
            "line 2: a key that stands inside of a value, or a value that hides one",
        ),
    ] {
        let why = refusal(Form::Yaml, text, &[of]);
        assert!(why.starts_with(words), "{text}: {why}");
    }
    assert_eq!(values(Form::Yaml, "auto-tls: x\npeer-auto-tls: yes\n"), [""; 0]);
    assert_eq!(
        values(Form::Yaml, "enable-pprof: yes\nstrict-reconfig-check: off\n"),
        ["1:enable-pprof=true", "2:strict-reconfig-check=false"]
    );
    let yes = "enable-pprof: yes\n";
    assert_eq!(difference(Form::Yaml, yes, &[("enable-pprof", "1")]), [""; 0]);
    assert_eq!(difference(Form::Yaml, yes, &[("enable-pprof", "0")])[1], "+enable-pprof: false\n");
}

/// Bits of which texts are made that no tool writes.
#[rustfmt::skip]
fn bits(form: Form) -> &'static [&'static str] {
    match form {
        Form::Yaml => &[
            "name: ", "a", "'b'", "\"c\"", "\n", "\n", "\r\n", "data-dir:", " /d", "client-transport-security:\n", "  cert-file: /x\n",
            "  client-cert-auth: true\n", " # x", "#", "- ", "[", "]", "{", "}", "|", ">", "&a", "*a", "!", "---\n", "snapshot-count: 5\n",
            "  ", "\t", "peer-transport-security:\n", ":", ", ", "yes", "wal-dir: ", "log-outputs: [a, b]\n", "...", "\u{feff}", "'", "\"",
        ],
        Form::Environment => &[
            "ETCD_NAME=", "ETCD_DATA_DIR=", "ETCD_WAL_DIR", "=", "a", " ", "'", "\"", "\\", "\n", "\n", "\r\n", "#", ";", "$", "`", "${A}",
            "export ", "A=b\n", "ETCD_CLIENT_CERT_AUTH=True\n", "\t", "é", "ETCD_", "\u{feff}",
        ],
        Form::Flags => &[
            "[Service]\n", "[Unit]\n", "ExecStart=/bin/etcd", "ExecStart=", " --name", " --name=", " -data-dir ", "=", "a", " ", "'", "\"",
            "\\", " \\\n", " \\\r\n", "\n", "#", ";", " ; ", "$", "$$", "%", "%%", "%i", "${A}", " --client-cert-auth", "\\x41", "é", "\t",
            "Environment=ETCD_NAME=b\n", "@", "-", ":", " --", " x",
        ],
        Form::Arguments => &[
            "--name=", "--data-dir=", "--client-cert-auth", "=", "a", " ", "'", "\"", "\\", "\n", "\n", "#", "$", "${A}", "`", "*", "[", "é",
            "--name a\n", "\t", "--wal-dir=\"/w\"\n",
        ],
        Form::Manifest => &[
            "    - --name=a\n", "    - --name\n", "    - a\n", "    - \"--data-dir=/d\"\n", "    - '--wal-dir=/w' # x\n", "    # x\n", "\n",
            "    - --client-cert-auth\n", "    args:\n", "    - $(A)\n", "    - --name=$(A)\n", "    - --name=$$\n", "      x\n", "    - &a b\n",
            "    - |\n", "    image: x\n", "  - command:\n", "    - etcd\n", "    env:\n", "    - name: A\n", "\r\n", "---\n", "'", "  ",
        ],
    }
}

fn text() -> impl Strategy<Value = (Form, String)> {
    let nasty = prop::sample::select(Form::ALL.to_vec()).prop_flat_map(|form| {
        let bits = prop::collection::vec(prop::sample::select(bits(form).to_vec()), 0..14);
        let begin = match form {
            Form::Flags => "[Service]\nExecStart=/bin/etcd",
            Form::Manifest => "spec:\n  containers:\n  - command:\n    - etcd\n",
            _ => "",
        };
        (Just(form), bits, any::<bool>()).prop_map(move |(form, bits, is_begun)| {
            (form, if is_begun { begin.to_owned() + &bits.concat() } else { bits.concat() })
        })
    });
    // What a tool wrote, and some hand since.
    let known = prop::sample::select(FILES.to_vec()).prop_flat_map(|(form, text)| {
        let bit = (0..=text.len(), prop::sample::select(bits(form).to_vec()), 0..4_usize);
        (Just((form, text)), prop::collection::vec(bit, 0..4)).prop_map(|((form, text), bits)| {
            let mut text = text.to_owned();
            for (at, bit, gone) in bits {
                let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
                let at = if at % 3 == 0 { text[..at].rfind('\n').map_or(0, |end| end + 1) } else { at };
                if text.is_char_boundary((at + gone).min(text.len())) {
                    text.replace_range(at..(at + gone).min(text.len()), bit);
                }
            }
            (form, text)
        })
    });
    prop_oneof![nasty, known]
}

fn change() -> impl Strategy<Value = (&'static str, Option<String>)> {
    let texts =
        prop_oneof!["[a-z0-9:/.,=-]{1,12}", "[ -~é]{1,8}", Just("true".to_owned()), Just("2147483648".to_owned())];
    let names = prop::sample::select(vec![
        "name",
        "data-dir",
        "wal-dir",
        "client-cert-auth",
        "cert-file",
        "peer-cert-file",
        "snapshot-count",
        "log-outputs",
    ]);
    (names, prop::option::weighted(0.7, texts))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the text: no panic; what is changed is what was asked, in one line, and asked again nothing is changed.
    #[test]
    fn any_change_of_any_text_is_that_change_alone((form, text) in text(), (name, value) in change()) {
        let Ok(before) = read(form, &text) else { return Ok(()) };
        let asked: BTreeMap<_, _> = [(name.to_owned(), value.clone())].into();
        let Ok(changed) = with(form, &text, &asked) else { return Ok(()) };
        let after = read(form, &changed).expect("it was read before it was given back");
        let value = value.map(|value| settings::normal(name, &value));
        prop_assert_eq!(after.get(name).map(|setting| setting.value.clone()), value.clone().map(Some));
        for (other, setting) in before.iter().filter(|(other, _)| *other != name) {
            prop_assert_eq!(&after[other].value, &setting.value);
        }
        let again = with(form, &changed, &asked);
        prop_assert_eq!(again.as_deref(), Ok(changed.as_str()));
        let lines = lines_of(&text, &changed);
        let gone = lines.iter().filter(|line| line.starts_with('-')).count();
        let new = lines.len() - gone;
        let was = before.get(name);
        match (was, value) {
            (None, None) => prop_assert_eq!(&text, &changed),
            (Some(was), Some(value)) if was.value.as_ref() == Some(&value) => prop_assert_eq!(&text, &changed),
            (Some(_), Some(_)) => prop_assert!(gone == 1 && new == 1, "{:?}", lines),
            // The line before it takes a line end, or a backslash.
            (None, Some(_)) => prop_assert!(gone <= 1 && new <= 3, "{:?}", lines),
            // Each that is there of its name may leave other words in its line, or end the line before.
            (Some(_), None) => prop_assert!(new <= gone, "{:?}", lines),
        }
    }
}
