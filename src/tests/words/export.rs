//! Exports: everything of a session in one document, and nothing in it is markup.

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stages;
use crate::support::{Answer, SignedIn, TestIngress};

/// An analysis whose every word is hostile.
fn analysis(session: &str) -> Value {
    let quote = json!({
        "turn_index": 0, "recording_id": session, "speaker": "a", "start_ms": 0, "text": "x",
    });
    json!({
        "version": 1, "session_id": session, "transcript_generation": 1, "language": "en",
        "summary": [{ "text": "<img src=x> [click](http://evil)", "quotes": [quote] }],
        "sentiment": { "overall": { "label": "positive", "score": 0.5 }, "speakers": [], "turns": [] },
        "topics": [{ "name": "# Topic", "quotes": [] }], "key_phrases": [],
        "action_items": [{ "text": "1. call", "assignee": "*me*", "due": null, "rule": null, "quote": quote }],
        "questions": [], "outcome": { "text": "`done`", "success": true,
            "rubric": { "name": "r", "version": "1" }, "confidence": null, "quotes": [] },
        "risk_flags": [{ "kind": "k", "severity": "high", "detail": "| d |", "quotes": [] }],
        "talk": { "duration_ms": 2000, "speech_ms": 1800, "silence_ms": 200, "silence_ratio": 0.1,
            "overlap_ms": 0, "interruptions": [], "speakers": [{ "speaker": "a|b", "turns": 1, "words": 2,
            "talk_ms": 900, "listen_ms": 900, "talk_ratio": 0.5, "words_per_minute": 120.0,
            "interruptions": 0 }] },
        "custom_fields": { "<field>": { "state": "found", "value": "<b>", "confidence": null, "quote": null,
            "reason": null } },
        "provenance": { "methods": {}, "unavailable": {} },
        "engine": { "name": "llm", "version": "1", "model": "small_model", "prompt_version": "abc123",
            "label": "a model" },
        "cost": { "input_tokens": 1200, "output_tokens": 300, "amount_micros": 1_234_567,
            "currency": "USD", "price_version": "p1", "attempts": [
                { "outcome": "failed", "input_tokens": 600, "output_tokens": 0, "amount_micros": 1 },
                { "outcome": "succeeded", "input_tokens": 600, "output_tokens": 300, "amount_micros": 2 },
            ] },
    })
}

