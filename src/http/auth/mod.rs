//! Sign-in: register, log in, go on, leave, who am I, and the public keys of access tokens.
//!
//! Not here: what tokens and hashes are (`crate::auth`), who makes a request (`caller`), which origins
//! may (`origin`).
//!
//! Invariant: tokens are only given out by `sign_in`, to whoever has shown a password, a refresh token or
//! an access token in the same request.

mod login;
mod refresh;
mod register;
pub mod sign_in;

pub use login::{__path_login, login};
pub use refresh::{__path_logout, __path_refresh, logout, refresh};
pub use register::{__path_register, register};

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Role;
use crate::db::{Principal, users};
use crate::http::AppState;
use crate::http::caller::Caller;
use crate::http::extract::Answer;
use crate::http::problem::ApiError;
use crate::ids::{AccountId, UserId};

/// How long a verifier may keep the public keys: a new one signs only after a minute more than that
/// (`crate::auth::PUBLISHED_FOR`), within which every process here has seen it.
const KEYS_CACHE: &str = "public, max-age=240";

/// A person, as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    id: UserId,
    email: String,
    name: String,
    role: Role,
    clinic_id: Option<AccountId>,
    is_active: bool,
    oauth_provider: Option<String>,
    created_at: Timestamp,
}

/// The person whose token this is.
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = User)))]
pub async fn me(State(state): State<AppState>, caller: Caller) -> Answer<User> {
    find(&state, caller.principal()).await.map(Json)
}

/// The person whose token this is, as `me`; tells whether a token is still good.
#[utoipa::path(post, path = "/auth/test-token", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = User)))]
pub async fn test_token(state: State<AppState>, caller: Caller) -> Answer<User> {
    me(state, caller).await
}

/// The public keys of access tokens, as a JSON Web Key Set.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "auth",
    responses((status = 200, body = serde_json::Value)))]
pub async fn jwks(State(state): State<AppState>) -> impl IntoResponse {
    (
        [(CACHE_CONTROL, KEYS_CACHE)],
        Json(state.auth.tokens.jwks()),
    )
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role,
            clinic_id: user.clinic_id,
            is_active: user.is_active,
            oauth_provider: user.oauth_provider,
            created_at: user.created_at,
        }
    }
}

/// A user who is gone or inactive sees nothing, not even themselves.
pub async fn find(state: &AppState, principal: Principal) -> Result<User, ApiError> {
    let mut tx = state.db.begin(principal).await?;
    let id = tx.acting().user_id;
    let user = users::get(&mut tx, id).await?;
    tx.commit().await?;
    user.map(User::from).ok_or(ApiError::Unauthorized)
}
