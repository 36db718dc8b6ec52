//! The client against a server on a real socket that follows the published protocol:
//! <https://platform.openai.com/docs/api-reference/chat-streaming>

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response as Reply};
use axum::routing::post;
use bytes::Bytes;
use serde_json::json;

use super::*;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(HeaderMap, Value)>>>);

impl Seen {
    fn bodies(&self) -> Vec<Value> {
        let seen = self.0.lock().unwrap();
        seen.iter().map(|(_, body)| body.clone()).collect()
    }
}

/// A server that answers the n-th request with `answer(n)`, and what it was asked.
async fn serve<F>(answer: F) -> (String, Seen)
where
    F: Fn(usize) -> Reply + Clone + Send + Sync + 'static,
{
    let seen = Seen::default();
    let handler = async move |State(seen): State<Seen>, headers: HeaderMap, body: Bytes| {
        let body = serde_json::from_slice(&body).unwrap();
        let mut all = seen.0.lock().unwrap();
        all.push((headers, body));
        answer(all.len() - 1)
    };
    let app = Router::new()
        .route("/v1/chat/completions", post(handler))
        .with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (base_url, seen)
}

fn events(body: impl Into<Body>) -> Reply {
    (
        [("content-type", "text/event-stream; charset=utf-8")],
        body.into(),
    )
        .into_response()
}

/// The events of an answer, as OpenAI sends them.
fn said(pieces: &[&str], finish_reason: &str) -> String {
    let mut body = String::new();
    let mut add = |chunk: Value| {
        let _ = write!(body, "data: {chunk}\n\n");
    };
    add(json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}));
    for piece in pieces {
        add(json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}));
    }
    add(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]}));
    add(json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}));
    body.push_str("data: [DONE]\n\n");
    body
}

const LIMITS: Limits = Limits {
    max_output_tokens: 64,
    idle: Duration::from_millis(500),
    time_limit: Duration::from_secs(5),
};

fn chat(base_url: &str, key: Option<&str>) -> Chat {
    chat_within(LIMITS, base_url, key)
}

fn chat_within(limits: Limits, base_url: &str, key: Option<&str>) -> Chat {
    // Fails where another test of this process installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = crate::providers::http_client().unwrap();
    Chat::new(http, base_url, key.map(Into::into), "small", limits)
}

/// Goes on with `pieces`, one every 50 ms; an error cuts the connection.
fn drip(pieces: impl Iterator<Item = std::io::Result<String>> + Send + 'static) -> Reply {
    let ticks = tokio::time::interval(Duration::from_millis(50));
    let ticks = tokio_stream::wrappers::IntervalStream::new(ticks);
    let pieces = futures::StreamExt::zip(ticks, futures::stream::iter(pieces));
    let pieces = futures::StreamExt::map(pieces, |(_, piece)| piece);
    events(Body::from_stream(pieces))
}

async fn ask(chat: &Chat) -> Result<Answer, ChatError> {
    let schema = json!({"type": "object"});
    let prompt = Prompt {
        system: "Be brief.",
        user: "Hello",
        schema_name: "greeting",
        schema: &schema,
    };
    chat.ask(prompt).await
}

async fn asked(
    answer: impl Fn() -> Reply + Clone + Send + Sync + 'static,
) -> Result<Answer, ChatError> {
    let (url, _) = serve(move |_| answer()).await;
    ask(&chat(&url, None)).await
}

#[tokio::test]
async fn the_request_is_as_published_and_the_answer_is_put_together() {
    let (url, seen) = serve(|_| events(said(&["{\"a\":", " \"ü\"}"], "stop"))).await;
    let answer = ask(&chat(&url, Some("k3y"))).await.unwrap();
    assert_eq!(answer.text, "{\"a\": \"ü\"}");
    let usage = Usage {
        input_tokens: Some(12),
        output_tokens: Some(3),
        cost_micros: None,
    };
    assert_eq!(answer.usage, usage);
    let (headers, body) = seen.0.lock().unwrap().remove(0);
    assert_eq!(headers["authorization"], "Bearer k3y");
    assert_eq!(
        body,
        json!({
            "model": "small",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hello"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 64,
            "temperature": 0,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "greeting", "strict": true, "schema": {"type": "object"}},
            },
        })
    );
}

