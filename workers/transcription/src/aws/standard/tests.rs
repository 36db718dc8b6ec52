use serde_json::{Value, json};

use super::*;

/// The output of real jobs; see the README beside them.
const SAMPLES: [&str; 4] = [
    include_str!("../../../tests/data/aws/standard-01-plain.json"),
    include_str!("../../../tests/data/aws/standard-02-channel-identification.json"),
    include_str!("../../../tests/data/aws/standard-03-speaker-identification.json"),
    include_str!(
        "../../../tests/data/aws/standard-05-automatic-content-redaction-with-undredacted-redacted.json"
    ),
];

fn text(lines: &[Line]) -> String {
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    texts.join(" ")
}

fn parsed(output: &Value) -> Output {
    parse(output.to_string().as_bytes()).expect("an output")
}

/// A word of so many tenths of a second.
fn word(start: u32, content: &str) -> Value {
    let time = |tenths: u32| format!("{}.{}", tenths / 10, tenths % 10);
    json!({
        "type": "pronunciation", "start_time": time(start), "end_time": time(start + 2),
        "alternatives": [{"confidence": "0.5", "content": content}],
    })
}

fn mark(content: &str) -> Value {
    json!({"type": "punctuation", "alternatives": [{"confidence": "0.0", "content": content}]})
}

#[test]
fn each_sample_reads_word_for_word_as_its_own_transcript() {
    for sample in SAMPLES {
        let raw: Value = serde_json::from_str(sample).unwrap();
        let output = parse(sample.as_bytes()).unwrap();
        let own = raw["results"]["transcripts"][0]["transcript"].as_str();
        assert_eq!(text(&output.lines), own.unwrap(), "{}", raw["jobName"]);
        let words: usize = output.lines.iter().map(|line| line.words.len()).sum();
        let items = raw["results"]["items"].as_array().unwrap();
        let spoken = items.iter().filter(|item| item["type"] == "pronunciation");
        assert_eq!(words, spoken.count());
        assert!(output.lines.is_sorted_by_key(|line| line.start_ms));
        for line in &output.lines {
            assert_eq!(line.start_ms, line.words[0].start_ms);
            assert!(line.words.iter().all(|word| word.confidence.is_some()));
        }
    }
}

#[test]
fn without_labels_nobody_in_particular_speaks() {
    let lines = parse(SAMPLES[0].as_bytes()).unwrap().lines;
    let voice = Voice::OfChannel { channels: 1 };
    assert!(
        lines
            .iter()
            .all(|line| line.voice == voice && line.channel == 0)
    );
    assert_eq!(lines[0].words[0].start_ms, 490);
    assert_eq!(lines[0].words[2].confidence, Some(0.9994));
}

#[test]
fn channels_alternate_as_in_the_sample() {
    let lines = parse(SAMPLES[1].as_bytes()).unwrap().lines;
    let voice = Voice::OfChannel { channels: 2 };
    assert!(lines.iter().all(|line| line.voice == voice));
    // Seven people read one after the other, on one channel and on the other.
    let mut changes: Vec<(u16, i64)> = Vec::new();
    for line in &lines {
        if changes.last().is_none_or(|last| last.0 != line.channel) {
            changes.push((line.channel, line.start_ms));
        }
    }
    assert_eq!(
        changes,
        [
            (1, 490),
            (0, 15_090),
            (1, 34_400),
            (0, 58_040),
            (1, 81_220),
            (0, 94_930),
            (1, 116_740)
        ]
    );
    let of_channel = |channel| {
        let of = lines.iter().filter(move |line| line.channel == channel);
        of.map(|line| line.words.len()).sum::<usize>()
    };
    let raw: Value = serde_json::from_str(SAMPLES[1]).unwrap();
    for (channel, labels) in (0..).zip(
        raw["results"]["channel_labels"]["channels"]
            .as_array()
            .unwrap(),
    ) {
        let items = labels["items"].as_array().unwrap().iter();
        let spoken = items.filter(|item| item["type"] == "pronunciation").count();
        assert_eq!(of_channel(channel), spoken, "channel {channel}");
    }
}

#[test]
fn speakers_are_those_of_the_sample() {
    let lines = parse(SAMPLES[2].as_bytes()).unwrap().lines;
    let raw: Value = serde_json::from_str(SAMPLES[2]).unwrap();
    let mut expected = Vec::new();
    for segment in raw["results"]["speaker_labels"]["segments"]
        .as_array()
        .unwrap()
    {
        for item in segment["items"].as_array().unwrap() {
            let seconds: f64 = item["start_time"].as_str().unwrap().parse().unwrap();
            #[expect(clippy::cast_possible_truncation, reason = "seconds of a sample")]
            let ms = (seconds * 1000.0).round() as i64;
            expected.push((ms, number(item["speaker_label"].as_str().unwrap())));
        }
    }
    let mut found = Vec::new();
    for line in &lines {
        let Voice::Speaker(speaker) = line.voice else {
            panic!("nobody speaks at {}", line.start_ms)
        };
        found.extend(line.words.iter().map(|word| (word.start_ms, speaker)));
    }
    assert_eq!(found, expected);
    let speakers: std::collections::BTreeSet<_> = found.iter().map(|it| it.1).collect();
    assert_eq!(speakers.len(), 3);
}

