//! The real binary, without any host: wording, exit codes, and no colour in pipes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use quorate::core::desired;
use quorate::core::names::UnixSeconds;
use quorate::core::planner;
use quorate::core::planner::world;
use quorate::core::render::json;
use tempfile::TempDir;

const CLUSTER: &str = "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\n\n[nodes]\netcd-1 = { address = \"10.0.0.11\" }\n\
                       etcd-2 = { address = \"10.0.0.12\" }\netcd-3 = { address = \"10.0.0.13\" }\n\n[etcd.archive]\n\
                       path = \"a.tar.gz\"\nsha256 = { amd64 = \"0000000000000000000000000000000000000000000000000000000000000000\" }\n";

/// A folder with a valid cluster.toml and a saved plan for its bare hosts.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("cluster.toml"), CLUSTER).expect("the folder is ours");
    fs::write(folder.path().join("plan.json"), saved()).expect("the folder is ours");
    folder
}

fn saved() -> String {
    let desired = desired::read::parse(CLUSTER, "cluster.toml", Path::new("/"), None).expect("it is valid");
    json::plan(&planner::plan(&desired, &world::bare(&desired, UnixSeconds(1_800_000_000))))
}

struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn quorate_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::cargo_bin("quorate").expect("the binary is built");
    command.current_dir(folder).args(arguments).env_remove("NO_COLOR").envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    let said =
        Said { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    said
}

fn quorate(arguments: &[&str]) -> Said {
    quorate_with(folder().path(), arguments, &[])
}

