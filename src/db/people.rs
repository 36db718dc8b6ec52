//! Making and changing users. Who may do what is asked where it is written, in migration 13; what is
//! refused names its rule as a constraint.

use secrecy::{ExposeSecret as _, SecretString};

use super::Tx;
use super::users::{Row, User};
use crate::auth::Role;
use crate::ids::{AccountId, SignInId, UserId};

/// Somebody has the e-mail address.
pub const EMAIL_TAKEN: &str = "users_email_unique";
/// It is no clinic, or none that the principal acts in.
pub const NO_SUCH_CLINIC: &str = "users_clinic_fkey";
/// The principal may not do this to this person.
pub const ROLE_NEEDED: &str = "users_role_needed";
/// Nobody would be an admin any more.
pub const LAST_ADMIN: &str = "users_last_admin";
/// The password was changed since it was verified.
pub const PRESENT_PASSWORD: &str = "users_present_password";

/// A user to be made, with a personal account.
#[derive(Clone, Debug)]
pub struct Draft {
    pub id: UserId,
    pub account_id: AccountId,
    /// In lower case.
    pub email: String,
    pub name: String,
    pub role: Role,
    pub clinic_id: Option<AccountId>,
    /// Without one they cannot sign in with a password.
    pub password_hash: Option<SecretString>,
}

/// What changes: `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub email: Option<String>,
    pub name: Option<String>,
    pub role: Option<Role>,
    /// `Some(None)` leaves the clinic.
    pub clinic_id: Option<Option<AccountId>>,
    pub is_active: Option<bool>,
    pub password: Option<NewPassword>,
}

/// A password to be set.
#[derive(Clone, Debug)]
pub struct NewPassword {
    pub hash: SecretString,
    /// What the present password was verified against, where it is the principal's own.
    pub present_hash: Option<SecretString>,
    /// The sign-in that is not ended by it.
    pub kept_sign_in: Option<SignInId>,
}

/// A person before and after a change.
#[derive(Clone, Debug)]
pub struct Changed {
    pub before: User,
    pub after: User,
}

/// Makes a user on behalf of the principal.
pub async fn create(tx: &mut Tx, draft: &Draft) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select create_person($1, $2, $3, $4, $5, $6, $7)::text as "done""#,
        draft.id.0,
        draft.account_id.0,
        draft.email,
        draft.name,
        draft.role.as_str(),
        draft.clinic_id.map(|id| id.0),
        draft
            .password_hash
            .as_ref()
            .map(SecretString::expose_secret),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Changes a user on behalf of the principal; `None` where the principal does not see them.
pub async fn change(
    tx: &mut Tx,
    id: UserId,
    change: &Change,
) -> Result<Option<Changed>, sqlx::Error> {
    let password = change.password.as_ref();
    let present = password.and_then(|password| password.present_hash.as_ref());
    let row = sqlx::query!(
        r#"select id as "id!: UserId", account_id as "account_id!: AccountId", email as "email!",
            name as "name!", role as "role!", clinic_id as "clinic_id: AccountId",
            is_active as "is_active!", oauth_provider, created_at as "created_at!",
            old_email as "old_email!", old_name as "old_name!", old_role as "old_role!",
            old_clinic_id as "old_clinic_id: AccountId", old_active as "old_active!"
        from change_person($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        id.0,
        change.email,
        change.name,
        change.role.map(Role::as_str),
        change.clinic_id.is_some(),
        change.clinic_id.flatten().map(|id| id.0),
        change.is_active,
        password.map(|password| password.hash.expose_secret()),
        present.map(SecretString::expose_secret),
        password
            .and_then(|password| password.kept_sign_in)
            .map(|id| id.0),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let after = User::try_from(Row {
        id: row.id,
        account_id: row.account_id,
        email: row.email,
        name: row.name,
        role: row.role,
        clinic_id: row.clinic_id,
        is_active: row.is_active,
        oauth_provider: row.oauth_provider,
        created_at: row.created_at,
    })?;
    let old_role = row.old_role.parse();
    let before = User {
        email: row.old_email,
        name: row.old_name,
        role: old_role.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        clinic_id: row.old_clinic_id,
        is_active: row.old_active,
        ..after.clone()
    };
    Ok(Some(Changed { before, after }))
}

/// Makes a user on behalf of an operator.
pub async fn add(tx: &mut Tx, draft: &Draft) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select add_person($1, $2, $3, $4, $5, $6, $7)::text as "done""#,
        draft.id.0,
        draft.account_id.0,
        draft.email,
        draft.name,
        draft.role.as_str(),
        draft.clinic_id.map(|id| id.0),
        draft
            .password_hash
            .as_ref()
            .map(SecretString::expose_secret),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Every user, newest first, after `before`, for an operator.
pub async fn all(
    tx: &mut Tx,
    before: Option<UserId>,
    limit: i64,
) -> Result<Vec<User>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: UserId", account_id as "account_id: AccountId", email, name, role,
            clinic_id as "clinic_id: AccountId", is_active, oauth_provider, created_at
        from users where $1::uuid is null or id < $1 order by id desc limit $2"#,
        before.map(|id| id.0),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(User::try_from).collect()
}

/// Deactivates a user and ends their sign-ins, for an operator; answers how they were before, if there
/// is such a user.
pub async fn deactivate(tx: &mut Tx, email: &str) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: UserId", account_id as "account_id: AccountId", email, name, role,
            clinic_id as "clinic_id: AccountId", is_active, oauth_provider, created_at
        from users where email = lower($1) for no key update"#,
        email,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(was) = row.map(User::try_from).transpose()? else {
        return Ok(None);
    };
    sqlx::query!(
        r#"select (set_person(u, new_active => false)).is_active from users u where u.id = $1"#,
        was.id.0,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Some(was))
}
