//! `fixtures/plans/CASE/`: a declaration, a world, and the plan that follows, in words a reviewer can read.
//!
//! - `cluster.toml` is what is declared. `before.toml`, if it is there, is what the world was made from.
//! - `observed.toml` begins with `world = "bare"` or `"healthy"` (a bare world after its whole plan) and then edits it:
//!   each `[[edit]]` names a place `at` in the JSON form of the world and either a value `to` put there, a text to
//!   `append`, `null = true`, or `remove = true`. The digest of an edited file follows its text. `lost`, `restart`,
//!   `allow`, `rotate_ca` and `renew_certs` are what the flags of these names are given; `restore` is the SHA-256 of a
//!   snapshot that is to be restored.
//! - `plan.txt` is the plan; `plan.md`, `plan.json`, `status.txt` and `status.json` are compared where they are there.
//!
//! `UPDATE_FIXTURES=1 cargo test --test offline fixtures` writes the expected files anew, for review.

use std::fs;
use std::path::{Path, PathBuf};

use quorate::core::allowance::Allowance;
use quorate::core::cluster::model;
use quorate::core::desired::{Desired, Restore, read};
use quorate::core::names::{Digest, Token, UnixSeconds};
use quorate::core::observed::{Former, Observed};
use quorate::core::plan::Plan;
use quorate::core::planner;
use quorate::core::planner::world;
use quorate::core::render::palette::Palette;
use quorate::core::render::text::Style;
use quorate::core::render::{json, markdown, status, text};
use quorate::shell::command::request::{self, RequestArgs};
use serde::Deserialize;
use serde_json::Value;

/// 2027-01-15T08:00:00Z.
const AT: UnixSeconds = UnixSeconds(1_800_000_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    world: World,
    /// `--lost`
    #[serde(default)]
    lost: Vec<String>,
    /// `--restart`
    #[serde(default)]
    restart: Vec<String>,
    /// `--allow`
    #[serde(default)]
    allow: Vec<Allowance>,
    /// `--no-snapshot`
    #[serde(default)]
    no_snapshot: bool,
    /// The SHA-256 of the snapshot that `restore` is given.
    restore: Option<Digest>,
    /// The peer URLs of its members, when none of them is declared.
    #[serde(default)]
    foreign_members: Vec<String>,
    /// `--rotate-ca`
    #[serde(default)]
    rotate_ca: bool,
    /// `--renew-certs`
    #[serde(default)]
    renew_certs: Vec<String>,
    #[serde(default)]
    edit: Vec<Edit>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum World {
    Bare,
    Healthy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    at: String,
    to: Option<Value>,
    append: Option<String>,
    #[serde(default)]
    remove: bool,
    /// TOML has no word for it.
    #[serde(default)]
    null: bool,
}

#[test]
fn every_case_gives_its_plan() {
    let cases = cases();
    assert!(cases.len() >= 12, "only {} cases were found", cases.len());
    let wrong: Vec<String> = cases.iter().flat_map(|case| check(case)).collect();
    assert!(wrong.is_empty(), "{} differ; UPDATE_FIXTURES=1 writes them anew:\n\n{}", wrong.len(), wrong.join("\n"));
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plans");
    let entries = fs::read_dir(folder).expect("fixtures/plans can be read");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("its entries too").path()).collect();
    cases.sort();
    cases
}

/// What differs from the expected files of one case.
fn check(case: &Path) -> Vec<String> {
    let (desired, observed) = read(case).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let plan = planner::plan(&desired, &observed);
    every_plan_keeps(&plan, case);
    let status = status::document(&desired, &observed);
    let rendered = [
        ("plan.txt", text::plan(&plan, Style::default())),
        ("plan.md", markdown::plan(&plan)),
        ("plan.json", json::plan(&plan)),
        ("status.txt", status::text(&status, Palette::plain(), None)),
        ("status.json", status::json(&status)),
    ];
    let mut wrong = Vec::new();
    for (name, now) in rendered {
        let file = case.join(name);
        let kept = fs::read_to_string(&file).ok();
        if kept.is_none() && name != "plan.txt" {
            continue;
        }
        if kept.as_deref() == Some(now.as_str()) {
            continue;
        }
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::write(&file, now).expect("a fixture can be written");
        } else {
            wrong.push(format!("=== {}, as it is now:\n{now}", file.display()));
        }
    }
    wrong
}

