//! Authentication: turned on, off and on again while clients write, kept as declared, and no hindrance to anything else.

use std::time::Duration;

use super::scene::{SERIES, Scene, until};
use super::secrets::Watch;
use crate::lab::{Host, Series, etcd_archive, is_drawn, is_turn};
use crate::traffic::{Credentials, Endpoint, Writer, addresses};

const USERS: &str = r#"
[users.writer]
prefix = "/written/"
[users.app]
prefix = "/app/"
[users.report]
roles = ["reader"]

[roles.reader]
permissions = [{ prefix = "/app/", access = "read" }]
"#;

fn declared(enabled: bool) -> String {
    format!("\n[auth]\nenabled = {enabled}\n{USERS}")
}

/// A client that comes as the declared user `writer`, over a new connection each time, to all of these hosts.
fn writer(scene: &Scene, hosts: &[Host]) -> Writer {
    let writer = Writer::begin(Credentials::issue(&scene.lab.dir().join("pki")), "/written/");
    aim(&writer, hosts.iter());
    writer
}

fn aim<'a>(writer: &Writer, hosts: impl Iterator<Item = &'a Host>) {
    let endpoint =
        |host: &Host| Endpoint { name: host.name().to_owned(), addresses: addresses(host.address(), &[2379]) };
    writer.aim(hosts.map(endpoint).collect());
}

/// Everything that was written until now was acknowledged.
#[track_caller]
fn nothing_failed(writer: &Writer, what: &str) {
    assert!(writer.settles(Duration::from_secs(20)), "{what}: no write is acknowledged");
    let tally = writer.take_tally();
    println!(
        "{what}: {} writes, {} tried twice, {} failed, longest {:?}",
        tally.acknowledged, tally.retried, tally.failed, tally.longest
    );
    assert_eq!(tally.failed, 0, "{what}: {:?}", tally.quotes);
}

/// What each user may do, and no more.
#[track_caller]
fn everyone_has_its_rights(scene: &Scene) {
    let host = scene.first();
    let says = |user: &str, arguments: &str, expected: &str| {
        let said = scene.etcdctl_as(user, host, arguments);
        assert!(said.contains(expected), "{user}: {arguments}: {said}");
    };
    says("app", "put /app/key yes", "OK");
    says("app", "put /apq yes", "permission denied");
    says("app", "put /other/key yes", "permission denied");
    says("app", "get --prefix /", "permission denied");
    says("report", "get /app/key", "yes");
    says("report", "put /app/key no", "permission denied");
    says("stranger", "get /app/key", "permission denied");
    says("root", "get /app/key", "yes");
    says("app", "user list", "permission denied");
}

fn on_off_and_on_again(test: &str, series: Series) {
    if !is_turn(test, "auth", series, &SERIES) {
        return;
    }
    let Some(mut scene) = Scene::healthy(test, 3, series) else { return };
    let writer = writer(&scene, scene.lab.hosts());
    nothing_failed(&writer, "before");
    let before = scene.starts();
    scene.declare(|scene| scene.more = declared(true));
    let plan = scene.plan().exits(2).says(&["enable authentication", "create user app with role app"]);
    let last = plan.stdout.lines().rfind(|line| line.starts_with('[')).unwrap_or_default();
    assert!(last.contains("enable authentication"), "{}", plan.stdout);
    scene.apply().exits(0);
    nothing_failed(&writer, "turned on");
    scene.is_as_declared();
    everyone_has_its_rights(&scene);

    scene.declare(|scene| scene.more = declared(false));
    scene.plan().exits(2).says(&["disable authentication", "--allow disable-auth:lab"]);
    scene.apply().exits(3).says(&["--allow disable-auth:lab", "nothing was changed"]);
    scene.apply_with(&["--allow", "disable-auth:lab"]).exits(0);
    nothing_failed(&writer, "turned off");
    scene.is_as_declared();
    assert!(scene.etcdctl_as("stranger", scene.first(), "put /other/key yes").contains("OK"));

    scene.declare(|scene| scene.more = declared(true));
    let plan = scene.plan().exits(2);
    assert_eq!(plan.stdout.lines().filter(|line| line.starts_with('[')).count(), 1, "{}", plan.stdout);
    scene.apply().exits(0);
    nothing_failed(&writer, "turned on again");
    everyone_has_its_rights(&scene);
    scene.is_as_declared();
    assert_eq!(scene.starts(), before, "a member was restarted");
    // The health check's certificate is nobody's, and still good for what it is for.
    let pki = "/etc/etcd/pki";
    let health = scene.first().sh(&format!(
        "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt \
         --key={pki}/healthcheck-client.key endpoint health --cluster 2>&1"
    ));
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
}

