//! A request with a key: whose it is, and whether it may.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use jiff::Timestamp;

use super::uses::Uses;
use crate::auth::{API_KEY_PREFIX, PresentedKey};
use crate::db::api_keys::{self, Credential};
use crate::db::{Db, Principal};
use crate::http::AppState;
use crate::http::caller::bearer;
use crate::http::client_address::ClientAddress;
use crate::http::limits::is_unlimited;
use crate::http::problem::ApiError;
use crate::http::remembered::Remembered;
use crate::http::scopes;
use crate::ids::{AccountId, ApiKeyId, UserId};

/// A key that may act, on a route that it may ask for.
#[derive(Clone, Copy, Debug)]
pub struct KeyCaller {
    pub id: ApiKeyId,
    /// Its maker, on whose behalf it acts.
    pub owner_id: UserId,
    pub account_id: AccountId,
    pub expires_at: Option<Timestamp>,
}

/// What this process knows of keys, so that requests need not ask Postgres one by one.
#[derive(Clone)]
pub struct KnownKeys {
    credentials: Remembered<ApiKeyId, Option<Arc<Credential>>>,
    pub uses: Uses,
}

/// The text of a key that a request presents: in `X-API-Key`, else as a bearer token.
pub fn presented(headers: &HeaderMap) -> Option<&str> {
    match headers.get("x-api-key") {
        // What cannot be read is a bad key, not the absence of one.
        Some(value) => Some(value.to_str().unwrap_or_default().trim()),
        None => bearer(headers).filter(|token| token.starts_with(API_KEY_PREFIX)),
    }
}

/// Holds a key against what is known of it, and the route against its scopes.
pub async fn authenticate(
    state: &AppState,
    parts: &Parts,
    text: &str,
) -> Result<KeyCaller, ApiError> {
    let is_unlimited = is_unlimited(&parts.method, &parts.extensions);
    // Other routes were counted for the address already.
    let address = ClientAddress::in_extensions(&parts.extensions).filter(|_| is_unlimited);
    let (id, credential) = verify(state, text, address).await?;
    if !is_unlimited {
        state.limits.check_key(id)?;
    }
    scopes::check(parts, &credential.scopes, credential.client_id)?;
    Ok(KeyCaller {
        id,
        owner_id: credential.owner_id,
        account_id: credential.account_id,
        expires_at: credential.expires_at,
    })
}

/// Holds a key against what is known of it. What is not known costs a look-up, which counts for
/// `address`.
pub async fn verify(
    state: &AppState,
    text: &str,
    address: Option<ClientAddress>,
) -> Result<(ApiKeyId, Arc<Credential>), ApiError> {
    let key = PresentedKey::parse(text, state.config.auth.environment);
    let key = key.ok_or(ApiError::Unauthorized)?;
    let now = Timestamp::now();
    if let Some(address) = address
        && !state.keys.knows(key.id)
    {
        state.limits.check_address(address)?;
    }
    let credential = state.keys.find(&state.db, key.id).await?;
    let credential = credential
        .filter(|known| key.matches(&state.auth.secret_key, &known.secret_hash))
        .filter(|known| known.expires_at.is_none_or(|at| at > now))
        .ok_or(ApiError::Unauthorized)?;
    state.keys.uses.note(key.id, now);
    Ok((key.id, credential))
}

impl KnownKeys {
    pub fn new() -> Self {
        Self {
            credentials: Remembered::new(),
            uses: Uses::default(),
        }
    }

    /// The key with this id, as it was seconds ago.
    pub async fn find(&self, db: &Db, id: ApiKeyId) -> Result<Option<Arc<Credential>>, ApiError> {
        self.credentials.get(id, || look_up(db, id)).await
    }

    /// Whether [`Self::find`] needs no look-up.
    fn knows(&self, id: ApiKeyId) -> bool {
        self.credentials.has(id)
    }

    /// Looks a key up again when it is next used.
    pub async fn forget(&self, id: ApiKeyId) {
        self.credentials.forget(id).await;
    }
}

async fn look_up(db: &Db, id: ApiKeyId) -> Result<Option<Arc<Credential>>, sqlx::Error> {
    let mut tx = db.begin(Principal::Auth).await?;
    let found = api_keys::find(&mut tx, id).await?;
    tx.commit().await?;
    Ok(found.map(Arc::new))
}
