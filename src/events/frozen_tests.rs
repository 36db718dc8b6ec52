//! Holds every fact against its frozen wire examples, and keeps one for each.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Envelope, Fact};

const FROZEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/events/frozen");

fn examples() -> Vec<(String, Value)> {
    let mut examples: Vec<_> = std::fs::read_dir(FROZEN)
        .expect("the folder of frozen examples")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a frozen example");
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (
                name,
                serde_json::from_str(&text).expect("frozen examples are JSON"),
            )
        })
        .collect();
    examples.sort_by(|a, b| a.0.cmp(&b.0));
    examples
}

fn read(example: &Value) -> (Envelope, Fact) {
    let headers = &example["headers"];
    let envelope = Envelope::from_headers(|name| headers[name].as_str()).expect("frozen headers");
    let fact = Fact::decode(
        &envelope.event_type,
        envelope.version,
        example["data"].clone(),
    )
    .expect("a frozen body still decodes");
    (envelope, fact)
}

#[test]
fn frozen_examples_keep_their_meaning() {
    for (name, example) in examples() {
        let (envelope, fact) = read(&example);
        assert_eq!(
            name,
            format!("{}.v{}", envelope.event_type, envelope.version)
        );
        assert_eq!(
            fact.event_id(),
            envelope.id,
            "{name}: the id is derived from the fact"
        );
        if envelope.version == fact.version() {
            let message = fact.message(
                &envelope.source,
                envelope.time,
                envelope.traceparent.as_deref(),
            );
            assert_eq!(
                written(&message),
                example,
                "{name}: what is published has changed"
            );
        }
    }
}

#[test]
fn every_fact_has_a_frozen_example() {
    let frozen: BTreeSet<_> = examples()
        .iter()
        .map(|(_, example)| read(example).1.event_type())
        .collect();
    for event_type in Fact::TYPES {
        let path = Path::new(FROZEN).join(format!("{event_type}.v1.json"));
        assert!(frozen.contains(event_type), "write {}", path.display());
    }
}

#[test]
fn a_newer_version_is_told_apart_from_a_broken_body() {
    let data = json!({"session_id": "0198c0de-0000-7000-8000-000000000001"});
    let newer = Fact::decode("session.started", 2, data.clone()).expect_err("not known yet");
    assert!(matches!(
        newer,
        super::DecodeError::NewerVersion { version: 2, .. }
    ));
    let broken = Fact::decode("session.started", 1, json!({})).expect_err("no session id");
    assert!(matches!(broken, super::DecodeError::Body { .. }));
    let unknown = Fact::decode("session.vanished", 1, data).expect_err("no such fact");
    assert!(matches!(unknown, super::DecodeError::UnknownFact(_)));
}

fn written(message: &super::Message) -> Value {
    let headers: Map<_, _> = message
        .envelope
        .headers()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    let data: Value = serde_json::from_slice(&message.data).expect("a body is JSON");
    json!({"subject": message.subject, "headers": headers, "data": data})
}
