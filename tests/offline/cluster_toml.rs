//! Laws of `desired::read::parse` over many texts. The fuzz target in fuzz/ runs the first one without end.

use std::path::Path;

use proptest::prelude::*;
use quorate::core::desired::Desired;
use quorate::core::desired::read::{Problem, parse, render};

const FULL: &str = include_str!("../../examples/three-nodes.toml");

fn read(text: &str) -> Result<Desired, Vec<Problem>> {
    parse(text, "cluster.toml", Path::new("/ops"), Some(Path::new("/home/me")))
}

/// Whatever the text is: no panic, at least one problem if it is refused, in order, inside the text, and shown in full.
fn holds_for(text: &str) {
    let Err(problems) = read(text) else { return };
    assert!(!problems.is_empty());
    assert!(problems.is_sorted_by_key(|problem| problem.span.start));
    for problem in &problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len(), "{problem:?}");
        assert!(!problem.summary.contains('\n'), "{problem:?}");
        let (line, column) = problem.position(text);
        assert!(line >= 1 && column >= 1);
    }
    assert!(render(&problems, text, "cluster.toml", false).contains(&problems[0].summary));
}

/// One change to a text.
#[derive(Clone, Debug)]
enum Edit {
    Delete { at: prop::sample::Index, length: usize },
    Insert { at: prop::sample::Index, text: String },
    Swap { line: prop::sample::Index, with: prop::sample::Index },
    Value { line: prop::sample::Index, value: &'static str },
}

fn edit() -> impl Strategy<Value = Edit> {
    let value = prop::sample::select(vec![
        "",
        "0",
        "-1",
        "1e400",
        "nan",
        "true",
        "\"\"",
        "\"\\u0000\"",
        "[]",
        "{}",
        "1979-05-27",
        "[[[]]]",
        "{ a.b = 1 }",
        "\"é\"",
        "99999999999999999999",
        "\"18446744073709551615y\"",
        "\"99999999999999999999EiB\"",
        "\"~\"",
        "\"{\"",
    ]);
    prop_oneof![
        (any::<prop::sample::Index>(), 1..40_usize).prop_map(|(at, length)| Edit::Delete { at, length }),
        (any::<prop::sample::Index>(), "[\\[\\]{}=\"'.,#\n a-zé0-9-]{1,6}")
            .prop_map(|(at, text)| Edit::Insert { at, text }),
        (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(line, with)| Edit::Swap { line, with }),
        (any::<prop::sample::Index>(), value).prop_map(|(line, value)| Edit::Value { line, value }),
    ]
}

fn apply(text: &str, edit: &Edit) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut characters: Vec<char> = text.chars().collect();
    if lines.is_empty() || characters.is_empty() {
        return text.to_owned();
    }
    match edit {
        Edit::Delete { at, length } => {
            let start = at.index(characters.len());
            characters.drain(start..characters.len().min(start + length));
            characters.into_iter().collect()
        }
        Edit::Insert { at, text } => {
            let start = at.index(characters.len());
            characters.splice(start..start, text.chars());
            characters.into_iter().collect()
        }
        Edit::Swap { line, with } => {
            let (line, with) = (line.index(lines.len()), with.index(lines.len()));
            lines.swap(line, with);
            lines.join("\n")
        }
        Edit::Value { line, value } => {
            let line = line.index(lines.len());
            let key = lines[line].split('=').next().unwrap_or_default().to_owned();
            lines[line] = format!("{key}= {value}");
            lines.join("\n")
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        holds_for(&text);
    }

    #[test]
    fn any_text_of_toml_like_lines_is_read_or_refused(
        lines in prop::collection::vec("(\\[[a-z.\"]{0,8}\\]|[a-z-]{1,9} ?= ?[\\[\\]{}\"a-z0-9., é=-]{0,12})", 0..12)
    ) {
        holds_for(&lines.join("\n"));
    }

    #[test]
    fn an_edited_file_is_read_or_refused(edits in prop::collection::vec(edit(), 1..6)) {
        let text = edits.iter().fold(FULL.to_owned(), |text, edit| apply(&text, edit));
        holds_for(&text);
    }

    /// Comments and empty lines anywhere change no value, and every place stays the line of its key.
    #[test]
    fn places_follow_their_lines(gaps in prop::collection::vec(0..3_usize, FULL.lines().count())) {
        let mut text = String::new();
        for (line, gap) in FULL.lines().zip(gaps) {
            text.push_str(&"# a comment\n\n".repeat(gap));
            text.push_str(line);
            text.push('\n');
        }
        let mut desired = read(&text).expect("comments change nothing");
        let lines: Vec<&str> = text.lines().collect();
        prop_assert!(desired.places.lines.len() > 40);
        for (path, &line) in &desired.places.lines {
            let key = path.rsplit('.').next().expect("split yields at least one");
            prop_assert!(lines[line - 1].contains(key), "{path}: {line}: {}", lines[line - 1]);
        }
        let plain = read(FULL).expect("the example is valid");
        desired.places = plain.places.clone();
        prop_assert_eq!(desired, plain);
    }
}
