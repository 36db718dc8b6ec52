//! People who sign in.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::Tx;
use crate::auth::Role;
use crate::ids::{AccountId, UserId};

/// A person, as they see themselves.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub account_id: AccountId,
    pub email: String,
    pub name: String,
    pub role: Role,
    pub clinic_id: Option<AccountId>,
    pub is_active: bool,
    pub oauth_provider: Option<String>,
    pub created_at: Timestamp,
}

pub(super) struct Row {
    pub id: UserId,
    pub account_id: AccountId,
    pub email: String,
    pub name: String,
    pub role: String,
    pub clinic_id: Option<AccountId>,
    pub is_active: bool,
    pub oauth_provider: Option<String>,
    pub created_at: jiff_sqlx::Timestamp,
}

/// Which users of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub clinic_id: Option<AccountId>,
    pub role: Option<Role>,
    pub is_active: Option<bool>,
}

impl TryFrom<Row> for User {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            account_id: row.account_id,
            email: row.email,
            name: row.name,
            role: row
                .role
                .parse()
                .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            clinic_id: row.clinic_id,
            is_active: row.is_active,
            oauth_provider: row.oauth_provider,
            created_at: row.created_at.into(),
        })
    }
}

/// What a login is checked against.
#[derive(Clone, Debug)]
pub struct Login {
    pub id: UserId,
    pub password_hash: Option<SecretString>,
    pub is_active: bool,
}

/// Makes a user with a personal account. Constraint `users_email_unique` refuses a taken address.
pub async fn register(
    tx: &mut Tx,
    id: UserId,
    account_id: AccountId,
    email: &str,
    name: &str,
    password_hash: &SecretString,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_register($1, $2, $3, $4, $5)::text as "done""#,
        id.0,
        account_id.0,
        email,
        name,
        password_hash.expose_secret(),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// The user with this address, before anybody has signed in.
pub async fn find_login(tx: &mut Tx, email: &str) -> Result<Option<Login>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select id as "id!: UserId", password_hash, is_active as "is_active!" from auth_find_user($1)"#,
        email,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| Login {
        id: row.id,
        password_hash: row.password_hash.map(SecretString::from),
        is_active: row.is_active,
    }))
}

/// Replaces an outdated hash, unless the password was changed meanwhile.
pub async fn replace_hash(
    tx: &mut Tx,
    id: UserId,
    old: &SecretString,
    new: &SecretString,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_replace_hash($1, $2, $3)::text as "done""#,
        id.0,
        old.expose_secret(),
        new.expose_secret(),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Whether somebody whom the principal sees, and who is active, acts in this account.
pub async fn acts_in(tx: &mut Tx, id: UserId, account: AccountId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (
            select from users where id = $1 and is_active and $2 in (account_id, clinic_id)
        ) as "exists!""#,
        id.0,
        account.0,
    )
    .fetch_one(&mut **tx)
    .await
}

/// A user whom the principal may see.
pub async fn get(tx: &mut Tx, id: UserId) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: UserId", account_id as "account_id: AccountId", email, name, role,
            clinic_id as "clinic_id: AccountId", is_active, oauth_provider, created_at
        from users where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(User::try_from).transpose()
}

/// One page of users, newest first, from what `$from` says, which an index answers.
macro_rules! page_of {
    ($from:literal, $tx:expr, $filter:expr, $before:expr, $limit:expr) => {
        sqlx::query_as!(
            Row,
            r#"select id as "id!: UserId", account_id as "account_id!: AccountId", email as "email!",
                name as "name!", role as "role!", clinic_id as "clinic_id: AccountId",
                is_active as "is_active!", oauth_provider, created_at as "created_at!"
            from "#
                + $from
                + r#" where ($1::uuid is null or clinic_id = $1)
                and ($2::text is null or role = $2)
                and ($3::boolean is null or is_active = $3)
                and ($4::uuid is null or id < $4)
            order by id desc limit $5"#,
            $filter.clinic_id.map(|id| id.0),
            $filter.role.map(Role::as_str),
            $filter.is_active,
            $before.map(|id: UserId| id.0),
            $limit,
        )
        .fetch_all(&mut **$tx)
        .await
    };
}

/// The users of the clinics that the principal sees, newest first, after `before`; all there are for
/// who sees everywhere.
pub async fn list(
    tx: &mut Tx,
    filter: Filter,
    before: Option<UserId>,
    limit: i64,
) -> Result<Vec<User>, sqlx::Error> {
    let rows = if super::sees_everywhere(tx).await? {
        page_of!("users", tx, filter, before, limit)
    } else {
        page_of!(
            "(select u.* from unnest(app_accounts()) a (account), lateral (
                select id, account_id, email, name, role, clinic_id, is_active, oauth_provider, created_at
                from users where clinic_id = a.account) u) u",
            tx,
            filter,
            before,
            limit
        )
    };
    rows?.into_iter().map(User::try_from).collect()
}
