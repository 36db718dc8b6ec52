//! `DELETE /calls/{id}`, and the erasure of clients.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::AppState;
use super::super::audit::{self, Object};
use super::super::caller::Caller;
use super::super::commit::{commit_of, stage_of};
use super::super::erasures::{Erasing, require_person};
use super::super::extract::{Id, Params, Trace};
use super::super::problem::{ApiError, Problem};
use super::get::{ambiguous, find};
use crate::db::call_erasures::{self, Subject};
use crate::db::{Tx, clients};
use crate::ids::{AccountId, CallId, ClientId, ErasureId};

/// How a call is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EraseCallParams {
    /// Must be true: calls are erased, or kept.
    #[serde(default)]
    pub erase: bool,
    /// Whose call, where two clients used one id.
    pub client_id: Option<ClientId>,
}

/// Erase a call
///
/// It is gone from this moment: 404 for everything but a repeat, which gives the same erasure. What was
/// counted of it is taken away within a second. Without `erase=true` calls have no DELETE.
#[utoipa::path(delete, path = "/calls/{id}", tag = "calls", operation_id = "erase_call",
    security(("bearer" = [])),
    params(("id" = CallId, Path), EraseCallParams),
    responses(
        (status = 202, body = Erasing),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 405, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Two clients used this id", body = Problem,
            content_type = "application/problem+json"),
    ))]
pub async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    trace: Trace,
    Id(id): Id<CallId>,
    Params(params): Params<EraseCallParams>,
) -> Result<(StatusCode, Json<Erasing>), ApiError> {
    if !params.erase {
        return Err(ApiError::MethodNotAllowed);
    }
    require_person(&caller)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let erasure_id = match find(&mut tx, id, params.client_id).await {
        Ok((account_id, _, client_id)) => {
            let subject = Subject {
                client_id,
                call_id: Some(id),
            };
            erase(&state, tx, caller, trace, account_id, subject).await?
        }
        Err(ApiError::NotFound { .. }) => {
            let before = call_erasures::before(&mut tx, Some(id), params.client_id).await?;
            one_of(&before, ApiError::CALL_NOT_FOUND)?
        }
        Err(error) => return Err(error),
    };
    Ok((StatusCode::ACCEPTED, Json(Erasing { erasure_id })))
}

/// Erases a client with all of its calls; asked for again, it is the same erasure.
pub async fn erase_client(
    state: &AppState,
    caller: Caller,
    trace: Trace,
    id: ClientId,
) -> Result<Erasing, ApiError> {
    require_person(&caller)?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let Some(client) = clients::get(&mut tx, id).await? else {
        let before = call_erasures::before(&mut tx, None, Some(id)).await?;
        let erasure_id = one_of(&before, ApiError::CLIENT_NOT_FOUND)?;
        return Ok(Erasing { erasure_id });
    };
    let subject = Subject {
        client_id: id,
        call_id: None,
    };
    let erasure_id = erase(state, tx, caller, trace, client.account_id, subject).await?;
    Ok(Erasing { erasure_id })
}

/// Erases what the caller sees; of several at once one asks, and the others get the same.
async fn erase(
    state: &AppState,
    mut tx: Tx,
    caller: Caller,
    trace: Trace,
    account_id: AccountId,
    subject: Subject,
) -> Result<ErasureId, ApiError> {
    let not_found = match subject.call_id {
        Some(_) => ApiError::CALL_NOT_FOUND,
        None => ApiError::CLIENT_NOT_FOUND,
    };
    let asked = match call_erasures::request(&mut tx, account_id, subject).await {
        Ok(asked) => asked,
        Err(error) if call_erasures::was_erased_meanwhile(&error) => {
            drop(tx);
            let mut tx = state.db.begin(caller.principal()).await?;
            let client = Some(subject.client_id);
            let before = call_erasures::before(&mut tx, subject.call_id, client).await?;
            return one_of(&before, not_found);
        }
        Err(error) => return Err(error.into()),
    };
    let erasure_id = asked.erasure_id;
    let (kind, action, object_id) = match subject.call_id {
        Some(id) => ("call", "call.erased", id.0),
        None => ("client", "client.erased", subject.client_id.0),
    };
    let object = Object {
        account_id,
        kind,
        id: object_id,
    };
    let details = json!({ "erasure_id": erasure_id });
    audit::note(&mut tx, &caller, action, object, details).await?;
    let messages = stage_of(&mut tx, account_id, trace, &asked.into()).await?;
    commit_of(state, tx, account_id, caller, messages).await?;
    Ok(erasure_id)
}

/// The erasure by which something is gone already, else the 404 that it is for everybody else.
fn one_of(before: &[ErasureId], not_found: ApiError) -> Result<ErasureId, ApiError> {
    match *before {
        [erasure_id] => Ok(erasure_id),
        [] => Err(not_found),
        _ => Err(ambiguous()),
    }
}
