//! Sessions: the aggregate's own row. Status and stages are written by [`timeline`](super::timeline).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Tx, policies};
use crate::ids::{AccountId, CustomerId, SessionId, UserId};
use crate::policy::Consent;
use crate::session::{Stages, Status};

/// A session as it is stored.
#[derive(Clone, Debug)]
pub struct Session {
    pub account_id: AccountId,
    pub id: SessionId,
    pub owner_id: UserId,
    pub customer_id: Option<CustomerId>,
    pub title: Option<String>,
    pub notes: Option<String>,
    pub metadata: Value,
    pub custom_fields_schema: Option<Value>,
    pub consent: Option<Consent>,
    /// Names to redact, beside the customer's and the counsellor's.
    pub declared_names: Vec<String>,
    pub status: Status,
    pub stages: Stages,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// What a session is created with.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub title: Option<String>,
    pub notes: Option<String>,
    pub metadata: Option<Value>,
    /// Of the account that the principal acts in.
    pub customer_id: Option<CustomerId>,
    /// Whose session it is; the principal's where nobody is named.
    pub counselor_id: Option<UserId>,
    /// What analyses fill, as [`CustomFields`](crate::custom_fields::CustomFields) reads it.
    pub custom_fields_schema: Option<Value>,
    pub declared_names: Vec<String>,
    pub auto_transcribe: bool,
    pub auto_analyze: bool,
}

/// What changes: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub title: Option<Option<String>>,
    pub notes: Option<Option<String>>,
    pub metadata: Option<Value>,
    pub customer_id: Option<Option<CustomerId>>,
    pub custom_fields_schema: Option<Option<Value>>,
    pub declared_names: Option<Vec<String>>,
}

/// Where a page of a list begins: after this session, newest first.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Position {
    pub created_at: Timestamp,
    pub id: SessionId,
}

struct Row {
    account_id: AccountId,
    id: SessionId,
    owner_id: UserId,
    customer_id: Option<CustomerId>,
    title: Option<String>,
    notes: Option<String>,
    metadata: Value,
    custom_fields_schema: Option<Value>,
    consent: Option<Value>,
    declared_names: Vec<String>,
    status: String,
    stages: Value,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
    started_at: Option<jiff_sqlx::Timestamp>,
    ended_at: Option<jiff_sqlx::Timestamp>,
    expires_at: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for Session {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            account_id: row.account_id,
            id: row.id,
            owner_id: row.owner_id,
            customer_id: row.customer_id,
            title: row.title,
            notes: row.notes,
            metadata: row.metadata,
            custom_fields_schema: row.custom_fields_schema,
            consent: policies::consent(row.consent)?,
            declared_names: row.declared_names,
            status: row
                .status
                .parse()
                .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            stages: serde_json::from_value(row.stages)
                .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            started_at: row.started_at.map(Into::into),
            ended_at: row.ended_at.map(Into::into),
            expires_at: row.expires_at.map(Into::into),
        })
    }
}

/// Creates a session in the account that the principal acts in; the fact `session.created` is recorded by the caller.
pub async fn insert(tx: &mut Tx, id: SessionId, draft: &Draft) -> Result<AccountId, sqlx::Error> {
    let stages = serde_json::to_value(Stages::default()).expect("stages are plain data");
    let row = sqlx::query!(
        r#"insert into sessions
            (account_id, id, owner_id, title, notes, metadata, stages, auto_transcribe, auto_analyze,
            customer_id, custom_fields_schema, declared_names)
        values (app_account(), $1, coalesce($8, app_user()), $2, $3, coalesce($4, '{}'::jsonb), $5, $6,
            $7, $9, $10, $11)
        returning account_id as "account_id: AccountId""#,
        id.0,
        draft.title,
        draft.notes,
        draft.metadata,
        stages,
        draft.auto_transcribe,
        draft.auto_analyze,
        draft.counselor_id.map(|id| id.0),
        draft.customer_id.map(|id| id.0),
        draft.custom_fields_schema,
        &draft.declared_names,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.account_id)
}

pub async fn get(tx: &mut Tx, id: SessionId) -> Result<Option<Session>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"select account_id as "account_id: AccountId", id as "id: SessionId",
            owner_id as "owner_id: UserId", customer_id as "customer_id: CustomerId", title, notes,
            metadata, custom_fields_schema, consent, declared_names, status, stages,
            created_at, updated_at, started_at, ended_at, expires_at
        from sessions where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?
    .map(Session::try_from)
    .transpose()
}

