//! Policies of accounts (`account_policies`), and with a session's consent the rules that bind it.

use jiff::Timestamp;
use serde_json::Value;

use super::Tx;
use crate::ids::{AccountId, SessionId};
use crate::policy::{Consent, Part, Policy, Rules};

struct Row {
    keep_audio_days: Option<i32>,
    keep_transcripts_days: Option<i32>,
    keep_analyses_days: Option<i32>,
    consent_required: bool,
    audio_engines: Option<Vec<String>>,
    text_engines: Option<Vec<String>>,
    keep_after_withdrawal: Vec<String>,
}

impl From<Row> for Policy {
    fn from(row: Row) -> Self {
        let kept = |part: &Part| {
            let mut named = row.keep_after_withdrawal.iter();
            named.any(|name| name == part.as_str())
        };
        Self {
            keep_audio_days: row.keep_audio_days,
            keep_transcripts_days: row.keep_transcripts_days,
            keep_analyses_days: row.keep_analyses_days,
            consent_required: row.consent_required,
            keep_after_withdrawal: Part::ALL.into_iter().filter(kept).collect(),
            audio_engines: row.audio_engines,
            text_engines: row.text_engines,
        }
    }
}

/// Whether the principal sees this account, and whether they may set its policy.
pub async fn sight(tx: &mut Tx, account: AccountId) -> Result<Option<bool>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select app_sets_policy(id) as "sets!" from accounts where id = $1"#,
        account.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The policy of an account, the default where it never set one.
pub async fn get(tx: &mut Tx, account: AccountId) -> Result<Policy, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select keep_audio_days, keep_transcripts_days, keep_analyses_days, consent_required,
            audio_engines, text_engines, keep_after_withdrawal
        from account_policies where account_id = $1",
        account.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Policy::from).unwrap_or_default())
}

/// When the policy of an account was last set; `None` where it never was.
pub async fn updated_at(tx: &mut Tx, account: AccountId) -> Result<Option<Timestamp>, sqlx::Error> {
    let at = sqlx::query_scalar!(
        "select updated_at from account_policies where account_id = $1",
        account.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(at.map(Into::into))
}

/// Replaces the policy of an account.
pub async fn put(tx: &mut Tx, account: AccountId, policy: &Policy) -> Result<(), sqlx::Error> {
    let kept = &policy.keep_after_withdrawal;
    let kept: Vec<String> = kept.iter().map(|part| part.as_str().to_owned()).collect();
    sqlx::query!(
        "insert into account_policies (account_id, keep_audio_days, keep_transcripts_days,
            keep_analyses_days, consent_required, audio_engines, text_engines, keep_after_withdrawal)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict on constraint account_policies_pkey do update set
            keep_audio_days = excluded.keep_audio_days,
            keep_transcripts_days = excluded.keep_transcripts_days,
            keep_analyses_days = excluded.keep_analyses_days,
            consent_required = excluded.consent_required,
            audio_engines = excluded.audio_engines,
            text_engines = excluded.text_engines,
            keep_after_withdrawal = excluded.keep_after_withdrawal,
            updated_at = clock_timestamp()",
        account.0,
        policy.keep_audio_days,
        policy.keep_transcripts_days,
        policy.keep_analyses_days,
        policy.consent_required,
        policy.audio_engines.as_deref(),
        policy.text_engines.as_deref(),
        &kept,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// The rules that bind a session now; `None` when it does not exist or the principal may not see it.
///
/// Under the session's lock its consent cannot change after it was read here.
pub async fn rules(tx: &mut Tx, session: SessionId) -> Result<Option<Rules>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select account_id as "account_id: AccountId", consent from sessions where id = $1"#,
        session.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let consent = consent(row.consent)?;
    let policy = get(tx, row.account_id).await?;
    Ok(Some(Rules { policy, consent }))
}

/// Reads a session's consent as it is stored.
pub(super) fn consent(stored: Option<Value>) -> Result<Option<Consent>, sqlx::Error> {
    let read = stored.map(serde_json::from_value).transpose();
    read.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Writes what the person in a session agreed to.
pub async fn set_consent(
    tx: &mut Tx,
    session: SessionId,
    consent: Option<Consent>,
) -> Result<(), sqlx::Error> {
    let consent = consent.map(|it| serde_json::to_value(it).expect("consent is plain data"));
    sqlx::query!(
        "update sessions set consent = $2, updated_at = clock_timestamp() where id = $1",
        session.0,
        consent,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
