//! Sign-in with an outside identity provider: the way there, and the way back.
//!
//! Not here: the protocol (`providers::oidc`), and who a person is to us (`db::oidc`).
//!
//! Invariant: whoever comes back signs in only in the browser that went there, for the provider it went
//! to, and is sent on only to places of ours.

mod attempt;
mod return_to;

use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum_extra::extract::{CookieJar, PrivateCookieJar};
use garde::rules::email::parse_email;
use serde::Deserialize;
use utoipa::IntoParams;

use super::AppState;
use super::auth::sign_in::{self, SignedInUser, TokenPlace};
use super::extract::Params;
use super::problem::{ApiError, Problem};
use crate::config;
use crate::db::Principal;
use crate::db::oidc::{self, Admission, Person};
use crate::ids::UserId;
use crate::providers::oidc::{Identity, OidcError, Provider};
use attempt::Sealed;

const MAX_EMAIL_CHARS: usize = 254;
const MAX_NAME_CHARS: usize = 200;
const ISSUER_NOT_FOUND: ApiError = ApiError::NotFound {
    code: "issuer_not_found",
    what: "this identity provider",
};

/// The identity providers by name.
pub struct Providers(BTreeMap<String, Provider>);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StartParams {
    /// Where the browser goes once signed in: a path of this server, or an address below an origin in
    /// `CORS_ORIGINS`. Without one, the callback answers as the login does.
    return_to: Option<String>,
}

/// What a provider gives the browser to bring back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackParams {
    code: Option<String>,
    state: Option<String>,
    /// Why the provider signs nobody in, for example `access_denied`.
    error: Option<String>,
    /// The provider that answers, where it says so.
    iss: Option<String>,
}

type IssuerName = Result<Path<String>, PathRejection>;

impl Providers {
    pub fn of(config: &config::Oidc, http: &config::Http) -> Result<Self, OidcError> {
        let provider = |issuer: &config::Issuer| {
            let path = format!("/api/v1/auth/oidc/{}/callback", issuer.name);
            let provider = Provider::of(issuer.clone(), format!("{}{path}", http.public_url))?;
            Ok((issuer.name.clone(), provider))
        };
        config
            .issuers
            .iter()
            .map(provider)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn get(&self, name: IssuerName) -> Result<(&str, &Provider), ApiError> {
        let found = name.ok().and_then(|Path(name)| self.0.get_key_value(&name));
        found
            .map(|(name, provider)| (name.as_str(), provider))
            .ok_or(ISSUER_NOT_FOUND)
    }
}

/// Sign in with an outside identity provider: sends the browser there.
#[utoipa::path(get, path = "/auth/oidc/{issuer}/start", tag = "auth",
    params(("issuer" = String, Path, description = "A name of `OIDC_ISSUERS`"), StartParams),
    responses((status = 302, description = "To the provider; a cookie remembers the attempt for 10 minutes")))]
pub async fn start(
    State(state): State<AppState>,
    name: IssuerName,
    Params(params): Params<StartParams>,
) -> Result<Response, ApiError> {
    let (name, provider) = state.oidc.get(name)?;
    let return_to = params
        .return_to
        .map(|target| return_to::check(&target, &state.config.http))
        .transpose()?;
    let (attempt, url) = provider.begin().await?;
    let sealed = Sealed::of(attempt, return_to);
    let jar = PrivateCookieJar::new(attempt::key(&state.auth.secret_key));
    let jar = jar.add(attempt::cookie(
        name,
        provider,
        &state.config.auth.cookies,
        &sealed,
    ));
    Ok((StatusCode::FOUND, jar, [(LOCATION, url)]).into_response())
}

/// Where an outside identity provider sends the browser back to.
///
/// Signs in whoever is linked to that person at the provider; else links the user with the same e-mail
/// address, if the provider has verified it; else registers them, if registration is open.
#[utoipa::path(get, path = "/auth/oidc/{issuer}/callback", tag = "auth",
    params(("issuer" = String, Path, description = "A name of `OIDC_ISSUERS`"), CallbackParams),
    responses((status = 200, body = SignedInUser),
        (status = 303, description = "Signed in, and on to `return_to`"),
        (status = 400, body = Problem, content_type = "application/problem+json",
            description = "The answer does not belong to an attempt of this browser"),
        (status = 403, body = Problem, content_type = "application/problem+json",
            description = "The provider, or this server, lets this person not in"),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "The user with this e-mail address signs in as another person")))]