#[tokio::test]
async fn everything_is_in_one_document() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada
        .create_session(&json!({ "title": "First <talk>" }))
        .await;
    let path = format!("/sessions/{}/export", session.session_id);
    let empty = ada.get(&path).await;
    assert_eq!(empty.status, StatusCode::OK, "{}", empty.text());
    let empty = empty.json();
    for field in ["transcript", "analysis", "cost"] {
        assert_eq!(empty[field], Value::Null, "{field}");
    }
    assert_eq!(empty["lineage"]["recordings"], json!([]));
    assert_eq!(empty["session"]["title"], "First <talk>");

    let lines: Vec<_> = (0..250)
        .map(|n| format!("Line {n} of what was said."))
        .collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    seed::transcript(&harness, session, &lines).await;
    let document = analysis(&session.session_id.to_string());
    stages::analysed(&harness, session, 1, &document).await;
    let answer = ada.get(&path).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let name = format!(
        "attachment; filename=\"session-{}.json\"",
        session.session_id
    );
    assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    let export = answer.json();
    assert_eq!(export["version"], 1);
    assert_eq!(export["analysis"], document);
    assert_eq!(export["cost"], document["cost"]);
    assert_eq!(export["metrics"]["talk"], document["talk"]);
    assert_eq!(export["metrics"]["sentiment"]["label"], "positive");
    assert_eq!(export["metrics"]["turns"], 250);
    let transcript = ada
        .get(&format!("/sessions/{}/transcript", session.session_id))
        .await
        .json();
    for (field, value) in transcript.as_object().expect("an object") {
        assert_eq!(export["transcript"][field], *value, "{field}");
    }
    let lineage = &export["lineage"];
    assert_eq!(lineage["recordings"][0]["sha256"], "00".repeat(32));
    assert_eq!(lineage["transcript"]["generation"], 1);
    let of = &lineage["analysis"];
    assert_eq!(
        (&of["model"], &of["prompt_version"]),
        (&json!("small_model"), &json!("abc123"))
    );
    assert_eq!(
        (&of["engine"], &of["is_of_this_transcript"]),
        (&json!("test"), &json!(true))
    );

    // A correction shows, and that the analysis is of what was before.
    let change = json!({ "generation": 1, "turns": [{ "index": 0, "text": "Other." }] });
    let correct = format!("/sessions/{}/transcript", session.session_id);
    let corrected = Answer::of(ada.request(Method::PATCH, &correct).json(&change)).await;
    assert_eq!(corrected.status, StatusCode::OK, "{}", corrected.text());
    let lineage = ada.get(&path).await.json()["lineage"].clone();
    assert_eq!(lineage["transcript"]["correction"]["corrects"], 1);
    assert_eq!(lineage["analysis"]["is_of_this_transcript"], false);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn markdown_shows_text_and_is_none_of_it() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let body = json!({ "title": "# <h1>*x*", "notes": "1. [a](javascript:alert(1))\n\n> b" });
    let session = ada.create_session(&body).await;
    let lines = [
        "</p><script>alert(1)</script>",
        "![i](https://evil/x.png) www.evil",
    ];
    seed::transcript(&harness, session, &lines).await;
    let document = analysis(&session.session_id.to_string());
    stages::analysed(&harness, session, 1, &document).await;
    let path = format!("/sessions/{}/export", session.session_id);
    let markdown = ada.get(&format!("{path}?format=markdown")).await;
    assert_eq!(
        markdown.header("content-type"),
        Some("text/markdown; charset=utf-8")
    );
    let accept = ada
        .request(Method::GET, &path)
        .header("accept", "text/markdown");
    let by_accept = Answer::of(accept).await.text();
    let text = markdown.text();
    let without_time = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with("- Exported"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(without_time(&by_accept), without_time(&text));
    for expected in [
        "# \\# \\<h1\\>\\*x\\*\n",
        "1\\. \\[a\\](javascript:alert(1)) \\> b\n",
        "- \\<img src=x\\> \\[click\\](http\\://evil) (00:00:00)\n",
        "- 1\\. call — \\*me\\* (00:00:00)\n",
        "| a\\|b | 1 | 00:00:00 | 00:00:00 | 120 |\n",
        "- \\<field\\>: \\<b\\>\n",
        "- Amount: 1.234567 USD\n",
        "- Requests to the model: 2\n",
        "- Prompt version: abc123\n",
        "**\\[00:00:00\\] speaker\\_0:** \\</p\\>\\<script\\>alert(1)\\</script\\>\n",
        "**\\[00:00:01\\] speaker\\_1:** !\\[i\\](https\\://evil/x.png) www\\.evil\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
    assert!(!text.replace("\\<", "").contains('<'), "{text}");

    let other = ada.get(&format!("{path}?format=docx")).await;
    assert_eq!(other.problem(400), "unknown_format");
    let image = ada
        .request(Method::GET, &path)
        .header("accept", "image/png");
    assert_eq!(Answer::of(image).await.problem(406), "not_acceptable");
    let noted: Vec<Value> = sqlx::query_scalar(
        "select details from audit_log where object_id = $1 and action = 'session.exported'",
    )
    .bind(session.session_id.0)
    .fetch_all(&mut harness.admin().await)
    .await
    .expect("entries");
    let once = json!({ "transcript_generation": 1, "analysis_generation": 1 });
    assert_eq!(noted, [once.clone(), once]);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_came_to_nothing_was_paid_for_too() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let path = format!("/sessions/{}/export", session.session_id);
    assert_eq!(ada.get(&path).await.json()["spending"], json!([]));
    seed::transcript(&harness, session, &["Hello."]).await;
    // Of a run that failed for good; one server bills more than a sum holds, and one request died.
    for (id, tokens, amount, currency) in [
        (1, Some(600), Some(40), Some("USD")),
        (2, Some(200), Some(60), Some("USD")),
        (3, Some(i64::MAX), Some(i64::MAX), Some("EUR")),
        (4, Some(1), Some(1), Some("EUR")),
        (5, None::<i64>, None::<i64>, None),
    ] {
        sqlx::query(
            "insert into model_requests (account_id, session_id, generation, id, run, purpose, model,
                question, state, input_tokens, amount_micros, currency, answer)
            select account_id, id, 1, $2, 1, 'whole', 'm', '', 'failed', $3, $4, $5, 'a secret answer'
            from sessions where id = $1",
        )
        .bind(session.session_id.0)
        .bind(uuid::Uuid::from_u128(id))
        .bind(tokens)
        .bind(amount)
        .bind(currency)
        .execute(&mut harness.admin().await)
        .await
        .expect("a request");
    }
    stages::analysis_failed(&harness, session, (1, 1)).await;
    let export = ada.get(&path).await.json();
    assert_eq!(
        (&export["cost"], &export["analysis"]),
        (&Value::Null, &Value::Null)
    );
    let told = |currency: Value, amount: Value, requests: i64, tokens: Value| {
        json!({ "currency": currency, "amount_micros": amount, "requests": requests,
            "input_tokens": tokens, "output_tokens": null })
    };
    let expected = json!([
        told(json!("EUR"), Value::Null, 2, Value::Null),
        told(json!("USD"), json!(100), 2, json!(800)),
        told(Value::Null, Value::Null, 1, Value::Null),
    ]);
    assert_eq!(export["spending"], expected);
    let markdown = ada.get(&format!("{path}?format=md")).await.text();
    for line in [
        "- Requests to models: 2, 0.000100 USD\n",
        "- Requests to models: 2, no price is known\n",
        "- Requests to models: 1, no price is known\n",
    ] {
        assert!(markdown.contains(line), "{markdown}");
    }
    assert!(!export.to_string().contains("secret") && !markdown.contains("secret"));
    eve.get(&path).await.problem(404);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
