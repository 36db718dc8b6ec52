//! The transcript of a session or of one recording.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::correction::Correction;
use crate::ids::{RecordingId, SessionId};

/// Why a transcript has no turns: no channel of any recording held speech.
pub const NO_SPEECH: &str = "no_speech";

/// Why there are no findings beside the words: a call is analysed on two channels, and this has not two.
pub const NOT_TWO_CHANNELS: &str = "not_two_channels";

/// What was said in a session, turn by turn.
///
/// A session with several recordings shows them in the order of upload; the times of a turn count
/// from the start of its own recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Transcript {
    pub session_id: SessionId,
    /// Counts from 1; a newer run is a new generation, older ones stay readable.
    pub generation: i32,
    /// BCP 47 language tag, where the engine or a setting gave one.
    pub language: Option<String>,
    /// What made it, for example `openai/whisper-1`; of a correction, what made the first.
    pub engine: String,
    /// Length of all recordings together, in milliseconds.
    pub duration_ms: i64,
    /// `no_speech` when there are no turns because nobody spoke; `not_two_channels` when the speech
    /// service was to analyse a call and could only transcribe a recording.
    pub note: Option<String>,
    pub turns: Vec<Turn>,
    pub created_at: Timestamp,
    /// Where a person wrote it: of which generation, and what they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
}

/// One stretch of speech of one speaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Turn {
    /// Position in the transcript, from 0.
    pub index: u32,
    /// `speaker_0`, `speaker_1` for the channels of a two-channel recording, or for the voices that the
    /// engine told apart on one channel; `unknown` where one channel carries everybody; in text that
    /// came with a call, whoever its agent says; the name that somebody gave them in a correction.
    pub speaker: String,
    /// Channel of the recording, from 0.
    pub channel: u16,
    /// Start in milliseconds from the start of the recording.
    pub start_ms: i64,
    /// End in milliseconds from the start of the recording.
    pub end_ms: i64,
    pub text: String,
    /// From 0 to 1, as the engine gave it: exp(mean log-probability), or the mean of its words; null
    /// where it gave none.
    pub confidence: Option<f64>,
    /// Words with times, where the engine gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
    /// Of text that came with a call: the call's recording, whether or not it was fetched.
    pub recording_id: RecordingId,
}

/// A word with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Word {
    pub text: String,
    /// Milliseconds from the start of the recording.
    pub start_ms: i64,
    /// Milliseconds from the start of the recording.
    pub end_ms: i64,
    pub confidence: Option<f64>,
}

/// The speaker of a channel that carries everybody.
pub const UNKNOWN_SPEAKER: &str = "unknown";

/// Names that say what somebody is, not who.
const ROLES: [&str; 16] = [
    "agent",
    "ai",
    "assistant",
    "bot",
    "caller",
    "client",
    "clinician",
    "counselor",
    "customer",
    "doctor",
    "interviewer",
    "operator",
    "patient",
    "receptionist",
    UNKNOWN_SPEAKER,
    "user",
];

/// Whether a speaker's name tells nobody who that is: a number such as `speaker_0`, or a role.
pub fn is_anonymous(speaker: &str) -> bool {
    let name = speaker.to_lowercase();
    let is_numbered = name
        .strip_prefix("speaker_")
        .is_some_and(|number| number.len() <= 3 && number.bytes().all(|b| b.is_ascii_digit()));
    is_numbered || ROLES.contains(&name.as_str())
}

/// The speaker of one channel of a recording with `channels` channels.
pub fn speaker_of_channel(channel: u16, channels: u16) -> String {
    if channels < 2 {
        UNKNOWN_SPEAKER.to_owned()
    } else {
        format!("speaker_{channel}")
    }
}
