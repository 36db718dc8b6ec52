//! `/customers`: the people in the sessions of an account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::audit::{Object, note};
use super::caller::Caller;
use super::erasures::{self, Erasing};
use super::extract::{Answer, Body, Id, IdempotencyKey, Params, Trace};
use super::fields::{Checks, MAX_LONG_TEXT_CHARS, MAX_NAME_CHARS, given, present};
use super::idempotent::{self, Begun};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use crate::db::Tx;
use crate::db::customers::{self, Change, Customer, Draft};
use crate::ids::{CustomerId, UserId};

/// Nobody alive was born before.
const FIRST_BIRTH: Date = date(1850, 1, 1);

/// A customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CustomerShape {
    pub id: CustomerId,
    pub name: String,
    pub email: Option<String>,
    /// Digits, with `+` and the country code where it was given.
    pub phone_number: Option<String>,
    pub date_of_birth: Option<Date>,
    pub notes: Option<String>,
    #[schema(value_type = Object)]
    pub metadata: Value,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a customer is created with.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NewCustomer {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(example = "+4930123456")]
    phone_number: Option<String>,
    date_of_birth: Option<Date>,
    #[schema(max_length = 50_000)]
    notes: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// What changes; null empties a field, what is left out stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CustomerChange {
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 254)]
    email: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    phone_number: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Date>)]
    date_of_birth: Option<Option<Date>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, max_length = 50_000)]
    notes: Option<Option<String>>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// Which customers.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// A part of the name, in any case.
    #[param(max_length = 200)]
    pub q: Option<String>,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Create a customer of the account.
#[utoipa::path(post, path = "/customers", tag = "people", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats give the first answer")),
    request_body = NewCustomer,
    responses(
        (status = 201, body = CustomerShape),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    key: IdempotencyKey,
    Body { value, bytes }: Body<NewCustomer>,
) -> Result<Response, ApiError> {
    let draft = value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let claim = match idempotent::begin(&mut tx, "/customers", key, &bytes).await? {
        Begun::First(claim) => claim,
        Begun::Again(answer) => return Ok(answer),
    };
    let id = CustomerId::generate();
    customers::insert(&mut tx, id, &draft).await?;
    let customer = read(&mut tx, id).await?;
    note(
        &mut tx,
        &caller,
        "customer.created",
        object(&customer),
        json!({}),
    )
    .await?;
    let shape = CustomerShape::from(customer);
    let answer = claim.answer(&mut tx, StatusCode::CREATED, &shape).await?;
    tx.commit().await?;
    Ok(answer)
}

/// List the customers of the account, newest first.
#[utoipa::path(get, path = "/customers", tag = "people", security(("bearer" = [])),
    params(ListParams),
    responses(
        (status = 200, body = Page<CustomerShape>),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Answer<Page<CustomerShape>> {
    let name = params.q.as_deref().map(str::trim).filter(|q| !q.is_empty());
    if name.is_some_and(|q| q.chars().count() > MAX_NAME_CHARS || q.contains('\0')) {
        let message = format!("must have at most {MAX_NAME_CHARS} characters, none of them U+0000");
        return Err(ApiError::invalid("q", message));
    }
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let (limit, before) = (page.limit()?, page.position()?);
    let mut tx = state.db.begin(caller.principal()).await?;
    let rows = customers::list(&mut tx, name, before, limit + 1).await?;
    tx.commit().await?;
    Ok(Json(Page::of(rows, limit, |row: &Customer| row.id)))
}

/// Get a customer.
#[utoipa::path(get, path = "/customers/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = CustomerId, Path)),
    responses(
        (status = 200, body = CustomerShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<CustomerId>,
) -> Answer<CustomerShape> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let customer = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Json(customer.into()))
}

/// Change a customer.
#[utoipa::path(put, path = "/customers/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = CustomerId, Path)), request_body = CustomerChange,
    responses(
        (status = 200, body = CustomerShape),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn update(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<CustomerId>,
    body: Body<CustomerChange>,
) -> Answer<CustomerShape> {
    let change = body.value.checked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    if !customers::update(&mut tx, id, &change).await? {
        return Err(ApiError::CUSTOMER_NOT_FOUND);
    }
    let customer = read(&mut tx, id).await?;
    let details = json!({ "fields": changed(&change) });
    note(
        &mut tx,
        &caller,
        "customer.updated",
        object(&customer),
        details,
    )
    .await?;
    tx.commit().await?;
    Ok(Json(customer.into()))
}

/// How a customer is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EraseParams {
    /// Must be true: customers are erased, or kept.
    #[serde(default)]
    pub erase: bool,
}

