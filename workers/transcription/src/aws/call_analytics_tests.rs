use serde_json::{Value, json};

use super::*;

/// The output of a real job; see the README beside it.
const SAMPLE: &str = include_str!("../../tests/data/aws/call-analytics-example.json");

const PLACE: Place = Place {
    start_ms: 0,
    agent_channel: 0,
};

fn sample() -> (Output, Value) {
    let output = parse(SAMPLE.as_bytes(), PLACE).unwrap();
    (output, serde_json::from_str(SAMPLE).unwrap())
}

#[test]
fn the_sample_reads_word_for_word_turn_for_turn() {
    let (output, raw) = sample();
    let turns = raw["Transcript"].as_array().unwrap();
    assert_eq!((output.lines.len(), turns.len()), (37, 37));
    assert_eq!(output.language.as_deref(), Some("en-US"));
    for (line, turn) in output.lines.iter().zip(turns) {
        assert_eq!(line.text, turn["Content"].as_str().unwrap());
        let channel = u16::from(turn["ParticipantRole"] != "AGENT");
        assert_eq!(line.channel, channel);
        assert_eq!(line.voice, Voice::OfChannel { channels: 2 });
        assert_eq!(Some(line.start_ms), turn["BeginOffsetMillis"].as_i64());
        assert_eq!(Some(line.end_ms), turn["EndOffsetMillis"].as_i64());
        let items = turn["Items"].as_array().unwrap().iter();
        let spoken: Vec<_> = items.filter(|it| it["Type"] == "pronunciation").collect();
        assert_eq!(line.words.len(), spoken.len());
        for (word, item) in line.words.iter().zip(spoken) {
            assert_eq!(word.text, item["Content"].as_str().unwrap());
            assert!(word.confidence.is_some(), "{item}");
        }
    }
}

#[test]
fn its_findings_are_kept_as_they_are() {
    let (Output { findings, .. }, raw) = sample();
    assert_eq!(findings.roles["speaker_0"], "agent");
    assert_eq!(findings.roles["speaker_1"], "customer");
    assert!(findings.redacted);
    assert_eq!((findings.start_ms, findings.end_ms), (0, 182_890));
    assert_eq!(findings.turns.len(), 37);
    let first = &findings.turns[0];
    assert_eq!(first.sentiment.as_deref(), Some("positive"));
    assert_eq!(first.loudness.len(), 6);
    assert_eq!(findings.sentiment.get("speaker_0"), Some(&2.4));
    assert_eq!(findings.sentiment.get("speaker_1"), Some(&1.8));
    let quarter = findings.sentiment_by_quarter["speaker_1"].first();
    assert_eq!(quarter.map(|it| it.score), Some(-1.3));
    assert_eq!(findings.interruptions["speaker_0"].len(), 2);
    let first = findings.interruptions["speaker_0"][0];
    assert_eq!((first.start_ms, first.end_ms), (18_740, 20_860));
    assert_eq!(findings.talk_time_ms["speaker_0"], 104_349);
    assert_eq!(findings.talk_time_ms["speaker_1"], 63_790);
    assert_eq!(findings.words_per_minute.get("speaker_1"), Some(&135.0));
    assert_eq!(findings.categories[0].name, "No_Closing_Remark");
    let detected = |name: &str| {
        let turns = raw["Transcript"].as_array().unwrap().iter();
        turns
            .filter_map(|turn| turn[name].as_array())
            .flatten()
            .count()
    };
    assert_eq!(findings.issues.len(), detected("IssuesDetected"));
    assert_eq!(findings.outcomes.len(), detected("OutcomesDetected"));
    assert_eq!(findings.action_items.len(), detected("ActionItemsDetected"));
    assert_eq!(findings.issues.len(), 1);
    let issue = &findings.issues[0];
    assert_eq!((issue.start_char, issue.end_char), (0, 95));
}

#[test]
fn a_later_part_and_an_agent_on_the_other_channel() {
    let place = Place {
        start_ms: 60_000,
        agent_channel: 1,
    };
    let Output {
        lines, findings, ..
    } = parse(SAMPLE.as_bytes(), place).unwrap();
    assert_eq!(lines[0].channel, 1);
    assert_eq!(
        lines[0].start_ms, 40,
        "lines count from the start of the part"
    );
    assert_eq!(findings.roles["speaker_1"], "agent");
    assert_eq!(findings.turns[0].start_ms, 60_040);
    assert_eq!(findings.interruptions["speaker_1"][0].start_ms, 78_740);
    assert_eq!(findings.end_ms, 242_890);
}

#[test]
fn what_is_left_out_is_empty_and_what_is_no_output_is_refused() {
    let silence = json!({"JobStatus": "COMPLETED", "Transcript": []}).to_string();
    let output = parse(silence.as_bytes(), PLACE).unwrap();
    assert!(output.lines.is_empty());
    assert!(output.findings.sentiment.is_empty());
    for broken in ["", "{}", r#"{"Transcript": 1}"#, r#"{"Transcript": [{}]}"#] {
        parse(broken.as_bytes(), PLACE).expect_err(broken);
    }
}
