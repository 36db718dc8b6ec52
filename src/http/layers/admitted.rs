//! Finds out whose request it is, refuses it beyond the limit of its address, bounds its body in size and
//! itself in time, and answers for a handler that panics.

use std::convert::Infallible;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, FutureExt as _};
use http_body::{Frame, SizeHint};
use ipnet::IpNet;
use tower::Service;

use super::matched_path;
use crate::http::client_address;
use crate::http::extract::MAX_JSON_BYTES;
use crate::http::limits::{Limits, is_unlimited};
use crate::http::problem::ApiError;

/// Routes that move audio or events for as long as it takes. They bound their bodies themselves.
const STREAMING: [&str; 5] = [
    "/upload-recording",
    "/audio",
    "/events",
    "/calls/batch",
    "/analytics/stream",
];

/// The layer around the handlers.
#[derive(Clone)]
pub struct Admitted<S> {
    pub inner: S,
    pub admission: Admission,
}

/// Who is let in, and for how long.
#[derive(Clone)]
pub struct Admission {
    /// Proxies whose word counts.
    pub trusted: Arc<[IpNet]>,
    pub limits: Arc<Limits>,
    /// For an answer that is no stream.
    pub time_limit: Duration,
}

impl<S> Service<Request> for Admitted<S>
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
        if let Err(refusal) = self.admission.admit(&mut request) {
            return ready(Ok(refusal.into_response())).boxed();
        }
        let path = matched_path(&request).unwrap_or_default();
        if STREAMING.iter().any(|end| path.ends_with(end)) {
            DefaultBodyLimit::disable().apply(&mut request);
            return survive(self.inner.call(request)).boxed();
        }
        DefaultBodyLimit::max(MAX_JSON_BYTES).apply(&mut request);
        let arrived = Arc::new(AtomicBool::new(false));
        let request = request.map(|body| note_end(body, &arrived));
        let limit = self.admission.time_limit;
        let answer = tokio::time::timeout(limit, survive(self.inner.call(request)));
        Box::pin(async move {
            match answer.await {
                Ok(response) => response,
                Err(_) => Ok(too_late(limit, &arrived).into_response()),
            }
        })
    }
}

impl Admission {
    fn admit(&self, request: &mut Request) -> Result<(), ApiError> {
        let Some(address) = client_address::identify(request, &self.trusted) else {
            return Err(ApiError::Internal(anyhow::anyhow!(
                "request without a peer"
            )));
        };
        if is_unlimited(request.method(), request.extensions()) {
            return Ok(());
        }
        self.limits.check_address(address)
    }
}

/// The answer, also when the handler panics: the panic hook has told where, and the message stays out of
/// the answer. Handlers run only when this is polled.
fn survive(
    answer: impl Future<Output = Result<Response, Infallible>>,
) -> impl Future<Output = Result<Response, Infallible>> {
    AssertUnwindSafe(answer).catch_unwind().map(|ended| {
        ended.unwrap_or_else(|_| {
            let error = anyhow::anyhow!("handler panicked");
            Ok(ApiError::Internal(error).into_response())
        })
    })
}

/// Until the body is here, it is the caller who takes the time.
fn too_late(limit: Duration, arrived: &AtomicBool) -> ApiError {
    if arrived.load(Ordering::Relaxed) {
        let error = anyhow::anyhow!("no answer within {} s", limit.as_secs());
        ApiError::Unavailable(error)
    } else {
        ApiError::TooSlow
    }
}

/// The same body; `arrived` becomes true at its end.
fn note_end(body: Body, arrived: &Arc<AtomicBool>) -> Body {
    if http_body::Body::is_end_stream(&body) {
        arrived.store(true, Ordering::Relaxed);
        return body;
    }
    let arrived = Arc::clone(arrived);
    Body::new(Noted { body, arrived })
}

struct Noted {
    body: Body,
    arrived: Arc<AtomicBool>,
}

impl http_body::Body for Noted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.arrived.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
