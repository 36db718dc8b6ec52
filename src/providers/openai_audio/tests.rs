//! The client against a server on a real socket that follows the published protocol:
//! <https://platform.openai.com/docs/api-reference/audio/createTranscription>

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Multipart, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response as Answer};
use axum::routing::post;

use super::*;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, String>>>);

/// A server that answers each request with `answer`, and what it was asked.
async fn serve<F>(answer: F) -> (String, Seen)
where
    F: Fn() -> Answer + Clone + Send + Sync + 'static,
{
    let seen = Seen::default();
    let handler = async move |State(seen): State<Seen>, headers: HeaderMap, form: Multipart| {
        seen.record(&headers, form).await;
        answer()
    };
    let app = Router::new()
        .route("/v1/audio/transcriptions", post(handler))
        .with_state(seen.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (base_url, seen)
}

impl Seen {
    async fn record(&self, headers: &HeaderMap, mut form: Multipart) {
        let mut fields = BTreeMap::new();
        if let Some(value) = headers.get("authorization") {
            fields.insert(
                "authorization".to_owned(),
                value.to_str().unwrap().to_owned(),
            );
        }
        while let Some(field) = form.next_field().await.unwrap() {
            let name = field.name().unwrap().to_owned();
            fields.insert(
                name,
                String::from_utf8_lossy(&field.bytes().await.unwrap()).into_owned(),
            );
        }
        *self.0.lock().unwrap() = fields;
    }

    fn field(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }
}

fn client(base_url: &str) -> OpenAiAudio {
    configured(base_url, None, None)
}

fn configured(base_url: &str, key: Option<&str>, language: Option<&str>) -> OpenAiAudio {
    // Fails where another test of this process installed it first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = Client::builder()
        .connect_timeout(Duration::from_secs(2))
        .build()
        .unwrap();
    OpenAiAudio::new(
        http,
        base_url,
        key.map(Into::into),
        "whisper-1",
        language.map(Into::into),
    )
}

async fn ask(client: &OpenAiAudio) -> Result<Transcription, TranscriptionError> {
    client
        .transcribe(b"RIFF".to_vec(), Duration::from_secs(1))
        .await
}

#[tokio::test]
async fn the_request_is_as_published() {
    let (url, seen) = serve(|| r#"{"text":"Hello."}"#.into_response()).await;
    let heard = ask(&configured(&format!("{url}/v1/"), Some("k3y"), Some("en")))
        .await
        .unwrap();
    assert_eq!(heard.text, "Hello.");
    assert_eq!(seen.field("file").as_deref(), Some("RIFF"));
    assert_eq!(seen.field("model").as_deref(), Some("whisper-1"));
    assert_eq!(seen.field("model_name").as_deref(), Some("whisper-1"));
    assert_eq!(
        seen.field("response_format").as_deref(),
        Some("verbose_json")
    );
    assert_eq!(seen.field("language").as_deref(), Some("en"));
    assert_eq!(seen.field("authorization").as_deref(), Some("Bearer k3y"));
}

#[tokio::test]
async fn key_and_language_are_left_out_when_not_set() {
    let (url, seen) = serve(|| r#"{"text":""}"#.into_response()).await;
    ask(&client(&url)).await.unwrap();
    assert_eq!(
        (seen.field("authorization"), seen.field("language")),
        (None, None)
    );
}

#[tokio::test]
async fn too_many_requests() {
    let busy = || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response();
    let (url, _) = serve(busy).await;
    let error = ask(&client(&url)).await.unwrap_err();
    let TranscriptionError::RateLimited { retry_after } = error else {
        panic!("{error}")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    let (url, _) = serve(|| StatusCode::TOO_MANY_REQUESTS.into_response()).await;
    let error = ask(&client(&url)).await.unwrap_err();
    assert!(
        matches!(error, TranscriptionError::RateLimited { retry_after: None }),
        "{error}"
    );
}

#[tokio::test]
async fn a_refused_request_says_why() {
    let refusal = || {
        let body = r#"{"error":{"message":"Invalid file format.","code":null}}"#;
        (StatusCode::BAD_REQUEST, body).into_response()
    };
    let (url, _) = serve(refusal).await;
    let error = ask(&client(&url)).await.unwrap_err();
    let TranscriptionError::Rejected { status, message } = error else {
        panic!("{error}")
    };
    assert_eq!((status, message.as_str()), (400, "Invalid file format."));
}

#[tokio::test]
async fn a_failing_server_is_unavailable() {
    for status in [500, 502, 503, 408] {
        let (url, _) = serve(move || StatusCode::from_u16(status).unwrap().into_response()).await;
        let error = ask(&client(&url)).await.unwrap_err();
        assert!(
            matches!(error, TranscriptionError::Unavailable { .. }),
            "{status}: {error}"
        );
    }
}

#[tokio::test]
async fn nobody_listening_is_unavailable_and_no_key_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = ask(&client(&format!("http://user:s3cret@{address}")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, TranscriptionError::Unavailable { .. }),
        "{error}"
    );
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the runtime of the test ends it")]
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    let error = ask(&client(&url)).await.unwrap_err();
    assert!(
        matches!(error, TranscriptionError::Unavailable { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn answers_that_are_none() {
    let too_large = || vec![b' '; MAX_ANSWER_BYTES + 1].into_response();
    let (url, _) = serve(too_large).await;
    let error = ask(&client(&url)).await.unwrap_err();
    assert!(
        matches!(error, TranscriptionError::Malformed { .. }),
        "{error}"
    );
    let (url, _) = serve(|| "<html>".into_response()).await;
    let error = ask(&client(&url)).await.unwrap_err();
    assert!(
        matches!(error, TranscriptionError::Malformed { .. }),
        "{error}"
    );
}

#[test]
fn base_urls_with_and_without_v1() {
    for base in [
        "http://a/x",
        "http://a/x/",
        "http://a/x/v1",
        "http://a/x/v1/",
    ] {
        assert_eq!(endpoint(base), "http://a/x/v1/audio/transcriptions");
    }
}
