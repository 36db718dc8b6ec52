//! The OpenAPI document, made from the handlers.
//!
//! Handlers declare what is special about them; what every operation has (errors as problem
//! documents, unique ids) is added here, so that no handler can forget it.

use axum::http::StatusCode;
use utoipa::openapi::info::InfoBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Response, ServerBuilder,
};
use utoipa_axum::router::OpenApiRouter;

use super::limits::PROBES;
use super::problem::{FieldError, Problem};
use super::scopes;
use crate::config;

/// Media type of errors.
const PROBLEM: &str = "application/problem+json";

/// The document of the API under its canonical prefix and of the system routes.
pub fn document(config: &config::Http) -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    let cookie = ApiKeyValue::new(&config.cookie_name);
    let api_key = ApiKey::Header(ApiKeyValue::with_description(
        "X-API-Key",
        "A key for programs, made at /api-keys; also taken as a bearer token",
    ));
    let base = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title(&config.app_name)
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(env!("CARGO_PKG_DESCRIPTION")))
                .license(Some(
                    LicenseBuilder::new()
                        .name(env!("CARGO_PKG_LICENSE"))
                        .identifier(Some(env!("CARGO_PKG_LICENSE")))
                        .build(),
                ))
                .build(),
        )
        .servers(Some([ServerBuilder::new().url(&config.public_url).build()]))
        .components(Some(
            ComponentsBuilder::new()
                .schema_from::<Problem>()
                .schema_from::<FieldError>()
                .security_scheme("bearer", SecurityScheme::Http(bearer))
                .security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
                .security_scheme("api_key", SecurityScheme::ApiKey(api_key))
                .build(),
        ))
        .build();
    let routes = OpenApiRouter::with_openapi(base)
        .merge(super::api(super::PREFIXES[0]))
        .merge(super::system());
    let mut document = routes.into_openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            add_credentials(operation, method, path);
            add_errors(operation, path);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// `get_sessions_id_transcript`: handlers of several files have one name, paths are unique.
fn operation_id(method: &str, path: &str) -> String {
    let words = path
        .trim_start_matches("/api/v1")
        .split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        format!("{method}_index")
    } else {
        format!("{method}_{}", words.join("_"))
    }
}

/// What takes an access token takes it in a cookie too; and keys are the other credential of what is open
/// to them, with the scope that it takes.
fn add_credentials(operation: &mut Operation, method: &str, path: &str) {
    let Some(security) = &mut operation.security else {
        return;
    };
    security.push(SecurityRequirement::new::<_, [&str; 0], &str>("cookie", []));
    if let Some(scope) = scopes::needed(&method.to_uppercase(), path) {
        security.push(SecurityRequirement::new("api_key", [scope.as_str()]));
    }
}

/// Errors that follow from what the operation takes, and the problem schema of all errors.
fn add_errors(operation: &mut Operation, path: &str) {
    let mut expected = vec![("500", "Something went wrong on our side")];
    expected.push(("503", "A service that is needed does not answer"));
    let has_parameters = operation
        .parameters
        .as_ref()
        .is_some_and(|all| !all.is_empty());
    let has_body = operation.request_body.is_some();
    let is_secured = operation
        .security
        .as_ref()
        .is_some_and(|all| !all.is_empty());
    if has_parameters || has_body {
        expected.push(("400", "The request is malformed"));
    }
    if is_secured {
        expected.push(("401", "No credential, or one that is not valid"));
        expected.push(("403", "The credential does not allow this"));
    }
    if !PROBES.contains(&path) {
        expected.push((
            "429",
            "Too many requests; `Retry-After` says when to come back",
        ));
    }
    if path.contains('{') {
        expected.push(("404", "It does not exist, or the caller may not see it"));
    }
    if has_body {
        expected.extend([
            ("408", "The request did not arrive in time"),
            ("413", "The body is too large"),
            ("415", "The media type is not supported"),
            ("422", "Some fields are not valid"),
        ]);
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in expected {
        let response = || RefOr::T(Response::new(description));
        responses.entry(status.to_owned()).or_insert_with(response);
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if response.description.is_empty() {
            response.description = reason(status).to_owned();
        }
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            let problem = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build();
            response.content.insert(PROBLEM.to_owned(), problem.into());
        }
    }
}

/// What a status says by itself.
fn reason(status: &str) -> &'static str {
    let code = status
        .parse()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    code.and_then(|code| code.canonical_reason())
        .unwrap_or("Answer")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::Env;

    fn written() -> Value {
        let config = config::Http::read(&Env::default()).unwrap();
        serde_json::to_value(document(&config)).unwrap()
    }

    fn all(document: &Value) -> Vec<(String, &Value)> {
        let paths = document["paths"].as_object().unwrap();
        let of = |path: &str, method: &str| format!("{method} {path}");
        paths
            .iter()
            .flat_map(|(path, item)| {
                item.as_object()
                    .unwrap()
                    .iter()
                    .map(move |(method, op)| (of(path, method), op))
            })
            .collect()
    }

    #[test]
    fn it_is_3_1_and_names_every_schema() {
        let document = written();
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(
            document["components"]["securitySchemes"]["bearer"]["scheme"],
            "bearer"
        );
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is not defined");
        }
    }

    #[test]
    fn every_operation_has_its_own_id_a_tag_and_a_summary() {
        let document = written();
        let mut ids = BTreeSet::new();
        for (what, operation) in all(&document) {
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{what}"
            );
            assert!(operation["tags"][0].is_string(), "{what} has no tag");
            assert!(operation["summary"].is_string(), "{what} has no summary");
        }
    }

    #[test]
    fn every_error_is_a_problem() {
        let document = written();
        let problem = "#/components/schemas/Problem";
        for (what, operation) in all(&document) {
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses
                    .keys()
                    .any(|status| status.starts_with(['2', '3'])),
                "{what}"
            );
            let mut wanted = vec!["500", "503"];
            if operation["security"].is_array() {
                wanted.push("401");
            }
            for (status, response) in responses {
                assert!(response["description"].is_string(), "{what} {status}");
            }
            if operation["requestBody"].is_object() {
                wanted.extend(["400", "413", "415", "422"]);
            }
            for status in wanted {
                assert!(responses.contains_key(status), "{what} has no {status}");
            }
            // Probes read the reasons, which a problem does not have.
            let errors = responses
                .iter()
                .filter(|(status, _)| status.starts_with(['4', '5']));
            for (status, response) in errors.filter(|_| what != "get /ready") {
                assert_eq!(
                    response["content"][PROBLEM]["schema"]["$ref"], problem,
                    "{what} {status}"
                );
            }
        }
    }

    #[test]
    fn ids_are_made_of_the_path() {
        assert_eq!(operation_id("get", "/"), "get_index");
        assert_eq!(
            operation_id("get", "/.well-known/jwks.json"),
            "get_well_known_jwks_json"
        );
        assert_eq!(
            operation_id("post", "/api/v1/sessions/{id}/start"),
            "post_sessions_id_start"
        );
    }
}
