//! What the person in a session agreed to: how it is given, and what follows when it changes.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::audit::{self, Object};
use super::caller::Caller;
use super::problem::{ApiError, FieldError};
use super::{analysis, retry};
use crate::db::erasures::{self, Reason, Subject};
use crate::db::timeline::LockedSession;
use crate::db::{Tx, policies};
use crate::events::{ErasedPart, ErasureRequested, Fact};
use crate::policy::{Consent, Part};

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
/// What is taken back erases what was made with it, except what the policy keeps. What is given lets
/// skipped stages begin their next run, and asks anew for what was erased. Repeats change nothing.
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
    let erasure = erase(tx, session, &rules.erased_by(after)).await?;
    let object = Object {
        account_id: session.account_id,
        kind: "session",
        id: id.0,
    };
    let details = json!({
        "recording": after.map(|it| it.recording),
        "ai": after.map(|it| it.ai),
        "erasure_id": erasure.as_ref().map(|it| it.erasure_id),
    });
    audit::note(tx, caller, "consent.changed", object, details).await?;
    let mut facts: Vec<Fact> = erasure.into_iter().map(Fact::from).collect();
    if after.is_some_and(|it| it.recording && it.ai) {
        facts.extend(retry::retry_skipped(tx, session).await?);
        facts.extend(analysis::request_missing(tx, session).await?);
    }
    Ok(facts)
}

async fn erase(
    tx: &mut Tx,
    session: &LockedSession,
    parts: &BTreeSet<Part>,
) -> Result<Option<ErasureRequested>, ApiError> {
    if parts.is_empty() {
        return Ok(None);
    }
    let parts: Vec<ErasedPart> = parts.iter().copied().map(Into::into).collect();
    let (account, subject) = (session.account_id, Subject::Session(session.session_id));
    let erasure = erasures::open(tx, account, subject, &parts, Reason::Consent).await?;
    Ok(Some(
        erasures::request(tx, session, erasure, &parts, None).await?,
    ))
}
