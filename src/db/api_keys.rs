//! API keys (`api_keys`): the secret is kept as a keyed hash, and never read back.

use jiff::Timestamp;

use super::Tx;
use crate::auth::Scope;
use crate::ids::{AccountId, ApiKeyId, ClientId, UserId};

/// A key, as its maker sees it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub account_id: AccountId,
    pub id: ApiKeyId,
    pub owner_id: UserId,
    pub client_id: Option<ClientId>,
    pub name: String,
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// What a key is made with.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub scopes: Vec<Scope>,
    pub client_id: Option<ClientId>,
    pub expires_at: Option<Timestamp>,
}

/// What a presented key is held against, and what it may do.
#[derive(Clone, Debug)]
pub struct Credential {
    pub owner_id: UserId,
    pub account_id: AccountId,
    pub client_id: Option<ClientId>,
    pub secret_hash: Vec<u8>,
    pub scopes: Vec<Scope>,
    pub expires_at: Option<Timestamp>,
}

struct Row {
    account_id: AccountId,
    id: ApiKeyId,
    owner_id: UserId,
    client_id: Option<ClientId>,
    name: String,
    scopes: Vec<String>,
    created_at: jiff_sqlx::Timestamp,
    expires_at: Option<jiff_sqlx::Timestamp>,
    last_used_at: Option<jiff_sqlx::Timestamp>,
    revoked_at: Option<jiff_sqlx::Timestamp>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            account_id: row.account_id,
            id: row.id,
            owner_id: row.owner_id,
            client_id: row.client_id,
            name: row.name,
            scopes: known(&row.scopes),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.map(Into::into),
            last_used_at: row.last_used_at.map(Into::into),
            revoked_at: row.revoked_at.map(Into::into),
        }
    }
}

/// The key with this id, if it may act now; before anybody is known.
pub async fn find(tx: &mut Tx, id: ApiKeyId) -> Result<Option<Credential>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select owner_id as "owner_id!: UserId", account_id as "account_id!: AccountId",
            client_id as "client_id: ClientId", secret_hash as "secret_hash!",
            scopes as "scopes!", expires_at
        from auth_find_key($1)"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Credential {
        owner_id: row.owner_id,
        account_id: row.account_id,
        client_id: row.client_id,
        secret_hash: row.secret_hash,
        scopes: known(&row.scopes),
        expires_at: row.expires_at.map(Into::into),
    }))
}

/// How many keys of this name the principal has that may act, in the account that they act in.
///
/// Whoever counts before they insert waits here for each other, until the transaction ends.
pub async fn count_active(tx: &mut Tx, name: &str) -> Result<i64, sqlx::Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended(
            'api key ' || app_account()::text || ' ' || app_user()::text || ' ' || $1, 0))::text
            as "locked""#,
        name,
    )
    .fetch_one(&mut **tx)
    .await?;
    // A statement of its own: it sees what was committed while the one above waited.
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from api_keys
        where account_id = app_account() and owner_id = app_user() and name = $1
            and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())"#,
        name,
    )
    .fetch_one(&mut **tx)
    .await
}

/// Makes a key of the principal in the account that they act in. Constraint `api_keys_client_fkey`
/// refuses a client of another account.
pub async fn insert(
    tx: &mut Tx,
    id: ApiKeyId,
    draft: &Draft,
    secret_hash: &[u8; 32],
) -> Result<ApiKey, sqlx::Error> {
    let scopes: Vec<String> = draft.scopes.iter().map(ToString::to_string).collect();
    let row = sqlx::query_as!(
        Row,
        r#"insert into api_keys
            (account_id, id, owner_id, client_id, name, secret_hash, scopes, expires_at)
        values (app_account(), $1, app_user(), $2, $3, $4, $5, $6)
        returning account_id as "account_id: AccountId", id as "id: ApiKeyId",
            owner_id as "owner_id: UserId", client_id as "client_id: ClientId", name, scopes,
            created_at, expires_at, last_used_at, revoked_at"#,
        id.0,
        draft.client_id.map(|id| id.0),
        draft.name,
        secret_hash.as_slice(),
        &scopes,
        draft.expires_at.map(jiff_sqlx::Timestamp::from) as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.into())
}

/// The keys that the principal sees, newest first, after `before`.
pub async fn list(
    tx: &mut Tx,
    before: Option<ApiKeyId>,
    limit: i64,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select account_id as "account_id: AccountId", id as "id: ApiKeyId",
            owner_id as "owner_id: UserId", client_id as "client_id: ClientId", name, scopes,
            created_at, expires_at, last_used_at, revoked_at
        from api_keys where $1::uuid is null or id < $1 order by id desc limit $2"#,
        before.map(|id| id.0),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// Revokes a key, once. Answers the key, and whether it was this call that revoked it; `None` where
/// the principal sees none.
pub async fn revoke(tx: &mut Tx, id: ApiKeyId) -> Result<Option<(ApiKey, bool)>, sqlx::Error> {
    let revoked = sqlx::query!(
        "update api_keys set revoked_at = clock_timestamp() where id = $1 and revoked_at is null",
        id.0,
    )
    .execute(&mut **tx)
    .await?;
    let row = sqlx::query_as!(
        Row,
        r#"select account_id as "account_id: AccountId", id as "id: ApiKeyId",
            owner_id as "owner_id: UserId", client_id as "client_id: ClientId", name, scopes,
            created_at, expires_at, last_used_at, revoked_at
        from api_keys where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.into(), revoked.rows_affected() > 0)))
}

/// Notes when keys were last used, on behalf of nobody.
pub async fn note_uses(tx: &mut Tx, uses: &[(ApiKeyId, Timestamp)]) -> Result<(), sqlx::Error> {
    let (ids, times): (Vec<_>, Vec<_>) = uses
        .iter()
        .map(|(id, at)| (id.0, jiff_sqlx::Timestamp::from(*at)))
        .unzip();
    sqlx::query!(
        r#"select auth_note_key_uses($1, $2)::text as "done""#,
        &ids,
        &times as _,
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Scopes that a newer program wrote give nothing here.
fn known(scopes: &[String]) -> Vec<Scope> {
    scopes
        .iter()
        .filter_map(|scope| scope.parse().ok())
        .collect()
}
