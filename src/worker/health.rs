//! `/health`, `/ready` and `/metrics` of a worker, on a port of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::net::TcpListener;

use super::process::{ConsumerState, Shared};
use crate::lifecycle::Shutdown;

/// A client that does not send its request within this time is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a worker tells about itself.
#[derive(Clone, Debug)]
pub struct Health {
    shared: Arc<Shared>,
    consumers: Arc<[Arc<ConsumerState>]>,
}

/// The answer of `/ready`.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// `ready`, or `unready` with the reasons in `problems`.
    pub status: &'static str,
    pub problems: Vec<String>,
    /// What becomes a problem unless somebody acts.
    pub warnings: Vec<String>,
}

impl Health {
    pub(super) fn new(shared: Arc<Shared>, consumers: Vec<Arc<ConsumerState>>) -> Self {
        Self {
            shared,
            consumers: consumers.into(),
        }
    }

    /// Whether the worker can do its work: the broker is safe, its consumers are there, and what it
    /// depends on answers.
    pub async fn ready(&self) -> Ready {
        let (bus, mut problems) = tokio::join!(
            self.shared.bus.readiness(),
            self.shared.dependencies.failing()
        );
        problems.extend(bus.problems);
        for consumer in self.consumers.iter().filter(|consumer| !consumer.is_open()) {
            problems.push(format!("consumer {} is not open", consumer.handler));
        }
        let status = if problems.is_empty() {
            "ready"
        } else {
            "unready"
        };
        Ready {
            status,
            problems,
            warnings: bus.warnings,
        }
    }

    pub fn router(self, metrics: PrometheusHandle) -> Router {
        Router::new()
            .route(
                "/health",
                get(|| async { Json(serde_json::json!({"status": "ok"})) }),
            )
            .route("/ready", get(answer_ready))
            .with_state(self)
            .route(
                "/metrics",
                get(move || std::future::ready(render(&metrics))),
            )
    }

    /// Serves [`Self::router`] until the soft stop.
    pub async fn serve(
        self,
        listener: TcpListener,
        metrics: PrometheusHandle,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        crate::server::serve(listener, self.router(metrics), HEADER_TIMEOUT, shutdown).await;
        Ok(())
    }
}

async fn answer_ready(State(health): State<Health>) -> (StatusCode, Json<Ready>) {
    let ready = health.ready().await;
    let unready = !ready.problems.is_empty();
    (
        if unready {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        },
        Json(ready),
    )
}

fn render(metrics: &PrometheusHandle) -> String {
    metrics.render()
}
