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
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What stands under `/api/v1`, and under `/api` for older callers.
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::test_token))
        .routes(routes!(auth::me))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(oidc::start))
        .routes(routes!(oidc::callback))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::get, users::update))
        .routes(routes!(clinics::list, clinics::create))
        .routes(routes!(clinics::get, clinics::update))
        .routes(routes!(customers::list, customers::create))
        .routes(routes!(
            customers::get,
            customers::update,
            customers::delete
        ))
        .routes(routes!(api_keys::list, api_keys::create))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(policies::get, policies::put))
        .routes(routes!(audit_log::list))
        .routes(routes!(erasures::get))
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::get, sessions::update, sessions::delete))
        .routes(routes!(sessions::start))
        .routes(routes!(sessions::end))
        .routes(routes!(retry::retry))
        .routes(routes!(events::follow))
        .routes(routes!(uploads::upload))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::audio))
        .routes(routes!(transcript::get, corrections::correct))
        .routes(routes!(transcript_findings::get))
        .routes(routes!(export::export))
        .routes(routes!(transcript_search::search))
        .routes(routes!(analysis::transcribe))
        .routes(routes!(analysis::analyze))
        .routes(routes!(analysis::get))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::get, clients::update, clients::delete))
        .routes(routes!(calls::list, calls::create))
        .routes(routes!(calls::create_many))
        .routes(routes!(calls::get, calls::delete))
        .routes(routes!(analytics::dashboard))
        .routes(routes!(analytics::calls_per_day))
        .routes(routes!(analytics::sentiment))
        .routes(routes!(analytics::client_stats))
        .routes(routes!(analytics::follow))
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
    let (api, _) = api().split_for_parts();
    let (system, _) = system().split_for_parts();
    let routes = Router::new()
        .nest("/api/v1", api.clone())
        .nest("/api", api)
        .merge(system)
        .merge(docs::router())
        .fallback(system::not_found)
        .method_not_allowed_fallback(system::method_not_allowed);
    layers::around(routes, &state).with_state(state)
}
