//! What a Call Analytics job writes, as lines and findings.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/tca-output-batch.html>

use std::collections::BTreeMap;

use aftercall::documents::call_findings::{
    CallFindings, Category, PeriodSentiment, TextSpan, TimeSpan, TurnFindings,
};
use aftercall::documents::transcript::{Word, speaker_of_channel};
use aftercall::events::JobKind;
use serde::Deserialize;

use super::lines::{Line, Voice};
use super::{OutputError, engine};

/// Of a call there are two sides, each on its channel.
const CHANNELS: u16 = 2;
const AGENT: &str = "AGENT";

/// What was said, and what the service found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub language: Option<String>,
    pub lines: Vec<Line>,
    pub findings: CallFindings,
}

/// Where the audio of a job was.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its start in the recording.
    pub start_ms: i64,
    /// The channel of the agent; the customer is on the other.
    pub agent_channel: u16,
}

/// Reads the file that a job wrote.
pub fn parse(bytes: &[u8], place: Place) -> Result<Output, OutputError> {
    let file: File = serde_json::from_slice(bytes)?;
    let findings = place.findings(&file);
    Ok(Output {
        language: file.language_code,
        lines: file
            .transcript
            .iter()
            .map(|turn| place.line(turn))
            .collect(),
        findings,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    language_code: Option<String>,
    transcript: Vec<Turn>,
    #[serde(default)]
    conversation_characteristics: Characteristics,
    #[serde(default)]
    categories: Categories,
    #[serde(default)]
    content_metadata: ContentMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Turn {
    participant_role: String,
    content: String,
    #[serde(flatten)]
    time: Time,
    #[serde(default)]
    items: Vec<Item>,
    sentiment: Option<String>,
    #[serde(default)]
    loudness_scores: Vec<Option<f64>>,
    #[serde(default)]
    issues_detected: Vec<Detected>,
    #[serde(default)]
    outcomes_detected: Vec<Detected>,
    #[serde(default)]
    action_items_detected: Vec<Detected>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Time {
    begin_offset_millis: i64,
    end_offset_millis: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    content: String,
    begin_offset_millis: Option<i64>,
    end_offset_millis: Option<i64>,
    confidence: Option<f64>,
    #[serde(default)]
    redaction: Vec<Redaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Redaction {
    confidence: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detected {
    character_offsets: Characters,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Characters {
    begin: u32,
    end: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Characteristics {
    total_conversation_duration_millis: i64,
    non_talk_time: NonTalkTime,
    interruptions: Interruptions,
    sentiment: Sentiment,
    talk_speed: TalkSpeed,
    talk_time: TalkTime,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NonTalkTime {
    instances: Vec<Time>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Interruptions {
    interruptions_by_interrupter: BTreeMap<String, Vec<Time>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Sentiment {
    overall_sentiment: BTreeMap<String, f64>,
    sentiment_by_period: BTreeMap<String, BTreeMap<String, Vec<Period>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    score: f64,
    #[serde(flatten)]
    time: Time,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TalkSpeed {
    details_by_participant: BTreeMap<String, Speed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Speed {
    average_words_per_minute: f64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TalkTime {
    details_by_participant: BTreeMap<String, TotalTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TotalTime {
    total_time_millis: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Categories {
    matched_categories: Vec<String>,
    matched_details: BTreeMap<String, Matched>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Matched {
    points_of_interest: Vec<Time>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ContentMetadata {
    redaction_types: Vec<String>,
}

impl Place {
    fn channel(self, role: &str) -> u16 {
        if role == AGENT {
            self.agent_channel
        } else {
            1 - self.agent_channel.min(1)
        }
    }

    fn speaker(self, role: &str) -> String {
        speaker_of_channel(self.channel(role), CHANNELS)
    }

    /// Stays in the time of the job's audio, as all lines do.
    fn line(self, turn: &Turn) -> Line {
        let words = turn.items.iter().filter_map(|item| {
            // Punctuation has no time.
            let (start_ms, end_ms) = item.begin_offset_millis.zip(item.end_offset_millis)?;
            let redacted = item.redaction.first().and_then(|it| it.confidence);
            Some(Word {
                text: item.content.clone(),
                start_ms,
                end_ms,
                confidence: item.confidence.or(redacted),
            })
        });
        Line {
            channel: self.channel(&turn.participant_role),
            voice: Voice::OfChannel { channels: CHANNELS },
            start_ms: turn.time.begin_offset_millis,
            end_ms: turn.time.end_offset_millis,
            text: turn.content.clone(),
            words: words.collect(),
        }
    }

    fn findings(self, file: &File) -> CallFindings {
        let call = &file.conversation_characteristics;
        let quarters = call.sentiment.sentiment_by_period.get("QUARTER");
        let roles = file.transcript.iter().map(|turn| &turn.participant_role);
        CallFindings {
            service: engine(JobKind::CallAnalytics).to_owned(),
            start_ms: self.start_ms,
            end_ms: self.start_ms + call.total_conversation_duration_millis,
            roles: roles
                .map(|role| (self.speaker(role), role.to_ascii_lowercase()))
                .collect(),
            redacted: !file.content_metadata.redaction_types.is_empty(),
            turns: file.transcript.iter().map(|turn| self.turn(turn)).collect(),
            sentiment: self.by_speaker(&call.sentiment.overall_sentiment, |score| *score),
            sentiment_by_quarter: quarters
                .map(|quarters| self.by_speaker(quarters, |periods| self.periods(periods)))
                .unwrap_or_default(),
            issues: self.spans(file, |turn| &turn.issues_detected),
            outcomes: self.spans(file, |turn| &turn.outcomes_detected),
            action_items: self.spans(file, |turn| &turn.action_items_detected),
            categories: self.categories(&file.categories),
            interruptions: self
                .by_speaker(&call.interruptions.interruptions_by_interrupter, |times| {
                    self.times(times)
                }),
            non_talk: self.times(&call.non_talk_time.instances),
            talk_time_ms: self.by_speaker(&call.talk_time.details_by_participant, |total| {
                total.total_time_millis
            }),
            words_per_minute: self.by_speaker(&call.talk_speed.details_by_participant, |speed| {
                speed.average_words_per_minute
            }),
        }
    }

    fn turn(self, turn: &Turn) -> TurnFindings {
        let time = self.time(turn.time);
        TurnFindings {
            speaker: self.speaker(&turn.participant_role),
            start_ms: time.start_ms,
            end_ms: time.end_ms,
            sentiment: turn.sentiment.as_deref().map(str::to_ascii_lowercase),
            loudness: turn.loudness_scores.clone(),
        }
    }

    fn spans(self, file: &File, of: impl Fn(&Turn) -> &Vec<Detected>) -> Vec<TextSpan> {
        let spans = file.transcript.iter().flat_map(|turn| {
            of(turn).iter().map(move |detected| TextSpan {
                speaker: self.speaker(&turn.participant_role),
                turn_start_ms: self.time(turn.time).start_ms,
                start_char: detected.character_offsets.begin,
                end_char: detected.character_offsets.end,
            })
        });
        spans.collect()
    }

    fn categories(self, categories: &Categories) -> Vec<Category> {
        let named = categories.matched_categories.iter();
        named
            .map(|name| Category {
                name: name.clone(),
                places: categories
                    .matched_details
                    .get(name)
                    .map(|matched| self.times(&matched.points_of_interest))
                    .unwrap_or_default(),
            })
            .collect()
    }

    fn periods(self, periods: &[Period]) -> Vec<PeriodSentiment> {
        let told = periods.iter().map(|period| {
            let time = self.time(period.time);
            PeriodSentiment {
                start_ms: time.start_ms,
                end_ms: time.end_ms,
                score: period.score,
            }
        });
        told.collect()
    }

    fn times(self, times: &[Time]) -> Vec<TimeSpan> {
        times.iter().map(|time| self.time(*time)).collect()
    }

    fn time(self, time: Time) -> TimeSpan {
        TimeSpan {
            start_ms: self.start_ms + time.begin_offset_millis,
            end_ms: self.start_ms + time.end_offset_millis,
        }
    }

    fn by_speaker<T, U>(
        self,
        by_role: &BTreeMap<String, T>,
        of: impl Fn(&T) -> U,
    ) -> BTreeMap<String, U> {
        by_role
            .iter()
            .map(|(role, value)| (self.speaker(role), of(value)))
            .collect()
    }
}

#[cfg(test)]
#[path = "call_analytics_tests.rs"]
mod tests;
