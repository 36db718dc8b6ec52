//! Who makes a request.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum_extra::extract::CookieJar;
use jiff::Timestamp;

use super::AppState;
use super::api_keys::{self, KeyCaller};
use super::client_address::ClientAddress;
use super::extract::Trace;
use super::limits::is_unlimited;
use super::problem::ApiError;
use super::{cookies, origin};
use crate::auth::{Role, Verified};
use crate::db::{Principal, SignedIn, Tx};
use crate::ids::{AccountId, ApiKeyId, SignInId, UserId};
use crate::telemetry::TraceContext;

/// A signed-in person or a key.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The person, or the maker of the key.
    pub user_id: UserId,
    principal: Principal,
    /// When the credential ends.
    pub expires_at: Option<Timestamp>,
    pub address: Option<IpAddr>,
    pub trace: TraceContext,
}

impl Caller {
    pub const fn principal(&self) -> Principal {
        self.principal
    }

    pub const fn key_id(&self) -> Option<ApiKeyId> {
        match self.principal {
            Principal::Key(id) => Some(id),
            _ => None,
        }
    }
}

/// Refuses with 403 whoever has a lesser role; keys manage nobody.
pub fn require_role(tx: &Tx, least: Role) -> Result<(), ApiError> {
    if tx.acting().role.is_some_and(|role| role >= least) {
        return Ok(());
    }
    Err(ApiError::Forbidden {
        code: "role_needed",
        detail: format!("this needs the role {least}"),
    })
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    /// A header counts before a cookie. What is presented and no good is a 401: nothing else is tried.
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if let Some(text) = api_keys::presented(&parts.headers) {
            let key = api_keys::authenticate(state, parts, text).await?;
            return Self::key(parts, state, key).await;
        }
        if let Some(token) = bearer(&parts.headers) {
            let verified = state.auth.tokens.verify(token);
            let verified = verified.map_err(|_| ApiError::Unauthorized)?;
            return Self::signed_in(parts, state, verified).await;
        }
        if parts.headers.contains_key(AUTHORIZATION) {
            return Err(ApiError::Unauthorized);
        }
        let jar = CookieJar::from_headers(&parts.headers);
        if let Some(token) = cookies::access_token(&jar, &state.config.auth) {
            let verified = state.auth.tokens.verify(token);
            let verified = verified.map_err(|_| ApiError::Unauthorized)?;
            origin::check(&parts.method, &parts.headers, &state.config.http)?;
            return Self::signed_in(parts, state, verified).await;
        }
        let email = state.config.auth.anonymous_user.as_deref();
        let email = email.ok_or(ApiError::Unauthorized)?;
        origin::check_anonymous(&parts.headers, &state.config.http)?;
        let user_id = Box::pin(state.anonymous.find(state, email)).await?;
        Self::person(parts, state, user_id, None, None).await
    }
}

impl Caller {
    async fn signed_in(
        parts: &mut Parts,
        state: &AppState,
        verified: Verified,
    ) -> Result<Self, ApiError> {
        let (sign_in, expires_at) = (Some(verified.sign_in), Some(verified.expires_at));
        Self::person(parts, state, verified.user_id, sign_in, expires_at).await
    }

    async fn key(parts: &mut Parts, state: &AppState, key: KeyCaller) -> Result<Self, ApiError> {
        if picked_account(parts)?.is_some_and(|picked| picked != key.account_id) {
            return Err(ApiError::ACCOUNT_NOT_FOUND);
        }
        let Ok(Trace(trace)) = Trace::from_request_parts(parts, state).await;
        Ok(Self {
            user_id: key.owner_id,
            principal: Principal::Key(key.id),
            expires_at: key.expires_at,
            address: ClientAddress::in_extensions(&parts.extensions).map(|it| it.0),
            trace,
        })
    }

    async fn person(
        parts: &mut Parts,
        state: &AppState,
        user_id: UserId,
        sign_in: Option<SignInId>,
        expires_at: Option<Timestamp>,
    ) -> Result<Self, ApiError> {
        if !is_unlimited(&parts.method, &parts.extensions) {
            state.limits.check_user(user_id)?;
        }
        let account = picked_account(parts)?;
        let person = SignedIn {
            user_id,
            sign_in,
            account,
        };
        let Ok(Trace(trace)) = Trace::from_request_parts(parts, state).await;
        Ok(Self {
            user_id,
            principal: Principal::User(person),
            expires_at,
            address: ClientAddress::in_extensions(&parts.extensions).map(|it| it.0),
            trace,
        })
    }
}

/// `?account_id=` on any route: which of their accounts the caller acts in.
fn picked_account(parts: &Parts) -> Result<Option<AccountId>, ApiError> {
    let query = parts.uri.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let Some((_, value)) = pairs.find(|(name, _)| name == "account_id") else {
        return Ok(None);
    };
    value
        .parse()
        .map(Some)
        .map_err(|_| ApiError::bad_request("malformed_id", "account_id is not a UUID"))
}

/// The token of `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
