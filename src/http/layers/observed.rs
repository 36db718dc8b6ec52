//! Names a request, runs it in its span where it has one, and says at the end how it went.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use futures::future::BoxFuture;
use metrics::{
    Counter, Histogram, Label, Unit, counter, describe_counter, describe_histogram, histogram,
};
use tower::Service;
use tracing::{Instrument as _, Level, Span};

use crate::http::problem::Cause;
use crate::http::scopes::without_prefix;
use crate::telemetry::TraceContext;

const REQUESTS: &str = "aftercall_http_requests_total";
const DURATION: &str = "aftercall_http_request_duration_seconds";
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;
/// Routes that probes ask every few seconds, and agents thousands of times a second; their log lines are
/// for debugging, and a span is made only for what is to be told: it costs as much as reading a call.
const QUIET: [(&str, &str); 4] = [
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("POST", "/calls"),
];

pub fn describe_metrics() {
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
}

/// The layer around all others.
#[derive(Clone)]
pub struct Observed<S> {
    pub inner: S,
    pub known: Arc<KnownSeries>,
}

/// The metrics of each route that was asked for: to find them by their labels costs more than to add to
/// them.
#[derive(Default)]
pub struct KnownSeries(RwLock<HashMap<String, Vec<Series>>>);

struct Series {
    method: &'static str,
    status: u16,
    requests: Counter,
    duration: Histogram,
}

impl KnownSeries {
    fn note(&self, method: &'static str, path: &str, status: u16, took: Duration) {
        let is_wanted = |series: &&Series| series.method == method && series.status == status;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(path).and_then(|all| all.iter().find(is_wanted)) {
            series.note(took);
            return;
        }
        drop(known);
        let series = Series::of(method, path, status);
        series.note(took);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(path.to_owned()).or_default().push(series);
    }
}

impl Series {
    fn of(method: &'static str, path: &str, status: u16) -> Self {
        let labels = [
            Label::from_static_parts("method", method),
            Label::new("path", path.to_owned()),
            Label::new("status", status.to_string()),
        ];
        Self {
            method,
            status,
            requests: counter!(REQUESTS, labels.iter()),
            duration: histogram!(DURATION, labels.iter()),
        }
    }

    fn note(&self, took: Duration) {
        self.requests.increment(1);
        self.duration.record(took);
    }
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let id = request_id(request.headers());
        let traceparent = request
            .headers()
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let trace = TraceContext::following(traceparent);
        request.extensions_mut().insert(trace);
        let route = Route {
            method: known_method(request.method()),
            path: request.extensions().get().cloned(),
        };
        let span = if route.is_quiet() && !tracing::enabled!(Level::DEBUG) {
            Span::none()
        } else {
            route.span(&id, trace)
        };
        let answer = span.in_scope(|| self.inner.call(request));
        let answer = answer.instrument(span.clone());
        let known = Arc::clone(&self.known);
        Box::pin(async move {
            let mut response = answer.await?;
            let (took, status) = (started.elapsed(), response.status().as_u16());
            if let Some(cause) = response.extensions_mut().remove::<Cause>() {
                let span = Some(&span).filter(|span| !span.is_none());
                let span = span.cloned().unwrap_or_else(|| route.span(&id, trace));
                span.in_scope(|| cause.log());
            }
            span.in_scope(|| route.log(took, status));
            known.note(route.method, route.path(), status, took);
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        })
    }
}

/// What a request asked for, as labels have it.
struct Route {
    method: &'static str,
    path: Option<MatchedPath>,
}

impl Route {
    fn path(&self) -> &str {
        self.path.as_ref().map_or("unmatched", MatchedPath::as_str)
    }

    fn is_quiet(&self) -> bool {
        QUIET.contains(&(self.method, without_prefix(self.path())))
    }

    fn span(&self, id: &HeaderValue, trace: TraceContext) -> Span {
        tracing::info_span!(
            "request",
            method = self.method,
            path = self.path(),
            request_id = id.to_str().unwrap_or_default(),
            trace_id = trace.trace_id(),
        )
    }

    fn log(&self, took: Duration, status: u16) {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if self.is_quiet() {
            tracing::debug!(status, duration_ms, "answered");
        } else {
            tracing::info!(status, duration_ms, "answered");
        }
    }
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
