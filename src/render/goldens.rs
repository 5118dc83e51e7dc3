//! The formats as they are read: whole outputs of small worlds. `UPDATE_FIXTURES=1` writes them anew.

use std::path::Path;

use super::palette::Palette;
use super::text::Style;
use super::{json, markdown, samples, status, text};

fn check(name: &str, now: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/render").join(name);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(file.parent().expect("it is in a folder")).expect("the folder can be made");
        std::fs::write(&file, now).expect("the fixture can be written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == now, "{name} is not what is rendered now:\n{now}");
}

#[test]
fn text_of_each_kind_of_plan() {
    check("bootstrap.txt", &text::plan(&samples::bootstrap(), Style::default()));
    check("drifted.txt", &text::plan(&samples::drifted(), Style::default()));
    check("blocked.txt", &text::plan(&samples::blocked(), Style::default()));
    let verbose = Style { verbose: true, ..Style::default() };
    check("drifted-verbose.txt", &text::plan(&samples::drifted(), verbose));
}

#[test]
fn no_changes_is_one_line() {
    assert_eq!(
        text::plan(&samples::in_sync(), Style::default()),
        "No changes: cluster prod matches cluster.toml (3 hosts: binaries, certificates, etcd.yaml, unit, service, \
         running process; 3 of 3 voters healthy, etcd 3.5.16).\n"
    );
}

#[test]
fn markdown_of_each_kind_of_plan() {
    check("drifted.md", &markdown::plan(&samples::drifted()));
    check("blocked.md", &markdown::plan(&samples::blocked()));
    check("in-sync.md", &markdown::plan(&samples::in_sync()));
}

#[test]
fn json_of_a_plan() {
    check("drifted.json", &json::plan(&samples::drifted()));
}

#[test]
fn status_of_a_world() {
    let (desired, world) = samples::degraded();
    let document = status::document(&desired, &world);
    check("status.txt", &status::text(&document, Palette::plain()));
    check("status.json", &status::json(&document));
}

#[test]
fn colour_only_decorates() {
    let coloured = Style { palette: Palette::coloured(), ..Style::default() };
    for plan in [samples::bootstrap(), samples::drifted(), samples::blocked(), samples::in_sync()] {
        let (plain, colour) = (text::plan(&plan, Style::default()), text::plan(&plan, coloured));
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(colour.contains('\u{1b}'));
        assert_eq!(anstream::adapter::strip_str(&colour).to_string(), plain);
    }
}
