//! The OpenAPI document and two pages that show it, without anything from elsewhere.
//!
//! Invariant: the pages load from this server only; their content security policy holds browsers to
//! it.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use super::AppState;
use super::openapi::document;
use super::problem::ApiError;
use super::system::not_found;
use crate::config;

const SWAGGER: &str = include_str!("assets/swagger.html");
const REDOC: &str = include_str!("assets/redoc.html");
const REDOC_SCRIPT: &str = include_str!("assets/redoc/redoc.standalone.js");
const HTML: &str = "text/html; charset=utf-8";
/// Files change with the program only.
const FILE_CACHE: &str = "public, max-age=3600";
/// Both pages write styles of their own; ReDoc searches in a worker that it makes itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/openapi.json`, `/docs` and `/redoc`.
pub fn router() -> Router<AppState> {
    let written = Arc::new(OnceLock::new());
    let swagger = Config::from("/openapi.json")
        .validator_url("none")
        .persist_authorization(true);
    let swagger = Arc::new(swagger);
    Router::new()
        .route(
            "/openapi.json",
            get(async move |State(state): State<AppState>| openapi(&written, &state.config.http)),
        )
        .route("/docs", get(|| async { page(SWAGGER) }))
        .route(
            "/docs/{file}",
            get(move |file| swagger_file(swagger.clone(), file)),
        )
        .route("/redoc", get(|| async { page(REDOC) }))
        .route("/redoc/redoc.standalone.js", get(redoc_script))
}

fn openapi(written: &OnceLock<Bytes>, config: &config::Http) -> Result<Response, ApiError> {
    if let Some(bytes) = written.get() {
        return Ok(json(bytes.clone()));
    }
    let bytes = serde_json::to_vec(&document(config)).map_err(anyhow::Error::from)?;
    Ok(json(written.get_or_init(|| bytes.into()).clone()))
}

fn json(bytes: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn page(html: &'static str) -> Response {
    (
        [(CONTENT_TYPE, HTML), (CONTENT_SECURITY_POLICY, POLICY)],
        html,
    )
        .into_response()
}

async fn redoc_script() -> Response {
    (
        [
            (CONTENT_TYPE, "text/javascript"),
            (CACHE_CONTROL, FILE_CACHE),
        ],
        REDOC_SCRIPT,
    )
        .into_response()
}

async fn swagger_file(
    config: Arc<Config<'static>>,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let file = utoipa_swagger_ui::serve(&name, config)
        .map_err(|error| anyhow::anyhow!("swagger ui: {error}"))?;
    // Its own page has paths that only fit with a slash at the end.
    let Some(file) = file.filter(|_| name != "index.html") else {
        return Err(not_found().await);
    };
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::try_from(file.content_type).map_err(anyhow::Error::from)?;
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FILE_CACHE));
    if file.gzpipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok((headers, file.bytes.into_owned()).into_response())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_vendored_script_is_the_one_that_is_named() {
        let digest = Sha256::digest(REDOC_SCRIPT.as_bytes());
        let digest = digest
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        assert!(
            include_str!("assets/redoc/README.md").contains(&digest),
            "{digest}"
        );
    }

    #[test]
    fn the_pages_name_no_other_server() {
        for html in [SWAGGER, REDOC] {
            assert!(!html.contains("//"), "{html}");
        }
    }
}