#[test]
fn labels_may_stand_in_the_words() {
    let labelled = |mut word: Value, label: &str, value: &str| {
        word[label] = json!(value);
        word
    };
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "Hello. Good day."}],
        "language_code": "en-GB",
        "items": [
            labelled(word(0, "Hello"), "speaker_label", "spk_1"), mark("."),
            labelled(word(4, "Good"), "speaker_label", "spk_0"),
            labelled(word(7, "day"), "speaker_label", "spk_0"), mark("."),
        ],
    }}));
    assert_eq!(output.language.as_deref(), Some("en-GB"));
    let found: Vec<_> = output
        .lines
        .iter()
        .map(|line| (line.voice, line.text.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (Voice::Speaker(1), "Hello."),
            (Voice::Speaker(0), "Good day.")
        ]
    );
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "Hello. Good day."}],
        "items": [
            labelled(word(0, "Hello"), "channel_label", "ch_1"), mark("."),
            labelled(word(4, "Good"), "channel_label", "ch_0"),
            labelled(word(7, "day"), "channel_label", "ch_0"), mark("."),
        ],
    }}));
    let found: Vec<_> = output
        .lines
        .iter()
        .map(|line| (line.channel, line.voice, line.text.as_str()))
        .collect();
    let voice = Voice::OfChannel { channels: 2 };
    assert_eq!(found, [(1, voice, "Hello."), (0, voice, "Good day.")]);
}

#[test]
fn who_speaks_over_another_parts_no_stretch() {
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "So I yes went there."}],
        "channel_labels": {"number_of_channels": 2, "channels": [
            {"channel_label": "ch_0", "items": [
                word(0, "So"), word(3, "I"), word(6, "went"), word(9, "there"), mark("."),
            ]},
            {"channel_label": "ch_1", "items": [word(4, "yes")]},
        ]},
        "items": [],
    }}));
    let texts: Vec<_> = output.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["So I went there.", "yes"]);
}

#[test]
fn one_microphone_on_two_channels_is_one_channel() {
    let channel =
        |label: &str| json!({"channel_label": label, "items": [word(0, "Hello"), mark(".")]});
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "Hello. Hello."}],
        "channel_labels": {"channels": [channel("ch_0"), channel("ch_1")]}, "items": [],
    }}));
    assert_eq!(text(&output.lines), "Hello.");
    assert_eq!(output.lines[0].voice, Voice::OfChannel { channels: 1 });
}

#[test]
fn of_alternatives_the_likeliest_is_taken() {
    let mut guess = word(0, "Hello");
    guess["alternatives"] = json!([
        {"confidence": "0.9", "content": "Hello"}, {"confidence": "0.2", "content": "Hollow"},
    ]);
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "Hello."}], "items": [guess, mark(".")],
    }}));
    assert_eq!(text(&output.lines), "Hello.");
    assert_eq!(output.lines[0].words[0].confidence, Some(0.9));

    // Some outputs hold the words only in their segments.
    let item = |content: &str, start: &str, end: &str| {
        json!({"type": "pronunciation", "start_time": start, "end_time": end,
            "content": content, "confidence": "0.8"})
    };
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "Good day"}],
        "segments": [{"start_time": "0.0", "end_time": "0.6", "alternatives": [
            {"transcript": "Good day", "items": [item("Good", "0.0", "0.2"), item("day", "0.3", "0.6")]},
            {"transcript": "Could say", "items": [item("Could", "0.0", "0.2"), item("say", "0.3", "0.6")]},
        ]}],
    }}));
    assert_eq!(text(&output.lines), "Good day");
    assert_eq!(output.lines[0].words[1].confidence, Some(0.8));
}

#[test]
fn what_was_redacted_keeps_its_place() {
    let mut name = word(4, "[PII]");
    name["alternatives"] = json!([{"content": "[PII]", "redactions": [
        {"confidence": "0.97", "type": "NAME", "category": "PII"},
    ]}]);
    let output = parsed(&json!({"isRedacted": true, "results": {
        "transcripts": [{"transcript": "Hello [PII]."}],
        "items": [word(0, "Hello"), name, mark(".")],
    }}));
    assert_eq!(text(&output.lines), "Hello [PII].");
    assert_eq!(output.lines[0].words[1].confidence, Some(0.97));
}

#[test]
fn languages_without_spaces_get_none() {
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "你好。世界"}],
        "items": [word(0, "你好"), mark("。"), word(4, "世界")],
    }}));
    assert_eq!(text(&output.lines), "你好。世界");
}

#[test]
fn long_pauses_end_a_line_and_silence_has_none() {
    let output = parsed(&json!({"results": {
        "transcripts": [{"transcript": "One. Two."}],
        "items": [word(0, "One"), mark("."), word(30, "Two"), mark(".")],
    }}));
    assert_eq!(output.lines.len(), 2);
    assert_eq!(text(&output.lines), "One. Two.");
    let silence = json!({"results": {"transcripts": [{"transcript": ""}], "items": []}});
    assert!(parsed(&silence).lines.is_empty());
}

#[test]
fn what_is_no_output_is_refused() {
    for broken in ["", "{", "[]", "{}", r#"{"results": []}"#] {
        parse(broken.as_bytes()).expect_err(broken);
    }
    let bad_time = json!({"results": {"items": [{"start_time": "NaN", "alternatives": []}]}});
    parse(bad_time.to_string().as_bytes()).expect_err("a time that is none");
}
