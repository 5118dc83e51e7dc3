//! `[ca] source = "vault"` without any host: `certs issue` and `certs root-issue` against a Vault that is played by
//! [`server`], an HTTPS server of ours. tests/hosts/cluster/vault.rs makes a real cluster with it.

mod server;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use self::server::{ROLE_ID, SECRET_ID, Server, TOKEN};

const CLUSTER: &str =
    "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\n\n[nodes]\netcd-1 = { address = \"10.0.0.11\" }\n";

struct Scene {
    folder: TempDir,
    server: Server,
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Scene {
    fn begin() -> Scene {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let server = Server::begin(folder.path());
        let scene = Scene { folder, server };
        scene.declare(&scene.server.declared());
        scene
    }

    fn declare(&self, ca: &str) {
        fs::write(self.folder.path().join("cluster.toml"), format!("{CLUSTER}{ca}")).expect("the folder is ours");
    }

    /// With this token in the environment, and no other.
    #[track_caller]
    fn quorate(&self, token: Option<&str>, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null()).env_remove("VAULT_TOKEN");
        for proxy in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] {
            command.env_remove(proxy);
        }
        token.inspect(|token| {
            command.env("VAULT_TOKEN", token);
        });
        let output = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("it prints text");
        let said =
            Said { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
        for secret in [TOKEN, SECRET_ID, "hvs."] {
            assert!(!said.stderr.contains(secret) && !said.stdout.contains(secret), "{secret}: {}", said.stderr);
        }
        said
    }

