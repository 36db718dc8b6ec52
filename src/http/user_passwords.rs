//! Setting a password: one's own with the present one, somebody else's as an admin.
//!
//! Invariant: whoever has come by somebody's token does not get their account by it. Guesses at the
//! present password are throttled together with failed sign-ins.

use secrecy::SecretString;

use super::AppState;
use super::caller::{Caller, require_role};
use super::client_address::ClientAddress;
use super::problem::ApiError;
use super::throttle::SignInAttempt;
use super::user_bodies::PasswordWish;
use super::users::NOT_FOUND;
use crate::auth::{Role, Verdict};
use crate::db::people::NewPassword;
use crate::db::{Principal, users};
use crate::ids::UserId;

/// Verifies and hashes, outside of the transaction that then sets it.
pub async fn prepare(
    state: &AppState,
    caller: &Caller,
    address: ClientAddress,
    id: UserId,
    wish: PasswordWish,
) -> Result<NewPassword, ApiError> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let user = users::get(&mut tx, id).await?.ok_or(NOT_FOUND)?;
    let is_own = id == caller.user_id;
    if !is_own {
        require_role(&tx, Role::Admin)?;
    }
    tx.commit().await?;
    let present_hash = if is_own {
        Some(present(state, &user.email, wish.current, address).await?)
    } else {
        None
    };
    let kept_sign_in = match caller.principal() {
        Principal::User(person) => person.sign_in,
        _ => None,
    };
    Ok(NewPassword {
        hash: state.auth.passwords.hash(wish.new).await?,
        present_hash,
        kept_sign_in,
    })
}

/// The hash that the present password was verified against.
async fn present(
    state: &AppState,
    email: &str,
    current: Option<SecretString>,
    address: ClientAddress,
) -> Result<SecretString, ApiError> {
    let refused = |message| ApiError::invalid("current_password", message);
    let current = current.ok_or_else(|| refused("is needed to change your own password"))?;
    let turn = state.auth.passwords.turn()?;
    let attempt = SignInAttempt::begin(state, email, address).await?;
    let login = attempt.login.as_ref();
    let hash = login.and_then(|login| login.password_hash.clone());
    let verdict = turn.verify(current, hash.clone()).await?;
    let Some(hash) = hash.filter(|_| verdict != Verdict::Wrong) else {
        attempt.failed(state).await?;
        return Err(refused("is not your present password"));
    };
    attempt.succeeded(state).await?;
    Ok(hash)
}
