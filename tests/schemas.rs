//! The JSON Schemas under schema/ are those of the code. `UPDATE_FIXTURES=1` writes them anew.

use std::path::Path;

use quorate::core::render::schema::{Subject, schema};

#[test]
fn the_schemas_in_the_repository_are_those_of_the_code() {
    for subject in Subject::ALL {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(subject.file_name());
        let current = schema(subject);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&file, &current).expect("the schema can be written");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == current, "{} is out of date: run `UPDATE_FIXTURES=1 cargo test`", file.display());
    }
}