#[test]
fn auth_goes_on_off_and_on_again_3_4() {
    on_off_and_on_again("auth_goes_on_off_and_on_again_3_4", Series::V3_4);
}

#[test]
fn auth_goes_on_off_and_on_again_3_5() {
    on_off_and_on_again("auth_goes_on_off_and_on_again_3_5", Series::V3_5);
}

#[test]
fn auth_goes_on_off_and_on_again_3_6() {
    on_off_and_on_again("auth_goes_on_off_and_on_again_3_6", Series::V3_6);
}

#[test]
fn auth_goes_on_off_and_on_again_3_7() {
    on_off_and_on_again("auth_goes_on_off_and_on_again_3_7", Series::V3_7);
}

/// A cluster that begins with users, and what is then changed behind its back.
fn what_was_changed_by_hand(test: &str, series: Series) {
    if !is_drawn(test, series) {
        return;
    }
    let Some(mut scene) = Scene::installed(test, 3, series) else { return };
    scene.declare(|scene| scene.more = declared(true));
    scene.plan().exits(2).says(&["start etcd", "enable authentication"]);
    scene.apply().exits(0);
    scene.is_as_declared();
    everyone_has_its_rights(&scene);
    let by_hand = |arguments: &str| {
        let said = scene.etcdctl_as("root", scene.first(), arguments);
        assert!(!said.contains("Error"), "{arguments}: {said}");
    };
    by_hand("role grant-permission reader readwrite --prefix=true /app/");
    by_hand("role grant-permission reader read /secret");
    scene.is_repaired(&["change the permissions of role reader", "has read key /secret", "has readwrite prefix /app/"]);
    everyone_has_its_rights(&scene);
    by_hand("user revoke-role app app");
    by_hand("user grant-role report root");
    scene.is_repaired(&["user app lacks role app", "user report has role root"]);
    by_hand("role delete app");
    scene.is_repaired(&["role app does not exist", "user app lacks role app"]);
    by_hand("user delete report");
    by_hand("user add report:hunter2");
    by_hand("user grant-role report reader");
    scene.is_repaired(&["user report has a password but none is declared"]);
    everyone_has_its_rights(&scene);

    // Users and roles that nobody declared are told of, and stay until they are named.
    by_hand("user add old --no-password");
    by_hand("role add old");
    by_hand("role add spare");
    by_hand("user grant-role old old");
    by_hand("user grant-role old reader");
    scene.is_in_sync();
    scene.plan().exits(0).says(&[
        "[unknown-user]",
        "user old is not in cluster.toml",
        "role spare",
        "--allow remove-user:old",
    ]);
    scene.apply().exits(0);
    let listed = || scene.etcdctl_as("root", scene.first(), "user list");
    assert!(listed().contains("old"), "{}", listed());
    scene.apply_with(&["--allow", "remove-user:older"]).exits(0);
    assert!(listed().contains("old"), "{}", listed());
    let run = scene.quorate(&["plan", "--allow", "remove-user:old", "-o", "plan.json"]);
    run.exits(0).says(&["remove user old", "remove role old"]);
    // What was allowed is saved with the plan.
    scene.quorate(&["apply", "plan.json", "--yes"]).exits(0);
    assert!(!listed().contains("old"), "{}", listed());
    scene.quorate(&["apply", "plan.json", "--yes"]).exits(0).says(&["Nothing left to do."]);
    scene.apply_with(&["--allow", "remove-user:old"]).exits(0);
    let roles = scene.etcdctl_as("root", scene.first(), "role list");
    assert!(!roles.contains("old") && roles.contains("spare"), "{roles}");
    everyone_has_its_rights(&scene);
}

