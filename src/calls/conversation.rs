//! What a call becomes beside a row: a session that is listened to, or read.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::record::{self, CallRecord};
use crate::documents::transcript::{Turn, UNKNOWN_SPEAKER};
use crate::events::{
    AnalysisRequested, Fact, RecordingRequested, SessionCreated, SessionEnded, TranscriptCompleted,
};
use crate::ids::{CallId, RecordingId, SessionId};

/// What made the first transcript of such a session: nobody heard a recording.
pub const GIVEN: &str = "agent-text";
/// Of a transcript that came with its call, and of its analysis.
const FIRST: i32 = 1;

/// The session that a call becomes, because the settings of its client ask for something that the call
/// has.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    pub session_id: SessionId,
    pub title: String,
    pub metadata: Value,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Where the recording is to be fetched.
    pub recording_url: Option<String>,
    /// What was said, as the agent tells it; generation 1 of the transcript.
    pub text: Option<GivenText>,
    /// Whether what is heard later is analysed by itself.
    pub auto_analyze: bool,
}

/// A transcript that came with its call.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenText {
    pub language: Option<String>,
    pub duration_ms: i64,
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// `None` where there is nothing to fetch and nothing to analyse.
    ///
    /// With both settings the agent's text is what is analysed; the recording is stored beside it, and
    /// transcribed only when somebody asks. A call without text has its recording transcribed.
    pub fn of(
        record: &CallRecord<'_>,
        id: CallId,
        fetch_recordings: bool,
        analyze_calls: bool,
    ) -> Option<Self> {
        let recording_url = record.recording_url.as_deref().filter(|_| fetch_recordings);
        let has_text = analyze_calls && said(record).next().is_some();
        if recording_url.is_none() && !has_text {
            return None;
        }
        let session_id = SessionId::of_call(record.client_id, id);
        let name = record.caller_name.as_deref().map(str::trim);
        let name = name.filter(|name| !name.is_empty());
        Some(Self {
            session_id,
            title: name.map_or_else(|| "Call".to_owned(), |name| format!("Call with {name}")),
            metadata: json!({ "call_id": id, "client_id": record.client_id }),
            started_at: record.started_at,
            ended_at: record.ended_at,
            recording_url: recording_url.map(str::to_owned),
            text: has_text.then(|| GivenText::of(record, session_id)),
            auto_analyze: analyze_calls,
        })
    }

    pub fn recording_id(&self) -> RecordingId {
        RecordingId::of_call(self.session_id)
    }

    /// Whether its recording is transcribed without being asked.
    pub fn auto_transcribe(&self) -> bool {
        self.text.is_none()
    }

    /// What its timeline begins with.
    pub fn facts(&self, auto_complete: bool) -> Vec<Fact> {
        let session_id = self.session_id;
        let created = SessionCreated {
            session_id,
            has_room: false,
            auto_transcribe: self.auto_transcribe(),
            auto_analyze: self.auto_analyze,
            auto_complete,
        };
        let mut facts = vec![created.into(), SessionEnded { session_id }.into()];
        if self.recording_url.is_some() {
            let requested = RecordingRequested {
                session_id,
                recording_id: self.recording_id(),
                run: 1,
            };
            facts.push(requested.into());
        }
        if self.text.is_some() {
            let completed = TranscriptCompleted {
                session_id,
                generation: FIRST,
                given: true,
            };
            let requested = AnalysisRequested {
                session_id,
                generation: FIRST,
                run: 1,
                transcript_generation: FIRST,
            };
            facts.extend([completed.into(), requested.into()]);
        }
        facts
    }
}

/// One stretch of what was said.
struct Said<'a> {
    speaker: &'a str,
    text: &'a str,
    start_ms: Option<f64>,
    end_ms: Option<f64>,
}

impl GivenText {
    /// Turns whose times are not told have none of their own: they begin and end where the turn before
    /// ended.
    fn of(record: &CallRecord<'_>, session: SessionId) -> Self {
        let recording_id = RecordingId::of_call(session);
        let mut turns: Vec<Turn> = Vec::new();
        for (index, said) in (0..).zip(said(record)) {
            let before = turns.last().map_or(0, |turn| turn.end_ms);
            let start_ms = said.start_ms.map_or(before, whole);
            turns.push(Turn {
                index,
                speaker: said.speaker.to_owned(),
                channel: 0,
                start_ms,
                end_ms: said.end_ms.map_or(start_ms, whole).max(start_ms),
                text: said.text.to_owned(),
                confidence: None,
                words: None,
                recording_id,
            });
        }
        let last_ms = turns.iter().map(|turn| turn.end_ms).max().unwrap_or(0);
        let language = record.language.as_deref().map(str::trim);
        Self {
            language: language.filter(|it| !it.is_empty()).map(str::to_owned),
            duration_ms: record.duration_ms().unwrap_or(0).max(last_ms),
            turns,
        }
    }
}

