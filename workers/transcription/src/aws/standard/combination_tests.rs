//! Each combination of channels, speakers, alternatives and redaction, as the service's pages describe
//! them: <https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html#how-it-works-output>

use serde_json::{Map, Value, json};

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speakers {
    None,
    /// In a list of segments.
    Beside,
    /// In each word.
    InWords,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Alternatives {
    None,
    OfWords,
    /// The words stand only in segments.
    OfSegments,
}

#[derive(Clone, Copy, Debug)]
struct Combination {
    channels: bool,
    speakers: Speakers,
    alternatives: Alternatives,
    redacted: bool,
}

/// Who says what when, in tenths of a second. What does not begin with a letter is punctuation.
const SAID: [(u32, &[&str]); 2] = [
    (0, &["Hello", ",", "Maria", "speaking", "."]),
    (1, &["Good", "day", "."]),
];
const NAME: &str = "Maria";

impl Combination {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for channels in [false, true] {
            for speakers in [Speakers::None, Speakers::Beside, Speakers::InWords] {
                for alternatives in [
                    Alternatives::None,
                    Alternatives::OfWords,
                    Alternatives::OfSegments,
                ] {
                    for redacted in [false, true] {
                        all.push(Self {
                            channels,
                            speakers,
                            alternatives,
                            redacted,
                        });
                    }
                }
            }
        }
        all
    }

    fn content(self, word: &str) -> &str {
        if self.redacted && word == NAME {
            "[PII]"
        } else {
            word
        }
    }

    /// What one of the two says, as items; a word takes two tenths of a second.
    fn items(self, who: u32) -> Vec<Value> {
        let mut start = 1 + who * 30;
        let said = SAID[usize::from(who == 1)].1.iter();
        let items = said.map(|word| {
            let mut item = Map::new();
            let is_word = word.starts_with(char::is_alphabetic);
            let content = self.content(word);
            let mut best = json!({ "content": content, "confidence": "0.9" });
            if is_word {
                item.insert("type".to_owned(), json!("pronunciation"));
                item.insert("start_time".to_owned(), time(start));
                item.insert("end_time".to_owned(), time(start + 2));
                start += 3;
            } else {
                item.insert("type".to_owned(), json!("punctuation"));
            }
            if content != *word {
                best = json!({ "content": content,
                    "redactions": [{ "confidence": "0.9", "type": "NAME", "category": "PII" }] });
            }
            if self.alternatives == Alternatives::OfSegments {
                item.extend(best.as_object().expect("an object").clone());
            } else {
                let mut guesses = vec![best];
                if is_word && self.alternatives == Alternatives::OfWords {
                    guesses.push(json!({ "content": "Mumble", "confidence": "0.1" }));
                }
                item.insert("alternatives".to_owned(), json!(guesses));
            }
            if is_word && self.speakers == Speakers::InWords {
                item.insert("speaker_label".to_owned(), json!(format!("spk_{who}")));
            }
            Value::Object(item)
        });
        items.collect()
    }

    /// The file that a job would write.
    fn output(self) -> Value {
        let mut results = json!({
            "transcripts": [{ "transcript": self.text() }], "items": [], "language_code": "en-US",
        });
        let both = [self.items(0), self.items(1)];
        if self.alternatives == Alternatives::OfSegments {
            let segment = |(who, items): (usize, &Vec<Value>)| {
                let mut segment = json!({ "alternatives": [
                    { "transcript": "", "items": items },
                    { "transcript": "", "items": [{ "type": "pronunciation", "content": "Mumble",
                        "start_time": "0.1", "end_time": "0.2", "confidence": "0.1" }] },
                ] });
                if self.channels {
                    segment["channel_label"] = json!(format!("ch_{who}"));
                }
                segment
            };
            let segments: Vec<_> = both.iter().enumerate().map(segment).collect();
            results["segments"] = json!(segments);
        } else {
            results["items"] = json!(both.concat());
        }
        if self.channels {
            let of_segments = self.alternatives == Alternatives::OfSegments;
            let channel = |(who, items): (usize, &Vec<Value>)| {
                let items = if of_segments { &Vec::new() } else { items };
                json!({ "channel_label": format!("ch_{who}"), "items": items })
            };
            let channels: Vec<_> = both.iter().enumerate().map(channel).collect();
            results["channel_labels"] = json!({ "channels": channels, "number_of_channels": 2 });
        }
        if self.speakers == Speakers::Beside {
            let segment = |who: u32| {
                json!({ "start_time": time(1 + who * 30), "end_time": time(20 + who * 30),
                    "speaker_label": format!("spk_{who}"), "items": [] })
            };
            results["speaker_labels"] =
                json!({ "speakers": 2, "segments": [segment(0), segment(1)] });
        }
        json!({ "jobName": "a-job", "isRedacted": self.redacted, "results": results })
    }

    fn text(self) -> String {
        format!("Hello, {} speaking. Good day.", self.content(NAME))
    }

    /// Who is told apart.
    fn voices(self) -> Vec<(u16, Voice)> {
        let of_channel = |channels| Voice::OfChannel { channels };
        match (self.channels, self.speakers) {
            (true, _) => vec![(0, of_channel(2)), (1, of_channel(2))],
            (false, Speakers::None) => vec![(0, of_channel(1)), (0, of_channel(1))],
            (false, _) => vec![(0, Voice::Speaker(0)), (0, Voice::Speaker(1))],
        }
    }
}

fn time(tenths: u32) -> Value {
    json!(format!("{}.{}", tenths / 10, tenths % 10))
}

#[test]
fn each_reads_as_the_same_words_of_the_right_voices() {
    let all = Combination::all();
    assert_eq!(all.len(), 36);
    for combination in all {
        let output = parse(combination.output().to_string().as_bytes());
        let lines = output.expect("an output").lines;
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts.join(" "), combination.text(), "{combination:?}");
        let voices: Vec<_> = lines
            .iter()
            .map(|line| (line.channel, line.voice))
            .collect();
        assert_eq!(voices, combination.voices(), "{combination:?}");
        let words: Vec<_> = lines.iter().flat_map(|line| &line.words).collect();
        assert_eq!(words.len(), 5, "{combination:?}");
        assert!(words.iter().all(|word| word.text != "Mumble"));
        // A redacted word of a segment carries its confidence in its redaction.
        let rated = words.iter().filter(|word| word.confidence.is_some());
        assert!(rated.count() >= 4, "{combination:?}");
        let starts: Vec<_> = words.iter().map(|word| word.start_ms).collect();
        assert_eq!(starts, [100, 400, 700, 3_100, 3_400], "{combination:?}");
    }
}
