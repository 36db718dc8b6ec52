//! What the person in a session agreed to: how it is given, and what follows when it changes.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::audit::{self, Object};
use super::caller::Caller;
use super::problem::{ApiError, FieldError};
use super::retry;
use crate::db::timeline::LockedSession;
use crate::db::{Tx, policies};
use crate::events::Fact;
use crate::policy::Consent;

/// What the person in a session agrees to. Who noted it, and when, is added here.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentGiven {
    /// To being recorded. What is left out stays as it was; both are needed the first time.
    pub recording: Option<bool>,
    /// To automatic transcription and analysis.
    pub ai: Option<bool>,
}

impl ConsentGiven {
    /// The whole of it, with what stays from before.
    fn after(self, before: Option<Consent>, caller: &Caller) -> Result<Consent, ApiError> {
        let recording = self.recording.or(before.map(|it| it.recording));
        let ai = self.ai.or(before.map(|it| it.ai));
        if let (Some(recording), Some(ai)) = (recording, ai) {
            let (at, by) = (Timestamp::now(), caller.user_id);
            return Ok(Consent {
                recording,
                ai,
                at,
                by,
            });
        }
        let asked = [("consent.recording", recording), ("consent.ai", ai)];
        let missing = asked.into_iter().filter(|(_, given)| given.is_none());
        let errors = missing.map(|(field, _)| FieldError::of(field, "is missing"));
        Err(ApiError::Invalid(errors.collect()))
    }
}

/// Notes consent in a locked session; answers the facts that follow.
///
/// What is taken back erases what was made with it, and what is given lets skipped stages begin their
/// next run, all in this transaction. Repeats change nothing.
pub async fn change(
    tx: &mut Tx,
    session: &LockedSession,
    given: Option<ConsentGiven>,
    caller: &Caller,
) -> Result<Vec<Fact>, ApiError> {
    let id = session.session_id;
    let rules = policies::rules(tx, id).await?;
    let rules = rules.ok_or(ApiError::SESSION_NOT_FOUND)?;
    let before = rules.consent;
    let after = given.map(|given| given.after(before, caller)).transpose()?;
    let said = |consent: Option<Consent>| consent.map(|it| (it.recording, it.ai));
    if said(before) == said(after) {
        return Ok(Vec::new());
    }
    policies::set_consent(tx, id, after).await?;
    let object = Object {
        account_id: session.account_id,
        kind: "session",
        id: id.0,
    };
    let details = json!({
        "recording": after.map(|it| it.recording),
        "ai": after.map(|it| it.ai),
    });
    audit::note(tx, caller, "consent.changed", object, details).await?;
    let agreed = after.is_some_and(|it| it.recording && it.ai);
    if agreed {
        return retry::retry_skipped(tx, session).await;
    }
    Ok(Vec::new())
}
