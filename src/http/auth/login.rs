//! `POST /auth/login`

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum_extra::extract::CookieJar;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::sign_in::{self, SignedInAnswer, SignedInUser, TokenParams};
use crate::http::AppState;
use crate::http::client_address::ClientAddress;
use crate::http::extract::{Body, MAX_JSON_BYTES, Params};
use crate::http::origin;
use crate::http::password_check::check_password;
use crate::http::problem::ApiError;

#[derive(Debug, Deserialize, ToSchema)]
pub struct Login {
    email: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// The form of the OAuth 2 password grant; its other fields are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PasswordForm {
    /// The e-mail address.
    username: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Log in, with JSON or with the form of the OAuth 2 password grant.
#[utoipa::path(post, path = "/auth/login", tag = "auth", params(TokenParams),
    request_body(content((Login = "application/json"),
        (PasswordForm = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = SignedInUser),
        (status = 401, description = "The e-mail address or the password is wrong"),
        (status = 403, description = "A page of another site asked for it")))]
pub async fn login(
    State(state): State<AppState>,
    address: ClientAddress,
    Params(params): Params<TokenParams>,
    headers: HeaderMap,
    jar: CookieJar,
    Credentials(given): Credentials,
) -> Result<SignedInAnswer, ApiError> {
    origin::check_anonymous(&headers, &state.config.http)?;
    let id = check_password(&state, &given.email, given.password, address).await?;
    sign_in::begin(&state, jar, params.token, id).await
}

/// The body of a login in either form.
pub struct Credentials(Login);

impl FromRequest<AppState> for Credentials {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        if !is_form(request.headers()) {
            return Body::from_request(request, state)
                .await
                .map(|body: Body<Login>| Self(body.value));
        }
        let form: Result<Form<PasswordForm>, FormRejection> =
            Form::from_request(request, state).await;
        let Form(form) = form.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge {
                limit: MAX_JSON_BYTES as u64,
            },
            StatusCode::UNPROCESSABLE_ENTITY => {
                ApiError::invalid("body", "send the fields username and password")
            }
            _ => ApiError::bad_request("malformed_body", "the body is not a form"),
        })?;
        if form.username.contains('\0') {
            return Err(ApiError::invalid("username", "must not contain U+0000"));
        }
        Ok(Self(Login {
            email: form.username,
            password: form.password,
        }))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}
