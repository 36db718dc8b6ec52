//! `/accounts/{id}/policy`

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::audit::{self, Object};
use super::caller::Caller;
use super::extract::{Answer, Body, Id};
use super::problem::{ApiError, FieldError, Problem};
use crate::db::{Tx, policies};
use crate::ids::AccountId;
use crate::policy::{Part, Policy};

/// Longest time to keep, in days: a century.
const MAX_DAYS: i64 = 36_500;
const MAX_ENGINES: usize = 50;
const MAX_ENGINE_CHARS: usize = 200;

/// The policy of an account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicyShape {
    pub account_id: AccountId,
    /// Days to keep recordings; null keeps them for ever.
    pub keep_audio_days: Option<i32>,
    pub keep_transcripts_days: Option<i32>,
    pub keep_analyses_days: Option<i32>,
    /// Whether recordings, transcripts and analyses need the consent of the person in the session.
    pub consent_required: bool,
    /// Engines that may have audio; null is any.
    pub audio_engines: Option<Vec<String>>,
    /// Engines that may have text; null is any.
    pub text_engines: Option<Vec<String>>,
    /// What withdrawn consent leaves.
    pub keep_after_withdrawal: BTreeSet<Part>,
    /// When it was last set; null where it never was.
    pub updated_at: Option<Timestamp>,
}

/// A policy as a whole: what is left out has its default.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyGiven {
    /// From 1 to 36,500; null keeps for ever.
    #[schema(minimum = 1, maximum = 36_500)]
    pub keep_audio_days: Option<i64>,
    #[schema(minimum = 1, maximum = 36_500)]
    pub keep_transcripts_days: Option<i64>,
    #[schema(minimum = 1, maximum = 36_500)]
    pub keep_analyses_days: Option<i64>,
    #[serde(default)]
    pub consent_required: bool,
    /// Names of engines, or what they begin with up to a `/` or `:`; null is any.
    pub audio_engines: Option<Vec<String>>,
    pub text_engines: Option<Vec<String>>,
    #[serde(default)]
    pub keep_after_withdrawal: BTreeSet<Part>,
}

impl PolicyGiven {
    /// The policy, or every field that is wrong.
    fn checked(self) -> Result<Policy, ApiError> {
        let mut errors = Vec::new();
        let policy = Policy {
            keep_audio_days: days("keep_audio_days", self.keep_audio_days, &mut errors),
            keep_transcripts_days: days(
                "keep_transcripts_days",
                self.keep_transcripts_days,
                &mut errors,
            ),
            keep_analyses_days: days("keep_analyses_days", self.keep_analyses_days, &mut errors),
            consent_required: self.consent_required,
            audio_engines: engines("audio_engines", self.audio_engines, &mut errors),
            text_engines: engines("text_engines", self.text_engines, &mut errors),
            keep_after_withdrawal: self.keep_after_withdrawal,
        };
        if errors.is_empty() {
            Ok(policy)
        } else {
            Err(ApiError::Invalid(errors))
        }
    }
}

/// Get the policy of an account; the defaults where it never set one.
#[utoipa::path(get, path = "/accounts/{id}/policy", tag = "people", security(("bearer" = [])),
    params(("id" = AccountId, Path)),
    responses(
        (status = 200, body = PolicyShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(account): Id<AccountId>,
) -> Answer<PolicyShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    sight(&mut tx, account).await?;
    let shape = shape(&mut tx, account).await?;
    tx.commit().await?;
    Ok(Json(shape))
}

/// Replace the policy of an account.
///
/// It holds for what begins from now on. Stages that were skipped stay so until they are asked for.
#[utoipa::path(put, path = "/accounts/{id}/policy", tag = "people", security(("bearer" = [])),
    params(("id" = AccountId, Path)), request_body = PolicyGiven,
    responses(
        (status = 200, body = PolicyShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Id(account): Id<AccountId>,
    body: Body<PolicyGiven>,
) -> Answer<PolicyShape> {
    let policy = body.value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    if !sight(&mut tx, account).await? {
        return Err(ApiError::Forbidden {
            code: "role_needed",
            detail: "this needs the role manager".to_owned(),
        });
    }
    let changed = changed_fields(&policies::get(&mut tx, account).await?, &policy);
    policies::put(&mut tx, account, &policy).await?;
    let object = Object {
        account_id: account,
        kind: "policy",
        id: account.0,
    };
    let details = json!({ "fields": changed });
    audit::note(&mut tx, &caller, "policy.changed", object, details).await?;
    let shape = shape(&mut tx, account).await?;
    tx.commit().await?;
    Ok(Json(shape))
}

/// Whether the caller may set the policy of an account that they see; 404 where they do not see it.
async fn sight(tx: &mut Tx, account: AccountId) -> Result<bool, ApiError> {
    if tx.acting().role.is_none() {
        return Err(ApiError::Forbidden {
            code: "people_only",
            detail: "this needs a person who is signed in".to_owned(),
        });
    }
    let may_set = policies::sight(tx, account).await?;
    may_set.ok_or(ApiError::ACCOUNT_NOT_FOUND)
}

async fn shape(tx: &mut Tx, account: AccountId) -> Result<PolicyShape, ApiError> {
    let policy = policies::get(tx, account).await?;
    Ok(PolicyShape {
        account_id: account,
        keep_audio_days: policy.keep_audio_days,
        keep_transcripts_days: policy.keep_transcripts_days,
        keep_analyses_days: policy.keep_analyses_days,
        consent_required: policy.consent_required,
        audio_engines: policy.audio_engines,
        text_engines: policy.text_engines,
        keep_after_withdrawal: policy.keep_after_withdrawal,
        updated_at: policies::updated_at(tx, account).await?,
    })
}

fn days(field: &str, given: Option<i64>, errors: &mut Vec<FieldError>) -> Option<i32> {
    let given = given?;
    let days = i32::try_from(given).ok();
    let days = days.filter(|_| (1..=MAX_DAYS).contains(&given));
    if days.is_none() {
        let message = format!("must be from 1 to {MAX_DAYS}, or null");
        errors.push(FieldError::of(field, message));
    }
    days
}

fn engines(
    field: &str,
    given: Option<Vec<String>>,
    errors: &mut Vec<FieldError>,
) -> Option<Vec<String>> {
    let given = given?;
    if given.len() > MAX_ENGINES {
        let message = format!("must name at most {MAX_ENGINES} engines");
        errors.push(FieldError::of(field, message));
    }
    for (index, name) in given.iter().enumerate() {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_name || name.len() > MAX_ENGINE_CHARS {
            let message = format!("must be 1 to {MAX_ENGINE_CHARS} printable ASCII characters");
            errors.push(FieldError::of(format!("{field}.{index}"), message));
        }
    }
    Some(given)
}

fn changed_fields(before: &Policy, after: &Policy) -> Vec<&'static str> {
    let fields = [
        (
            "keep_audio_days",
            before.keep_audio_days != after.keep_audio_days,
        ),
        (
            "keep_transcripts_days",
            before.keep_transcripts_days != after.keep_transcripts_days,
        ),
        (
            "keep_analyses_days",
            before.keep_analyses_days != after.keep_analyses_days,
        ),
        (
            "consent_required",
            before.consent_required != after.consent_required,
        ),
        ("audio_engines", before.audio_engines != after.audio_engines),
        ("text_engines", before.text_engines != after.text_engines),
        (
            "keep_after_withdrawal",
            before.keep_after_withdrawal != after.keep_after_withdrawal,
        ),
    ];
    let changed = fields.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(name, _)| name).collect()
}
