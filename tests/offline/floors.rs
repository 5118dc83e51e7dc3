//! The order of the floors in src/core, and no circle between files: drawn from the `use` lines and the paths in the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// From the top down. Each uses only itself and those after it, and the ground.
const FLOORS: [&str; 8] = ["render", "planner", "capability", "cluster", "plan", "content", "desired", "observed"];

/// The source of each module, by its path: `core::cluster::turn`.
type Sources = BTreeMap<String, String>;

/// From one module to another, and by which names.
type Edges = BTreeMap<(String, String), BTreeSet<String>>;

#[test]
fn every_floor_uses_only_those_below_it() {
    let breaks = breaks(&edges(&sources()));
    assert!(breaks.is_empty(), "\n{}\n", breaks.join("\n"));
}

#[test]
fn no_two_files_use_each_other() {
    let circles = circles(&edges(&sources()));
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// A rule that is on no list is never asked, and nothing else says so.
#[test]
fn the_planner_has_every_rule_of_every_capability() {
    let sources = sources();
    let rules = sources.iter().filter_map(|(module, text)| Some((module.strip_prefix("core::capability::")?, text)));
    let rules = rules.flat_map(|(capability, text)| {
        let heads = text.match_indices("pub fn ").map(|(at, _)| &text[at + "pub fn ".len()..]);
        let names = heads.filter_map(|head| head.split_once("(view: &View) -> Ruling").map(|(name, _)| name));
        names.filter(|name| name.chars().all(is_word)).map(move |name| format!("{capability}::{name}"))
    });
    let (listed, forgotten): (Vec<_>, Vec<_>) = rules.partition(|rule| sources["core::planner"].contains(rule));
    assert!(listed.len() > 30, "only {} rules were found", listed.len());
    assert!(forgotten.is_empty(), "not in core::planner: {}", forgotten.join(", "));
}

fn sources() -> Sources {
    let mut sources = Sources::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut sources);
    assert!(sources.contains_key("core::planner") && sources.contains_key("shell::live"), "the folders have moved");
    let all = sources.clone();
    sources.retain(|module, _| !is_for_tests(&all, module));
    sources
}

fn gather(folder: &Path, module: &str, sources: &mut Sources) {
    for entry in fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("it can be listed").path();
        let stem = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        let name = match (stem.as_str(), module) {
            ("mod", _) => module.to_owned(),
            (_, "") => stem,
            _ => format!("{module}::{stem}"),
        };
        if path.is_dir() {
            gather(&path, &name, sources);
        } else if path.extension().is_some_and(|end| end == "rs") && !["lib", "main"].contains(&name.as_str()) {
            sources.insert(name, fs::read_to_string(&path).expect("it is text"));
        }
    }
}

/// Whether the module is declared for tests alone, in a file of its own.
fn is_for_tests(sources: &Sources, module: &str) -> bool {
    let Some((parent, name)) = module.rsplit_once("::") else { return false };
    let declared = sources.get(parent).and_then(|text| text.split_once(&format!("mod {name};")));
    declared.is_some_and(|(before, _)| before.rsplit('\n').nth(1) == Some("#[cfg(test)]"))
        || is_for_tests(sources, parent)
}

/// What breaks the order, a line each: the two modules and the name.
fn breaks(edges: &Edges) -> Vec<String> {
    let line = |((from, to), names): (&(String, String), &BTreeSet<String>)| {
        let why = why_not(from, to)?;
        Some(format!("{from} uses {to} ({}): {why}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")))
    };
    edges.iter().filter_map(line).collect()
}

/// Why `from` may not use `to`; `None` when it may.
fn why_not(from: &str, to: &str) -> Option<&'static str> {
    let from = from.strip_prefix("core::")?;
    let Some(to) = to.strip_prefix("core::") else { return Some("what decides uses nothing that touches the world") };
    let floor_of = |module: &str| FLOORS.iter().position(|floor| module.split("::").next() == Some(floor));
    match (floor_of(from), floor_of(to)) {
        (None, Some(_)) => Some("the ground uses no floor"),
        (Some(upper), Some(lower)) if upper > lower => Some("that floor is above it"),
        (Some(upper), Some(lower)) if upper == lower && FLOORS[upper] == "capability" && to != "capability" => {
            Some("no capability uses another one: what both need stands in core::cluster")
        }
        _ if is_reader(to) && from.split("::").next() == Some("desired") && !is_reader(from) => {
            Some("the types of a declaration know nothing of its reader")
        }
        _ => None,
    }
}

