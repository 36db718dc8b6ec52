//! Which scope a key needs for a route.
//!
//! Written once, here, and checked where keys are let in, before any handler runs. What has no row is
//! for people only, so a new route is closed to keys until somebody opens it.

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;

use super::problem::ApiError;
use crate::auth::Scope;
use crate::ids::ClientId;

/// Below these, everything is for people only.
#[cfg(test)]
const PEOPLE_ONLY: &[&str] = &[
    "/accounts",
    "/api-keys",
    "/audit",
    "/auth",
    "/clinics",
    "/erasures",
    "/users",
];

/// Routes that are open to keys, without their prefix.
const OPEN: &[(&str, &str, Scope)] = &[
    ("GET", "/customers", Scope::Read),
    ("POST", "/customers", Scope::WriteCustomers),
    ("GET", "/customers/{id}", Scope::Read),
    ("PUT", "/customers/{id}", Scope::WriteCustomers),
    // Erasing, which is all that it does, is refused there.
    ("DELETE", "/customers/{id}", Scope::WriteCustomers),
    ("GET", "/sessions", Scope::Read),
    ("POST", "/sessions", Scope::WriteSessions),
    ("GET", "/sessions/{id}", Scope::Read),
    ("PUT", "/sessions/{id}", Scope::WriteSessions),
    ("DELETE", "/sessions/{id}", Scope::WriteSessions),
    ("POST", "/sessions/{id}/start", Scope::WriteSessions),
    ("POST", "/sessions/{id}/end", Scope::WriteSessions),
    ("POST", "/sessions/{id}/retry", Scope::WriteSessions),
    ("GET", "/sessions/{id}/events", Scope::Read),
    (
        "POST",
        "/sessions/{id}/upload-recording",
        Scope::WriteSessions,
    ),
    ("GET", "/sessions/{id}/recordings", Scope::Read),
    (
        "GET",
        "/sessions/{id}/recordings/{recording_id}/audio",
        Scope::Read,
    ),
    ("GET", "/sessions/{id}/transcript", Scope::Read),
    ("PATCH", "/sessions/{id}/transcript", Scope::WriteSessions),
    ("GET", "/sessions/{id}/export", Scope::Read),
    ("GET", "/transcripts/search", Scope::Read),
    ("GET", "/sessions/{id}/transcript/findings", Scope::Read),
    (
        "POST",
        "/analysis/{session_id}/transcribe",
        Scope::WriteSessions,
    ),
    (
        "POST",
        "/analysis/{session_id}/analyze",
        Scope::WriteSessions,
    ),
    ("GET", "/analysis/{session_id}/analysis", Scope::Read),
    ("GET", "/clients", Scope::Read),
    ("POST", "/clients", Scope::WriteClients),
    ("GET", "/clients/{id}", Scope::Read),
    ("PUT", "/clients/{id}", Scope::WriteClients),
    ("DELETE", "/clients/{id}", Scope::WriteClients),
    ("GET", "/calls", Scope::Read),
    ("POST", "/calls", Scope::WriteCalls),
    ("POST", "/calls/batch", Scope::WriteCalls),
    ("GET", "/calls/{id}", Scope::Read),
    ("DELETE", "/calls/{id}", Scope::WriteCalls),
    ("GET", "/analytics/dashboard", Scope::Read),
    ("GET", "/analytics/calls-per-day", Scope::Read),
    ("GET", "/analytics/sentiment", Scope::Read),
    ("GET", "/analytics/client/{id}/stats", Scope::Read),
    ("GET", "/analytics/stream", Scope::Read),
];

/// The scope that a key needs for a route, with or without its prefix; none where it is for people only.
pub fn needed(method: &str, path: &str) -> Option<Scope> {
    let method = if method == "HEAD" { "GET" } else { method };
    let path = without_prefix(path);
    let row = OPEN
        .iter()
        .find(|(of, open, _)| *of == method && *open == path);
    row.map(|(_, _, scope)| *scope)
}

/// A route as the table names it.
pub fn without_prefix(path: &str) -> &str {
    super::PREFIXES
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .unwrap_or(path)
}

