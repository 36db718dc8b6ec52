//! Clients: the businesses that an account answers for. An inactive client is a deleted one.

use jiff::Timestamp;

use super::Tx;
use crate::ids::{AccountId, ClientId};

/// A client as it is stored.
#[derive(Clone, Debug)]
pub struct Client {
    pub account_id: AccountId,
    pub id: ClientId,
    pub name: String,
    pub phone_number: Option<String>,
    pub profession: Option<String>,
    pub voice_id: Option<String>,
    pub voice_name: Option<String>,
    pub system_prompt: Option<String>,
    pub is_active: bool,
    pub fetch_recordings: bool,
    pub analyze_calls: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a client is created with.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub phone_number: Option<String>,
    pub profession: Option<String>,
    pub voice_id: Option<String>,
    pub voice_name: Option<String>,
    pub system_prompt: Option<String>,
    pub is_active: bool,
    pub fetch_recordings: bool,
    pub analyze_calls: bool,
}

/// What changes: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    pub phone_number: Option<Option<String>>,
    pub profession: Option<Option<String>>,
    pub voice_id: Option<Option<String>>,
    pub voice_name: Option<Option<String>>,
    pub system_prompt: Option<Option<String>>,
    pub is_active: Option<bool>,
    pub fetch_recordings: Option<bool>,
    pub analyze_calls: Option<bool>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// After this client, newest first.
    After(Option<ClientId>),
    /// After this many.
    Offset(i64),
}

struct Row {
    account_id: AccountId,
    id: ClientId,
    name: String,
    phone_number: Option<String>,
    profession: Option<String>,
    voice_id: Option<String>,
    voice_name: Option<String>,
    system_prompt: Option<String>,
    is_active: bool,
    fetch_recordings: bool,
    analyze_calls: bool,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Client {
    fn from(row: Row) -> Self {
        Self {
            account_id: row.account_id,
            id: row.id,
            name: row.name,
            phone_number: row.phone_number,
            profession: row.profession,
            voice_id: row.voice_id,
            voice_name: row.voice_name,
            system_prompt: row.system_prompt,
            is_active: row.is_active,
            fetch_recordings: row.fetch_recordings,
            analyze_calls: row.analyze_calls,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// Creates a client of the account that the principal acts in.
pub async fn insert(tx: &mut Tx, id: ClientId, draft: &Draft) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into clients (account_id, id, name, phone_number, profession, voice_id, voice_name,
            system_prompt, is_active, fetch_recordings, analyze_calls, created_by)
        values (app_account(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, app_user())",
        id.0,
        draft.name,
        draft.phone_number,
        draft.profession,
        draft.voice_id,
        draft.voice_name,
        draft.system_prompt,
        draft.is_active,
        draft.fetch_recordings,
        draft.analyze_calls,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// The account of a client that was not erased; before anybody is known.
pub async fn account_of(tx: &mut Tx, id: ClientId) -> Result<Option<AccountId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select auth_find_client($1) as "account_id: AccountId""#,
        id.0
    )
    .fetch_one(&mut **tx)
    .await
}

/// A client, active or not.
pub async fn get(tx: &mut Tx, id: ClientId) -> Result<Option<Client>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select account_id as "account_id: AccountId", id as "id: ClientId", name, phone_number,
            profession, voice_id, voice_name, system_prompt, is_active, fetch_recordings, analyze_calls,
            created_at, updated_at
        from clients where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Client::from))
}

/// One part of the clients, newest first, from what `$from` says, which an index answers.
macro_rules! part_of {
    ($from:literal, $tx:expr, $inactive:expr, $after:expr, $offset:expr, $limit:expr) => {
        sqlx::query_as!(
            Row,
            r#"select account_id as "account_id!: AccountId", id as "id!: ClientId",
                name as "name!", phone_number, profession, voice_id, voice_name, system_prompt,
                is_active as "is_active!", fetch_recordings as "fetch_recordings!",
                analyze_calls as "analyze_calls!", created_at as "created_at!", updated_at as "updated_at!"
            from "#
                + $from
                + r#" where (is_active or $1) and ($2::uuid is null or id < $2)
            order by id desc limit $4::bigint offset $3::bigint"#,
            $inactive,
            $after.map(|id: ClientId| id.0),
            $offset,
            $limit,
        )
        .fetch_all(&mut **$tx)
        .await
    };
}

/// The clients that the principal sees, newest first; inactive ones only if asked for.
pub async fn list(
    tx: &mut Tx,
    include_inactive: bool,
    part: Part,
    limit: i64,
) -> Result<Vec<Client>, sqlx::Error> {
    let (after, offset) = match part {
        Part::After(id) => (id, 0),
        Part::Offset(offset) => (None, offset),
    };
    let rows = if super::sees_everywhere(tx).await? {
        part_of!("clients", tx, include_inactive, after, offset, limit)
    } else {
        part_of!(
            "(select c.* from unnest(app_accounts()) a (account), lateral (
                select * from clients where account_id = a.account
                    and (is_active or $1) and ($2::uuid is null or id < $2)
                order by id desc limit $4::bigint + $3::bigint) c) c",
            tx,
            include_inactive,
            after,
            offset,
            limit
        )
    };
    Ok(rows?.into_iter().map(Client::from).collect())
}

/// How many clients [`list`] has in all.
pub async fn count(tx: &mut Tx, include_inactive: bool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from clients where is_active or $1"#,
        include_inactive,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Changes a client; `false` where the principal sees none.
pub async fn update(tx: &mut Tx, id: ClientId, change: &Change) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update clients set
            name = coalesce($2, name),
            phone_number = case when $3 then $4 else phone_number end,
            profession = case when $5 then $6 else profession end,
            voice_id = case when $7 then $8 else voice_id end,
            voice_name = case when $9 then $10 else voice_name end,
            system_prompt = case when $11 then $12 else system_prompt end,
            is_active = coalesce($13, is_active),
            fetch_recordings = coalesce($14, fetch_recordings),
            analyze_calls = coalesce($15, analyze_calls),
            updated_at = clock_timestamp()
        where id = $1",
        id.0,
        change.name,
        change.phone_number.is_some(),
        change.phone_number.clone().flatten(),
        change.profession.is_some(),
        change.profession.clone().flatten(),
        change.voice_id.is_some(),
        change.voice_id.clone().flatten(),
        change.voice_name.is_some(),
        change.voice_name.clone().flatten(),
        change.system_prompt.is_some(),
        change.system_prompt.clone().flatten(),
        change.is_active,
        change.fetch_recordings,
        change.analyze_calls,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() > 0)
}
