//! The engine as a whole: a believable call, the cases without evidence, and the limits.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aftercall::documents::analysis::{Analysis, Provenance, SentimentLabel};
use aftercall::documents::transcript::{NO_SPEECH, Transcript, Turn};
use aftercall::ids::{RecordingId, SessionId};
use jsonschema::Validator;
use serde_json::Value;
use uuid::Uuid;

use super::analyze;

mod properties;

pub fn turn(index: u32, speaker: &str, start_ms: i64, end_ms: i64, text: &str) -> Turn {
    Turn {
        index,
        speaker: speaker.to_owned(),
        channel: u16::from(speaker == "speaker_1"),
        start_ms,
        end_ms,
        text: text.to_owned(),
        confidence: None,
        words: None,
        recording_id: RecordingId(Uuid::nil()),
    }
}

/// A transcript of `(speaker, start_ms, end_ms, text)`, as long as its last turn.
pub fn transcript(turns: &[(&str, i64, i64, &str)]) -> Transcript {
    let turns: Vec<_> = (0..)
        .zip(turns)
        .map(|(index, (speaker, start, end, text))| turn(index, speaker, *start, *end, text))
        .collect();
    Transcript {
        session_id: SessionId(Uuid::nil()),
        generation: 3,
        language: None,
        engine: "openai/whisper-1".to_owned(),
        duration_ms: turns
            .iter()
            .map(|turn| turn.end_ms)
            .max()
            .unwrap_or_default(),
        note: turns.is_empty().then(|| NO_SPEECH.to_owned()),
        turns,
        created_at: jiff::Timestamp::UNIX_EPOCH,
        correction: None,
    }
}

/// The document as JSON, after it passed the committed schema and the rule about nulls.
fn checked(analysis: &Analysis) -> Value {
    static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
        let committed = include_str!("../../../../../docs/schemas/analysis.v1.json");
        jsonschema::validator_for(&serde_json::from_str(committed).expect("JSON"))
            .expect("a schema")
    });
    let json = serde_json::to_value(analysis).expect("JSON");
    if let Err(error) = SCHEMA.validate(&json) {
        panic!("{}: {error}", error.instance_path());
    }
    assert_eq!(
        &serde_json::from_value::<Analysis>(json.clone()).expect("reads back"),
        analysis
    );

    let provenance = &analysis.provenance;
    for field in provenance.methods.keys() {
        assert!(
            !provenance.unavailable.contains_key(field),
            "{field} has a method and a reason"
        );
        assert!(
            !has_null(&json, field),
            "{field} is null in spite of its method"
        );
    }
    for field in provenance.unavailable.keys() {
        assert!(
            has_null(&json, field),
            "{field} is there in spite of its reason"
        );
    }
    for field in [
        "summary",
        "sentiment",
        "topics",
        "key_phrases",
        "action_items",
        "questions",
    ] {
        assert!(
            provenance.methods.contains_key(field) || provenance.unavailable.contains_key(field),
            "{field} is not accounted for"
        );
    }
    json
}

/// Whether the field, or in a list the field of any item, is null.
fn has_null(json: &Value, path: &str) -> bool {
    match (json, path.split_once('.')) {
        (Value::Array(items), _) => items.iter().any(|item| has_null(item, path)),
        (json, Some((head, rest))) => has_null(&json[head], rest),
        (json, None) => json[path].is_null(),
    }
}

fn dental_call() -> Transcript {
    let mut call = transcript(&[
        (
            "speaker_0",
            400,
            3_900,
            "Good morning, Riverside Dental, this is Grace. How can I help you?",
        ),
        (
            "speaker_1",
            4_300,
            10_800,
            "Hi Grace, this is Tom Baker. I have an awful toothache on my lower left side, it kept me awake all night.",
        ),
        (
            "speaker_0",
            11_200,
            15_400,
            "I'm so sorry to hear that. Do you have any swelling or fever?",
        ),
        (
            "speaker_1",
            15_800,
            20_600,
            "A little swelling, no fever. I think the crown you placed in May is loose.",
        ),
        (
            "speaker_0",
            21_000,
            27_900,
            "Okay. Dr. Allen has an emergency appointment tomorrow at 9:30 a.m., or I could look for something",
        ),
        (
            "speaker_1",
            26_800,
            29_500,
            "Tomorrow at nine thirty is perfect, I'll take it.",
        ),
        (
            "speaker_0",
            30_000,
            36_200,
            "Great. Please bring your insurance card, and make sure to arrive ten minutes early for the paperwork.",
        ),
        ("speaker_1", 33_000, 33_700, "Mm-hmm."),
        (
            "speaker_1",
            36_700,
            40_900,
            "Will do. Is there something I can take for the toothache until then?",
        ),
        (
            "speaker_0",
            41_300,
            48_000,
            "Dr. Allen recommends ibuprofen for a toothache. I'll text you the appointment details and the address today.",
        ),
        (
            "speaker_1",
            48_400,
            51_000,
            "Wonderful, thank you so much for your help, Grace.",
        ),
        (
            "speaker_0",
            51_300,
            53_800,
            "You're welcome, Tom. Feel better, and see you tomorrow.",
        ),
    ]);
    call.language = Some("en".to_owned());
    call.duration_ms = 55_000;
    call
}

