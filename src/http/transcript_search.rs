//! `GET /transcripts/search`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::extract::{Answer, Params};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use crate::config::RedactPii;
use crate::db::Tx;
use crate::db::transcript_search::{self, Found, MARKS};
use crate::ids::{RecordingId, SessionId};

const MAX_QUERY_CHARS: usize = 200;
/// Of what stands before the first word that was found.
const LEAD_CHARS: usize = 120;
const EXCERPT_CHARS: usize = 400;

/// What to look for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchParams {
    /// Words, in any form of them; `"a phrase"`, `or`, and `-word` for what must not be there. At most
    /// 200 characters.
    #[serde(default)]
    pub q: String,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A turn that was found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Hit {
    pub session_id: SessionId,
    /// The generation of the transcript, which is the newest.
    pub generation: i32,
    pub recording_id: RecordingId,
    /// `index` of the turn in the transcript.
    pub turn_index: u32,
    pub speaker: String,
    /// Start of the turn in milliseconds from the start of the recording.
    pub start_ms: i64,
    /// End of the turn in milliseconds from the start of the recording.
    pub end_ms: i64,
    /// Language of the transcript, where it is known.
    pub language: Option<String>,
    /// How well it fits; only to be compared with others of the same search.
    pub rank: f32,
    /// What was said around the first word that was found, piece by piece. Together the pieces are the
    /// excerpt; they are plain text without markup.
    pub excerpt: Vec<Piece>,
}

/// A piece of what was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Piece {
    pub text: String,
    /// Whether it is a word that was looked for.
    pub highlighted: bool,
}

/// Search what was said.
///
/// Looks into the newest transcript of every session that the caller sees, turn by turn, in the
/// language of each transcript; the best come first. Each session that is shown stands in the audit log.
/// What the caller reads only redacted (`REDACT_PII=always`) is not found.
#[utoipa::path(get, path = "/transcripts/search", tag = "sessions", security(("bearer" = [])),
    params(SearchParams),
    responses(
        (status = 200, body = Page<Hit>),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn search(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<SearchParams>,
) -> Answer<Page<Hit>> {
    let query = checked(&params.q)?;
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let (limit, after) = (page.limit()?, page.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    if !transcript_search::has_words(&mut tx, query).await? {
        return Err(ApiError::invalid("q", "must have a word to look for"));
    }
    let originals = state.config.redaction.redact_pii == RedactPii::Always;
    let mut found = transcript_search::find(&mut tx, query, originals, after, limit + 1).await?;
    let wanted = usize::try_from(limit).unwrap_or_default();
    let more = found.len() > wanted;
    found.truncate(wanted);
    let until = found.last().filter(|_| more).map(|last| last.position);
    let marked = transcript_search::mark(&mut tx, query, &found).await?;
    let marked = found.into_iter().zip(marked);
    let shown: Vec<_> = marked
        .filter_map(|(found, marked)| Some((found, marked?)))
        .collect();
    note_read(&mut tx, &caller, &shown).await?;
    tx.commit().await?;
    let hits = shown
        .into_iter()
        .map(|(found, marked)| Hit::of(found, &marked));
    Ok(Json(Page::ending_at(hits.collect(), until)))
}

/// The text to look for.
fn checked(query: &str) -> Result<&str, ApiError> {
    let query = query.trim();
    if query.is_empty() || query.chars().count() > MAX_QUERY_CHARS {
        let message = format!("must have 1 to {MAX_QUERY_CHARS} characters");
        return Err(ApiError::invalid("q", message));
    }
    if query.contains('\0') {
        return Err(ApiError::invalid("q", "must not contain U+0000"));
    }
    Ok(query)
}

/// Notes each session of which something is shown.
async fn note_read(
    tx: &mut Tx,
    caller: &Caller,
    shown: &[(Found, String)],
) -> Result<(), ApiError> {
    let mut sessions: BTreeMap<_, u32> = BTreeMap::new();
    for (found, _) in shown {
        let session = (found.position.session_id, found.account_id);
        *sessions.entry(session).or_default() += 1;
    }
    for ((session_id, account_id), turns) in sessions {
        let object = Object::session(account_id, session_id);
        let details = json!({ "turns": turns });
        note(tx, caller, "transcript.searched", object, details).await?;
    }
    Ok(())
}

impl Hit {
    fn of(found: Found, marked: &str) -> Self {
        let Found { position, turn, .. } = found;
        Self {
            session_id: position.session_id,
            generation: found.generation,
            recording_id: turn.recording_id,
            turn_index: turn.index,
            speaker: turn.speaker,
            start_ms: turn.start_ms,
            end_ms: turn.end_ms,
            language: found.language,
            rank: position.rank,
            excerpt: excerpt(marked),
        }
    }
}

/// The pieces between marks, from a little before the first highlighted one on.
fn excerpt(marked: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut left = EXCERPT_CHARS;
    // Marks come in pairs: every second piece stands between two.
    for (place, text) in marked.split(MARKS).enumerate() {
        let length = text.chars().count();
        let text = if place == 0 && length > LEAD_CHARS {
            let lead = text.chars().skip(length - LEAD_CHARS);
            std::iter::once('…').chain(lead).collect()
        } else {
            text.to_owned()
        };
        let length = text.chars().count();
        let text = if length > left {
            text.chars().take(left).chain(['…']).collect()
        } else {
            text
        };
        if !text.is_empty() {
            let highlighted = place % 2 == 1;
            pieces.push(Piece { text, highlighted });
        }
        left = left.saturating_sub(length);
        if left == 0 {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(marked: &str) -> Vec<(String, bool)> {
        let pieces = excerpt(marked).into_iter();
        pieces
            .map(|piece| (piece.text, piece.highlighted))
            .collect()
    }

    #[test]
    fn pieces_are_the_text() {
        let marked = "I want \u{2}money\u{3} <b>back</b>, \u{2}money\u{3}";
        let all = pieces(marked);
        assert_eq!(all.len(), 4);
        assert_eq!(all[1], ("money".to_owned(), true));
        let together: String = all.into_iter().map(|piece| piece.0).collect();
        assert_eq!(together, "I want money <b>back</b>, money");
        assert_eq!(pieces("\u{2}money\u{3}"), [("money".to_owned(), true)]);
    }

    #[test]
    fn a_long_turn_is_shown_in_part() {
        let marked = format!("{}\u{2}ü\u{3}{}", "ä".repeat(1_000), "ö".repeat(1_000));
        let all = pieces(&marked);
        assert!(all[0].0.starts_with('…') && all[2].0.ends_with('…'));
        let chars: usize = all.iter().map(|piece| piece.0.chars().count()).sum();
        assert_eq!(chars, EXCERPT_CHARS + 1);
        assert_eq!(all[1], ("ü".to_owned(), true));
    }

    #[test]
    fn a_query_has_some_text_and_not_too_much() {
        assert_eq!(checked(" money ").expect("fine"), "money");
        for wrong in ["", "  ", "a\0b", &"x".repeat(201)] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
    }
}