/// One page of sessions, newest first, from what `$from` says.
///
/// Row-level security decides what is seen. What stands in `$from` says the same once more, in a form
/// that an index answers: a page costs its length, however many sessions there are.
macro_rules! page_of {
    ($from:literal, $tx:expr, $status:expr, $position:expr, $limit:expr) => {
        sqlx::query_as!(
            Row,
            r#"select account_id as "account_id!: AccountId", id as "id!: SessionId",
                owner_id as "owner_id!: UserId", customer_id as "customer_id: CustomerId",
                title, notes, metadata as "metadata!", custom_fields_schema, consent,
                declared_names as "declared_names!",
                status as "status!", stages as "stages!", created_at as "created_at!",
                updated_at as "updated_at!", started_at, ended_at, expires_at
            from "#
                + $from
                + r#" where ($1::text is null or status = $1)
                and ($2::timestamptz is null or (created_at, id) < ($2, $3))
            order by created_at desc, id desc limit $4"#,
            $status.map(Status::as_str),
            $position.map(|at| jiff_sqlx::Timestamp::from(at.created_at)) as _,
            $position.map(|at| at.id.0),
            $limit,
        )
        .fetch_all(&mut **$tx)
        .await
    };
}

/// The sessions that the principal sees, newest first, after `position`.
pub async fn list(
    tx: &mut Tx,
    status: Option<Status>,
    position: Option<Position>,
    limit: i64,
) -> Result<Vec<Session>, sqlx::Error> {
    let sight =
        sqlx::query!(r#"select app_everywhere() as "everywhere!", app_oversees() as "oversees!""#)
            .fetch_one(&mut **tx)
            .await?;
    let rows = if sight.everywhere {
        page_of!("sessions", tx, status, position, limit)
    } else if sight.oversees {
        page_of!(
            "(select s.* from unnest(app_accounts()) a (account), lateral (
                select * from sessions where account_id = a.account
                    and ($1::text is null or status = $1)
                    and ($2::timestamptz is null or (created_at, id) < ($2, $3))
                order by created_at desc, id desc limit $4) s) s",
            tx,
            status,
            position,
            limit
        )
    } else {
        page_of!(
            "(select s.* from unnest(app_accounts()) a (account), lateral (
                select * from sessions where account_id = a.account and owner_id = app_user()
                    and ($1::text is null or status = $1)
                    and ($2::timestamptz is null or (created_at, id) < ($2, $3))
                order by created_at desc, id desc limit $4) s) s",
            tx,
            status,
            position,
            limit
        )
    };
    rows?.into_iter().map(Session::try_from).collect()
}

/// The schema of the fields that analyses of a session fill.
pub async fn custom_fields_schema(
    tx: &mut Tx,
    id: SessionId,
) -> Result<Option<Value>, sqlx::Error> {
    let schema = sqlx::query_scalar!(
        "select custom_fields_schema from sessions where id = $1",
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(schema.flatten())
}

/// Changes what people write about a session.
pub async fn update(tx: &mut Tx, id: SessionId, change: &Change) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update sessions set
            title = case when $2 then $3 else title end,
            notes = case when $4 then $5 else notes end,
            metadata = coalesce($6, metadata),
            customer_id = case when $7 then $8 else customer_id end,
            custom_fields_schema = case when $9 then $10 else custom_fields_schema end,
            declared_names = coalesce($11, declared_names),
            updated_at = clock_timestamp()
        where id = $1",
        id.0,
        change.title.is_some(),
        change.title.clone().flatten(),
        change.notes.is_some(),
        change.notes.clone().flatten(),
        change.metadata,
        change.customer_id.is_some(),
        change.customer_id.flatten().map(|id| id.0),
        change.custom_fields_schema.is_some(),
        change.custom_fields_schema.clone().flatten(),
        change.declared_names.as_deref(),
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Sets the start, once; `false` where it was set before.
pub async fn mark_started(tx: &mut Tx, id: SessionId) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update sessions set started_at = clock_timestamp() where id = $1 and started_at is null",
        id.0,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Sets the end, once; `false` where it was set before.
pub async fn mark_ended(tx: &mut Tx, id: SessionId) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update sessions set ended_at = clock_timestamp() where id = $1 and ended_at is null",
        id.0,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Id, name and e-mail address of the counsellor of a session that the principal sees, whether or not
/// the principal sees them otherwise.
pub async fn counselor(
    tx: &mut Tx,
    id: SessionId,
) -> Result<Option<(UserId, String, String)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select id as "id!: UserId", name as "name!", email as "email!" from session_counselor($1)"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.id, row.name, row.email)))
}
