//! `/clinics`: accounts in which several people act.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::AppState;
use super::audit::{Object, note};
use super::caller::{Caller, require_role};
use super::extract::{Answer, Body, Id, IdempotencyKey, Params};
use super::fields::Checks;
use super::idempotent::{self, Begun};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use crate::auth::Role;
use crate::db::clinics::{self, Clinic};
use crate::db::{Principal, SignedIn};
use crate::ids::AccountId;

/// A clinic. Its id is the `account_id` of what belongs to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClinicShape {
    pub id: AccountId,
    pub name: String,
    pub created_at: Timestamp,
}

/// What is written about a clinic.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ClinicBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
}

/// Create a clinic.
#[utoipa::path(post, path = "/clinics", tag = "people", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body = ClinicBody,
    responses(
        (status = 201, body = ClinicShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Body { value, bytes }: Body<ClinicBody>,
) -> Result<Response, ApiError> {
    let name = value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Admin)?;
    if let Principal::User(SignedIn {
        account: Some(_), ..
    }) = caller.principal()
    {
        let message = "must be left out: a new clinic is in no account";
        return Err(ApiError::invalid("account_id", message));
    }
    let claim = match idempotent::begin(&mut tx, "/clinics", key, &bytes).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let clinic = clinics::insert(&mut tx, AccountId::generate(), &name).await?;
    note(
        &mut tx,
        &caller,
        "clinic.created",
        object(&clinic),
        json!({}),
    )
    .await?;
    let shape = ClinicShape::from(clinic);
    let answer = claim.answer(&mut tx, StatusCode::CREATED, &shape).await?;
    tx.commit().await?;
    Ok(answer)
}

/// List clinics, newest first.
#[utoipa::path(get, path = "/clinics", tag = "people", security(("bearer" = [])),
    params(PageParams),
    responses(
        (status = 200, body = Page<ClinicShape>),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(page): Params<PageParams>,
) -> Answer<Page<ClinicShape>> {
    let (limit, before) = (page.limit()?, page.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Admin)?;
    let rows = clinics::list(&mut tx, before, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(rows, limit, |clinic: &Clinic| clinic.id)))
}

/// Get a clinic: for managers their own, for admins every one.
#[utoipa::path(get, path = "/clinics/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = AccountId, Path)),
    responses(
        (status = 200, body = ClinicShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<AccountId>,
) -> Answer<ClinicShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Manager)?;
    let clinic = clinics::get(&mut tx, id).await?.ok_or(NOT_FOUND)?;
    tx.commit().await?;
    Ok(Json(clinic.into()))
}

/// Rename a clinic.
#[utoipa::path(put, path = "/clinics/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = AccountId, Path)), request_body = ClinicBody,
    responses(
        (status = 200, body = ClinicShape),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<AccountId>,
    body: Body<ClinicBody>,
) -> Answer<ClinicShape> {
    let name = body.value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Admin)?;
    let clinic = clinics::rename(&mut tx, id, &name)
        .await?
        .ok_or(NOT_FOUND)?;
    let details = json!({ "fields": ["name"] });
    note(&mut tx, &caller, "clinic.updated", object(&clinic), details).await?;
    tx.commit().await?;
    Ok(Json(clinic.into()))
}

impl ClinicBody {
    fn checked(&self) -> Result<String, ApiError> {
        let mut checks = Checks::default();
        let name = checks.name("name", &self.name);
        checks.finish().map(|()| name)
    }
}

impl From<Clinic> for ClinicShape {
    fn from(clinic: Clinic) -> Self {
        Self {
            id: clinic.id,
            name: clinic.name,
            created_at: clinic.created_at,
        }
    }
}

const NOT_FOUND: ApiError = ApiError::NotFound {
    code: "clinic_not_found",
    what: "this clinic",
};

fn object(clinic: &Clinic) -> Object {
    Object {
        account_id: clinic.id,
        kind: "clinic",
        id: clinic.id.0,
    }
}