pub async fn callback(
    State(state): State<AppState>,
    name: IssuerName,
    headers: HeaderMap,
    Params(params): Params<CallbackParams>,
) -> Result<Response, ApiError> {
    let (name, provider) = state.oidc.get(name)?;
    let jar = PrivateCookieJar::from_headers(&headers, attempt::key(&state.auth.secret_key));
    let sealed = attempt::open(&jar, name);
    let signed_in = match sealed {
        Some(sealed) => finish(&state, (name, provider), sealed, params, &headers).await,
        None => Err(ApiError::bad_request(
            "oidc_attempt_missing",
            "this sign-in was not begun in this browser, or more than 10 minutes ago",
        )),
    };
    // However it ends, the attempt is over.
    let over = jar.remove(attempt::removed(name, provider));
    Ok((over, signed_in).into_response())
}

async fn finish(
    state: &AppState,
    (name, provider): (&str, &Provider),
    sealed: Sealed,
    params: CallbackParams,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let given = params.state.unwrap_or_default();
    let is_other = |issuer: &String| !provider.is_issuer(issuer);
    // https://www.rfc-editor.org/rfc/rfc9207
    if !sealed.attempt.has_state(&given) || params.iss.as_ref().is_some_and(is_other) {
        return Err(ApiError::bad_request(
            "oidc_state_mismatch",
            "this answer does not belong to the sign-in that was begun in this browser",
        ));
    }
    if let Some(error) = params.error {
        return Err(denied(&error));
    }
    let code = params.code.ok_or_else(|| {
        ApiError::bad_request("malformed_query", "the identity provider sent no code")
    })?;
    let identity = provider.finish(sealed.attempt, code).await?;
    let user_id = admit(state, name, &identity).await?;
    let cookies = CookieJar::from_headers(headers);
    let signed_in = sign_in::begin(state, cookies, TokenPlace::Cookie, user_id).await?;
    Ok(match sealed.return_to {
        Some(target) => (signed_in.0, Redirect::to(&target)).into_response(),
        None => signed_in.into_response(),
    })
}

/// What a provider says instead of a code (<https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1>). Its
/// words are not passed on: anybody can write them into the address.
fn denied(error: &str) -> ApiError {
    match error {
        "access_denied" => ApiError::Forbidden {
            code: "access_denied",
            detail: "the identity provider was told not to sign in".to_owned(),
        },
        "temporarily_unavailable" | "server_error" => {
            ApiError::Unavailable(anyhow::anyhow!("the identity provider cannot serve now"))
        }
        _ => ApiError::bad_request("oidc_refused", "the identity provider refused the sign-in"),
    }
}

async fn admit(state: &AppState, name: &str, identity: &Identity) -> Result<UserId, ApiError> {
    let email = identity
        .verified_email()
        .map(str::trim)
        .filter(|email| email.chars().count() <= MAX_EMAIL_CHARS && parse_email(email).is_ok());
    let person = Person {
        provider: name,
        subject: &identity.subject,
        verified_email: email,
        name: &shown_name(identity.name.as_deref(), email),
    };
    let may_register = state.config.auth.registration == config::Registration::Open;
    let mut tx = state.db.begin(Principal::Auth).await?;
    let admission = oidc::admit(&mut tx, person, may_register)
        .await
        .map_err(|error| {
            // Somebody registered it with a password in this very moment.
            ApiError::on_constraint(error, "users_email_unique", linked_elsewhere)
        })?;
    tx.commit().await?;
    let refused = |code, detail: &str| {
        let detail = detail.to_owned();
        Err(ApiError::Forbidden { code, detail })
    };
    match admission {
        Admission::User(id) => Ok(id),
        Admission::Unverified => refused(
            "email_not_verified",
            "the identity provider has not verified an e-mail address",
        ),
        Admission::LinkedElsewhere => Err(linked_elsewhere()),
        Admission::Deactivated => refused("user_deactivated", "this user is deactivated"),
        Admission::Closed => refused("registration_closed", "registration is closed"),
    }
}

fn linked_elsewhere() -> ApiError {
    ApiError::conflict(
        "linked_elsewhere",
        "the user with this e-mail address signs in in another way",
    )
}

/// The name that the provider gives, without what is no text; else what stands before the @.
fn shown_name(given: Option<&str>, email: Option<&str>) -> String {
    let legal: String = given
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let local = email.and_then(|email| email.split('@').next());
    let name = Some(legal.trim()).filter(|name| !name.is_empty()).or(local);
    name.unwrap_or_default()
        .chars()
        .take(MAX_NAME_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_name_that_can_be_kept() {
        let email = Some("ada@example.org");
        assert_eq!(shown_name(Some(" Ada\0 Lovelace\n"), email), "Ada Lovelace");
        for absent in [None, Some(""), Some(" \t")] {
            assert_eq!(shown_name(absent, email), "ada");
        }
        assert_eq!(
            shown_name(Some(&"é".repeat(1_000)), email).chars().count(),
            200
        );
    }
}
