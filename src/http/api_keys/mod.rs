//! `/api-keys`: made, listed and revoked by people; what they open stands in `http::scopes`.
//!
//! Not here: the text of a key (`auth::PresentedKey`), and the rule that a key dies with its maker's
//! access, which is the database's.
//!
//! Invariant: a key is shown once, in the answer that made it, and kept nowhere.

mod authenticate;
mod uses;

pub use authenticate::{KeyCaller, KnownKeys, authenticate, presented, verify};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::extract::{Answer, Body, Id, IdempotencyKey, Params};
use super::fields::Checks;
use super::idempotent::{self, Begun};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use crate::auth::{PresentedKey, Scope, public_part};
use crate::config::Environment;
use crate::db::api_keys::{self, ApiKey, Draft};
use crate::ids::{AccountId, ApiKeyId, ClientId, UserId};

/// Two, so that a program can go over from the old key to the new one.
const MAX_ACTIVE_OF_A_NAME: i64 = 2;

/// A key, without what is secret of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ApiKeyShape {
    pub id: ApiKeyId,
    pub name: String,
    /// How the key begins.
    #[schema(example = "ak_test_01931d2e7c5a7f0c9a4b2d1e3f405162")]
    pub prefix: String,
    pub scopes: Vec<Scope>,
    /// The account that the key acts in.
    pub account_id: AccountId,
    /// The person on whose behalf it acts.
    pub owner_id: UserId,
    /// The client that it is bound to.
    pub client_id: Option<ClientId>,
    pub expires_at: Option<Timestamp>,
    /// Seconds behind.
    pub last_used_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Clone, Serialize, ToSchema)]
pub struct MadeApiKey {
    #[serde(flatten)]
    pub api_key: ApiKeyShape,
    /// The key itself, shown only here; null when the request is repeated.
    pub key: Option<String>,
}

/// What a key is made with. Fields that are not known are refused: a misspelt limit is no limit.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// Binds the key to a client: it then takes only `read` and `calls:write`.
    client_id: Option<ClientId>,
    expires_at: Option<Timestamp>,
}

/// Make a key, which acts as the caller in the account that they act in. Two keys of one name may be
/// active at a time.
#[utoipa::path(post, path = "/api-keys", tag = "people", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Repeats give the first answer, but not the key again")),
    request_body = NewApiKey,
    responses(
        (status = 201, body = MadeApiKey),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Body { value, bytes }: Body<NewApiKey>,
) -> Result<Response, ApiError> {
    let draft = value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let claim = match idempotent::begin(&mut tx, "/api-keys", key, &bytes).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    // Not before: a repeat is answered however late it comes.
    if draft.expires_at.is_some_and(|at| at <= Timestamp::now()) {
        return Err(ApiError::invalid("expires_at", "must be in the future"));
    }
    if api_keys::count_active(&mut tx, &draft.name).await? >= MAX_ACTIVE_OF_A_NAME {
        return Err(ApiError::conflict(
            "too_many_keys",
            "two keys of this name are active; revoke one of them first",
        ));
    }
    let environment = state.config.auth.environment;
    let made = PresentedKey::generate(environment);
    let hash = made.hash(&state.auth.secret_key);
    let row = api_keys::insert(&mut tx, made.id, &draft, &hash).await;
    let row = row.map_err(|error| {
        ApiError::on_constraint(error, "api_keys_client_fkey", || {
            ApiError::invalid("client_id", "is no client of this account")
        })
    })?;
    let details = json!({ "scopes": row.scopes, "client_id": row.client_id });
    note(&mut tx, &caller, "api_key.created", object(&row), details).await?;
    let kept = MadeApiKey {
        api_key: ApiKeyShape::of(row, environment),
        key: None,
    };
    let given = MadeApiKey {
        key: Some(made.into_text().expose_secret().to_owned()),
        ..kept.clone()
    };
    let answer = claim
        .answer_once(&mut tx, StatusCode::CREATED, &given, &kept)
        .await?;
    tx.commit().await?;
    Ok(answer)
}

/// List keys, newest first: one's own; managers and admins see all of the account.
#[utoipa::path(get, path = "/api-keys", tag = "people", security(("bearer" = [])),
    params(PageParams),
    responses(
        (status = 200, body = Page<ApiKeyShape>),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(page): Params<PageParams>,
) -> Answer<Page<ApiKeyShape>> {
    let (limit, before) = (page.limit()?, page.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    let rows = api_keys::list(&mut tx, before, limit + 1).await?;
    tx.commit().await?;
    let environment = state.config.auth.environment;
    let shapes: Vec<_> = rows
        .into_iter()
        .map(|row| ApiKeyShape::of(row, environment))
        .collect();
    Ok(Json(Page::of(shapes, limit, |key: &ApiKeyShape| key.id)))
}

/// Revoke a key: within 5 seconds no server takes it any more. Repeats change nothing.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = ApiKeyId, Path)),
    responses(
        (status = 200, body = ApiKeyShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<ApiKeyId>,
) -> Answer<ApiKeyShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let found = api_keys::revoke(&mut tx, id).await?;
    let (key, is_new) = found.ok_or(ApiError::NotFound {
        code: "api_key_not_found",
        what: "this key",
    })?;
    if is_new {
        note(&mut tx, &caller, "api_key.revoked", object(&key), json!({})).await?;
    }
    tx.commit().await?;
    state.keys.forget(id).await;
    Ok(Json(ApiKeyShape::of(key, state.config.auth.environment)))
}

impl NewApiKey {
    fn checked(mut self) -> Result<Draft, ApiError> {
        let mut checks = Checks::default();
        self.scopes.sort_unstable();
        self.scopes.dedup();
        if self.scopes.is_empty() {
            checks.refuse("scopes", "must name at least one scope");
        }
        if self.client_id.is_some() && !self.scopes.iter().all(|scope| scope.is_of_client()) {
            checks.refuse(
                "scopes",
                "a key that is bound to a client takes only read and calls:write",
            );
        }
        let draft = Draft {
            name: checks.name("name", &self.name),
            scopes: self.scopes,
            client_id: self.client_id,
            expires_at: self.expires_at,
        };
        checks.finish().map(|()| draft)
    }
}

impl ApiKeyShape {
    fn of(key: ApiKey, environment: Environment) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: public_part(environment, key.id),
            scopes: key.scopes,
            account_id: key.account_id,
            owner_id: key.owner_id,
            client_id: key.client_id,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            created_at: key.created_at,
            revoked_at: key.revoked_at,
        }
    }
}

fn object(key: &ApiKey) -> Object {
    Object {
        account_id: key.account_id,
        kind: "api_key",
        id: key.id.0,
    }
}
