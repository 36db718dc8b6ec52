//! `GET /calls/{id}`: one call.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::AppState;
use super::super::audit::{Object, note};
use super::super::caller::Caller;
use super::super::extract::{Answer, Id, Params};
use super::super::problem::{ApiError, Problem};
use super::shapes::CallShape;
use crate::db::Tx;
use crate::db::call_reads;
use crate::db::calls::Key;
use crate::ids::{CallId, ClientId};

/// How long a call that was accepted a moment ago is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfClient {
    /// Whose call, where two clients used one id.
    pub client_id: Option<ClientId>,
}

/// Get a call.
///
/// One that was accepted in the last seconds and is not kept yet is waited for briefly.
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", operation_id = "get_call", security(("bearer" = [])),
    params(("id" = CallId, Path), OfClient),
    responses(
        (status = 200, body = CallShape),
        (status = 409, description = "Two clients used this id (`ambiguous_id`): name one",
            body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn get(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<CallId>,
    Params(of): Params<OfClient>,
) -> Answer<CallShape> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut tx = state.db.begin(caller.principal()).await?;
        match find(&mut tx, id, of.client_id).await {
            Ok(key) => {
                let shape = read(&mut tx, key).await?;
                let object = Object::call(key.0, id);
                note(&mut tx, &caller, "call.read", object, json!({})).await?;
                tx.commit().await?;
                return Ok(Json(shape));
            }
            Err(ApiError::NotFound { .. }) if state.recent.has(id) && Instant::now() < until => {
                tx.commit().await?;
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The only call with this id.
pub(super) async fn find(
    tx: &mut Tx,
    id: CallId,
    client: Option<ClientId>,
) -> Result<Key, ApiError> {
    match call_reads::keys_of(tx, id, client).await?.as_slice() {
        [] => Err(ApiError::CALL_NOT_FOUND),
        [key] => Ok(*key),
        _ => Err(ambiguous()),
    }
}

pub(super) fn ambiguous() -> ApiError {
    ApiError::conflict(
        "ambiguous_id",
        "two clients used this id; add client_id to the query",
    )
}

async fn read(tx: &mut Tx, key: Key) -> Result<CallShape, ApiError> {
    let call = call_reads::of_keys(tx, &[key]).await?.pop();
    let call = call.ok_or(ApiError::CALL_NOT_FOUND)?;
    let conflicts = if call.conflicts > 0 {
        call_reads::conflicts(tx, key).await?
    } else {
        Vec::new()
    };
    Ok(CallShape::of(call, conflicts))
}
