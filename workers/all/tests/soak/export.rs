//! Three hours of speech, each word with its time: exported, read, corrected and found.

use std::time::Instant;

use aftercall::embedded::seed::{self, Seeded};
use aftercall::ids::{SessionId, UserId};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::figures::{MIB, peak_bytes, report};
use crate::pipeline::Pipeline;

/// One turn a second, of four words: faster than anybody speaks.
const THREE_HOURS: usize = 3 * 3_600;

#[tokio::test]
async fn a_transcript_is_exported_corrected_and_found() {
    measure(600).await;
}

#[tokio::test]
#[ignore = "a measurement: `make soak`"]
async fn three_hours_are_exported_in_64_mib_and_corrected_in_128() {
    let (exported, corrected) = measure(THREE_HOURS).await;
    assert!(exported < 64 * MIB, "{} MiB", exported / MIB);
    assert!(corrected < 128 * MIB, "{} MiB", corrected / MIB);
}

/// Says by how much the ingress grew until everything was read, and until it was corrected.
async fn measure(turns: usize) -> (u64, u64) {
    let pipeline = Pipeline::start(&[], "http://127.0.0.1:9").await;
    let id = pipeline.session().await;
    transcript(&pipeline, id, turns).await;
    let before = peak_bytes(pipeline.ingress.pid());
    let path = format!("/sessions/{id}/export");
    for (what, path) in [
        ("as JSON", path.clone()),
        ("as Markdown", format!("{path}?format=markdown")),
        ("as a transcript", format!("/sessions/{id}/transcript")),
        // The word is in every turn; a page shows a hundred of them.
        (
            "searched",
            "/transcripts/search?q=money&limit=100".to_owned(),
        ),
    ] {
        let answer = take(&pipeline, Method::GET, &path, None).await;
        told(&pipeline, turns, what, before, answer);
    }
    let exported = peak_bytes(pipeline.ingress.pid()) - before;
    let path = format!("/sessions/{id}/transcript");
    let change = json!({ "generation": 1, "turns": [{ "index": turns - 1, "text": "Good-bye." }] });
    let answer = take(&pipeline, Method::PATCH, &path, Some(change)).await;
    told(&pipeline, turns, "corrected", before, answer);
    let corrected = peak_bytes(pipeline.ingress.pid()) - before;
    pipeline.stop().await;
    (exported, corrected)
}

/// A transcript of the session whose every word has a time: most of its size.
async fn transcript(pipeline: &Pipeline, session_id: SessionId, turns: usize) {
    let mut admin = pipeline.harness.admin().await;
    let owner: uuid::Uuid = sqlx::query_scalar("select owner_id from sessions where id = $1")
        .bind(session_id.0)
        .fetch_one(&mut admin)
        .await
        .expect("a session");
    let seeded = Seeded {
        user_id: UserId::from(owner),
        session_id,
    };
    let lines: Vec<String> = (0..turns).map(|n| format!("Talk {n} of money.")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    seed::transcript(&pipeline.harness, seeded, &lines).await;
    for table in ["transcripts", "transcriptions"] {
        let statement = format!(
            "update {table} set turns = (
                select jsonb_agg(turn || jsonb_build_object('words', (
                    select jsonb_agg(jsonb_build_object('text', word,
                        'start_ms', (turn ->> 'start_ms')::bigint, 'end_ms', (turn ->> 'end_ms')::bigint,
                        'confidence', 0.91) order by place)
                    from unnest(string_to_array(turn ->> 'text', ' ')) with ordinality words (word, place)))
                    order by position)
                from jsonb_array_elements(turns) with ordinality turns (turn, position))"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .expect("words");
    }
}

/// Bytes of an answer, read as they come and dropped, and how long that took in milliseconds.
async fn take(
    pipeline: &Pipeline,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (usize, u128) {
    let began = Instant::now();
    let url = format!("{}/api/v1{path}", pipeline.ingress.url());
    let mut request = aftercall::providers::http_client()
        .expect("a client")
        .request(method, url)
        .bearer_auth(pipeline.token.expose_secret());
    if let Some(body) = body {
        request = request.json(&body);
    }
    let mut answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await.expect("the whole answer") {
        bytes += piece.len();
    }
    (bytes, began.elapsed().as_millis())
}

fn told(pipeline: &Pipeline, turns: usize, what: &str, before: u64, answer: (usize, u128)) {
    let (bytes, took_ms) = answer;
    let growth = (peak_bytes(pipeline.ingress.pid()) - before) / MIB;
    report(
        format!("{turns} turns {what}"),
        format!(
            "{} KiB in {took_ms} ms, ingress grew by {growth} MiB from {} MiB",
            bytes / 1024,
            before / MIB,
        ),
    );
}
