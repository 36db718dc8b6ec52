//! What has no prefix: probes, documents, and what holds for every answer.

use std::time::{Duration, Instant};

use aftercall::embedded::harness::Harness;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Answer, TestIngress};

/// Every route of PRODUCT.md that exists, by method.
const ROUTES: &[&str] = &[
    "get /",
    "get /.well-known/jwks.json",
    "get /health",
    "get /metrics",
    "get /ready",
    "post /api/v1/auth/register",
    "post /api/v1/auth/login",
    "get /api/v1/auth/me",
    "get /api/v1/customers",
    "post /api/v1/customers",
    "get /api/v1/customers/{id}",
    "put /api/v1/customers/{id}",
    "get /api/v1/api-keys",
    "post /api/v1/api-keys",
    "delete /api/v1/api-keys/{id}",
    "get /api/v1/sessions",
    "post /api/v1/sessions",
    "get /api/v1/sessions/{id}",
    "put /api/v1/sessions/{id}",
    "delete /api/v1/sessions/{id}",
    "post /api/v1/sessions/{id}/start",
    "post /api/v1/sessions/{id}/end",
    "post /api/v1/sessions/{id}/retry",
    "post /api/v1/sessions/{id}/upload-recording",
    "get /api/v1/sessions/{id}/events",
    "get /api/v1/sessions/{id}/recordings",
    "get /api/v1/sessions/{id}/transcript",
    "post /api/v1/analysis/{session_id}/transcribe",
    "post /api/v1/analysis/{session_id}/analyze",
    "get /api/v1/analysis/{session_id}/analysis",
    "get /api/v1/clients",
    "post /api/v1/clients",
    "get /api/v1/clients/{id}",
    "put /api/v1/clients/{id}",
    "delete /api/v1/clients/{id}",
];
const AUDIO: &str = "get /api/v1/sessions/{id}/recordings/{recording_id}/audio";