/// Erase a customer with all of their sessions.
///
/// Both are gone from this moment: 404 for everything but a repeat, which gives the same erasure. Needs
/// the sight of all sessions of the customer. Without `erase=true` customers have no DELETE.
#[utoipa::path(delete, path = "/customers/{id}", tag = "people", security(("bearer" = [])),
    params(("id" = CustomerId, Path), EraseParams),
    responses(
        (status = 202, body = Erasing),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 405, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn delete(
    state: State<AppState>,
    caller: Caller,
    trace: Trace,
    id: Id<CustomerId>,
    Params(params): Params<EraseParams>,
) -> Result<(StatusCode, Json<Erasing>), ApiError> {
    if !params.erase {
        return Err(ApiError::MethodNotAllowed);
    }
    let erasing = erasures::erase_customer(state, caller, trace, id).await?;
    Ok((StatusCode::ACCEPTED, Json(erasing)))
}

impl From<Customer> for CustomerShape {
    fn from(customer: Customer) -> Self {
        Self {
            id: customer.id,
            name: customer.name,
            email: customer.email,
            phone_number: customer.phone_number,
            date_of_birth: customer.date_of_birth,
            notes: customer.notes,
            metadata: customer.metadata,
            created_by: customer.created_by,
            created_at: customer.created_at,
            updated_at: customer.updated_at,
        }
    }
}

impl NewCustomer {
    fn checked(self) -> Result<Draft, ApiError> {
        let mut checks = Checks::default();
        check_birth(self.date_of_birth, &mut checks);
        checks.object("metadata", self.metadata.as_ref());
        let draft = Draft {
            name: checks.name("name", &self.name),
            email: checks.email("email", self.email),
            phone_number: checks.phone_number("phone_number", self.phone_number),
            date_of_birth: self.date_of_birth,
            notes: checks.text("notes", self.notes, MAX_LONG_TEXT_CHARS),
            metadata: self.metadata,
        };
        checks.finish().map(|()| draft)
    }
}

impl CustomerChange {
    fn checked(self) -> Result<Change, ApiError> {
        let mut checks = Checks::default();
        check_birth(self.date_of_birth.flatten(), &mut checks);
        checks.object("metadata", self.metadata.as_ref());
        let change = Change {
            name: checks.name_change("name", self.name),
            email: self.email.map(|email| checks.email("email", email)),
            phone_number: self
                .phone_number
                .map(|number| checks.phone_number("phone_number", number)),
            date_of_birth: self.date_of_birth,
            notes: self
                .notes
                .map(|notes| checks.text("notes", notes, MAX_LONG_TEXT_CHARS)),
            metadata: self.metadata,
        };
        checks.finish().map(|()| change)
    }
}

fn check_birth(born: Option<Date>, checks: &mut Checks) {
    // A day ahead: somewhere it is tomorrow already.
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let latest = today.tomorrow().unwrap_or(today);
    if born.is_some_and(|born| !(FIRST_BIRTH..=latest).contains(&born)) {
        checks.refuse(
            "date_of_birth",
            format!("must be from {FIRST_BIRTH} until today"),
        );
    }
}

fn changed(change: &Change) -> Vec<&'static str> {
    given(&[
        ("name", change.name.is_some()),
        ("email", change.email.is_some()),
        ("phone_number", change.phone_number.is_some()),
        ("date_of_birth", change.date_of_birth.is_some()),
        ("notes", change.notes.is_some()),
        ("metadata", change.metadata.is_some()),
    ])
}

fn object(customer: &Customer) -> Object {
    Object {
        account_id: customer.account_id,
        kind: "customer",
        id: customer.id.0,
    }
}

/// The customer; 404 when the caller may not see it.
async fn read(tx: &mut Tx, id: CustomerId) -> Result<Customer, ApiError> {
    customers::get(tx, id)
        .await?
        .ok_or(ApiError::CUSTOMER_NOT_FOUND)
}