#[tokio::test]
async fn what_a_server_refuses_is_left_out_from_then_on() {
    let complaints = [
        "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "response_format.type: json_schema is not supported",
        "unknown response_format",
    ];
    let (url, seen) = serve(move |n| match complaints.get(n) {
        Some(complaint) => {
            let problem = json!({"error": {"message": complaint}});
            (StatusCode::BAD_REQUEST, axum::Json(problem)).into_response()
        }
        None => events(said(&["{}"], "stop")),
    })
    .await;
    let chat = chat(&url, None);
    for _ in 0..3 {
        assert_eq!(ask(&chat).await.unwrap_err().kind, ErrorKind::Adapted);
    }
    assert_eq!(ask(&chat).await.unwrap().text, "{}");
    assert_eq!(ask(&chat).await.unwrap().text, "{}");
    let bodies = seen.bodies();
    assert_eq!(
        bodies[2]["response_format"]["schema"],
        json!({"type": "object"})
    );
    assert_eq!(bodies[3], bodies[4]);
    assert_eq!(bodies[4]["response_format"], json!({"type": "json_object"}));
    assert_eq!(bodies[4]["max_completion_tokens"], 64);
    assert!(bodies[4].get("max_tokens").is_none());
    let system = bodies[4]["messages"][0]["content"].as_str().unwrap();
    assert!(system.ends_with(r#"{"type":"object"}"#), "{system}");
}

#[tokio::test]
async fn a_request_that_no_form_mends_is_refused_and_nothing_is_remembered() {
    let refuse = |_| (StatusCode::BAD_REQUEST, "no such thing").into_response();
    let (url, seen) = serve(refuse).await;
    let chat = chat(&url, None);
    for _ in 0..3 {
        assert_eq!(ask(&chat).await.unwrap_err().kind, ErrorKind::Adapted);
    }
    let refused = ErrorKind::Rejected {
        status: 400,
        message: "no such thing".to_owned(),
    };
    assert_eq!(ask(&chat).await.unwrap_err().kind, refused);
    ask(&chat).await.unwrap_err();
    let bodies = seen.bodies();
    assert_eq!(bodies[4], bodies[0]);
}

#[tokio::test]
async fn statuses_say_when_to_come_back() {
    let kind = async |status: u16, retry_after: Option<&'static str>| {
        let answer = move || {
            let status = StatusCode::from_u16(status).unwrap();
            match retry_after {
                Some(pause) => (status, [("retry-after", pause)]).into_response(),
                None => status.into_response(),
            }
        };
        asked(answer).await.unwrap_err().kind
    };
    let pause = Some(Duration::from_secs(7));
    let limited = |retry_after| ErrorKind::RateLimited { retry_after };
    assert_eq!(kind(429, Some("7")).await, limited(pause));
    assert_eq!(kind(429, None).await, limited(None));
    for (status, given, expected) in [
        (503, Some("7"), pause),
        (500, None, None),
        (401, None, None),
        (402, None, None),
        (404, None, None),
    ] {
        let ErrorKind::Unavailable { retry_after, .. } = kind(status, given).await else {
            panic!("{status}");
        };
        assert_eq!(retry_after, expected, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_did_not_end_well_says_how_and_what_it_used() {
    let used = Some(3);
    for (finish_reason, kind) in [
        ("length", ErrorKind::Truncated),
        ("content_filter", ErrorKind::Declined),
    ] {
        let error = asked(move || events(said(&["{"], finish_reason)))
            .await
            .unwrap_err();
        assert_eq!((error.kind, error.usage.output_tokens), (kind, used));
        assert_eq!(error.text, "{");
    }
    let refusal = || {
        let chunk =
            json!({"choices": [{"delta": {"refusal": "I cannot"}, "finish_reason": "stop"}]});
        events(format!("data: {chunk}\n\ndata: [DONE]\n\n"))
    };
    assert_eq!(asked(refusal).await.unwrap_err().kind, ErrorKind::Declined);
    let failed = || {
        let chunk =
            json!({"error": {"code": 502, "message": "upstream"}, "usage": {"prompt_tokens": 5}});
        events(format!("data: {chunk}\n\n"))
    };
    let error = asked(failed).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unavailable { .. }));
    assert_eq!(error.usage.input_tokens, Some(5));
    let long = || {
        (
            StatusCode::BAD_REQUEST,
            "maximum context length is 4096 tokens",
        )
            .into_response()
    };
    assert!(matches!(
        asked(long).await.unwrap_err().kind,
        ErrorKind::TooLong { .. }
    ));
}

#[tokio::test]
async fn a_stream_that_breaks_stalls_or_says_nothing_is_noticed() {
    let whole = said(&["{}"], "stop");
    let cut = whole
        .split_once("finish_reason\":\"stop")
        .unwrap()
        .0
        .to_owned();
    let unavailable = |kind: ErrorKind| matches!(kind, ErrorKind::Unavailable { .. });
    assert!(unavailable(
        asked(move || events(cut.clone())).await.unwrap_err().kind
    ));
    assert!(unavailable(asked(|| events("")).await.unwrap_err().kind));
    assert!(unavailable(
        asked(|| events("data: nonsense\n\n"))
            .await
            .unwrap_err()
            .kind
    ));
    let page = || ([("content-type", "text/html")], "<html>").into_response();
    assert!(unavailable(asked(page).await.unwrap_err().kind));

    // Comments keep the connection alive and say nothing of the model.
    let alive = || {
        let beat = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(
            Duration::from_millis(50),
        ));
        let beats =
            tokio_stream::StreamExt::map(beat, |_| Ok::<_, std::io::Error>(": PROCESSING\n\n"));
        events(Body::from_stream(beats))
    };
    assert_eq!(asked(alive).await.unwrap_err().kind, ErrorKind::Stalled);
}

#[tokio::test]
async fn what_is_huge_is_not_read_to_its_end() {
    let max_bytes = 512 * 1024;
    let piece = "x".repeat(100 * 1024);
    let pieces = move || events(said(&[piece.as_str(); 6], "stop"));
    assert_eq!(
        asked(pieces).await.unwrap_err().kind,
        ErrorKind::TooLarge { max_bytes }
    );
    let line = || events(format!("data: {}", "x".repeat(2 * 1024 * 1024)));
    assert_eq!(
        asked(line).await.unwrap_err().kind,
        ErrorKind::TooLarge { max_bytes }
    );
    let document = || {
        (
            [("content-type", "application/json")],
            " ".repeat(1024 * 1024),
        )
            .into_response()
    };
    assert_eq!(
        asked(document).await.unwrap_err().kind,
        ErrorKind::TooLarge { max_bytes }
    );
}

#[tokio::test]
async fn other_servers_write_it_in_other_ways() {
    let document = || {
        axum::Json(json!({
            "choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.000_123_4},
        }))
        .into_response()
    };
    let answer = asked(document).await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.usage.cost_micros),
        ("{}", Some(123))
    );
    // With a byte order mark, lines as in DOS, and without an end.
    let odd = || {
        let body = said(&["{}"], "stop")
            .replace('\n', "\r\n")
            .replace("data: [DONE]", ": bye");
        events(format!("\u{feff}{body}"))
    };
    assert_eq!(asked(odd).await.unwrap().text, "{}");
}

