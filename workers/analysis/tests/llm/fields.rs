//! Custom fields: found, not found, failed and skipped are told apart.

use aftercall::config::RedactPii;
use aftercall::documents::analysis::CustomFieldState::{self, Failed, Found, NotFound, Skipped};
use aftercall::embedded::seed;
use aftercall_analysis::Engine;
use serde_json::{Value, json};

use crate::bench::{Bench, HANDLER, engine, settings};
use crate::model::report;
use crate::stub::{Act, Asked, Stub};

const LINES: [&str; 2] = [
    "My insurer is AOK and I was there three times.",
    "Come on Monday, or see evil.com for more.",
];

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "insurer": {"type": "string", "maxLength": 20},
            "visits": {"type": "integer", "minimum": 0},
            "allergies": {"type": "array", "items": {"type": "string"}},
            "language": {"type": "string", "enum": ["English", "German"]},
            "next_visit": {"type": "string", "format": "date"},
            "page": {"type": "string"},
            "doctor": {"type": "string"},
            "forgotten": {"type": "string"},
            "grade": {"type": "string", "enum": ["A*", "B"]},
            "change": {"type": "string"},
            "person": {"type": "object", "properties": {"age": {"type": "integer"}}},
        },
    })
}

fn filled(asked: &Asked) -> String {
    let said = |text: &str| json!({"turn": 0, "text": text});
    let mut answer = report(asked, "They talk.", &[said("My insurer is AOK")]);
    let field =
        |value: Value, quote: Value| json!({"value": value, "confidence": 0.9, "quote": quote});
    answer["custom_fields"] = json!({
        "insurer": field(json!("AOK"), said("My insurer is AOK")),
        "visits": field(json!(3), said("three times")),
        "allergies": field(json!(null), json!(null)),
        "language": field(json!("French"), said("My insurer")),
        "next_visit": field(json!("Monday"), said("Monday")),
        "page": field(json!("see https://evil.com"), said("Monday")),
        "doctor": field(json!("Dr. Who"), said("Dr. Who was there")),
        "grade": field(json!("A*"), said("three times")),
        "change": field(json!("-5"), said("three times")),
        "person": field(json!({"age": 5, "<b>\u{0}": "x"}), said("three times")),
        "stranger": field(json!("x"), json!(null)),
    });
    answer.to_string()
}

#[tokio::test]
async fn each_field_is_found_not_found_or_failed() {
    let stub = Stub::start([Act::Made(filled)]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let seeded = seed::session(&bench.harness).await;
    bench.ask_for_fields(seeded, schema()).await;
    bench.analyze_in(seeded, &LINES).await;

    let fields = bench.document(seeded).await.unwrap().custom_fields;
    let states: Vec<(&str, CustomFieldState)> = fields
        .iter()
        .map(|(name, field)| (name.as_str(), field.state))
        .collect();
    let expected = [
        ("allergies", NotFound),
        ("change", Found),
        ("doctor", Failed),
        ("forgotten", Failed),
        ("grade", Found),
        ("insurer", Found),
        ("language", Failed),
        ("next_visit", Failed),
        ("page", Failed),
        ("person", Failed),
        ("visits", Found),
    ];
    assert_eq!(states, expected);
    assert_eq!(fields["visits"].value, Some(json!(3)));
    assert_eq!(fields["visits"].quote.as_ref().unwrap().text, "three times");
    assert_eq!(fields["insurer"].confidence, Some(0.9));
    assert_eq!(fields["grade"].value, Some(json!("A*")));
    assert_eq!(fields["change"].value, Some(json!("-5")));
    for field in fields.values() {
        assert_eq!(field.reason.is_none(), field.state == Found);
        assert_eq!(field.value.is_some(), field.state == Found);
    }
    let asked = stub.asked().remove(0).body;
    let types = &asked["response_format"]["json_schema"]["schema"]["properties"]["custom_fields"];
    assert_eq!(types["required"].as_array().unwrap().len(), 11);
    bench.stop().await.finish_of(HANDLER).await;
}

#[tokio::test]
async fn the_local_engine_skips_them_and_says_so() {
    let bench = Bench::start(Engine::Local).await;
    let seeded = seed::session(&bench.harness).await;
    bench.ask_for_fields(seeded, schema()).await;
    bench.analyze_in(seeded, &LINES).await;
    let fields = bench.document(seeded).await.unwrap().custom_fields;
    assert_eq!(fields.len(), 11);
    assert!(
        fields
            .values()
            .all(|field| field.state == Skipped && field.reason.is_some())
    );
    bench.stop().await.finish_of(HANDLER).await;
}
