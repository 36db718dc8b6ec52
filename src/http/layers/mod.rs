//! What surrounds every route: request id, log line, metrics, safe headers, CORS, limits, panics.
//!
//! Invariant: whatever a handler does, the answer has a request id and, when it is an error, is a
//! problem document; the log never holds a query, a body or a credential.

mod admitted;
mod cross_origin;
mod observed;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, RANGE,
    RETRY_AFTER,
};
use axum::http::{HeaderName, HeaderValue, Method};
use tower::ServiceBuilder;
use tower_http::cors::{AllowOrigin, CorsLayer};

use self::admitted::{Admission, Admitted};
use self::cross_origin::CrossOrigin;
use self::observed::{KnownSeries, Observed, REQUEST_ID};
use super::limits::Limits;
use super::{AppState, security_headers};
use crate::config;

/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// Puts the layers around all routes.
pub fn around(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    observed::describe_metrics();
    wrap(routes, &state.config.http, Arc::clone(&state.limits))
}

/// The outermost layer comes first. They are one stack because each `Router::layer` is a box more for
/// every request of every route.
fn wrap<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    config: &config::Http,
    limits: Arc<Limits>,
) -> Router<S> {
    let known = Arc::new(KnownSeries::default());
    let rules = Arc::new(cors(&config.cors_origins));
    let is_https = config.public_url.starts_with("https://");
    let admission = Admission {
        trusted: config.trusted_proxies.as_slice().into(),
        limits,
        time_limit: config.request_timeout,
    };
    routes.layer(
        ServiceBuilder::new()
            .layer_fn(move |inner| Observed {
                inner,
                known: Arc::clone(&known),
            })
            .map_response(move |response| security_headers::add(response, is_https))
            // Answers preflights itself: they are not counted, and what is refused can still be read.
            .layer_fn(move |inner| CrossOrigin {
                inner,
                rules: Arc::clone(&rules),
            })
            .layer_fn(move |inner| Admitted {
                inner,
                admission: admission.clone(),
            }),
    )
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            RANGE,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("traceparent"),
            REQUEST_ID,
        ])
        .expose_headers([
            ACCEPT_RANGES,
            CONTENT_DISPOSITION,
            CONTENT_RANGE,
            RETRY_AFTER,
            REQUEST_ID,
        ])
        .max_age(PREFLIGHT_AGE)
}

/// The route of a request, as it was declared.
fn matched_path(request: &Request) -> Option<&str> {
    request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str)
}

#[cfg(test)]
mod tests;
