//! What every way to sign in ends with: an access token, a refresh token, and both cookies.

use std::time::Duration;

use axum::Json;
use axum_extra::extract::CookieJar;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{User, find};
use crate::auth::RefreshToken;
use crate::db::sign_ins::{self, Lives};
use crate::db::{Principal, SignedIn};
use crate::http::AppState;
use crate::http::cookies;
use crate::http::problem::ApiError;
use crate::ids::{SignInId, UserId};

/// In which a lost answer to a refresh is given once more.
const GRACE: Duration = Duration::from_secs(10);

/// What a sign-in answers: a JSON body, and both cookies.
pub type SignedInAnswer = (CookieJar, Json<SignedInUser>);

/// Who has signed in, and with what they go on.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedInUser {
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// In seconds.
    pub expires_in: i64,
    pub user: User,
    /// Only with `?token=body`; browsers have it in a cookie that scripts cannot read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// Where the refresh token goes.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TokenParams {
    /// `body`: the answer holds the refresh token too, for clients that keep no cookies.
    #[serde(default)]
    #[param(inline)]
    pub token: TokenPlace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPlace {
    #[default]
    Cookie,
    Body,
}

/// Begins a sign-in of a user whose credentials were checked.
pub async fn begin(
    state: &AppState,
    jar: CookieJar,
    place: TokenPlace,
    user_id: UserId,
) -> Result<SignedInAnswer, ApiError> {
    let (sign_in, token) = (SignInId::generate(), RefreshToken::generate());
    let mut tx = state.db.begin(Principal::Auth).await?;
    sign_ins::begin(&mut tx, user_id, sign_in, &token.hash(), lives(state)).await?;
    tx.commit().await?;
    answer(state, jar, place, user_id, sign_in, &token).await
}

/// Answers with tokens of a sign-in that goes on.
pub async fn answer(
    state: &AppState,
    jar: CookieJar,
    place: TokenPlace,
    user_id: UserId,
    sign_in: SignInId,
    refresh_token: &RefreshToken,
) -> Result<SignedInAnswer, ApiError> {
    let person = SignedIn {
        user_id,
        sign_in: Some(sign_in),
        account: None,
    };
    let user = find(state, Principal::User(person)).await?;
    let issued = state.auth.tokens.issue(user_id, sign_in);
    let refresh_token = refresh_token.expose();
    let jar = cookies::set(jar, &state.config.auth, &issued.token, &refresh_token);
    let in_body = (place == TokenPlace::Body).then(|| refresh_token.expose_secret().to_owned());
    let body = SignedInUser {
        access_token: issued.token,
        token_type: "bearer",
        expires_in: issued.expires_in,
        user,
        refresh_token: in_body,
    };
    Ok((jar, Json(body)))
}

pub fn lives(state: &AppState) -> Lives {
    Lives {
        token: state.config.auth.refresh_lifetime,
        sign_in: state.config.auth.sign_in_lifetime,
        grace: GRACE,
    }
}
