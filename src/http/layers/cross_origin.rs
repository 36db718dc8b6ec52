//! CORS, for whoever names an origin.
//!
//! Browsers do; agents, who send thousands of calls a second, do not, and to them only `Vary` matters.
//! Without an origin `OPTIONS` is no preflight, but a method that no route has.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{ORIGIN, VARY};
use axum::response::Response;
use futures::TryFutureExt as _;
use futures::future::{Either, MapOk};
use tower::{Layer as _, Service};
use tower_http::cors::{self, CorsLayer};

/// What an answer depends on by these rules, which write it themselves where there is an origin.
const VARIES_BY: HeaderValue = HeaderValue::from_static("origin");

/// The layer that holds an origin against the rules.
#[derive(Clone)]
pub struct CrossOrigin<S> {
    pub inner: S,
    pub rules: Arc<CorsLayer>,
}

impl<S> Service<Request> for CrossOrigin<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone,
{
    type Response = Response;
    type Error = Infallible;
    type Future =
        Either<cors::ResponseFuture<S::Future>, MapOk<S::Future, fn(Response) -> Response>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.headers().contains_key(ORIGIN) {
            let next = self.inner.clone();
            let ready = mem::replace(&mut self.inner, next);
            Either::Left(self.rules.layer(ready).call(request))
        } else {
            Either::Right(self.inner.call(request).map_ok(add_vary))
        }
    }
}

fn add_vary(mut response: Response) -> Response {
    response.headers_mut().append(VARY, VARIES_BY);
    response
}
