//! `POST /auth/register`

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum_extra::extract::CookieJar;
use garde::Validate;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::sign_in::{self, SignedInAnswer, SignedInUser, TokenParams};
use crate::auth::check_fit;
use crate::config;
use crate::db::{Principal, idempotency, users};
use crate::http::AppState;
use crate::http::client_address::ClientAddress;
use crate::http::extract::{Body, IdempotencyKey, Params};
use crate::http::origin;
use crate::http::password_check::check_password;
use crate::http::problem::{ApiError, FieldError};
use crate::http::throttle;
use crate::ids::{AccountId, UserId};

/// What the hashes of registrations are keyed for.
const PURPOSE: &str = "registration";

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

/// A registration under an `Idempotency-Key`.
struct Keyed {
    key: String,
    /// A keyed hash of what was sent, but for the password, which its own hash is there to check.
    request: [u8; 32],
}

/// Register.
///
/// With an `Idempotency-Key` a repeat answers with the same user, and with tokens of another sign-in:
/// those of the first are kept nowhere.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Registration,
    params(TokenParams, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat safe")),
    responses((status = 201, body = SignedInUser),
        (status = 403, description = "Registration is closed, or a page of another site asked for it"),
        (status = 409, description = "The e-mail address is taken")))]
pub async fn register(
    State(state): State<AppState>,
    address: ClientAddress,
    Params(params): Params<TokenParams>,
    key: IdempotencyKey,
    headers: HeaderMap,
    jar: CookieJar,
    Body { value, .. }: Body<Registration>,
) -> Result<(StatusCode, SignedInAnswer), ApiError> {
    origin::check_anonymous(&headers, &state.config.http)?;
    if state.config.auth.registration == config::Registration::Closed {
        let detail = "registration is closed".to_owned();
        return Err(ApiError::Forbidden {
            code: "registration_closed",
            detail,
        });
    }
    let given = validated(value, &state.config.auth)?;
    let keyed = key.0.map(|key| Keyed::of(&state, key, &given));
    let turn = state.auth.passwords.turn()?;
    throttle::count_registration(&state, address).await?;
    let hash = turn.hash(given.password.clone()).await?;
    let id = match make(&state, &given, &hash, keyed.as_ref()).await {
        Err(taken @ ApiError::Conflict { .. }) => match keyed {
            Some(keyed) => made_before(&state, given, &keyed, address, taken).await?,
            None => return Err(taken),
        },
        made => made?,
    };
    let signed_in = sign_in::begin(&state, jar, params.token, id).await?;
    Ok((StatusCode::CREATED, signed_in))
}

impl Keyed {
    fn of(state: &AppState, key: String, given: &Registration) -> Self {
        let data = format!("{}\0{}", given.email, given.name);
        let request = state.auth.secret_key.hash(PURPOSE, data.as_bytes());
        Self { key, request }
    }
}

async fn make(
    state: &AppState,
    given: &Registration,
    hash: &SecretString,
    keyed: Option<&Keyed>,
) -> Result<UserId, ApiError> {
    let (id, account) = (UserId::generate(), AccountId::generate());
    let mut tx = state.db.begin(Principal::Auth).await?;
    let made = users::register(&mut tx, id, account, &given.email, &given.name, hash).await;
    made.map_err(|error| {
        ApiError::on_constraint(error, "users_email_unique", || {
            ApiError::conflict(
                "email_taken",
                "somebody has registered with this e-mail address",
            )
        })
    })?;
    if let Some(keyed) = keyed {
        idempotency::keep_registration(&mut tx, id, &keyed.key, &keyed.request).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// The user that this registration has made before. Whoever only knows the key learns no more than that
/// the e-mail address is taken, and is slowed down as at login.
async fn made_before(
    state: &AppState,
    given: Registration,
    keyed: &Keyed,
    address: ClientAddress,
    taken: ApiError,
) -> Result<UserId, ApiError> {
    let mut tx = state.db.begin(Principal::Auth).await?;
    let kept = idempotency::find_registration(&mut tx, &given.email, &keyed.key).await?;
    tx.commit().await?;
    match kept {
        None => Err(taken),
        Some(kept) if kept != keyed.request => Err(ApiError::KeyReused),
        Some(_) => check_password(state, &given.email, given.password, address)
            .await
            .map_err(|error| match error {
                ApiError::WrongCredentials => ApiError::KeyReused,
                error => error,
            }),
    }
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