#[tokio::test]
async fn nothing_is_sent_where_a_server_points_to() {
    for status in [301, 302, 303, 307, 308] {
        let (elsewhere, reached) = serve(|_| events(said(&["{}"], "stop"))).await;
        let target = format!("{elsewhere}chat/completions");
        let (url, _) = serve(move |_| {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("location", target.clone())]).into_response()
        })
        .await;
        let error = ask(&chat(&url, Some("k3y"))).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::Unavailable { .. }),
            "{status}"
        );
        assert!(reached.bodies().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_end_ends_with_what_it_used() {
    let limits = Limits {
        time_limit: Duration::from_millis(700),
        ..LIMITS
    };
    let chunk = json!({"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 7}});
    let chunk = format!("data: {chunk}\n\n");
    let (url, _) = serve(move |_| drip(std::iter::repeat(chunk.clone()).map(Ok))).await;
    let error = ask(&chat_within(limits, &url, None)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooSlow);
    assert_eq!(error.usage.input_tokens, Some(7));
    assert!(error.text.starts_with('x'));
}

#[tokio::test]
async fn an_answer_that_is_whole_counts_whatever_comes_instead_of_the_end() {
    let whole = said(&["{}"], "stop").replace("data: [DONE]\n\n", "");
    let beats = std::iter::repeat(": beat\n\n".to_owned());
    let (url, _) = serve(move |_| {
        let pieces = std::iter::once(whole.clone()).chain(beats.clone());
        drip(pieces.map(Ok))
    })
    .await;
    let answer = ask(&chat(&url, None)).await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.usage.output_tokens),
        ("{}", Some(3))
    );
    let cut = || {
        let whole = said(&["{}"], "stop").replace("data: [DONE]\n\n", "");
        drip([Ok(whole), Err(std::io::Error::other("cut"))].into_iter())
    };
    assert_eq!(asked(cut).await.unwrap().text, "{}");
}

#[tokio::test]
async fn odd_figures_are_no_reason_to_throw_an_answer_away() {
    for (usage, input_tokens, cost_micros) in [
        (
            json!({"prompt_tokens": 12.0, "cost": 1e-6}),
            Some(12),
            Some(1),
        ),
        (json!({"prompt_tokens": -1, "cost": -1.0}), None, None),
        (json!({"prompt_tokens": "12", "cost": "1"}), None, None),
        (json!({"prompt_tokens": 1e300, "cost": 1e300}), None, None),
        (json!({"prompt_tokens": 0.5}), None, None),
        (json!([]), None, None),
        (json!(null), None, None),
    ] {
        let chunk = json!({"choices": [{"delta": {"content": "{}"}, "finish_reason": "stop"}],
            "usage": usage});
        let answer = asked(move || events(format!("data: {chunk}\n\n")))
            .await
            .unwrap();
        assert_eq!(answer.usage.input_tokens, input_tokens, "{usage}");
        assert_eq!(answer.usage.cost_micros, cost_micros, "{usage}");
    }
}

#[tokio::test]
async fn neither_bad_bytes_nor_an_event_of_many_lines_is_an_answer() {
    let bad =
        || events(b"data: {\"choices\": [{\"delta\": {\"content\": \"\xff\xfe\"}}]}\n\n".to_vec());
    let error = asked(bad).await.unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::Unavailable { .. }),
        "{:?}",
        error.kind
    );
    for end in ["\n", "\r\n"] {
        let line = format!("data: {}{end}", "x".repeat(1_000));
        let many = move || events(line.repeat(2_000));
        let max_bytes = 512 * 1024;
        let error = asked(many).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge { max_bytes });
    }
}

#[tokio::test]
async fn a_key_that_a_server_repeats_is_left_out() {
    let told = || (StatusCode::CONFLICT, "Bearer sk-s3cret is not a key").into_response();
    let (url, _) = serve(move |_| told()).await;
    let error = ask(&chat(&url, Some("sk-s3cret"))).await.unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::Rejected {
            status: 409,
            message: "Bearer [key] is not a key".to_owned(),
        }
    );
}

#[test]
fn a_base_url_may_leave_out_its_path() {
    for (base, url) in [
        (
            "https://api.openai.com/v1",
            "https://api.openai.com/v1/chat/completions",
        ),
        (
            "https://openrouter.ai/api/v1/",
            "https://openrouter.ai/api/v1/chat/completions",
        ),
        (
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/v1/chat/completions",
        ),
    ] {
        assert_eq!(endpoint(base), url);
    }
}
