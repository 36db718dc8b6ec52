//! Users who sign in with an outside identity provider (`users.oauth_provider`, `users.oauth_id`).

use super::Tx;
use crate::ids::{AccountId, UserId};

/// Whom a provider vouches for.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    pub provider: &'a str,
    pub subject: &'a str,
    /// Only an address that the provider has verified.
    pub verified_email: Option<&'a str>,
    pub name: &'a str,
}

/// What became of a person's sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are this user.
    User(UserId),
    /// Nobody is linked to them, and the provider has verified no address.
    Unverified,
    /// Their address is that of a user who signs in as another person.
    LinkedElsewhere,
    Deactivated,
    /// They are new, and registration is closed.
    Closed,
}

/// Finds the user of a person; else links the one with their address, or registers them.
pub async fn admit(
    tx: &mut Tx,
    person: Person<'_>,
    may_register: bool,
) -> Result<Admission, sqlx::Error> {
    let row = sqlx::query!(
        r#"select outcome as "outcome!", of_user as "user_id: UserId"
        from auth_oidc($1, $2, $3, $4, $5, $6, $7)"#,
        person.provider,
        person.subject,
        person.verified_email,
        person.name,
        may_register,
        UserId::generate().0,
        AccountId::generate().0,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(match (row.outcome.as_str(), row.user_id) {
        ("found" | "linked" | "registered", Some(id)) => Admission::User(id),
        ("unverified", _) => Admission::Unverified,
        ("linked_elsewhere", _) => Admission::LinkedElsewhere,
        ("closed", _) => Admission::Closed,
        _ => Admission::Deactivated,
    })
}
