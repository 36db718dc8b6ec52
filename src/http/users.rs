//! `/users`: the people who sign in.
//!
//! Who may see and change whom is decided in Postgres (migration 13); what is checked here besides
//! only saves work. docs/access.md has the rules in words.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::AppState;
use super::audit::{Object, note};
use super::auth::User;
use super::caller::{Caller, require_role};
use super::client_address::ClientAddress;
use super::extract::{Answer, Body, Id, IdempotencyKey, Params};
use super::idempotent::{self, Begun};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use super::user_bodies::{NewUser, UserChange};
use super::{user_changes, user_passwords};
use crate::auth::Role;
use crate::db::people;
use crate::db::users::{self, Filter};
use crate::ids::{AccountId, UserId};

/// What the bodies of requests are hashed for.
const PURPOSE: &str = "idempotency";

/// Which users.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    pub clinic_id: Option<AccountId>,
    /// `counselor`, `manager` or `admin`.
    pub role: Option<String>,
    pub is_active: Option<bool>,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Create a user with a personal account: admins everybody, managers counsellors of their clinic.
#[utoipa::path(post, path = "/users", tag = "people", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body = NewUser,
    responses(
        (status = 201, body = User),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Body { value, bytes }: Body<NewUser>,
) -> Result<Response, ApiError> {
    let (mut draft, password) = value.checked(state.config.auth.password_min_length)?;
    if let Some(password) = password {
        // Nothing is hashed for who may not, and no connection waits for a hash.
        require_role(&state.db.begin(caller.principal()).await?, Role::Manager)?;
        draft.password_hash = Some(state.auth.passwords.hash(password).await?);
    }
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Manager)?;
    // A plain hash of a body with a password in it would be a way to guess the password.
    let request = Bytes::copy_from_slice(&state.auth.secret_key.hash(PURPOSE, &bytes));
    let claim = match idempotent::begin(&mut tx, "/users", key, &request).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let made = people::create(&mut tx, &draft).await;
    made.map_err(user_changes::refusal)?;
    let user = users::get(&mut tx, draft.id).await?.ok_or(NOT_FOUND)?;
    let object = Object {
        account_id: user.clinic_id.unwrap_or(user.account_id),
        kind: "user",
        id: user.id.0,
    };
    let details = json!({ "role": user.role, "has_password": draft.password_hash.is_some() });
    note(&mut tx, &caller, "user.created", object, details).await?;
    let shape = User::from(user);
    let answer = claim.answer(&mut tx, StatusCode::CREATED, &shape).await?;
    tx.commit().await?;
    Ok(answer)
}

/// List users, newest first: for admins all, for managers those of their clinic.
#[utoipa::path(get, path = "/users", tag = "people", security(("bearer" = [])),
    params(ListParams),
    responses(
        (status = 200, body = Page<User>),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Answer<Page<User>> {
    let role = params.role.as_deref().map(str::parse::<Role>).transpose();
    let filter = Filter {
        clinic_id: params.clinic_id,
        role: role.map_err(|error| ApiError::invalid("role", error.to_string()))?,
        is_active: params.is_active,
    };
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let (limit, before) = (page.limit()?, page.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Manager)?;
    let rows = users::list(&mut tx, filter, before, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(rows, limit, |user: &users::User| user.id)))
}

/// Get a user: oneself; for managers those of their clinic, for admins everybody.
#[utoipa::path(get, path = "/users/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = UserId, Path)),
    responses(
        (status = 200, body = User),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<UserId>,
) -> Answer<User> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let user = users::get(&mut tx, id).await?.ok_or(NOT_FOUND)?;
    tx.commit().await?;
    Ok(Json(user.into()))
}

/// Change a user; what is left out, or is as it was, stays.
///
/// Everybody changes their own name, and with `current_password` their password. Managers change name
/// and `is_active` of the counsellors of their clinic, and let them leave it (`clinic_id: null`). Admins
/// change everything. Whoever is deactivated, or gets another role or password, is signed out.
#[utoipa::path(put, path = "/users/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = UserId, Path)), request_body = UserChange,
    responses(
        (status = 200, body = User),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn update(
    State(state): State<AppState>,
    caller: Caller,
    address: ClientAddress,
    Id(id): Id<UserId>,
    body: Body<UserChange>,
) -> Answer<User> {
    let (mut change, wish) = body.value.checked(state.config.auth.password_min_length)?;
    if let Some(wish) = wish {
        change.password = Some(user_passwords::prepare(&state, &caller, address, id, wish).await?);
    }
    let mut tx = state.db.begin(caller.principal()).await?;
    let changed = people::change(&mut tx, id, &change).await;
    let changed = changed.map_err(user_changes::refusal)?.ok_or(NOT_FOUND)?;
    let has_new_password = change.password.is_some();
    user_changes::note_all(&mut tx, &caller, &changed, has_new_password).await?;
    tx.commit().await?;
    Ok(Json(changed.after.into()))
}

pub(super) const NOT_FOUND: ApiError = ApiError::NotFound {
    code: "user_not_found",
    what: "this user",
};
