//! `/clients`: the businesses that an account answers for. Deleting one only hides it from lists.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::calls;
use super::client_bodies::{ClientChange, ClientShape, NewClient, changed};
use super::erasures::Erasing;
use super::extract::{Answer, Body, Id, IdempotencyKey, Params, Trace};
use super::idempotent::{self, Begun};
use super::page::{NumberedPage, NumberedPageParams, Page, PageParams};
use super::problem::{ApiError, Problem};
use crate::db::Tx;
use crate::db::clients::{self, Change, Client, Part};
use crate::ids::ClientId;

/// Which clients. `page` and `per_page` in the place of `limit` and `cursor` give numbered pages.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Deleted ones too.
    #[serde(default)]
    pub include_inactive: bool,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// The number of a page, from 1.
    #[param(minimum = 1, maximum = 100_000)]
    pub page: Option<i64>,
    /// Entries of a numbered page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub per_page: Option<i64>,
}

/// A page of clients, in the form that was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ClientPage {
    Cursor(Page<ClientShape>),
    Numbered(NumberedPage<ClientShape>),
}

/// Create a client of the account.
#[utoipa::path(post, path = "/clients", tag = "clients", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body = NewClient,
    responses(
        (status = 201, body = ClientShape),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Body { value, bytes }: Body<NewClient>,
) -> Result<Response, ApiError> {
    let draft = value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let claim = match idempotent::begin(&mut tx, "/clients", key, &bytes).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let id = ClientId::generate();
    clients::insert(&mut tx, id, &draft).await?;
    let client = read(&mut tx, id).await?;
    note(
        &mut tx,
        &caller,
        "client.created",
        object(&client),
        json!({}),
    )
    .await?;
    let shape = ClientShape::from(client);
    let answer = claim.answer(&mut tx, StatusCode::CREATED, &shape).await?;
    tx.commit().await?;
    Ok(answer)
}

/// List the clients of the account, newest first.
#[utoipa::path(get, path = "/clients", tag = "clients", security(("bearer" = [])),
    params(ListParams),
    responses(
        (status = 200, body = ClientPage),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Answer<ClientPage> {
    let inactive = params.include_inactive;
    if params.page.is_some() || params.per_page.is_some() {
        if params.limit.is_some() || params.cursor.is_some() {
            let message = "cannot be used together with limit or cursor";
            return Err(ApiError::invalid("page", message));
        }
        let page = NumberedPageParams::checked(params.page, params.per_page)?;
        let mut tx = state.db.begin(caller.principal()).await?;
        let part = Part::Offset(page.offset());
        let rows = clients::list(&mut tx, inactive, part, page.per_page).await?;
        let total = clients::count(&mut tx, inactive).await?;
        tx.commit().await?;
        return Ok(Json(ClientPage::Numbered(page.of(rows, Some(total)))));
    }
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let (limit, after) = (page.limit()?, page.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    let rows = clients::list(&mut tx, inactive, Part::After(after), limit + 1).await?;
    tx.commit().await?;
    let page = Page::of(rows, limit, |row: &Client| row.id);
    Ok(Json(ClientPage::Cursor(page)))
}

/// Get a client, deleted or not.
#[utoipa::path(get, path = "/clients/{id}", tag = "clients", security(("bearer" = [])),
    params(("id" = ClientId, Path)),
    responses(
        (status = 200, body = ClientShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<ClientId>,
) -> Answer<ClientShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let client = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Json(client.into()))
}

/// Change a client.
#[utoipa::path(put, path = "/clients/{id}", tag = "clients", security(("bearer" = [])),
    params(("id" = ClientId, Path)), request_body = ClientChange,
    responses(
        (status = 200, body = ClientShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<ClientId>,
    body: Body<ClientChange>,
) -> Answer<ClientShape> {
    let change = body.value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    if !clients::update(&mut tx, id, &change).await? {
        return Err(ApiError::CLIENT_NOT_FOUND);
    }
    let client = read(&mut tx, id).await?;
    let details = json!({ "fields": changed(&change) });
    note(&mut tx, &caller, "client.updated", object(&client), details).await?;
    tx.commit().await?;
    Ok(Json(client.into()))
}

/// How a client is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteParams {
    /// Destroy it with all of its calls, for good.
    #[serde(default)]
    pub erase: bool,
}

/// Delete a client: it is hidden from lists, and what belongs to it stays. Repeats change nothing.
///
/// With `erase=true` it is erased with all of its calls: 404 from this moment for everything but a repeat,
/// which gives the same erasure; keys that are bound to it end.
#[utoipa::path(delete, path = "/clients/{id}", tag = "clients", security(("bearer" = [])),
    params(("id" = ClientId, Path), DeleteParams),
    responses(
        (status = 200, body = ClientShape),
        (status = 202, description = "Being erased", body = Erasing),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<ClientId>,
    Params(params): Params<DeleteParams>,
) -> Result<Response, ApiError> {
    if params.erase {
        let erasing = calls::erase_client(&state, caller, trace, id).await?;
        return Ok((StatusCode::ACCEPTED, Json(erasing)).into_response());
    }
    let mut tx = state.db.begin(caller.principal()).await?;
    let mut client = read(&mut tx, id).await?;
    if client.is_active {
        let change = Change {
            is_active: Some(false),
            ..Change::default()
        };
        clients::update(&mut tx, id, &change).await?;
        client = read(&mut tx, id).await?;
        let details = json!({});
        note(&mut tx, &caller, "client.deleted", object(&client), details).await?;
    }
    tx.commit().await?;
    Ok(Json(ClientShape::from(client)).into_response())
}

fn object(client: &Client) -> Object {
    Object {
        account_id: client.account_id,
        kind: "client",
        id: client.id.0,
    }
}

/// The client; 404 when the caller may not see it.
async fn read(tx: &mut Tx, id: ClientId) -> Result<Client, ApiError> {
    clients::get(tx, id)
        .await?
        .ok_or(ApiError::CLIENT_NOT_FOUND)
}