    /// Fails and says all of it.
    #[track_caller]
    fn fails(&self, token: Option<&str>, words: &[&str]) {
        let said = self.quorate(token, &["certs", "issue", "app"]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{}", said.stderr);
        for word in words {
            assert!(said.stderr.contains(word), "{word:?} is not in:\n{}", said.stderr);
        }
    }

    #[track_caller]
    fn issues(&self, token: Option<&str>) -> Value {
        let said = self.quorate(token, &["certs", "issue", "app", "--ttl", "1h"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let issued: Value = serde_json::from_str(&said.stdout).expect("it is JSON");
        verified(self.folder.path(), &issued);
        issued
    }
}

/// What openssl says of it, as a client certificate under what hosts trust.
#[track_caller]
fn verified(folder: &Path, issued: &Value) -> String {
    let text = |key: &str| issued[key].as_str().expect("PEM").to_owned();
    fs::write(folder.join("ca.crt"), text("ca_certificate")).expect("the folder is ours");
    fs::write(folder.join("app.crt"), text("certificate")).expect("the folder is ours");
    fs::write(folder.join("app.key"), text("private_key")).expect("the folder is ours");
    let openssl = |words: &str| {
        let output = Command::new("openssl").current_dir(folder).args(words.split(' ')).output().expect("openssl runs");
        assert!(output.status.success(), "openssl {words}: {output:?}");
        String::from_utf8(output.stdout).expect("it prints text")
    };
    openssl("verify -x509_strict -purpose sslclient -CAfile ca.crt app.crt");
    assert_eq!(openssl("x509 -in app.crt -noout -pubkey"), openssl("pkey -in app.key -pubout"));
    openssl("x509 -in app.crt -noout -text")
}

#[test]
fn a_token_issues_and_openssl_agrees() {
    let scene = Scene::begin();
    let issued = scene.issues(Some(TOKEN));
    let text = verified(scene.folder.path(), &issued);
    assert!(text.contains("Subject: CN = app\n") && !text.contains("Subject Alternative Name"), "{text}");
    // The intermediate that signs and the root above it are what hosts trust; the leaf comes with the intermediate.
    assert_eq!(issued["ca_certificate"].as_str().unwrap_or_default().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(issued["certificate"].as_str().unwrap_or_default().matches("BEGIN CERTIFICATE").count(), 2);
    let asked = scene.server.behaviour().asked.clone();
    assert_eq!(asked, ["GET pki/ca/pem", "GET pki/ca_chain", "POST pki/sign/etcd", "POST pki/sign/etcd"]);
    let said = scene.quorate(Some(TOKEN), &["certs", "root-issue"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    let root = verified(scene.folder.path(), &serde_json::from_str(&said.stdout).expect("it is JSON"));
    assert!(root.contains("Subject: CN = root\n"), "{root}");
    // A role that allows more usages is no trouble.
    scene.server.behaviour().more_usages = true;
    scene.issues(Some(TOKEN));
}

#[test]
fn a_token_is_where_it_is_said_to_be() {
    let scene = Scene::begin();
    scene.fails(
        None,
        &["the token for Vault at https://127.0.0.1:", "the variable VAULT_TOKEN: it is not set", "hint: "],
    );
    fs::write(scene.folder.path().join("token"), format!("{TOKEN}\n")).expect("the folder is ours");
    scene.declare(&format!("{}token = {{ file = \"token\" }}\n", scene.server.declared()));
    scene.issues(None);
    scene.declare(&format!("{}token = {{ command = [\"cat\", \"token\"] }}\n", scene.server.declared()));
    scene.issues(None);
    scene.declare(&format!("{}token = {{ env = \"OTHER\" }}\n", scene.server.declared()));
    scene.fails(Some(TOKEN), &["the variable OTHER: it is not set"]);
}

#[test]
fn an_approle_logs_in() {
    let scene = Scene::begin();
    let approle = |secret: &str| {
        fs::write(scene.folder.path().join("secret"), secret).expect("the folder is ours");
        scene.declare(&format!(
            "{}approle = {{ role-id = \"{ROLE_ID}\", secret-id = {{ file = \"secret\" }} }}\n",
            scene.server.declared()
        ));
    };
    approle(SECRET_ID);
    scene.issues(None);
    assert_eq!(scene.server.behaviour().logins, 1, "once a run");
    approle("wrong");
    scene.fails(None, &["auth/approle/login (400 Bad Request): invalid role or secret ID", "secret-id"]);
}

#[test]
fn what_vault_refuses_is_told() {
    let scene = Scene::begin();
    let right = Some(TOKEN);
    scene.fails(
        Some("hvs.wrong"),
        &[
            "refused pki/sign/etcd (403 Forbidden): permission denied",
            "policy",
            "pki/sign/etcd",
            "it has expired, or was",
        ],
    );
    // A token that is valid and may not: which right it lacks, and the line that gives it.
    scene.server.behaviour().rights = Some(&["create", "read"]);
    scene.fails(
        right,
        &[
            "no right to `update` pki/sign/etcd (its rights there: create, read)",
            "path \"pki/sign/etcd\" { capabilities = [\"update\"] }",
        ],
    );
    scene.server.behaviour().rights = None;
    scene.server.behaviour().forbids = true;
    scene.fails(right, &["may `update` pki/sign/etcd, so something else forbids it", "denied_parameters"]);
    scene.server.behaviour().forbids = false;
    scene.server.behaviour().sealed = true;
    scene.fails(right, &["refused pki/ca/pem (503 Service Unavailable): Vault is sealed", "unseal it"]);
    scene.server.behaviour().sealed = false;
    scene.server.behaviour().refuses = Some("app".to_owned());
    scene.fails(right, &["common name app not allowed by this role", "vault read pki/roles/etcd"]);
    scene.server.behaviour().refuses = Some("root".to_owned());
    scene.fails(right, &["common name root not allowed by this role"]);
    scene.server.behaviour().refuses = None;
    let declared = scene.server.declared();
    scene.declare(&declared.replace("role = \"etcd\"", "role = \"other\""));
    scene.fails(right, &["unknown role: other"]);
    scene.declare(&format!("{declared}mount = \"pki2\"\n"));
    scene.fails(right, &["(404 Not Found): no handler for route", "`mount`"]);
}

#[test]
fn what_vault_signs_is_checked() {
    let scene = Scene::begin();
    let right = Some(TOKEN);
    scene.server.behaviour().other_key = true;
    scene.fails(right, &["the certificate for root from Vault", "cannot be used: it is for another key"]);
    scene.server.behaviour().other_key = false;
    scene.server.behaviour().other_issuer = true;
    scene.fails(right, &["it is not signed by the CA that came with it"]);
    scene.server.behaviour().other_issuer = false;
    // A shorter life is told and taken.
    scene.server.behaviour().max_ttl = Some(600);
    let said = scene.quorate(right, &["certs", "issue", "app", "--ttl", "1h"]);
    assert_eq!((said.code, said.stderr.trim()), (0, "warning: Vault shortened its validity"));
}

#[test]
fn who_answers_is_checked() {
    let scene = Scene::begin();
    let declared = scene.server.declared();
    // Another authority than the one that signed Vault's own certificate.
    let other = tempfile::tempdir().expect("a folder can be made");
    let wrong = Server::begin(other.path());
    scene.declare(&declared.replace(&scene.server.trust.display().to_string(), &wrong.trust.display().to_string()));
    scene.fails(Some(TOKEN), &["is unreachable: ", "invalid peer certificate", "`vault-ca`"]);
    assert!(scene.server.behaviour().asked.is_empty(), "nothing was said to it");
    // This machine's roots do not have it either.
    let without: String =
        declared.lines().filter(|line| !line.starts_with("vault-ca")).map(|line| format!("{line}\n")).collect();
    scene.declare(&without);
    scene.fails(Some(TOKEN), &["is unreachable: ", "`vault-ca`"]);
    scene.declare(&declared.replace("vault-ca.crt", "absent.crt"));
    scene.fails(Some(TOKEN), &["absent.crt cannot be used to verify Vault's certificate"]);
    // Nobody is there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a port is free");
    scene.declare(&declared.replace(&scene.server.address, &format!("https://{port}")));
    scene.fails(Some(TOKEN), &["is unreachable: ", "Connection refused", "`address`"]);
}

#[test]
fn its_authority_is_rotated_elsewhere() {
    let scene = Scene::begin();
    let said = scene.quorate(Some(TOKEN), &["plan", "--rotate-ca"]);
    assert_eq!(said.code, 64, "{}", said.stderr);
    assert!(said.stderr.contains("the CA of this cluster is in Vault") && said.stderr.contains("[ca.previous]"));
}
