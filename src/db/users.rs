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

struct Row {
    id: UserId,
    account_id: AccountId,
    email: String,
    name: String,
    role: String,
    clinic_id: Option<AccountId>,
    is_active: bool,
    oauth_provider: Option<String>,
    created_at: jiff_sqlx::Timestamp,
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