#[tokio::test]
async fn probes_answer_and_metrics_count() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let index = ingress.get("/", None).await.json();
    assert_eq!(index["name"], "aftercall");
    for link in index["links"]
        .as_object()
        .unwrap()
        .values()
        .filter(|link| *link != "/api/v1")
    {
        let answer = ingress.get(link.as_str().unwrap(), None).await;
        assert_eq!(answer.status, StatusCode::OK, "{link}: {}", answer.text());
    }
    assert_eq!(ingress.get("/health", None).await.json()["status"], "ok");
    assert_eq!(ingress.get("/ready", None).await.json()["status"], "ready");
    ingress
        .get("/api/v1/auth/me?token=secret-query", None)
        .await;
    ingress.get("/no/such/place", None).await;
    let metrics = ingress.get("/metrics", None).await.text();
    let counted =
        r#"aftercall_http_requests_total{method="GET",path="/api/v1/auth/me",status="401"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains(r#"path="unmatched",status="404""#));
    assert!(metrics.contains("aftercall_http_request_duration_seconds_bucket"));
    assert!(!metrics.contains("secret-query") && !metrics.contains("no/such/place"));
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn readiness_names_what_is_down_and_no_more() {
    let harness = Harness::start().await;
    let down = [
        ("DATABASE_URL", "postgres://nobody:hidden@127.0.0.1:1/none"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
    ];
    let ingress = TestIngress::start_with(&harness, &down).await;
    harness.nats.lock().await.stop().await;
    let started = Instant::now();
    let answer = ingress.get("/ready", None).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let ready = answer.json();
    assert_eq!(ready["status"], "unready");
    let text = answer.text();
    for part in ["nats", "database", "object storage"] {
        assert!(text.contains(part), "{text}");
    }
    for inside in ["127.0.0.1", "hidden", "nobody"] {
        assert!(!text.contains(inside), "{text}");
    }
    assert_eq!(ingress.get("/health", None).await.status, StatusCode::OK);
    // The flush at the end of the process cannot succeed now; the hard stop ends it.
    drop(ingress);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_trailing_slash_and_the_old_prefix_make_no_difference() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let token = ingress.register("ada@example.org").await;
    let me = ingress.get("/api/v1/auth/me", Some(&token)).await.json();
    for path in [
        "/api/v1/auth/me/",
        "/api/auth/me",
        "/api/auth/me/",
        "/api/v1/auth/me/?x=1",
    ] {
        let answer = ingress.get(path, Some(&token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.json(), me, "{path}");
    }
    for path in ["/health/", "/docs/", "/redoc/", "/openapi.json/"] {
        assert_eq!(
            ingress.get(path, None).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        "/api",
        "/api/v1",
        "/api/v2/auth/me",
        "/auth/me",
        "/docs/../etc/passwd",
        "/%00",
    ] {
        assert_eq!(
            ingress.get(path, Some(&token)).await.problem(404),
            "not_found",
            "{path}"
        );
    }
    let wrong = Answer::of(ingress.request(Method::PATCH, "/api/v1/auth/me")).await;
    assert_eq!(wrong.problem(405), "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("GET,HEAD"));
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn browsers_of_listed_origins_may_call() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let preflight = async |origin: &str, path: &str| {
        let request = ingress
            .request(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization, content-type",
            );
        Answer::of(request).await
    };
    let (listed, foreign) = ("http://localhost:3000", "https://evil.example");
    for path in ["/api/v1/sessions", "/api/v1/auth/login", "/api/auth/login/"] {
        let answer = preflight(listed, path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("access-control-allow-origin"), Some(listed));
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(
            preflight(foreign, path)
                .await
                .header("access-control-allow-origin"),
            None
        );
    }
    let refused = ingress
        .request(Method::GET, "/api/v1/auth/me")
        .header("origin", listed);
    let refused = Answer::of(refused).await;
    assert_eq!(refused.problem(401), "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), Some(listed));
    assert!(
        refused
            .header("vary")
            .is_some_and(|vary| vary.contains("origin"))
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let kept = ingress
        .request(Method::GET, "/health")
        .header("x-request-id", "caller-7");
    assert_eq!(
        Answer::of(kept).await.header("x-request-id"),
        Some("caller-7")
    );
    let first = ingress.get("/nowhere", None).await;
    let second = ingress.get("/nowhere", None).await;
    assert!(
        first
            .header("x-request-id")
            .is_some_and(|id| id.len() == 36)
    );
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn half_a_header_is_cut_off() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, &[("HEADER_TIMEOUT_SECONDS", "1")]).await;
    for bytes in [
        "",
        "GET /health HT",
        "GET /health HTTP/1.1\r\nHost: x\r\nX-Half: ",
    ] {
        let started = Instant::now();
        let mut stream = TcpStream::connect(ingress.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(started.elapsed() < Duration::from_secs(4), "{bytes}");
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn the_document_lists_the_routes_that_exist() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let document = ingress.get("/openapi.json", None).await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let mut listed: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{method} {path}"))
        })
        .collect();
    let mut wanted: Vec<&str> = ROUTES.iter().copied().chain([AUDIO]).collect();
    listed.sort();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    for route in wanted {
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.to_uppercase().parse().unwrap();
        let id = uuid::Uuid::nil().to_string();
        let path = path
            .replace("{id}", &id)
            .replace("{session_id}", &id)
            .replace("{recording_id}", &id);
        let answer = Answer::of(ingress.request(method.clone(), &path)).await;
        assert!(
            !matches!(answer.status.as_u16(), 404 | 405),
            "{method} {path}: {}",
            answer.text()
        );
        let operation =
            &document["paths"][route.split_once(' ').unwrap().1][method.as_str().to_lowercase()];
        let status = answer.status.as_u16().to_string();
        assert!(
            operation["responses"][&status].is_object(),
            "{route} does not declare {status}"
        );
        assert_eq!(
            operation["security"].is_array(),
            status == "401",
            "{route} answered {status}"
        );
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn the_pages_load_from_this_server_only() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    for page in ["/docs", "/redoc"] {
        let answer = ingress.get(page, None).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("http"),
            "{policy}"
        );
        let html = answer.text();
        let mut loaded = 0;
        for attribute in ["src=\"", "href=\"", "spec-url=\""] {
            for rest in html.split(attribute).skip(1) {
                let target = rest.split('"').next().unwrap();
                if target == "data:," {
                    continue;
                }
                assert!(
                    target.starts_with('/') && !target.starts_with("//"),
                    "{target}"
                );
                let file = ingress.get(target, None).await;
                assert_eq!(file.status, StatusCode::OK, "{target}");
                assert!(!file.body.is_empty());
                loaded += 1;
            }
        }
        assert!(loaded >= 2, "{html}");
    }
    let initializer = ingress
        .get("/docs/swagger-initializer.js", None)
        .await
        .text();
    assert!(
        initializer.contains("/openapi.json") && !initializer.contains("https://"),
        "{initializer}"
    );
    for absent in ["/docs/index.html", "/docs/none.js", "/docs/..%2fCargo.toml"] {
        assert_eq!(
            ingress.get(absent, None).await.problem(404),
            "not_found",
            "{absent}"
        );
    }
    let document: Value = ingress.get("/openapi.json", None).await.json();
    assert!(
        document["servers"][0]["url"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.1")
    );
    ingress.stop().await;
    harness.finish().await;
}
