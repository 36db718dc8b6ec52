//! What operators and probes ask, and the answers where there is no route.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use super::problem::ApiError;
use crate::bus::Readiness;

/// A dependency that takes longer than this to answer is down.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// What this is, and where to go on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Index {
    name: String,
    version: &'static str,
    links: Links,
}

/// Paths on this server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Links {
    api: &'static str,
    openapi: &'static str,
    docs: &'static str,
    redoc: &'static str,
    health: &'static str,
    ready: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Whether everything that requests need answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`, or `unready` with the reasons in `problems`.
    status: &'static str,
    problems: Vec<String>,
    /// What becomes a problem unless somebody acts.
    warnings: Vec<String>,
}

/// Name, version and links.
#[utoipa::path(get, path = "/", tag = "system", responses((status = 200, body = Index)))]
pub async fn index(State(state): State<AppState>) -> Json<Index> {
    Json(Index {
        name: state.config.http.app_name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        links: Links {
            api: "/api/v1",
            openapi: "/openapi.json",
            docs: "/docs",
            redoc: "/redoc",
            health: "/health",
            ready: "/ready",
        },
    })
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)))]
pub async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether broker, database and object storage answer, and agents over NATS are served where they are to
/// be.
#[utoipa::path(get, path = "/ready", tag = "system",
    responses((status = 200, body = Ready), (status = 503, description = "Not ready", body = Ready)))]
pub async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Ready>) {
    let (bus, db, store) = tokio::join!(
        tokio::time::timeout(PROBE_TIMEOUT, state.bus.readiness()),
        tokio::time::timeout(PROBE_TIMEOUT, state.db.ping()),
        tokio::time::timeout(PROBE_TIMEOUT, state.store.ping()),
    );
    let mut bus = bus.unwrap_or_else(|_| Readiness {
        problems: vec!["nats does not answer".to_owned()],
        warnings: Vec::new(),
    });
    if let Some(agents) = &state.agents {
        bus.problems.extend(agents.problems());
    }
    if !matches!(db, Ok(Ok(()))) {
        bus.problems.push("database does not answer".to_owned());
    }
    if !matches!(store, Ok(Ok(()))) {
        bus.problems
            .push("object storage does not answer".to_owned());
    }
    let (code, status) = if bus.is_ready() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unready")
    };
    (
        code,
        Json(Ready {
            status,
            problems: bus.problems,
            warnings: bus.warnings,
        }),
    )
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        state.metrics.render(),
    )
}

pub async fn not_found() -> ApiError {
    ApiError::NotFound {
        code: "not_found",
        what: "this address",
    }
}

pub async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}