/// What holds for every plan, whatever it says.
fn every_plan_keeps(plan: &Plan, case: &Path) {
    let case = case.display();
    assert_eq!(json::read(json::plan(plan).as_bytes()).as_ref(), Ok(plan), "{case}: a saved plan is the same plan");
    assert!(markdown::plan(plan).len() < markdown::BYTES_MAX, "{case}");
    let coloured = Style { palette: Palette::coloured(), verbose: true, width: None };
    let plain = Style { palette: Palette::plain(), verbose: true, width: None };
    let stripped = anstream::adapter::strip_str(&text::plan(plan, coloured)).to_string();
    assert_eq!(stripped, text::plan(plan, plain), "{case}: colour only decorates");
}

fn read(case: &Path) -> Result<(Desired, Observed), String> {
    let desired = declared(&case.join("cluster.toml"))?;
    let before = case.join("before.toml");
    let before = if before.exists() { declared(&before)? } else { desired.clone() };
    let script = fs::read_to_string(case.join("observed.toml")).map_err(|error| format!("observed.toml: {error}"))?;
    let script: Script = toml::from_str(&script).map_err(|error| format!("observed.toml: {error}"))?;
    let world = match script.world {
        World::Bare => world::bare(&before, AT),
        World::Healthy => world::healthy(&before, AT),
    };
    let world = met_by(&desired, &before, world);
    let mut value = serde_json::to_value(world).expect("a world is plain data");
    for (number, edit) in script.edit.iter().enumerate() {
        apply(&mut value, edit).map_err(|error| format!("edit {} at {}: {error}", number + 1, edit.at))?;
    }
    digests_follow_texts(&mut value);
    let observed =
        serde_json::from_value(value).map_err(|error| format!("the edited world cannot be read: {error}"))?;
    let asked = RequestArgs {
        allow: script.allow,
        no_snapshot: script.no_snapshot,
        restart: script.restart,
        lost: script.lost,
        renew_certs: script.renew_certs,
        rotate_ca: script.rotate_ca,
    };
    let mut desired = asked.added_to(&desired).map_err(|error| error.to_string())?;
    desired.request.restore = script.restore.map(|digest| Restore {
        digest,
        bytes: 20_971_552,
        file: "/work/kept.db.zst".into(),
        token: Token::new("prod-1800000000"),
        again: false,
        foreign_members: script.foreign_members,
    });
    request::bind(&mut desired, &observed).map_err(|error| error.to_string())?;
    Ok((desired, observed))
}

/// The world of one declaration as it is seen under the next: who is no longer declared is a former host, who is new is
/// bare, and every declared archive is at hand.
fn met_by(desired: &Desired, before: &Desired, mut world: Observed) -> Observed {
    let gone: Vec<_> = world.hosts.keys().filter(|name| !desired.nodes.contains_key(*name)).cloned().collect();
    for name in gone {
        let host = world.hosts.remove(&name).expect("it was found there");
        let (address, peer_url) = (before.nodes[&name].address.clone(), before.peer_url(&name));
        world.former.insert(name.clone(), Former { name, address, peer_url, host });
    }
    let blank = world::bare(desired, AT);
    for (name, host) in blank.hosts {
        world.hosts.entry(name).or_insert(host);
    }
    world.workstation.archives.extend(blank.workstation.archives);
    // Of a cluster that never heard of users, they are asked for from now on.
    if world.answers().next().is_some() {
        model::begin_auth(desired, &mut world);
    }
    world.workstation.given = blank.workstation.given;
    world
}