/// Whether the module is the reader of cluster.toml, or a part of it.
fn is_reader(module: &str) -> bool {
    module == "desired::read" || module.starts_with("desired::read::")
}

/// Modules that use each other, directly or through others, a line each. A parent and its children may.
fn circles(edges: &Edges) -> Vec<String> {
    let is_family = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with("::"));
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges.keys().filter(|(from, to)| !is_family(from, to) && !is_family(to, from)) {
        uses.entry(from).or_default().insert(to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|from| (*from, reach(&uses, from))).collect();
    let mut told = BTreeSet::new();
    for (from, all) in &reached {
        if all.contains(from) {
            // All that it reaches and that reach it.
            let circle = all.iter().filter(|to| reached.get(*to).is_some_and(|back| back.contains(from)));
            told.insert(circle.copied().collect::<Vec<_>>().join(" ↔ "));
        }
    }
    told.into_iter().collect()
}

/// Every module that `from` uses, and those that they use.
fn reach<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = uses.get(from).into_iter().flatten().copied().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(uses.get(next).into_iter().flatten());
        }
    }
    found
}

fn edges(sources: &Sources) -> Edges {
    let mut edges = Edges::new();
    for (module, text) in sources {
        for path in paths(&without_tests(&plain(text))) {
            let absolute = absolute(sources, module, &path);
            // The longest beginning that is a module; what comes after it is the name.
            let is_module = |length: &usize| sources.contains_key(&absolute[..*length].join("::"));
            let Some(length) = (1..=absolute.len()).rev().find(is_module) else { continue };
            let to = absolute[..length].join("::");
            if to != *module {
                let name = absolute.get(length).map_or("itself", String::as_str).to_owned();
                edges.entry((module.clone(), to)).or_default().insert(name);
            }
        }
    }
    edges
}

/// Without `crate`, `super` and `self`; empty for what is not ours.
fn absolute(sources: &Sources, module: &str, path: &str) -> Vec<String> {
    let own: Vec<&str> = module.split("::").collect();
    let parts: Vec<&str> = path.split("::").collect();
    let above = parts.iter().take_while(|part| **part == "super").count();
    let (base, rest) = match parts[0] {
        "crate" => (&own[..0], &parts[1..]),
        "self" => (&own[..], &parts[1..]),
        "super" => (&own[..own.len().saturating_sub(above)], &parts[above..]),
        child if sources.contains_key(&format!("{module}::{child}")) => (&own[..], &parts[..]),
        _ => return Vec::new(),
    };
    base.iter().chain(rest).map(|part| (*part).to_owned()).collect()
}

/// Every path in the code that begins with `crate`, `super` or `self`, and all of `use`, with its braces written out.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let is_start = !is_word(before) && before != ':' && before != '$';
        if let Some(after) = rest.strip_prefix("use ").filter(|_| is_start) {
            let length = expand("", after, &mut paths);
            rest = &after[length..];
            before = ':';
            continue;
        }
        if is_start && ["crate::", "super::", "self::"].iter().any(|head| rest.starts_with(head)) {
            let length = expand("", rest, &mut paths);
            rest = &rest[length..];
            before = ':';
            continue;
        }
        before = next;
        rest = &rest[next.len_utf8()..];
    }
    paths
}

