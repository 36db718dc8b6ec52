//! Serves an app over HTTP/1 and HTTP/2 without TLS until the stop.
//!
//! Each request carries the address of its peer as [`ConnectInfo`]. Not here: routes and layers. TLS ends in front of this process.
//!
//! Invariant: a connection that brings no request within the time for headers is closed, whatever
//! little it sends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

use crate::lifecycle::Shutdown;

/// How long accepting rests after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Pings that find HTTP/2 clients who left without a word.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Serves until the soft stop, then finishes the requests that run; the hard stop drops them.
pub async fn serve<S>(listener: TcpListener, app: S, header_timeout: Duration, shutdown: &Shutdown)
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    while let Some((stream, peer)) = accept(&listener, shutdown.soft()).await {
        while connections.try_join_next().is_some() {}
        let begun = Arc::new(AtomicBool::new(false));
        let service = service_fn({
            let (app, begun) = (app.clone(), Arc::clone(&begun));
            move |mut request: Request<Incoming>| {
                begun.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(ConnectInfo(peer));
                app.clone().oneshot(request)
            }
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        let hard = shutdown.hard().clone();
        connections.spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    tracing::debug!(%error, "connection broke");
                },
                () = silence(header_timeout, begun) => tracing::debug!("connection brought no request"),
                () = hard.cancelled() => {}
            }
        });
    }
    graceful.shutdown().await;
}

/// The next connection; none once the stop began.
async fn accept(
    listener: &TcpListener,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "connection broke");
                }
                return Some((stream, peer));
            }
            // File handles are short; the next call would fail at once.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Ends when no request has begun within the limit. The protocol's own limit for headers starts only
/// once the first bytes have told which protocol it is.
async fn silence(limit: Duration, begun: Arc<AtomicBool>) {
    tokio::time::sleep(limit).await;
    if begun.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
