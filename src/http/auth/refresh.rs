//! `POST /auth/refresh` and `POST /auth/logout`

use axum::extract::{FromRequest as _, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum_extra::extract::CookieJar;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::sign_in::{self, SignedInAnswer, SignedInUser, TokenParams};
use crate::auth::{RefreshToken, Verified};
use crate::db::Principal;
use crate::db::sign_ins::{self, Refreshed};
use crate::http::AppState;
use crate::http::caller::bearer;
use crate::http::cookies;
use crate::http::extract::{Body, OptionalBody, Params};
use crate::http::origin;
use crate::http::problem::{ApiError, Problem};

/// The refresh token, where there is no cookie.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
}

/// What a sign-in is gone on with or ended by.
pub enum Proof {
    Refresh(RefreshToken),
    Access(Verified),
}

/// Get new tokens for a sign-in.
///
/// Takes `{"refresh_token"}`, or the cookie, or an access token that has not expired. A refresh token is
/// used once: the answer has its successor. Whoever comes with a token whose successor was used ends the
/// whole sign-in, as one of the two has stolen it; only an answer that was lost is repeated, within 10
/// seconds.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", security(("bearer" = [])), params(TokenParams),
    request_body(content = Option<Refresh>, content_type = "application/json"),
    responses(
        (status = 200, body = SignedInUser),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn refresh(
    State(state): State<AppState>,
    Params(params): Params<TokenParams>,
    jar: CookieJar,
    request: Request,
) -> Result<SignedInAnswer, ApiError> {
    let proof = proof(&state, &jar, request).await?;
    let lives = sign_in::lives(&state);
    let mut tx = state.db.begin(Principal::Auth).await?;
    let (user_id, sign_in, next) = match proof.ok_or(ApiError::Unauthorized)? {
        Proof::Refresh(token) => {
            let next = token.successor(&state.auth.secret_key);
            let refreshed = sign_ins::refresh(&mut tx, &token.hash(), &next.hash(), lives).await?;
            // Also when nothing is given: that the sign-in has ended must stay.
            tx.commit().await?;
            match refreshed {
                Refreshed::Renewed { user_id, sign_in } => (user_id, sign_in, next),
                Refreshed::Reused => return Err(ApiError::RefreshTokenReused),
                Refreshed::Ended => return Err(ApiError::Unauthorized),
            }
        }
        Proof::Access(verified) => {
            let next = RefreshToken::generate();
            sign_ins::add_token(&mut tx, verified.sign_in, &next.hash(), lives).await?;
            tx.commit().await?;
            (verified.user_id, verified.sign_in, next)
        }
    };
    sign_in::answer(&state, jar, params.token, user_id, sign_in, &next).await
}

/// End the sign-in, everywhere and at once. Repeats change nothing.
///
/// Takes what `refresh` takes; both cookies are removed.
#[utoipa::path(post, path = "/auth/logout", tag = "auth",
    request_body(content = Option<Refresh>, content_type = "application/json"),
    responses(
        (status = 204, description = "Nobody is signed in with this any more"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn logout(
    State(state): State<AppState>,
    jar: CookieJar,
    request: Request,
) -> Result<(StatusCode, CookieJar), ApiError> {
    let by_cookie = origin::check(request.method(), request.headers(), &state.config.http);
    let proof = match proof(&state, &jar, request).await {
        // What is no longer valid signs nobody in: that is all a logout promises.
        Err(ApiError::Unauthorized) => None,
        proof => proof?,
    };
    let (sign_in, token) = match proof {
        Some(Proof::Access(verified)) => (Some(verified.sign_in), None),
        Some(Proof::Refresh(token)) => (None, Some(token.hash())),
        None => (None, None),
    };
    // A browser has both cookies, and the access token may have been renewed elsewhere.
    let cookie = cookies::refresh_token(&jar, &state.config.auth).filter(|_| by_cookie.is_ok());
    let cookie = cookie.map(|token| token.hash());
    let mut tx = state.db.begin(Principal::Auth).await?;
    sign_ins::end(&mut tx, sign_in, token.as_ref().or(cookie.as_ref())).await?;
    tx.commit().await?;
    let jar = cookies::remove(jar, &state.config.auth);
    Ok((StatusCode::NO_CONTENT, jar))
}

/// What the request shows: the body first, then a header, then the cookies, which count only where the
/// request does not come from another site.
async fn proof(
    state: &AppState,
    jar: &CookieJar,
    request: Request,
) -> Result<Option<Proof>, ApiError> {
    let (parts, body) = request.into_parts();
    let header = bearer(&parts.headers).map(str::to_owned);
    let is_foreign = header.is_none() && parts.headers.contains_key(AUTHORIZATION);
    let by_cookie = origin::check(&parts.method, &parts.headers, &state.config.http);
    let request = Request::from_parts(parts, body);
    let OptionalBody(Body { value, .. }) =
        OptionalBody::<Refresh>::from_request(request, state).await?;
    if let Some(given) = value.refresh_token {
        let token = RefreshToken::parse(given.expose_secret()).ok_or(ApiError::Unauthorized)?;
        return Ok(Some(Proof::Refresh(token)));
    }
    if let Some(token) = header {
        return verified(state, &token).map(Some);
    }
    if is_foreign {
        return Err(ApiError::Unauthorized);
    }
    if let Some(token) = cookies::refresh_token(jar, &state.config.auth) {
        by_cookie?;
        return Ok(Some(Proof::Refresh(token)));
    }
    let Some(token) = cookies::access_token(jar, &state.config.auth) else {
        return Ok(None);
    };
    by_cookie?;
    verified(state, token).map(Some)
}

fn verified(state: &AppState, token: &str) -> Result<Proof, ApiError> {
    let verified = state.auth.tokens.verify(token);
    verified
        .map(Proof::Access)
        .map_err(|_| ApiError::Unauthorized)
}