#[test]
fn what_was_changed_by_hand_is_put_back_3_4() {
    what_was_changed_by_hand("what_was_changed_by_hand_is_put_back_3_4", Series::V3_4);
}

#[test]
fn what_was_changed_by_hand_is_put_back_3_6() {
    what_was_changed_by_hand("what_was_changed_by_hand_is_put_back_3_6", Series::V3_6);
}

/// Members come, are replaced, restart and are upgraded, as without users.
#[test]
fn members_and_versions_change_with_auth_on() {
    let test = "members_and_versions_change_with_auth_on";
    let Ok(newer) = etcd_archive(Series::V3_6).map_err(|skip| eprintln!("skipped: {test}: {skip}")) else { return };
    let Some(mut scene) = Scene::of_some(test, 3, 5, Series::V3_5) else { return };
    scene.declare(|scene| scene.more = declared(true));
    scene.apply().exits(0);
    let writer = writer(&scene, &scene.lab.hosts()[..3]);
    scene.declare_hosts(0..5);
    scene.apply_with(&["--guard-writes"]).exits(0).says(&[" 0 failed"]);
    nothing_failed(&writer, "3 to 5");
    scene.is_as_declared();
    everyone_has_its_rights(&scene);

    let gone = &scene.lab.hosts()[1];
    aim(&writer, [0, 2, 3, 4].map(|index| &scene.lab.hosts()[index]).into_iter());
    assert!(writer.settles(Duration::from_secs(20)));
    let _before = writer.take_tally();
    gone.power_off();
    gone.wipe();
    gone.power_on();
    until("it is found to be empty", Duration::from_secs(60), || scene.plan().stdout.contains("replace-member:etcd-2"));
    scene.apply_with(&["--allow", "replace-member:etcd-2"]).exits(0);
    nothing_failed(&writer, "replaced");
    aim(&writer, scene.lab.hosts().iter());
    scene.is_as_declared();

    scene.apply_with(&["--restart=etcd-1"]).exits(0);
    scene.declare(|scene| scene.etcd = "quota-backend = \"4GiB\"".to_owned());
    scene.apply_with(&["--guard-writes"]).exits(0).says(&[" 0 failed"]);
    nothing_failed(&writer, "a new setting");
    scene.declare_version(newer.clone(), Vec::new());
    scene.plan().exits(2).says(&["save a snapshot before the change to"]);
    scene.apply_with(&["--guard-writes"]).exits(0).says(&[" 0 failed"]);
    nothing_failed(&writer, "upgraded");
    scene.is_as_declared();
    everyone_has_its_rights(&scene);
    let status = scene.etcdctl(scene.first(), "endpoint status --cluster");
    assert_eq!(status.matches(&newer.version).count(), 5, "{status}");
}

/// While members of two versions are together, nothing is asked that the older ones cannot bear.
#[test]
fn from_3_4_to_3_5_with_auth_on() {
    let test = "from_3_4_to_3_5_with_auth_on";
    let Ok(newer) = etcd_archive(Series::V3_5).map_err(|skip| eprintln!("skipped: {test}: {skip}")) else { return };
    let Some(mut scene) = Scene::installed(test, 3, Series::V3_4) else { return };
    scene.declare(|scene| scene.more = declared(true));
    scene.apply().exits(0);
    let writer = writer(&scene, scene.lab.hosts());
    scene.declare_version(newer, Vec::new());
    scene.apply_with(&["--guard-writes"]).exits(0).says(&[" 0 failed"]);
    nothing_failed(&writer, "upgraded");
    scene.is_as_declared();
    everyone_has_its_rights(&scene);
    let ended = scene.lab.hosts().iter().map(|host| host.sh("journalctl -u etcd --no-pager | grep -c panic || true"));
    assert!(ended.clone().all(|count| count.trim() == "0"), "{:?}", ended.collect::<Vec<_>>());
}

