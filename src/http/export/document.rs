//! What an export holds.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::shapes::SessionDetail;
use crate::db::analyses::Generation;
use crate::db::model_requests;
use crate::db::recordings::Recording;
use crate::documents::analysis::{Analysis, Cost, SentimentScore, Talk};
use crate::documents::correction::Correction;
use crate::documents::transcript::{Transcript, Turn};
use crate::ids::{RecordingId, SessionId};

/// Version of the document that this code writes.
const VERSION: u32 = 1;

/// Everything of a session in one document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Export {
    /// Version of this document's shape: 1. Later fields do not change it.
    pub version: u32,
    pub exported_at: Timestamp,
    pub session: SessionDetail,
    pub lineage: Lineage,
    pub metrics: Metrics,
    /// What the analysis cost, failed attempts included; null without one, or where nothing is billed.
    #[schema(value_type = Option<Cost>)]
    pub cost: Option<Value>,
    /// What all analyses of the session have cost, failed and earlier ones too: an entry a currency, and
    /// one for requests whose cost nobody told. Empty where no model was asked.
    pub spending: Vec<Spending>,
    /// The newest finished analysis; null before there is one.
    #[schema(value_type = Option<Analysis>)]
    pub analysis: Option<Value>,
    /// The newest transcript; null before there is one. It comes last.
    pub transcript: Option<ExportedTranscript>,
}

/// What requests to language models have cost together.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Spending {
    /// Null where nobody told what they cost.
    pub currency: Option<String>,
    /// Millionths of the currency's unit; null, as tokens are, where no integer holds the sum.
    pub amount_micros: Option<i64>,
    pub requests: i64,
    /// Of the requests that told.
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
}

/// What was made of what.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Lineage {
    /// The recordings in the order of upload.
    pub recordings: Vec<RecordingLineage>,
    pub transcript: Option<TranscriptLineage>,
    pub analysis: Option<AnalysisLineage>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingLineage {
    pub recording_id: RecordingId,
    /// Of the audio as it was uploaded, in hexadecimal.
    pub sha256: String,
    pub size_bytes: i64,
    pub content_type: String,
    pub duration_ms: Option<i64>,
    /// `uploaded`, `stored`, `failed` or `erased`.
    pub state: String,
    pub uploaded_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TranscriptLineage {
    pub generation: i32,
    /// What made it, for example `openai/whisper-1`.
    pub engine: String,
    pub language: Option<String>,
    pub created_at: Timestamp,
    /// Where a person corrected an earlier generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correction: Option<Correction>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AnalysisLineage {
    pub generation: i32,
    /// The generation of the transcript that it read.
    pub transcript_generation: i32,
    /// Whether that is the transcript of this export.
    pub is_of_this_transcript: bool,
    pub engine: Option<String>,
    pub engine_version: Option<String>,
    /// Null where no model was used.
    pub model: Option<String>,
    /// Hash of the prompts; null where there are none.
    pub prompt_version: Option<String>,
    pub created_at: Timestamp,
}

/// Figures of the session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Metrics {
    /// Length of all recordings of the transcript together; null without one.
    pub duration_ms: Option<i64>,
    pub turns: Option<usize>,
    /// As the analysis has it (docs/metrics.md); null without one.
    #[schema(value_type = Option<Talk>)]
    pub talk: Option<Value>,
    /// Of the whole conversation, as the analysis has it.
    #[schema(value_type = Option<SentimentScore>)]
    pub sentiment: Option<Value>,
}

/// A transcript whose turns come last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExportedTranscript {
    pub session_id: SessionId,
    pub generation: i32,
    pub language: Option<String>,
    pub engine: String,
    pub duration_ms: i64,
    pub note: Option<String>,
    pub created_at: Timestamp,
    pub turns: Vec<Turn>,
}

/// What an export is made of.
pub struct Parts {
    pub session: SessionDetail,
    pub recordings: Vec<Recording>,
    pub transcript: Option<Transcript>,
    pub analysis: Option<(Generation, Value)>,
    pub spending: Vec<model_requests::Spending>,
}

impl Export {
    pub fn of(parts: Parts, exported_at: Timestamp) -> Self {
        let Parts {
            session,
            recordings,
            transcript,
            analysis,
            spending,
        } = parts;
        let of_this = transcript.as_ref().map(|transcript| transcript.generation);
        let lineage = Lineage {
            recordings: recordings.into_iter().map(Into::into).collect(),
            transcript: transcript.as_ref().map(Into::into),
            analysis: analysis
                .as_ref()
                .map(|(generation, document)| AnalysisLineage::of(generation, document, of_this)),
        };
        let analysis = analysis.map(|(_, document)| document);
        let field = |path| present(analysis.as_ref()?.pointer(path));
        Self {
            version: VERSION,
            exported_at,
            session,
            lineage,
            metrics: Metrics {
                duration_ms: transcript.as_ref().map(|transcript| transcript.duration_ms),
                turns: transcript.as_ref().map(|transcript| transcript.turns.len()),
                talk: field("/talk"),
                sentiment: field("/sentiment/overall"),
            },
            cost: field("/cost"),
            spending: spending.into_iter().map(Into::into).collect(),
            analysis,
            transcript: transcript.map(Into::into),
        }
    }
}

impl AnalysisLineage {
    fn of(generation: &Generation, document: &Value, newest: Option<i32>) -> Self {
        let word = |path| {
            let value = document.pointer(path).and_then(Value::as_str);
            value.map(str::to_owned)
        };
        Self {
            generation: generation.generation,
            transcript_generation: generation.transcript_generation,
            is_of_this_transcript: newest == Some(generation.transcript_generation),
            engine: generation.engine.clone(),
            engine_version: word("/engine/version"),
            model: word("/engine/model"),
            prompt_version: word("/engine/prompt_version"),
            created_at: generation.created_at,
        }
    }
}

impl From<model_requests::Spending> for Spending {
    fn from(spending: model_requests::Spending) -> Self {
        Self {
            currency: spending.currency,
            amount_micros: spending.amount_micros,
            requests: spending.requests,
            input_tokens: spending.input_tokens,
            output_tokens: spending.output_tokens,
        }
    }
}

impl From<Recording> for RecordingLineage {
    fn from(recording: Recording) -> Self {
        Self {
            recording_id: recording.id,
            sha256: super::super::recordings::hex(&recording.sha256),
            size_bytes: recording.size_bytes,
            content_type: recording.content_type,
            duration_ms: recording.duration_ms,
            state: recording.state,
            uploaded_at: recording.created_at,
        }
    }
}

impl From<&Transcript> for TranscriptLineage {
    fn from(transcript: &Transcript) -> Self {
        Self {
            generation: transcript.generation,
            engine: transcript.engine.clone(),
            language: transcript.language.clone(),
            created_at: transcript.created_at,
            correction: transcript.correction.clone(),
        }
    }
}

impl From<Transcript> for ExportedTranscript {
    fn from(transcript: Transcript) -> Self {
        Self {
            session_id: transcript.session_id,
            generation: transcript.generation,
            language: transcript.language,
            engine: transcript.engine,
            duration_ms: transcript.duration_ms,
            note: transcript.note,
            created_at: transcript.created_at,
            turns: transcript.turns,
        }
    }
}

fn present(value: Option<&Value>) -> Option<Value> {
    value.filter(|value| !value.is_null()).cloned()
}
