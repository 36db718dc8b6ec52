//! Sign-in: register, log in, go on, leave, who am I, and the public keys of access tokens.

mod refresh;
pub mod sign_in;

pub use refresh::{__path_logout, __path_refresh, logout, refresh};

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum_extra::extract::CookieJar;
use garde::Validate;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Role, check_fit};
use crate::config;
use crate::db::{Principal, users};
use crate::http::AppState;
use crate::http::caller::Caller;
use crate::http::client_address::ClientAddress;
use crate::http::extract::{Answer, Body, MAX_JSON_BYTES, Params};
use crate::http::password_check::check_password;
use crate::http::problem::{ApiError, FieldError};
use crate::http::throttle;
use crate::ids::{AccountId, UserId};
use sign_in::{SignedInAnswer, SignedInUser, TokenParams};

/// How long a verifier may keep the public keys.
const KEYS_CACHE: &str = "public, max-age=300";

/// A new user, who gets the role `counselor` and an account of their own.
#[derive(Debug, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(context(Rules))]
pub struct Registration {
    /// Upper and lower case are the same.
    #[garde(email, length(max = 254))]
    #[schema(example = "ada@example.org", max_length = 254)]
    email: String,
    #[garde(custom(acceptable_password))]
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// What registration asks of a password.
pub struct Rules {
    min_length: usize,
}

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

/// Register.
#[utoipa::path(post, path = "/auth/register", tag = "auth", params(TokenParams), request_body = Registration,
    responses((status = 201, body = SignedInUser), (status = 403, description = "Registration is closed"),
        (status = 409, description = "The e-mail address is taken")))]
pub async fn register(
    State(state): State<AppState>,
    address: ClientAddress,
    Params(params): Params<TokenParams>,
    jar: CookieJar,
    Body { value, .. }: Body<Registration>,
) -> Result<(StatusCode, SignedInAnswer), ApiError> {
    if state.config.auth.registration == config::Registration::Closed {
        let detail = "registration is closed".to_owned();
        return Err(ApiError::Forbidden {
            code: "registration_closed",
            detail,
        });
    }
    let Registration {
        email,
        password,
        name,
    } = validated(value, &state.config.auth)?;
    let turn = state.auth.passwords.turn()?;
    throttle::count_registration(&state, address).await?;
    let hash = turn.hash(password).await?;
    let id = UserId::generate();
    let mut tx = state.db.begin(Principal::Auth).await?;
    let made = users::register(&mut tx, id, AccountId::generate(), &email, &name, &hash).await;
    made.map_err(|error| {
        ApiError::on_constraint(error, "users_email_unique", || {
            ApiError::conflict(
                "email_taken",
                "somebody has registered with this e-mail address",
            )
        })
    })?;
    tx.commit().await?;
    let signed_in = sign_in::begin(&state, jar, params.token, id).await?;
    Ok((StatusCode::CREATED, signed_in))
}

/// Log in, with JSON or with the form of the OAuth 2 password grant.
#[utoipa::path(post, path = "/auth/login", tag = "auth", params(TokenParams),
    request_body(content((Login = "application/json"),
        (PasswordForm = "application/x-www-form-urlencoded"))),
    responses((status = 200, body = SignedInUser),
        (status = 401, description = "The e-mail address or the password is wrong")))]
pub async fn login(
    State(state): State<AppState>,
    address: ClientAddress,
    Params(params): Params<TokenParams>,
    jar: CookieJar,
    Credentials(given): Credentials,
) -> Result<SignedInAnswer, ApiError> {
    let id = check_password(&state, &given.email, given.password, address).await?;
    sign_in::begin(&state, jar, params.token, id).await
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

fn validated(given: Registration, config: &config::Auth) -> Result<Registration, ApiError> {
    let given = Registration {
        email: given.email.trim().to_lowercase(),
        password: given.password,
        name: given.name.trim().to_owned(),
    };
    let rules = Rules {
        min_length: config.password_min_length,
    };
    given.validate_with(&rules).map_err(|report| {
        let errors = report
            .iter()
            .map(|(path, error)| FieldError::of(path.to_string(), error.message()));
        ApiError::Invalid(errors.collect())
    })?;
    Ok(given)
}

fn acceptable_password(password: &SecretString, rules: &Rules) -> garde::Result {
    check_fit(password, rules.min_length).map_err(|error| garde::Error::new(error.to_string()))
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