/// An apply that is killed after any of its steps is finished by the next.
#[test]
fn turning_it_on_may_be_cut_off_anywhere() {
    let test = "turning_it_on_may_be_cut_off_anywhere";
    let Some(mut scene) = Scene::healthy(test, 3, Series::V3_5) else { return };
    scene.declare(|scene| scene.more = declared(true));
    for events in 1.. {
        assert!(events < 60, "it never ends");
        if kill_after(&scene, events) {
            break;
        }
        // Whoever comes as before gets in as before, until everybody is there.
        let said = scene.etcdctl_as("writer", scene.first(), "put /written/key yes");
        assert!(said.contains("OK"), "after {events} events: {said}");
    }
    scene.apply().exits(0);
    scene.is_as_declared();
    everyone_has_its_rights(&scene);
}

/// Kills apply after so many events; true when it ended before.
fn kill_after(scene: &Scene, events: usize) -> bool {
    use std::io::{BufRead as _, BufReader};

    let mut command = scene.command(&["apply", "--yes", "--json", "--lock-timeout", "30s"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let seen = lines.map_while(Result::ok).take(events).count();
    // It may have ended by itself just now.
    let _ended_already = child.kill();
    child.wait().expect("it ends");
    seen < events
}

/// A password is fetched by apply alone, and shows nowhere.
#[test]
fn a_password_is_nowhere_but_in_etcd() {
    const PASSWORD: &str = "correct-horse-battery";
    let Some(mut scene) = Scene::healthy("a_password_is_nowhere_but_in_etcd", 3, Series::V3_5) else { return };
    let with = |source: &str| declared(true).replacen("[users.app]", &format!("[users.app]\npassword = {source}"), 1);
    scene.declare(|scene| scene.more = with("{ env = \"APP_PASSWORD\" }"));
    scene.plan().exits(2);
    scene.apply().exits(7).says(&["the password of user app", "the variable APP_PASSWORD", "it is not set"]);
    let watch = Watch::begin();
    let mut said = Vec::new();
    for arguments in [["plan", "-v"].as_slice(), &["apply", "--yes", "--json", "-v"], &["plan", "--format", "json"]] {
        let output = scene.command(arguments).env("APP_PASSWORD", PASSWORD).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        said.push(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)));
    }
    said.extend(watch.end());
    said.extend(scene.lab.hosts().iter().map(|host| host.sh("journalctl --no-pager")));
    assert!(!said.iter().any(|text| text.contains(PASSWORD)), "the password shows");
    scene.is_as_declared();
    // Without a certificate of its own, by the password.
    let come = |scene: &Scene, password: &str| {
        let arguments = format!("--user app:{password} put /app/key yes");
        scene.etcdctl_as("stranger", scene.first(), &arguments)
    };
    assert!(come(&scene, PASSWORD).contains("OK"), "{}", come(&scene, PASSWORD));
    assert!(come(&scene, "wrong").contains("authentication failed"), "{}", come(&scene, "wrong"));
    // One without is made anew with one, and the other way round.
    scene.declare(|scene| scene.more = declared(true));
    scene.is_repaired(&["user app has a password but none is declared"]);
    assert!(come(&scene, PASSWORD).contains("authentication failed"), "{}", come(&scene, PASSWORD));
    let file = scene.lab.dir().join("app.password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("it can be written");
    scene.declare(|scene| scene.more = with("{ file = \"app.password\" }"));
    scene.is_repaired(&["user app has no password"]);
    assert!(come(&scene, PASSWORD).contains("OK"), "{}", come(&scene, PASSWORD));
    everyone_has_its_rights(&scene);
}