/// What was said, without what is blank. Plain text is one speaker, who is unknown.
fn said<'a>(record: &'a CallRecord<'_>) -> impl Iterator<Item = Said<'a>> {
    let (text, turns) = match &record.transcript {
        Some(record::Transcript::Text(text)) => (Some(text), &[][..]),
        Some(record::Transcript::Turns(turns)) => (None, turns.as_slice()),
        None => (None, &[][..]),
    };
    let alone = text.map(|text| Said {
        speaker: UNKNOWN_SPEAKER,
        text: text.trim(),
        start_ms: None,
        end_ms: None,
    });
    let turns = turns.iter().map(|turn| Said {
        speaker: Some(turn.speaker.trim())
            .filter(|speaker| !speaker.is_empty())
            .unwrap_or(UNKNOWN_SPEAKER),
        text: turn.text.trim(),
        start_ms: turn.start_ms,
        end_ms: turn.end_ms,
    });
    alone
        .into_iter()
        .chain(turns)
        .filter(|said| !said.text.is_empty())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be within a week"
)]
fn whole(ms: f64) -> i64 {
    ms.round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &Value, fetch: bool, analyze: bool) -> Option<Conversation> {
        let mut record = json!({ "client_id": "01980000-0000-7000-8000-000000000001" });
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        let record = record.to_string();
        let record: CallRecord = serde_json::from_str(&record).unwrap();
        Conversation::of(
            &record,
            CallId::from(uuid::Uuid::from_u128(7)),
            fetch,
            analyze,
        )
    }

    fn types(conversation: &Conversation) -> Vec<&'static str> {
        let facts = conversation.facts(true);
        facts.iter().skip(2).map(Fact::event_type).collect()
    }

    #[test]
    fn a_session_is_made_only_of_what_is_wanted_and_there() {
        let url = json!({ "recording_url": "https://example.org/a.wav" });
        let text = json!({ "transcript": "Hello.", "duration_seconds": 2 });
        let blank = json!({ "transcript": [{ "speaker": "a", "text": " \n" }] });
        let none: [(&Value, bool, bool); 6] = [
            (&url, false, true),
            (&url, false, false),
            (&text, true, false),
            (&blank, true, true),
            (&json!({}), true, true),
            (&json!({ "transcript": [] }), false, true),
        ];
        for (fields, fetch, analyze) in none {
            assert_eq!(
                of(fields, fetch, analyze),
                None,
                "{fields} {fetch} {analyze}"
            );
        }
        let fetched = of(&url, true, false).unwrap();
        assert_eq!(types(&fetched), ["recording.requested"]);
        assert!(fetched.auto_transcribe() && !fetched.auto_analyze);
        let read = of(&text, true, true).unwrap();
        assert_eq!(types(&read), ["transcript.completed", "analysis.requested"]);
        assert_eq!(read.recording_url, None);
        assert_eq!(read.title, "Call");
    }

    #[test]
    fn with_both_the_text_is_read_and_the_recording_kept() {
        let both = json!({ "recording_url": "https://example.org/a.wav", "transcript": "Hello.",
            "caller_name": " Ada " });
        let both = of(&both, true, true).unwrap();
        assert_eq!(
            types(&both),
            [
                "recording.requested",
                "transcript.completed",
                "analysis.requested"
            ]
        );
        assert!(!both.auto_transcribe());
        assert_eq!(both.title, "Call with Ada");
        assert_eq!(
            both,
            of(
                &json!({ "recording_url": "https://example.org/a.wav",
            "transcript": "Hello.", "caller_name": "Ada" }),
                true,
                true
            )
            .unwrap()
        );
    }

    #[test]
    fn turns_keep_their_order_and_times_never_run_backwards() {
        let turns = json!({ "language": "en-GB", "duration_seconds": 9.5, "transcript": [
            { "speaker": "agent", "text": " Hello. ", "start_ms": 100.4, "end_ms": 900.6 },
            { "speaker": "caller", "text": "" },
            { "speaker": " ", "text": "Hi." },
            { "speaker": "agent", "text": "Bye.", "start_ms": 5_000, "end_ms": 4_000 },
        ]});
        let text = of(&turns, false, true).unwrap().text.unwrap();
        let shown: Vec<_> = text
            .turns
            .iter()
            .map(|turn| {
                (
                    turn.index,
                    turn.speaker.as_str(),
                    turn.start_ms,
                    turn.end_ms,
                    turn.text.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (0, "agent", 100, 901, "Hello."),
                (1, "unknown", 901, 901, "Hi."),
                (2, "agent", 5_000, 5_000, "Bye."),
            ]
        );
        assert_eq!(
            (text.duration_ms, text.language.as_deref()),
            (9_500, Some("en-GB"))
        );
    }
}
