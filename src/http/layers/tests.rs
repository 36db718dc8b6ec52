//! The layers around routes that misbehave.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, CACHE_CONTROL, VARY, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::config::{Env, Http, RateLimits};
use crate::http::client_address::ClientAddress;
use crate::http::extract::MAX_JSON_BYTES;
use crate::telemetry::TraceContext;
use crate::telemetry::captured::Captured;

const PEER: &str = "10.0.0.1:4711";

fn app() -> Router {
    app_with(&[])
}

fn app_with(settings: &[(&str, &str)]) -> Router {
    let env = Env::default().with([
        ("CORS_ORIGINS", r#"["https://app.example.org"]"#),
        ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ]);
    let env = env.with(settings.iter().copied());
    let limits = Limits::new(&RateLimits::read(&env).unwrap());
    let mut config = Http::read(&env).unwrap();
    config.request_timeout = Duration::from_millis(50);
    let never = || std::future::pending::<()>();
    let broken = || async {
        assert!(std::hint::black_box(false), "secret detail");
    };
    let length = |body: Bytes| async move { body.len().to_string() };
    let trace = |request: Request| async move {
        request
            .extensions()
            .get::<TraceContext>()
            .map(|trace| trace.trace_id())
            .unwrap_or_default()
    };
    let later = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "audio"
    };
    let routes = Router::new()
        .route("/never", get(never).post(move |_: Bytes| never()))
        .route("/panic", get(broken))
        .route("/panic/events", get(broken))
        .route("/calls", post(broken))
        .route("/length", post(length))
        .route(
            "/address",
            get(|ClientAddress(address): ClientAddress| async move { address.to_string() }),
        )
        .route("/health", get(|| async { "ok" }))
        .route("/trace", get(trace))
        .route("/x/audio", get(later))
        .route("/x/upload-recording", post(length))
        .route(
            "/kept",
            get(|| async { ([(CACHE_CONTROL, "max-age=60")], "") }),
        )
        .fallback(super::super::system::not_found);
    wrap(routes, &config, Arc::new(limits))
}