fn declared(file: &Path) -> Result<Desired, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    read::parse(&text, "cluster.toml", Path::new("/work"), None)
        .map_err(|problems| read::render(&problems, &text, "cluster.toml", false))
}

fn apply(world: &mut Value, edit: &Edit) -> Result<(), String> {
    let path = split(&edit.at);
    let (last, parents) = path.split_last().ok_or("it is empty")?;
    let mut place = world;
    for key in parents {
        let there = keys(place);
        place = child(place, key).ok_or_else(|| format!("there is no {key:?}, only {there}"))?;
    }
    let there = keys(place);
    let missing = || format!("there is no {last:?}, only {there}");
    let null = edit.null.then_some(Value::Null);
    match (edit.to.as_ref().or(null.as_ref()), &edit.append, edit.remove) {
        (Some(value), None, false) => match place {
            Value::Object(fields) => {
                fields.insert(last.clone(), value.clone());
            }
            _ => *child(place, last).ok_or_else(missing)? = value.clone(),
        },
        (None, Some(text), false) => match child(place, last).ok_or_else(missing)? {
            Value::String(old) => old.push_str(text),
            Value::Array(list) => list.push(Value::from(text.as_str())),
            other => return Err(format!("nothing can be appended to {other}")),
        },
        (None, None, true) => {
            place.as_object_mut().and_then(|fields| fields.remove(last)).ok_or_else(missing)?;
        }
        _ => return Err("say one of `to`, `append`, `null = true` and `remove = true`".to_owned()),
    }
    Ok(())
}

/// The parts of `hosts.etcd-1.known.installed."3.5.16"`.
fn split(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in path.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            _ => parts.last_mut().expect("it begins with one").push(c),
        }
    }
    parts
}

fn child<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match value {
        Value::Object(fields) => fields.get_mut(key),
        Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    }
}

fn keys(value: &Value) -> String {
    match value {
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
        Value::Array(list) => format!("{} items", list.len()),
        other => other.to_string(),
    }
}

fn digests_follow_texts(world: &mut Value) {
    let hosts = world.get_mut("hosts").and_then(Value::as_object_mut).into_iter().flat_map(|hosts| hosts.values_mut());
    let files =
        hosts.filter_map(|host| host.pointer_mut("/known/files")?.as_object_mut()).flat_map(|map| map.values_mut());
    for file in files {
        if let Some(text) = file.get("text").and_then(Value::as_str) {
            file["digest"] = Digest::of(text).to_string().into();
        }
    }
}

#[test]
fn a_wrong_edit_is_told() {
    let mut world = serde_json::json!({ "hosts": { "etcd-1": { "known": {} } } });
    let edit = |at: &str| Edit { at: at.to_owned(), to: None, append: None, remove: true, null: false };
    assert_eq!(apply(&mut world, &edit("hosts.etcd-9.known")), Err("there is no \"etcd-9\", only etcd-1".to_owned()));
    assert!(apply(&mut world, &Edit { remove: false, ..edit("hosts.etcd-1") }).is_err());
    assert_eq!(split("a.\"3.5.16\".b"), ["a", "3.5.16", "b"]);
}

/// What an operator reads is words, and no value as Rust prints it for its programmers.
#[test]
fn nothing_is_told_in_the_words_of_rust() {
    let scenarios =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios")).expect("it is there");
    let scenarios = scenarios.map(|entry| entry.expect("it can be listed").path());
    let plans = cases().into_iter().flat_map(|case| ["plan.txt", "plan.md", "status.txt"].map(|name| case.join(name)));
    let mut read = 0;
    for file in plans.chain(scenarios) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        read += 1;
        let found =
            ["Some(", "None)", "Known(", "Unknown(", "Key([", "HostName("].iter().find(|word| text.contains(**word));
        assert_eq!(found, None, "{}", file.display());
    }
    assert!(read > 100, "only {read} were read");
}
