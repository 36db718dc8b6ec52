//! The JSON Schemas of the documents, as they are committed in `docs/schemas/`.
//!
//! A schema describes what is written, so every field of it is required. After a change to a
//! document, write the files again with
//! `cargo test -p aftercall --lib documents::schema -- --ignored`.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (2020-12) of a document as it is written.
pub fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .into()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::of;
    use crate::documents::analysis::Analysis;
    use crate::documents::transcript::Transcript;

    fn schemas() -> [(PathBuf, String); 2] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
        [
            ("analysis.v1.json", of::<Analysis>()),
            ("transcript.v1.json", of::<Transcript>()),
        ]
        .map(|(name, schema)| {
            let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
            (folder.join(name), text + "\n")
        })
    }

    #[test]
    fn committed_schemas_are_those_of_the_code() {
        for (path, expected) in schemas() {
            let committed = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(
                committed,
                expected,
                "{} is old; see this file's first lines",
                path.display()
            );
        }
    }

    #[test]
    fn schemas_are_valid_and_refuse_what_is_not_a_document() {
        for (path, text) in schemas() {
            let schema = serde_json::from_str(&text).expect("JSON");
            let validator = jsonschema::validator_for(&schema)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(
                !validator.is_valid(&serde_json::json!({})),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    #[ignore = "writes docs/schemas; run it after a change to a document"]
    fn write_schemas() {
        for (path, text) in schemas() {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(&path, text).expect("write");
        }
    }
}