#[test]
fn a_believable_call() {
    let analysis = analyze(&dental_call());
    let json = checked(&analysis);
    insta::assert_json_snapshot!("dental_call", json);
}

#[test]
fn the_definitions_name_every_field_method_code_and_rule() {
    let page = include_str!("../../../../../docs/metrics.md");
    let mut german = dental_call();
    german.language = Some("de".to_owned());
    let alone = transcript(&[("unknown", 0, 0, "Well.")]);
    for call in [dental_call(), german, alone, transcript(&[])] {
        let analysis = analyze(&call);
        let Provenance {
            methods,
            unavailable,
            dropped,
        } = &analysis.provenance;
        assert_eq!(*dropped, None);
        let rules = analysis
            .action_items
            .iter()
            .flatten()
            .filter_map(|item| item.rule.as_ref());
        for name in methods
            .iter()
            .flat_map(|(field, method)| [field, method])
            .chain(
                unavailable
                    .iter()
                    .flat_map(|(field, reason)| [field, &reason.code]),
            )
            .chain(rules)
        {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}

#[test]
fn a_transcript_without_speech_is_a_document_of_nulls_with_reasons() {
    let mut silent = transcript(&[]);
    silent.duration_ms = 36_000_000;
    let analysis = analyze(&silent);
    checked(&analysis);
    assert!(analysis.summary.is_none() && analysis.sentiment.is_none());
    assert!(analysis.questions.is_none() && analysis.action_items.is_none());
    assert_eq!(analysis.provenance.unavailable["summary"].code, "no_speech");
    assert_eq!(analysis.talk.silence_ms, 36_000_000);
}

#[test]
fn another_language_keeps_its_times_only() {
    let mut call = transcript(&[
        (
            "speaker_0",
            0,
            2_000,
            "Guten Tag, was kann ich für Sie tun?",
        ),
        ("speaker_1", 2_500, 4_000, "Ich brauche einen Termin."),
    ]);
    call.language = Some("de".to_owned());
    let analysis = analyze(&call);
    checked(&analysis);
    for field in [
        "summary",
        "sentiment",
        "key_phrases",
        "action_items",
        "questions",
    ] {
        assert_eq!(
            analysis.provenance.unavailable[field].code,
            "language_not_supported"
        );
    }
    assert_eq!(analysis.talk.speakers[0].talk_ms, 2_000);
    assert_eq!(analysis.talk.interruptions, Some(Vec::new()));
}

#[test]
fn looked_for_and_not_found_is_an_empty_list() {
    let analysis = analyze(&transcript(&[("unknown", 0, 900, "Hello. It was fine.")]));
    checked(&analysis);
    assert_eq!(analysis.questions, Some(Vec::new()));
    assert_eq!(analysis.action_items, Some(Vec::new()));
    assert_eq!(analysis.key_phrases, Some(Vec::new()));
    assert_eq!(
        analysis.provenance.unavailable["summary"].code,
        "too_little_text"
    );
    assert_eq!(
        analysis.sentiment.expect("judged").overall.label,
        SentimentLabel::Positive
    );
}

/// Twelve hours of two speakers: 20,000 turns of one to three sentences.
fn twelve_hours() -> Transcript {
    const SUBJECTS: [&str; 8] = [
        "invoice", "boiler", "parcel", "contract", "engineer", "refund", "meeting", "password",
    ];
    const VERBS: [&str; 7] = [
        "arrived", "failed", "moved", "expired", "improved", "broke", "changed",
    ];
    const PLACES: [&str; 9] = [
        "kitchen",
        "warehouse",
        "office",
        "garage",
        "portal",
        "station",
        "archive",
        "lobby",
        "hotel",
    ];
    let turns = (0..20_000_u32).map(|i| {
        let n = i as usize;
        let (subject, verb, place) = (SUBJECTS[n % 8], VERBS[n % 7], PLACES[n % 9]);
        let text = match i % 3 {
            0 => {
                format!("The {subject} number {i} {verb} at the {place} yesterday. I'm not happy.")
            }
            1 => format!(
                "What {verb} there? I'll send the {subject} report to the {place} by Friday."
            ),
            _ => format!("Thank you. Another {subject} {verb} near the {place}. Please check it."),
        };
        let start = i64::from(i) * 2_160;
        turn(
            i,
            if i % 2 == 0 { "speaker_0" } else { "speaker_1" },
            start,
            start + 2_000,
            &text,
        )
    });
    let mut long = transcript(&[]);
    long.turns = turns.collect();
    long.duration_ms = 43_200_000;
    long.note = None;
    long
}

#[test]
fn twelve_hours_take_seconds() {
    let long = twelve_hours();
    let started = Instant::now();
    let analysis = analyze(&long);
    let took = started.elapsed();
    println!("20,000 turns in {took:?}");
    checked(&analysis);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(analysis.summary.expect("a summary").len() <= 8);
    assert!(analysis.sentiment.expect("judged").turns.len() == 20_000);
}

#[test]
fn one_huge_turn_without_a_full_stop_is_read() {
    let text = "so and then the parcel went to another depot ".repeat(20_000);
    let analysis = analyze(&transcript(&[("unknown", 0, 1_000, &text)]));
    assert_eq!(analysis.talk.speakers[0].words, Some(180_000));
    checked(&analysis);
    checked(&analyze(&transcript(&[(
        "unknown",
        0,
        1_000,
        &"x".repeat(1_000_000),
    )])));
}