/// Reads one path, or a tree of them, at the start of `text`; how many bytes it took.
fn expand(prefix: &str, text: &str, paths: &mut Vec<String>) -> usize {
    let length = text.find(|c: char| !is_word(c) && c != ':').unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..length]);
    if !path.ends_with("::") {
        paths.push(path.trim_end_matches(':').to_owned());
        return length;
    }
    if !text[length..].starts_with('{') {
        // `::*`, or the generic arguments of a path in an expression.
        paths.push(path.trim_end_matches("::").to_owned());
        return length;
    }
    let mut at = length + 1;
    loop {
        let blank = text[at..].len() - text[at..].trim_start().len();
        at += blank;
        match text[at..].chars().next() {
            None => return text.len(),
            Some('}') => return at + 1,
            Some(c) if is_word(c) => {
                let taken = expand(&path, &text[at..], paths);
                at += taken;
                // ` as name`
                at += text[at..].find([',', '}']).unwrap_or(text.len() - at);
            }
            Some(other) => at += other.len_utf8(),
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Without comments, and with nothing between quotes.
fn plain(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let before = code.chars().next_back().unwrap_or(' ');
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if next == '"' {
            quoted(rest)
        } else if (rest.starts_with("r\"") || rest.starts_with("r#")) && !is_word(before) {
            raw(rest)
        } else if next == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn quoted(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `r#"…"#` with any number of signs; 0 for a raw name such as `r#type`.
fn raw(text: &str) -> usize {
    let signs = text[1..].chars().take_while(|c| *c == '#').count();
    let start = 1 + signs;
    if !text[start..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(signs));
    text[start + 1..].find(&end).map_or(text.len(), |at| start + 1 + at + end.len())
}

/// A character; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[3..].find('\'').map_or(text.len(), |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Without what is compiled for tests alone.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        let (mut depth, mut end) = (0_usize, rest.len());
        for (at, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (c == ';' || c == '}') {
                end = at + 1;
                break;
            }
        }
        rest = &rest[end..];
    }
    kept + rest
}

mod the_checker {
    use super::{Edges, breaks, circles, edges, paths, plain, without_tests};

    fn of(files: &[(&str, &str)]) -> Edges {
        edges(&files.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect())
    }

    #[test]
    fn tells_who_uses_a_floor_above_and_by_which_name() {
        let lower = ("core::plan::step", "use crate::core::{names, cluster::turn::{due, self}};");
        let upper = ("core::cluster::turn", "use crate::core::plan::step::Step;");
        let ground = ("core::names", "");
        assert_eq!(
            breaks(&of(&[lower, upper, ground])),
            ["core::plan::step uses core::cluster::turn (due, self): that floor is above it"]
        );
        assert_eq!(breaks(&of(&[upper, ("core::plan::step", "use crate::core::names::Version;"), ground])), [""; 0]);
    }

    #[test]
    fn tells_of_paths_in_the_code_of_the_ground_of_the_shell_and_of_two_capabilities() {
        let files = [
            ("core::names", "fn f() { crate::core::plan::Plan::new(); }"),
            ("core::plan", "use crate::shell::live::Live;"),
            ("core::capability::users", "fn f() { super::service::run(); }"),
            ("core::capability::service", ""),
            ("shell::live", "use crate::core::capability::{users, service};"),
        ];
        assert_eq!(
            breaks(&of(&files)),
            [
                "core::capability::users uses core::capability::service (run): no capability uses another one: what both \
                 need stands in core::cluster",
                "core::names uses core::plan (Plan): the ground uses no floor",
                "core::plan uses shell::live (Live): what decides uses nothing that touches the world",
            ]
        );
    }

    #[test]
    fn tells_when_a_type_of_a_declaration_uses_the_reader_and_when_their_parent_hands_it_on() {
        let files = [
            ("core::desired", "pub use auth::Auth; pub use read::parse;"),
            ("core::desired::auth", "use super::read::table::Table;"),
            ("core::desired::read", "pub use self::table::Table;"),
            ("core::desired::read::table", "use crate::core::desired::auth::Auth; use super::parse;"),
        ];
        assert_eq!(
            breaks(&of(&files)),
            [
                "core::desired uses core::desired::read (parse): the types of a declaration know nothing of its reader",
                "core::desired::auth uses core::desired::read::table (Table): the types of a declaration know nothing of \
                 its reader",
            ]
        );
    }

    #[test]
    fn tells_circles_but_not_those_of_a_parent_and_its_children() {
        let files = [
            ("shell::a", "use crate::shell::b::B;"),
            ("shell::b", "use super::c;"),
            ("shell::c", "use crate::shell::a::A; use crate::shell::d;"),
            ("shell::d", "use self::e::E;"),
            ("shell::d::e", "use super::D;"),
        ];
        assert_eq!(circles(&of(&files)), ["shell::a ↔ shell::b ↔ shell::c"]);
    }

    #[test]
    fn reads_code_and_not_comments_texts_or_tests() {
        let text = "use crate::a::{b::{self, C as D}, e}; // crate::no\n/* crate::no */ /// crate::no\n\
                    const T: &str = \"crate::no \\\" crate::no\"; const R: &str = r#\"crate::no \" \"#; const Q: char = '\"';\n\
                    fn f<'a>(x: &'a str) { super::g::<crate::h>(x) }\n\
                    #[cfg(test)]\nmod tests { use crate::no; fn f() {} }\n\
                    #[cfg(test)]\nuse crate::no;\nfn k() { crate::k() }";
        let found = paths(&without_tests(&plain(text)));
        assert_eq!(found, ["crate::a::b::self", "crate::a::b::C", "crate::a::e", "super::g", "crate::h", "crate::k"]);
    }
}
