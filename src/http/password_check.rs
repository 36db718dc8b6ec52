//! Signing in with a password: throttled, in equal time for everybody, and with hashes kept up to date.
//!
//! Not here: what follows a sign-in (`auth`).
//!
//! Invariant: neither the answer nor its time tells whether a user exists. A hash that another system
//! has made takes another time, until its owner signs in for the first time.

use secrecy::SecretString;

use super::AppState;
use super::client_address::ClientAddress;
use super::problem::ApiError;
use super::throttle::SignInAttempt;
use crate::auth::Verdict;
use crate::db::{Principal, users};
use crate::ids::UserId;

/// The user with this e-mail address and password. Unknown, inactive and wrong are the same.
pub async fn check_password(
    state: &AppState,
    email: &str,
    password: SecretString,
    address: ClientAddress,
) -> Result<UserId, ApiError> {
    let turn = state.auth.passwords.turn()?;
    let attempt = SignInAttempt::begin(state, email, address).await?;
    let login = attempt.login.as_ref();
    let hash = login.and_then(|login| login.password_hash.clone());
    let verdict = turn.verify(password.clone(), hash.clone()).await?;
    let right = login.filter(|login| login.is_active && verdict != Verdict::Wrong);
    let Some(id) = right.map(|login| login.id) else {
        attempt.failed(state).await?;
        return Err(ApiError::WrongCredentials);
    };
    attempt.succeeded(state).await?;
    if let (Verdict::RightButOutdated, Some(old)) = (verdict, hash) {
        // Nobody waits for it, and where it fails the next sign-in tries again.
        state.tasks.spawn(rehash(state.clone(), id, password, old));
    }
    Ok(id)
}

async fn rehash(state: AppState, id: UserId, password: SecretString, old: SecretString) {
    let replaced = async {
        let new = state.auth.passwords.hash(password).await?;
        let mut tx = state.db.begin(Principal::Auth).await?;
        users::replace_hash(&mut tx, id, &old, &new).await?;
        tx.commit().await?;
        anyhow::Ok(())
    };
    if let Err(error) = replaced.await {
        let error = format!("{error:#}");
        tracing::warn!(user_id = %id, error, "an outdated password hash stays for now");
    }
}
