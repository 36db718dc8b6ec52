//! `GET /audit`: who read or changed what.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::AppState;
use super::caller::{Caller, require_role};
use super::extract::{Answer, Params};
use super::page::{Page, PageParams};
use super::problem::{ApiError, Problem};
use crate::auth::Role;
use crate::db::audit::{self, Filter, Logged, Position};
use crate::ids::{AccountId, ApiKeyId, AuditId, UserId};

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: Timestamp,
    /// The account of the object.
    pub account_id: AccountId,
    /// The person, or the maker of the key; null where the service or its operator acted.
    pub actor: Option<Actor>,
    /// The key that acted in the name of its maker.
    pub key_id: Option<ApiKeyId>,
    #[schema(example = "transcript.read")]
    pub action: String,
    pub object: AuditedObject,
    /// The network address that it came from.
    pub address: Option<String>,
    pub trace_id: Option<String>,
    /// Names of fields, ids and counts.
    #[schema(value_type = Object)]
    pub details: Value,
}

/// Who acted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Actor {
    pub id: UserId,
    pub name: Option<String>,
}

/// What was read or changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditedObject {
    #[schema(example = "session")]
    pub kind: String,
    pub id: Option<Uuid>,
}

/// Which entries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// One action, for example `transcript.read`.
    pub action: Option<String>,
    /// What this person did, or a key in their name.
    pub actor_id: Option<UserId>,
    /// What was done to this object.
    pub object_id: Option<Uuid>,
    /// From this time on.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Read the audit log, newest first: managers that of their clinic, admins all of it.
#[utoipa::path(get, path = "/audit", tag = "people", security(("bearer" = [])),
    params(ListParams, ("account_id" = Option<AccountId>, Query, description = "Of this account alone")),
    responses(
        (status = 200, body = Page<AuditEntry>),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Answer<Page<AuditEntry>> {
    if params
        .action
        .as_deref()
        .is_some_and(|action| action.contains('\0'))
    {
        return Err(ApiError::invalid("action", "must not contain U+0000"));
    }
    let filter = Filter {
        action: params.action.as_deref(),
        actor_id: params.actor_id,
        object_id: params.object_id,
        from: params.from,
        to: params.to,
    };
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let limit = page.limit()?;
    let position: Option<Position> = page.position()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    require_role(&tx, Role::Manager)?;
    let rows = audit::list(&mut tx, filter, position, limit + 1).await?;
    let actors: Vec<Uuid> = rows
        .iter()
        .filter_map(|row| row.actor_id)
        .map(|id| id.0)
        .collect();
    let names = audit::actors(&mut tx, &actors).await?;
    tx.commit().await?;
    let entries: Vec<_> = rows
        .into_iter()
        .map(|row| AuditEntry::of(row, &names))
        .collect();
    let at = |entry: &AuditEntry| Position {
        at: entry.at,
        id: entry.id,
    };
    Ok(Json(Page::of(entries, limit, at)))
}

impl AuditEntry {
    fn of(row: Logged, names: &HashMap<UserId, String>) -> Self {
        let actor = row.actor_id.map(|id| Actor {
            id,
            name: names.get(&id).cloned(),
        });
        Self {
            id: row.id,
            at: row.at,
            account_id: row.account_id,
            actor,
            key_id: row.key_id,
            action: row.action,
            object: AuditedObject {
                kind: row.object_kind,
                id: row.object_id,
            },
            address: row.address,
            trace_id: row.trace_id,
            details: row.details,
        }
    }
}
