//! With `REDACT_PII=always`, for whoever reads placeholders: nothing is found, nothing corrected, and an
//! export holds what the transcript shows them.

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::stages;
use crate::support::{Answer, SignedIn, TestIngress};

#[tokio::test]
async fn whoever_reads_placeholders_learns_no_more_from_words() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, &[("REDACT_PII", "always")]).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let lines = ["Call me at 415-555-0100.", "I will call you."];
    seed::transcript(&harness, session, &lines).await;
    let document = json!({ "version": 1, "transcript_generation": 1,
        "summary": [{ "text": "The number is 415-555-0100.", "quotes": [] }] });
    stages::analysed(&harness, session, 1, &document).await;
    let id = session.session_id;
    let rename = json!({ "speakers": { "speaker_0": "ada@example.com" } });
    let path = format!("/sessions/{id}/transcript");
    let own = Answer::of(ada.request(Method::PATCH, &path).json(&rename)).await;
    assert_eq!(own.status, StatusCode::OK, "{}", own.text());

    let body = json!({ "name": "agent", "scopes": ["read", "sessions:write"] });
    let made = ada.post_json("/api-keys", &body).await.json();
    let key = SignedIn {
        ingress: &ingress,
        token: made["key"].as_str().expect("shown once").to_owned(),
        user_id: ada.user_id,
    };
    for query in ["415-555-0100", "call", "call -415-555-0100"] {
        let search = |by: &SignedIn<'_>| {
            let request = by.request(Method::GET, "/transcripts/search?limit=1");
            Answer::of(request.query(&[("q", query)]))
        };
        let nothing = json!({ "items": [], "next_cursor": null });
        assert_eq!(search(&key).await.json(), nothing, "{query}");
        assert_ne!(search(&ada).await.json()["items"], json!([]), "{query}");
    }
    let refused = Answer::of(key.request(Method::PATCH, &path).json(&rename)).await;
    assert_eq!(refused.problem(403), "original_only");

    for format in ["json", "markdown"] {
        let path = format!("/sessions/{id}/export?format={format}");
        let original = ada.get(&path).await.text();
        assert!(original.contains("555-0100") && original.contains("ada@example.com"));
        let redacted = key.get(&path).await;
        assert_eq!(redacted.status, StatusCode::OK, "{}", redacted.text());
        let redacted = redacted.text();
        assert!(redacted.contains("PHONE"), "{redacted}");
        assert!(!redacted.contains("555"), "{redacted}");
        assert!(!redacted.contains("ada@example.com"), "{redacted}");
    }
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
