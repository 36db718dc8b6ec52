//! `PATCH /sessions/{id}/transcript`: a person corrects what was heard.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::caller::Caller;
use super::commit::{commit, stage};
use super::extract::{Body, Id, IdempotencyKey, Trace};
use super::fields::Checks;
use super::idempotent::{self, Begun};
use super::problem::{ApiError, Problem};
use super::redacted::View;
use super::sessions;
use crate::db::timeline::LockedSession;
use crate::db::{Tx, transcriptions, transcripts};
use crate::documents::correction::{Changes, EditError, Edits};
use crate::documents::transcript::Transcript;
use crate::events::TranscriptCompleted;
use crate::ids::SessionId;

const MAX_TURN_CHARS: usize = 20_000;
const MAX_SPEAKER_CHARS: usize = 100;

/// What is to be changed; what is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TranscriptChange {
    /// The generation that was read. Where another is the newest by now, nothing is changed. Needed with
    /// `turns`, whose places it gives: those of another generation are other turns.
    pub generation: Option<i32>,
    #[serde(default)]
    pub turns: Vec<TurnChange>,
    /// Names by name of the speaker until now: `{"speaker_0": "Dr Jones"}`.
    #[serde(default)]
    pub speakers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TurnChange {
    pub index: u32,
    /// What was said. The turn loses its `words` and its `confidence`, which are of what was heard.
    pub text: String,
}

/// What became of a correction. It holds no text: the transcript does.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Corrected {
    pub session_id: SessionId,
    /// The newest generation.
    pub generation: i32,
    /// The generation that it corrects; null where nothing was to be changed.
    pub corrects: Option<i32>,
    pub changed_turns: usize,
    pub renamed_speakers: usize,
}

/// Correct the newest transcript of a session.
///
/// Makes a new generation that says who changed what; the one before stays readable. Values that are
/// there already make none. Nothing is analysed by itself: `POST /analysis/{session_id}/analyze` reads
/// the corrected transcript.
#[utoipa::path(patch, path = "/sessions/{id}/transcript", tag = "sessions",
    security(("bearer" = [])),
    params(("id" = SessionId, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body = TranscriptChange,
    responses(
        (status = 200, body = Corrected),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn correct(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    key: IdempotencyKey,
    Id(id): Id<SessionId>,
    Body { value, bytes }: Body<TranscriptChange>,
) -> Result<Response, ApiError> {
    let (read, edits) = value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let locked = sessions::lock(&mut tx, id).await?;
    let path = format!("/sessions/{id}/transcript");
    let claim = match idempotent::begin(&mut tx, &path, key, &bytes).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    if View::of(&state, &mut tx, id).await?.is_redacted() {
        return Err(ApiError::Forbidden {
            code: "original_only",
            detail: "personal data is redacted for you, and what was said cannot be corrected without it"
                .to_owned(),
        });
    }
    let base = newest(&mut tx, id, read).await?;
    let corrected = write(&mut tx, &caller, &locked, base, &edits).await?;
    let mut facts = Vec::new();
    if corrected.corrects.is_some() {
        let completed = TranscriptCompleted {
            session_id: id,
            generation: corrected.generation,
            given: false,
        };
        facts.push(completed.into());
    }
    let messages = stage(&mut tx, &locked, trace, &facts).await?;
    let answer = claim.answer(&mut tx, StatusCode::OK, &corrected).await?;
    commit(&state, tx, &locked, caller, messages).await?;
    Ok(answer)
}

/// The newest transcript of a locked session, if it is the one that was read and will stay the newest.
async fn newest(tx: &mut Tx, id: SessionId, read: Option<i32>) -> Result<Transcript, ApiError> {
    let newest = transcripts::get(tx, id, None).await?;
    let newest = newest.ok_or(ApiError::NotFound {
        code: "no_transcript",
        what: "a transcript of this session",
    })?;
    if read.is_some_and(|read| read != newest.generation) {
        return Err(ApiError::conflict(
            "transcript_changed",
            format!("the newest transcript is generation {}", newest.generation),
        ));
    }
    if transcriptions::is_running(tx, id).await? {
        return Err(ApiError::conflict(
            "transcription_running",
            "this session is being transcribed; correct what comes of it",
        ));
    }
    Ok(newest)
}

async fn write(
    tx: &mut Tx,
    caller: &Caller,
    session: &LockedSession,
    base: Transcript,
    edits: &Edits,
) -> Result<Corrected, ApiError> {
    let mut turns = base.turns.clone();
    let changes = edits.apply(&mut turns).map_err(|error| refused(&error))?;
    let mut corrected = Corrected::of(session.session_id, base.generation, &changes);
    if changes.is_empty() {
        return Ok(corrected);
    }
    let by = caller.user_id;
    corrected.generation = transcripts::correct(tx, session, &base, &turns, by, &changes).await?;
    corrected.corrects = Some(base.generation);
    let details = json!({
        "generation": corrected.generation,
        "turns": corrected.changed_turns,
        "speakers": corrected.renamed_speakers,
    });
    sessions::note_change(tx, caller, session, "transcript.corrected", details).await?;
    Ok(corrected)
}

impl TranscriptChange {
    /// The generation that was read and the edits, or every field that is wrong.
    fn checked(self) -> Result<(Option<i32>, Edits), ApiError> {
        let mut checks = Checks::default();
        if self.turns.is_empty() && self.speakers.is_empty() {
            checks.refuse("turns", "must name a turn, or speakers a speaker");
        }
        if !self.turns.is_empty() && self.generation.is_none() {
            checks.refuse("generation", "must be the transcript that the turns are of");
        }
        let mut edits = Edits::default();
        let mut seen = BTreeSet::new();
        for (place, turn) in self.turns.into_iter().enumerate() {
            let text = turn.text.trim();
            if text.is_empty() || text.chars().count() > MAX_TURN_CHARS {
                let message = format!("must have 1 to {MAX_TURN_CHARS} characters");
                checks.refuse(&format!("turns.{place}.text"), message);
            }
            if !seen.insert(turn.index) {
                checks.refuse(&format!("turns.{place}.index"), "is named twice");
            }
            edits.texts.insert(turn.index, text.to_owned());
        }
        for (from, to) in self.speakers {
            let to = to.trim();
            // Some characters show nothing, and are neither white space nor control characters.
            if !to.chars().any(char::is_alphanumeric)
                || to.chars().count() > MAX_SPEAKER_CHARS
                || to.chars().any(char::is_control)
            {
                let message = format!(
                    "a name must have 1 to {MAX_SPEAKER_CHARS} printable characters, one of them a \
                    letter or a digit"
                );
                checks.refuse("speakers", message);
            }
            edits.speakers.insert(from, to.to_owned());
        }
        checks.finish()?;
        Ok((self.generation, edits))
    }
}

impl Corrected {
    fn of(session_id: SessionId, generation: i32, changes: &Changes) -> Self {
        Self {
            session_id,
            generation,
            corrects: None,
            changed_turns: changes.turns.len(),
            renamed_speakers: changes.speakers.len(),
        }
    }
}

fn refused(error: &EditError) -> ApiError {
    let field = match error {
        EditError::NoTurn(_) => "turns",
        EditError::NoSpeaker(_) | EditError::SameName(_) | EditError::Everybody(_) => "speakers",
    };
    ApiError::invalid(field, error.to_string())
}