#[test]
fn help_is_documentation_and_no_error() {
    let said = quorate(&["--help"]);
    assert_eq!(said.code, 0);
    for command in [
        "init",
        "validate",
        "plan",
        "show",
        "apply",
        "status",
        "doctor",
        "certs",
        "lock",
        "schema",
        "explain",
        "completions",
        "man",
    ] {
        assert!(said.stdout.contains(&format!("\n  {command} ")), "{command}");
        let help = quorate(&[command, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{command}");
        assert!(help.stdout.contains("Examples:\n  quorate "), "{}", help.stdout);
    }
    assert!(said.stdout.contains("Exit codes:"));
    assert_eq!(quorate(&["--version"]).stdout, format!("quorate {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_64_on_stderr() {
    let wrong: &[&[&str]] = &[
        &[],
        &["plam"],
        &["plan", "--format", "yaml"],
        &["plan", "--nonsense"],
        &["apply", "--allow", "everything:etcd-1"],
        &["apply", "--lock-timeout", "soon"],
        &["explain", "no-such-code"],
        &["--color", "sometimes", "validate"],
        &["-q", "-v", "plan"],
        &["man", "no-such-command"],
        &["lock"],
    ];
    for arguments in wrong {
        let said = quorate(arguments);
        assert_eq!(said.code, 64, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
        assert!(!said.stderr.is_empty(), "{arguments:?}");
    }
    assert!(quorate(&["plam"]).stderr.contains("plan"), "a near miss is named");
    let allow = quorate(&["apply", "--allow", "everything:etcd-1"]);
    assert!(allow.stderr.contains("remove-member, replace-member, remove-user"), "{}", allow.stderr);
}

#[test]
fn a_saved_plan_is_shown_in_every_format() {
    let text = quorate(&["show", "plan.json"]);
    assert_eq!((text.code, text.stderr.as_str()), (0, ""));
    assert!(
        text.stdout.starts_with("cluster prod (declared: etcd 3.5.16): no cluster found: 3 empty hosts\n\n[ 1/13] "),
        "{}",
        text.stdout
    );
    let last = text.stdout.lines().last().unwrap_or_default();
    assert!(
        last.starts_with(
            "Plan: 13 steps on 3 hosts, 3 starts, 0 restarts, 0 blocked; always tolerates at least 1 \
                          failure. Plan id "
        ),
        "{last}"
    );
    let markdown = quorate(&["show", "plan.json", "--format", "markdown"]);
    assert!(markdown.stdout.starts_with("<!-- quorate:prod -->\n**Changes:**"), "{}", markdown.stdout);
    assert_eq!(quorate(&["show", "plan.json", "--format", "json"]).stdout, saved());
    assert!(quorate(&["show", "plan.json", "-v"]).stdout.contains("action   etcd-1: install etcd 3.5.16 (amd64)"));
}

#[test]
fn a_tampered_plan_is_refused() {
    let folder = folder();
    let file = folder.path().join("plan.json");
    fs::write(&file, saved().replace("10.0.0.12", "10.6.6.6")).expect("the folder is ours");
    for arguments in [&["show", "plan.json"][..], &["apply", "--yes", "plan.json"]] {
        let said = quorate_with(folder.path(), arguments, &[]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""));
        assert!(
            said.stderr.starts_with(
                "error: plan.json: cannot use this plan\n  caused by: the file was edited: its plan_id is "
            ),
            "{}",
            said.stderr
        );
    }
    fs::write(&file, saved().replace("\"format_version\": 1", "\"format_version\": 99")).expect("the folder is ours");
    let said = quorate_with(folder.path(), &["show", "plan.json"], &[]);
    assert!(
        said.stderr.contains("format_version 99 is not supported; this quorate reads version 1"),
        "{}",
        said.stderr
    );
    let missing = quorate(&["show", "nowhere.json"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.starts_with("error: nowhere.json: cannot read the plan\n  caused by: No such file"),
        "{}",
        missing.stderr
    );
}

#[test]
fn colour_is_for_terminals_or_on_request_and_no_color_wins() {
    let folder = folder();
    let show = |arguments: &[&str], variables: &[(&str, &str)]| {
        let said = quorate_with(folder.path(), &[&["show", "plan.json"], arguments].concat(), variables);
        said.stdout.contains('\u{1b}')
    };
    assert!(!show(&[], &[]), "no colour in a pipe");
    assert!(show(&["--color", "always"], &[]));
    assert!(!show(&["--color", "never"], &[]));
    assert!(!show(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(show(&["--color", "always"], &[("NO_COLOR", "")]), "an empty NO_COLOR says nothing");
    let error = quorate_with(folder.path(), &["show", "nowhere", "--color", "always"], &[]);
    assert!(error.stderr.contains('\u{1b}'));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let folder = folder();
    let binary = assert_cmd::cargo::cargo_bin("quorate");
    let script = format!("{} show plan.json -v | head -n 1; echo ${{PIPESTATUS[0]}}", binary.display());
    for _ in 0..20 {
        let output =
            Process::new("bash").args(["-c", &script]).current_dir(folder.path()).stdin(Stdio::null()).output();
        let output = output.expect("bash runs");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.ends_with("\n0\n"), "{stdout}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn validate_and_init_work_in_the_folder_of_c() {
    let folder = folder();
    let path = folder.path().to_str().expect("it is text");
    let said = quorate_with(Path::new("/"), &["-C", path, "validate"], &[]);
    assert_eq!((said.code, said.stdout.as_str()), (0, "cluster.toml is valid: cluster prod, 3 nodes, etcd 3.5.16\n"));
    let said = quorate_with(Path::new("/"), &["-C", path, "init", "a=10.0.0.1"], &[]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("never overwrites"), "{}", said.stderr);
    let said = quorate_with(Path::new("/"), &["-C", "/nowhere", "validate"], &[]);
    assert!(said.stderr.starts_with("error: /nowhere: cannot change to the directory"), "{}", said.stderr);
}

#[test]
fn an_invalid_declaration_stops_every_command_that_needs_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::write(folder.path().join("cluster.toml"), "[cluster]\nname = \"prod\"\nversion = \"3.5.16\"\nversoin = 3\n")
        .expect("the folder is ours");
    for command in ["validate", "plan", "apply", "status"] {
        let said = quorate_with(folder.path(), &[command], &[]);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{command}");
        assert!(said.stderr.contains("cluster.toml:4"), "{}", said.stderr);
        assert!(said.stderr.contains("error: cluster.toml: not valid: "), "{}", said.stderr);
    }
    let missing = quorate_with(Path::new("/"), &["-f", "/nowhere.toml", "plan"], &[]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("hint: create one with `quorate init"), "{}", missing.stderr);
}

#[test]
fn codes_are_explained() {
    let list = quorate(&["explain"]);
    assert!(list.stdout.contains("\nhost-key "), "{}", list.stdout);
    let page = quorate(&["explain", "data-found"]);
    assert!(page.stdout.starts_with("data-found (exit code 3)\n\nA host has a data directory"), "{}", page.stdout);
    let near = quorate(&["explain", "data-fuond"]);
    assert!(near.stderr.contains("data-found"), "{}", near.stderr);
}

#[test]
fn what_is_generated_is_not_empty() {
    assert!(quorate(&["completions", "bash"]).stdout.contains("_quorate"));
    assert!(quorate(&["man"]).stdout.contains(".TH quorate 1"));
    assert!(quorate(&["man", "plan"]).stdout.contains("detailed\\-exitcode"));
    for subject in ["cluster", "plan", "events", "status"] {
        let schema = quorate(&["schema", subject]).stdout;
        let value: serde_json::Value = serde_json::from_str(&schema).expect("a schema is JSON");
        assert!(value.get("$schema").is_some(), "{subject}");
    }
}

#[test]
fn an_init_file_is_valid_and_its_mode_is_the_users_choice() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let said = quorate_with(folder.path(), &["init", "etcd-1=10.0.0.11", "--name", "prod", "--offline"], &[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let mode = fs::metadata(folder.path().join("cluster.toml")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077 & !0o044, 0, "nobody else may write it");
    assert_eq!(quorate_with(folder.path(), &["validate"], &[]).code, 0);
}

/// A folder with a cluster.toml and the authority of its cluster.
fn with_authority() -> TempDir {
    let folder = folder();
    let name = quorate::core::names::ClusterName::new("prod");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    let now = UnixSeconds(i64::try_from(now.as_secs()).expect("it is not that late"));
    quorate::shell::live::pki::create(&folder.path().join("pki"), &name, now).expect("the folder is ours");
    folder
}

/// Runs a shell in `folder` with quorate on its PATH.
fn shell(folder: &Path, script: &str) -> String {
    let binary = assert_cmd::cargo::cargo_bin("quorate");
    let path = format!(
        "{}:{}",
        binary.parent().expect("it is in a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output =
        Process::new("sh").current_dir(folder).env("PATH", path).args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

fn has(program: &str) -> bool {
    let found = Process::new("sh").args(["-c", &format!("command -v {program}")]).output().expect("sh runs");
    if !found.status.success() {
        eprintln!("skipped: {program} is not installed");
    }
    found.status.success()
}

/// Again if it is mistyped, and never with --no-input. (That nothing is echoed is rpassword's: it prints the question first.)
#[test]
fn the_passphrase_of_the_ca_is_asked_for_on_a_terminal() {
    if !has("script") || !has("openssl") {
        return;
    }
    let folder = with_authority();
    // As docs/certificates.md has it.
    shell(
        folder.path(),
        "umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -in pki/ca.key -out pki/ca.key.new -passout pass:hunter2
         mv pki/ca.key.new pki/ca.key",
    );
    let unasked = quorate_with(folder.path(), &["certs", "issue", "app", "--no-input"], &[]);
    assert_eq!(unasked.code, 1);
    assert!(unasked.stderr.contains("cannot prompt for it here"), "{}", unasked.stderr);
    let file = folder.path().join("passphrase");
    fs::write(&file, "hunter2\n").expect("the folder is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let named = [("QUORATE_CA_PASSPHRASE_FILE", file.to_str().expect("it is UTF-8"))];
    let said = quorate_with(folder.path(), &["certs", "issue", "app", "--no-input"], &named);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let binary = assert_cmd::cargo::cargo_bin("quorate");
    let mut child = Process::new("script")
        .current_dir(folder.path())
        .args(["-qec", &format!("{} certs issue app -d out", binary.display()), "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("script runs");
    let (mut keyboard, mut screen) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let mut shown = String::new();
    for (prompt, typed) in [("Passphrase of ", "hunter3\n"), ("Wrong passphrase. Passphrase of ", "hunter2\n")] {
        let begin = shown.len();
        while !shown[begin..].contains(prompt) || !shown.ends_with(": ") {
            let mut byte = [0];
            assert_eq!(screen.read(&mut byte).expect("it can be read"), 1, "it ended: {shown}");
            shown.push(char::from(byte[0]));
        }
        keyboard.write_all(typed.as_bytes()).expect("it listens");
    }
    screen.read_to_string(&mut shown).expect("it is text");
    assert!(child.wait().expect("it ends").success(), "{shown}");
    assert!(folder.path().join("out/app.key").exists(), "{shown}");
}

#[test]
fn client_certificates_are_issued_and_stored_nowhere() {
    let folder = with_authority();
    let pki = || {
        let entries = fs::read_dir(folder.path().join("pki")).expect("it is there");
        entries.map(|entry| entry.expect("it too").file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    // That it has signed nothing is noted beside it until then.
    let unused = std::ffi::OsString::from(".ca.unused");
    let mut before = pki();
    assert!(before.remove(&unused));
    let said = quorate_with(folder.path(), &["certs", "issue", "app", "--ttl", "90m"], &[]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    let printed: serde_json::Value = serde_json::from_str(&said.stdout).expect("it is JSON");
    let keys: Vec<_> = printed.as_object().expect("it is an object").keys().cloned().collect();
    assert_eq!(keys, ["ca_certificate", "certificate", "private_key"]);
    let pem = quorate_with(folder.path(), &["certs", "issue", "app", "--output", "pem"], &[]).stdout;
    assert_eq!(pem.matches("-----BEGIN ").count(), 3);
    assert_eq!(pki(), before);
    // The CA of another, a name that is none, and root for longer than two hours.
    for (arguments, code) in [
        (&["certs", "issue", ""][..], 64),
        (&["certs", "issue", "app", "--ttl", "5"], 64),
        (&["certs", "issue", "app", "--ttl", "0s"], 64),
        (&["certs", "issue", "root", "--ttl", "1h"], 64),
        (&["certs", "root-issue", "--ttl", "121m"], 64),
    ] {
        assert_eq!(quorate_with(folder.path(), arguments, &[]).code, code, "{arguments:?}");
    }
    fs::remove_dir_all(folder.path().join("pki")).expect("it is ours");
    let said = quorate_with(folder.path(), &["certs", "root-issue"], &[]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("no CA in "), "{}", said.stderr);
}

/// CKE's recipe, word for word but for the name of the command.
#[test]
fn root_issue_fits_the_recipe_of_cke() {
    if !has("jq") || !has("openssl") {
        return;
    }
    let folder = with_authority();
    let recipe = "CERT=$(quorate certs root-issue)\n\
                  echo \"$CERT\" | jq -r .ca_certificate > etcd-ca.crt\n\
                  echo \"$CERT\" | jq -r .certificate > etcd-root.crt\n\
                  echo \"$CERT\" | jq -r .private_key > etcd-root.key\n\
                  openssl verify -x509_strict -purpose sslclient -CAfile etcd-ca.crt etcd-root.crt\n\
                  openssl x509 -in etcd-root.crt -noout -subject -checkend 7000\n\
                  ! openssl x509 -in etcd-root.crt -noout -checkend 7300 || exit 1\n\
                  [ \"$(openssl x509 -in etcd-root.crt -noout -pubkey)\" = \"$(openssl pkey -in etcd-root.key -pubout)\" ]";
    let said = shell(folder.path(), recipe);
    for words in ["etcd-root.crt: OK", "CN = root", "Certificate will not expire", "Certificate will expire"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}
