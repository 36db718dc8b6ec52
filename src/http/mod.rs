//! The ingress: one page of URLs, and one file per resource.
//!
//! A handler extracts, verifies, translates, commits or queries, and answers. Not here: SQL (`db`),
//! the meaning of facts (`session`), sign-in itself (`auth`).
//!
//! Invariant: a 2xx answer to a command is given after the commit; every refusal is a problem
//! document that tells nothing of our insides.

mod analysis;
mod analytics;
mod anonymous;
pub(crate) mod api_keys;
mod audit;
mod audit_log;
mod auth;
pub mod caller;
pub(crate) mod calls;
pub(crate) mod client_address;
mod client_bodies;
mod clients;
mod clinics;
pub mod commit;
mod consent;
mod cookies;
mod corrections;
mod customers;
mod days;
mod docs;
mod erasures;
mod events;
mod export;
pub mod extract;
mod fields;
mod idempotent;
mod layers;
mod limits;
mod negotiate;
mod oidc;
mod openapi;
mod origin;
mod page;
mod password_check;
mod policies;
pub mod problem;
mod ranges;
mod recordings;
mod redacted;
mod remembered;
mod retry;
mod scopes;
mod security_headers;
mod serve;
mod session_bodies;
mod session_people;
mod sessions;
mod shapes;
mod state;
mod system;
mod throttle;
mod transcript;
mod transcript_findings;
mod transcript_search;
mod uploads;
mod user_bodies;
mod user_changes;
mod user_passwords;
mod users;
mod wakes;

pub use openapi::document;
pub use serve::serve;
pub use state::{AppState, Config, start};

use axum::Router;
use utoipa::openapi::Paths;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where the API stands, and where older callers find it.
const PREFIXES: [&str; 2] = ["/api/v1", "/api"];

/// What stands under a prefix.
///
/// The prefix is a part of each path: a nested router would take it off again for every request.
fn api(prefix: &str) -> OpenApiRouter<AppState> {
    let all = vec![
        routes!(auth::register),
        routes!(auth::login),
        routes!(auth::test_token),
        routes!(auth::me),
        routes!(auth::refresh),
        routes!(auth::logout),
        routes!(oidc::start),
        routes!(oidc::callback),
        routes!(users::list, users::create),
        routes!(users::get, users::update),
        routes!(clinics::list, clinics::create),
        routes!(clinics::get, clinics::update),
        routes!(customers::list, customers::create),
        routes!(customers::get, customers::update, customers::delete),
        routes!(api_keys::list, api_keys::create),
        routes!(api_keys::revoke),
        routes!(policies::get, policies::put),
        routes!(audit_log::list),
        routes!(erasures::get),
        routes!(sessions::list, sessions::create),
        routes!(sessions::get, sessions::update, sessions::delete),
        routes!(sessions::start),
        routes!(sessions::end),
        routes!(retry::retry),
        routes!(events::follow),
        routes!(uploads::upload),
        routes!(recordings::list),
        routes!(recordings::audio),
        routes!(transcript::get, corrections::correct),
        routes!(transcript_findings::get),
        routes!(export::export),
        routes!(transcript_search::search),
        routes!(analysis::transcribe),
        routes!(analysis::analyze),
        routes!(analysis::get),
        routes!(clients::list, clients::create),
        routes!(clients::get, clients::update, clients::delete),
        routes!(calls::list, calls::create),
        routes!(calls::create_many),
        routes!(calls::get, calls::delete),
        routes!(analytics::dashboard),
        routes!(analytics::calls_per_day),
        routes!(analytics::sentiment),
        routes!(analytics::client_stats),
        routes!(analytics::follow),
    ];
    all.into_iter().fold(
        OpenApiRouter::new(),
        |router, (schemas, paths, handlers)| {
            let mut prefixed = Paths::new();
            for (path, item) in paths.paths {
                prefixed.paths.insert(format!("{prefix}{path}"), item);
            }
            router.routes((schemas, prefixed, handlers))
        },
    )
}

/// What has no prefix.
fn system() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(system::index))
        .routes(routes!(system::health))
        .routes(routes!(system::ready))
        .routes(routes!(system::metrics))
        .routes(routes!(auth::jwks))
}

/// Every route, with the layers around them.
pub fn router(state: AppState) -> Router {
    let api = PREFIXES.map(|prefix| Router::from(api(prefix)));
    let routes = api
        .into_iter()
        .fold(Router::new(), Router::merge)
        .merge(Router::from(system()))
        .merge(docs::router())
        .fallback(system::not_found)
        .method_not_allowed_fallback(system::method_not_allowed);
    layers::around(routes, &state).with_state(state)
}
