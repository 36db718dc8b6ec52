//! What surrounds every route: request id, log line, metrics, safe headers, CORS, limits, panics.
//!
//! Invariant: whatever a handler does, the answer has a request id and, when it is an error, is a
//! problem document; the log never holds a query, a body or a credential.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, RANGE,
    RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use ipnet::IpNet;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use super::extract::MAX_JSON_BYTES;
use super::limits::{Limits, is_unlimited};
use super::problem::ApiError;
use super::scopes::without_prefix;
use super::{AppState, client_address, security_headers};
use crate::config;
use crate::telemetry::TraceContext;

const REQUESTS: &str = "aftercall_http_requests_total";
const DURATION: &str = "aftercall_http_request_duration_seconds";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;
/// Routes that move audio or events for as long as it takes. They bound their bodies themselves.
const STREAMING: [&str; 5] = [
    "/upload-recording",
    "/audio",
    "/events",
    "/calls/batch",
    "/analytics/stream",
];
/// Routes that probes ask every few seconds, and agents thousands of times a second; their log lines are
/// for debugging.
const QUIET: [(&str, &str); 4] = [
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("POST", "/calls"),
];
/// How long a browser may remember the answer to a preflight.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

/// Puts the layers around all routes.
pub fn around(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "requests by method, route and status"
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "from the headers of a request to those of its answer"
    );
    wrap(routes, &state.config.http, Arc::clone(&state.limits))
}

/// The innermost layer comes first.
fn wrap<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    config: &config::Http,
    limits: Arc<Limits>,
) -> Router<S> {
    let limit = config.request_timeout;
    let trusted: Arc<[IpNet]> = config.trusted_proxies.as_slice().into();
    let is_https = config.public_url.starts_with("https://");
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(move |request, next| bound(limit, request, next)))
        .layer(from_fn(move |request, next| {
            admit(Arc::clone(&trusted), Arc::clone(&limits), request, next)
        }))
        // Answers preflights itself: they are not counted, and what is refused can still be read.
        .layer(cors(&config.cors_origins))
        .layer(MapResponseLayer::new(move |response| {
            security_headers::add(response, is_https)
        }))
        .layer(from_fn(observe))
}

/// Names the request, runs it in its span, and says at the end how it went.
async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let traceparent = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    let trace = TraceContext::following(traceparent);
    request.extensions_mut().insert(trace);
    let method = known_method(request.method());
    let path = matched_path(&request).unwrap_or("unmatched").to_owned();
    let span = tracing::info_span!(
        "request",
        method,
        path,
        request_id = id.to_str().unwrap_or_default(),
        trace_id = trace.trace_id(),
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    let (took, status) = (started.elapsed(), response.status().as_u16());
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        if QUIET.contains(&(method, without_prefix(&path))) {
            tracing::debug!(status, duration_ms, "answered");
        } else {
            tracing::info!(status, duration_ms, "answered");
        }
    });
    counter!(REQUESTS, "method" => method, "path" => path.clone(), "status" => status.to_string())
        .increment(1);
    histogram!(DURATION, "method" => method, "path" => path, "status" => status.to_string())
        .record(took);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Finds out whose request it is, and refuses it beyond the limit of its address.
async fn admit(
    trusted: Arc<[IpNet]>,
    limits: Arc<Limits>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(address) = client_address::identify(&mut request, &trusted) else {
        return ApiError::Internal(anyhow::anyhow!("request without a peer")).into_response();
    };
    if !is_unlimited(request.method(), request.extensions())
        && let Err(refusal) = limits.check_address(address)
    {
        return refusal.into_response();
    }
    next.run(request).await
}

/// Bounds the body in size and the request in time.
async fn bound(limit: Duration, mut request: Request, next: Next) -> Response {
    let path = matched_path(&request).unwrap_or_default();
    if STREAMING.iter().any(|end| path.ends_with(end)) {
        DefaultBodyLimit::disable().apply(&mut request);
        return next.run(request).await;
    }
    DefaultBodyLimit::max(MAX_JSON_BYTES).apply(&mut request);
    let arrived = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| note_end(body, Arc::clone(&arrived)));
    let Ok(response) = tokio::time::timeout(limit, next.run(request)).await else {
        // Until the body is here, it is the caller who takes the time.
        return if arrived.load(Ordering::Relaxed) {
            let error = anyhow::anyhow!("no answer within {} s", limit.as_secs());
            ApiError::Unavailable(error).into_response()
        } else {
            ApiError::TooSlow.into_response()
        };
    };
    response
}

/// The same body; `arrived` becomes true at its end.
fn note_end(body: Body, arrived: Arc<AtomicBool>) -> Body {
    if http_body::Body::is_end_stream(&body) {
        arrived.store(true, Ordering::Relaxed);
        return body;
    }
    let end = futures::stream::poll_fn(move |_| {
        arrived.store(true, Ordering::Relaxed);
        Poll::Ready(None)
    });
    Body::from_stream(body.into_data_stream().chain(end))
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

/// The panic hook has told where; the message stays out of the answer.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::Internal(anyhow::anyhow!("handler panicked")).into_response()
}

/// The caller's id if it is fit for a log line, else one of ours.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|value| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&value.len())
            && value
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte))
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(uuid::Uuid::now_v7().to_string()).expect("digits and hyphens")
    })
}

fn matched_path(request: &Request) -> Option<&str> {
    request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str)
}

/// Callers invent methods; labels must be few.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