async fn send(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Response {
    send_to(&app(), method, path, headers, body).await
}

async fn send_to(
    app: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Response {
    let peer: SocketAddr = PEER.parse().unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .extension(ConnectInfo(peer));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone()
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap()
}

async fn get_with(path: &str, headers: &[(&str, &str)]) -> Response {
    send("GET", path, headers, Body::empty()).await
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn code(response: Response) -> String {
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    assert!(response.headers().contains_key(REQUEST_ID));
    let problem: Value = serde_json::from_str(&text(response).await).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing() {
    for path in ["/panic", "/panic/events"] {
        let response = get_with(path, &[]).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = text(response).await;
        assert!(
            body.contains("internal") && !body.contains("secret"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_failed_is_logged_with_its_request() {
    let log = Captured::start();
    // Calls have no log line of their own, except when one fails.
    for (method, path) in [("GET", "/panic"), ("POST", "/calls")] {
        let id = format!("id-of-{method}");
        send(method, path, &[("x-request-id", &id)], Body::empty()).await;
        let logged = log.take();
        let line = logged.lines().find(|line| line.contains("request failed"));
        let line = line.unwrap_or_else(|| panic!("{logged}"));
        let words = format!("method=\"{method}\" path=\"{path}\" request_id=\"{id}\"");
        assert!(
            line.contains("handler panicked") && line.contains(&words),
            "{line}"
        );
        assert_eq!(logged.contains("answered"), method == "GET", "{logged}");
    }
}

#[tokio::test]
async fn who_is_slow_is_told_apart() {
    let ours = get_with("/never", &[]).await;
    assert_eq!(ours.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(ours.headers().contains_key(RETRY_AFTER));
    assert_eq!(code(ours).await, "unavailable");
    let ours = send("POST", "/never", &[], Body::from("all of it")).await;
    assert_eq!(code(ours).await, "unavailable");
    let stalled = futures::stream::pending::<Result<Bytes, std::io::Error>>();
    let theirs = send("POST", "/never", &[], Body::from_stream(stalled)).await;
    assert_eq!(theirs.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(code(theirs).await, "request_timeout");
}

#[tokio::test]
async fn streams_are_exempt_from_the_limits() {
    assert_eq!(text(get_with("/x/audio", &[]).await).await, "audio");
    let large = || Body::from(vec![0; MAX_JSON_BYTES + 1]);
    let refused = send("POST", "/length", &[], large()).await;
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let taken = send("POST", "/x/upload-recording", &[], large()).await;
    assert_eq!(text(taken).await, (MAX_JSON_BYTES + 1).to_string());
}

#[tokio::test]
async fn a_sane_request_id_is_kept() {
    for sane in ["a", "0af76519-16cd", &"x".repeat(128)] {
        let response = get_with("/kept", &[("x-request-id", sane)]).await;
        assert_eq!(response.headers()[REQUEST_ID], sane);
    }
    for odd in ["", "a b", "a\"b", "a\u{e9}", &"x".repeat(129)] {
        let response = get_with("/kept", &[("x-request-id", odd)]).await;
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        assert!(id.parse::<uuid::Uuid>().is_ok(), "{id}");
    }
}

#[tokio::test]
async fn a_trace_is_carried_on() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let carried = text(get_with("/trace", &[("traceparent", parent)]).await).await;
    assert_eq!(carried, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        text(get_with("/trace", &[("traceparent", "x")]).await)
            .await
            .len(),
        32
    );
}

#[tokio::test]
async fn every_answer_has_the_safe_headers() {
    let response = get_with("/nowhere", &[]).await;
    assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert!(!response.headers().contains_key("strict-transport-security"));
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    assert_eq!(code(response).await, "not_found");
    assert_eq!(
        get_with("/kept", &[]).await.headers()[CACHE_CONTROL],
        "max-age=60"
    );
    let app = app_with(&[("PUBLIC_URL", "https://api.example.org")]);
    let response = send_to(&app, "GET", "/panic", &[], Body::empty()).await;
    assert!(response.headers().contains_key("strict-transport-security"));
    assert_eq!(response.headers()["x-frame-options"], "DENY");
}

#[tokio::test]
async fn a_handler_gets_the_address_behind_the_proxy() {
    let address = async |forwarded| text(get_with("/address", forwarded).await).await;
    assert_eq!(address(&[]).await, "10.0.0.1");
    assert_eq!(
        address(&[("x-forwarded-for", "198.51.100.1, 192.0.2.7")]).await,
        "192.0.2.7"
    );
}

#[tokio::test]
async fn beyond_its_limit_an_address_is_refused() {
    let app = app_with(&[("RATE_LIMIT_ADDRESS_PER_MINUTE", "2")]);
    let of = |address| {
        [
            ("x-forwarded-for", address),
            ("origin", "https://app.example.org"),
        ]
    };
    let ask = async |method, path, address| {
        send_to(&app, method, path, &of(address), Body::empty()).await
    };
    for _ in 0..2 {
        assert_eq!(
            ask("GET", "/kept", "192.0.2.1").await.status(),
            StatusCode::OK
        );
    }
    let refused = ask("GET", "/nowhere", "192.0.2.1").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u32 = refused.headers()[RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert!(
        refused
            .headers()
            .contains_key("access-control-allow-origin")
    );
    assert_eq!(code(refused).await, "rate_limited");
    // Others, probes and preflights are not concerned.
    assert_eq!(
        ask("GET", "/kept", "192.0.2.2").await.status(),
        StatusCode::OK
    );
    for _ in 0..5 {
        assert_eq!(
            ask("GET", "/health", "192.0.2.1").await.status(),
            StatusCode::OK
        );
        assert_eq!(
            ask("OPTIONS", "/length", "192.0.2.1").await.status(),
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn only_listed_origins_may_read() {
    let allowed = |response: &Response| {
        response
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let listed = get_with("/kept", &[("origin", "https://app.example.org")]).await;
    assert_eq!(allowed(&listed).as_deref(), Some("https://app.example.org"));
    assert_eq!(listed.headers()["access-control-allow-credentials"], "true");
    for foreign in [
        "https://evil.example",
        "https://app.example.org.evil.example",
        "null",
        "http://app.example.org",
    ] {
        assert_eq!(
            allowed(&get_with("/kept", &[("origin", foreign)]).await),
            None,
            "{foreign}"
        );
    }
    // Caches keep answers with and without an origin apart.
    let varies = |response: &Response| response.headers()[VARY].clone();
    assert_eq!(varies(&listed), "origin");
    assert_eq!(varies(&get_with("/kept", &[]).await), "origin");
    // A browser must be able to read errors, too.
    let failed = get_with("/panic", &[("origin", "https://app.example.org")]).await;
    assert!(allowed(&failed).is_some());
}

#[tokio::test]
async fn a_preflight_is_answered() {
    let ask = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization,idempotency-key",
            ),
        ];
        send("OPTIONS", "/length", &headers, Body::empty()).await
    };
    let listed = ask("https://app.example.org").await;
    assert_eq!(listed.status(), StatusCode::OK);
    assert_eq!(
        listed.headers()["access-control-allow-origin"],
        "https://app.example.org"
    );
    let headers = listed.headers()["access-control-allow-headers"]
        .to_str()
        .unwrap();
    assert!(headers.contains("idempotency-key") && headers.contains("authorization"));
    let bare = send("OPTIONS", "/length", &[], Body::empty()).await;
    assert_eq!(bare.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(bare.headers()[ALLOW], "POST");
    assert!(
        !ask("https://evil.example")
            .await
            .headers()
            .contains_key("access-control-allow-origin")
    );
}