/// Refuses with 403 what a key with these scopes, bound to this client, may not ask for.
pub fn check(parts: &Parts, scopes: &[Scope], client: Option<ClientId>) -> Result<(), ApiError> {
    let path = parts.extensions.get::<MatchedPath>();
    let path = path.map(MatchedPath::as_str).unwrap_or_default();
    decide(&parts.method, path, scopes, client)
}

fn decide(
    method: &Method,
    path: &str,
    scopes: &[Scope],
    client: Option<ClientId>,
) -> Result<(), ApiError> {
    let refused = |code, detail| Err(ApiError::Forbidden { code, detail });
    let Some(scope) = needed(method.as_str(), path) else {
        let detail = "this is for people who sign in, not for keys".to_owned();
        return refused("people_only", detail);
    };
    if !scopes.contains(&scope) {
        let detail = format!("this needs a key with the scope {scope}");
        return refused("insufficient_scope", detail);
    }
    if client.is_some() && !scope.is_of_client() {
        let detail = "this key is bound to a client, and reaches no more than that one".to_owned();
        return refused("client_bound", detail);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{self, Env};

    /// Method and path of every operation that asks for a credential.
    fn secured() -> Vec<(String, String)> {
        let config = config::Http::read(&Env::default()).unwrap();
        let document = serde_json::to_value(super::super::document(&config)).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.iter().flat_map(|(path, item)| {
            let item = item.as_object().unwrap();
            item.iter().map(move |(method, it)| (method, path, it))
        });
        operations
            .filter(|(_, _, operation)| operation["security"] != Value::Null)
            .map(|(method, path, _)| {
                let path = path.strip_prefix("/api/v1").unwrap_or(path);
                (method.to_uppercase(), path.to_owned())
            })
            .collect()
    }

    fn is_for_people(path: &str) -> bool {
        PEOPLE_ONLY.iter().any(|root| {
            let rest = path.strip_prefix(root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    #[test]
    fn every_secured_route_has_a_row_or_is_for_people() {
        for (method, path) in secured() {
            let open = needed(&method, &path).is_some();
            assert_ne!(
                open,
                is_for_people(&path),
                "{method} {path} needs a row in OPEN, or a root in PEOPLE_ONLY"
            );
        }
    }

    #[test]
    fn every_row_is_a_route_and_what_writes_needs_more_than_read() {
        let routes = secured();
        for (method, path, scope) in OPEN {
            let route = ((*method).to_owned(), (*path).to_owned());
            assert!(routes.contains(&route), "{method} {path} is no route");
            assert_eq!(*method == "GET", *scope == Scope::Read, "{method} {path}");
        }
    }

    #[test]
    fn both_prefixes_and_head_are_the_same_route() {
        for path in ["/clients/{id}", "/api/clients/{id}", "/api/v1/clients/{id}"] {
            assert_eq!(needed("HEAD", path), Some(Scope::Read));
            assert_eq!(needed("DELETE", path), Some(Scope::WriteClients));
            assert_eq!(needed("PATCH", path), None);
        }
        for path in ["", "/", "/api/v1", "/api/v1/api-keys", "/api/v1/auth/me"] {
            assert_eq!(needed("GET", path), None, "{path}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let code = |method, path, scopes: &[Scope], client| {
            let refused = decide(&method, path, scopes, client);
            match refused.expect_err("refused") {
                ApiError::Forbidden { code, detail } => (code, detail),
                other => panic!("{other}"),
            }
        };
        let client = Some(ClientId::generate());
        let (why, detail) = code(Method::POST, "/api/sessions", &[Scope::Read], None);
        assert_eq!(why, "insufficient_scope");
        assert!(detail.contains("sessions:write"), "{detail}");
        let bound = code(Method::PUT, "/clients/{id}", &Scope::ALL, client);
        assert_eq!(bound.0, "client_bound");
        let people = code(Method::POST, "/api/v1/api-keys", &Scope::ALL, None);
        assert_eq!(people.0, "people_only");
        assert!(decide(&Method::GET, "/clients", &[Scope::Read], client).is_ok());
    }
}
