//! The ingress on its listener.

use axum::Router;
use tokio::net::TcpListener;
use tower_http::normalize_path::NormalizePath;

use crate::config;
use crate::lifecycle::Shutdown;

/// Serves until the stop. Event streams end by themselves at the soft stop; whatever else runs may
/// finish until the hard one.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &config::Http,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "serving");
    // Paths are made equal before they are routed; a layer of the router would come too late.
    let app = NormalizePath::trim_trailing_slash(router);
    crate::server::serve(listener, app, config.header_timeout, shutdown).await;
    Ok(())
}
