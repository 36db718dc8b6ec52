//! Calls over HTTP: how they are taken, one by one and in batches, and how they are read.

use std::time::Duration;

use aftercall::bus::CALLS;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, SeededClient};
use aftercall::ids::{AccountId, CallId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, SignedIn, TestIngress};

/// Somebody with a client, and a key for its calls.
struct Agent<'a> {
    owner: SignedIn<'a>,
    client: SeededClient,
    key: String,
}

impl<'a> Agent<'a> {
    async fn new(ingress: &'a TestIngress, email: &str) -> Self {
        let owner = SignedIn::new(ingress, email).await;
        let made = owner
            .post_json("/clients", &json!({ "name": "Practice" }))
            .await
            .json();
        let body = json!({ "name": "agent", "scopes": ["calls:write", "read"] });
        let key = owner.post_json("/api-keys", &body).await.json();
        let account: AccountId = key["account_id"]
            .as_str()
            .expect("text")
            .parse()
            .expect("an id");
        let client = SeededClient {
            user_id: owner.user_id,
            account_id: account,
            client_id: made["id"].as_str().expect("text").parse().expect("an id"),
        };
        let key = key["key"].as_str().expect("text").to_owned();
        Self { owner, client, key }
    }

    fn record(&self) -> Value {
        json!({ "client_id": self.client.client_id, "transcript": "Hello.", "success": true })
    }

    async fn send(&self, record: &Value, headers: &[(&str, &str)]) -> Answer {
        let request = self.owner.ingress.request(Method::POST, "/api/v1/calls");
        let mut request = request.header("x-api-key", &self.key).json(record);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    }

    async fn send_lines(&self, lines: String, key: Option<&str>) -> Answer {
        let request = self
            .owner
            .ingress
            .request(Method::POST, "/api/v1/calls/batch");
        let mut request = request
            .header("x-api-key", &self.key)
            .header("content-type", "application/x-ndjson")
            .body(lines);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        Answer::of(request).await
    }
}

/// The records that the stream holds, with their ids.
async fn stored(harness: &Harness) -> Vec<(String, Value)> {
    let stream = harness
        .bus
        .jetstream()
        .get_stream(CALLS)
        .await
        .expect("the stream");
    let last = stream.cached_info().state.last_sequence;
    let mut records = Vec::new();
    for sequence in 1..=last {
        let frame = stream.get_raw_message(sequence).await.expect("the stream");
        for line in frame
            .payload
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let line: Value = serde_json::from_slice(line).expect("a line");
            records.push((
                line["id"].as_str().expect("text").to_owned(),
                line["call"].clone(),
            ));
        }
    }
    records
}

#[tokio::test]
async fn a_call_is_in_the_stream_when_it_is_accepted() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let answer = agent.send(&agent.record(), &[]).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.json(), json!({ "id": id, "status": "accepted" }));
    assert_eq!(stored(&harness).await, [(id, agent.record())]);

    // A person may send them too, and the bytes are passed on as they came.
    let pretty = serde_json::to_string_pretty(&agent.record()).unwrap();
    let request = agent.owner.request(Method::POST, "/calls");
    let request = request
        .header("content-type", "application/json")
        .body(pretty.clone());
    assert_eq!(Answer::of(request).await.status, StatusCode::ACCEPTED);
    let stream = harness.bus.jetstream().get_stream(CALLS).await.unwrap();
    let frame = stream.get_raw_message(2).await.unwrap().payload;
    let passed_on = pretty.replace('\n', " ");
    assert!(String::from_utf8_lossy(&frame).contains(&passed_on));
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_id_makes_a_repeat_safe() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let id = async |record: &Value, headers: &[(&str, &str)]| {
        let answer = agent.send(record, headers).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    let key = [("idempotency-key", "call-7")];
    let first = id(&agent.record(), &key).await;
    assert_eq!(id(&agent.record(), &key).await, first);
    assert_ne!(
        id(&agent.record(), &[("idempotency-key", "call-8")]).await,
        first
    );
    assert_ne!(
        id(&agent.record(), &[]).await,
        id(&agent.record(), &[]).await
    );
    let mut own = agent.record();
    own["id"] = json!("7d444840-9dc0-11d1-b245-5ffdce74fad2");
    assert_eq!(id(&own, &key).await, "7d444840-9dc0-11d1-b245-5ffdce74fad2");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_is_no_call_is_refused_and_stored_nowhere() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let other = Agent::new(&ingress, "eve@example.org").await;
    let with = |field: &str, value: Value| {
        let mut record = agent.record();
        record[field] = value;
        record
    };
    for (record, status, word) in [
        (json!({}), 422, "client_id"),
        (json!([]), 422, "body"),
        (with("cleint", json!(1)), 422, "cleint"),
        (with("notes", json!("a\u{0}")), 422, "U+0000"),
        (with("duration_seconds", json!(-1)), 422, "duration_seconds"),
        (
            with("started_at", json!("2999-01-01T00:00:00Z")),
            422,
            "future",
        ),
        (json!({ "to_number": "+1" }), 422, "/telephony/outbound"),
        (
            with("client_id", json!(other.client.client_id)),
            404,
            "client_not_found",
        ),
        (
            with("client_id", json!(CallId::generate())),
            404,
            "client_not_found",
        ),
        (with("notes", json!("x".repeat(300_000))), 413, "too_large"),
        (
            with("notes", json!("x".repeat(2_000_000))),
            413,
            "too_large",
        ),
    ] {
        let answer = agent.send(&record, &[]).await;
        answer.problem(status);
        assert!(answer.text().contains(word), "{}", answer.text());
    }
    let raw = async |body: &'static str, content_type: &str, status: u16| {
        let request = agent.owner.request(Method::POST, "/calls").body(body);
        Answer::of(request.header("content-type", content_type))
            .await
            .problem(status);
    };
    raw("{", "application/json", 400).await;
    raw("", "application/json", 400).await;
    raw("{}", "text/plain", 415).await;
    let anonymous = ingress
        .post_json("/api/v1/calls", None, &agent.record())
        .await;
    anonymous.problem(401);
    assert!(stored(&harness).await.is_empty());
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn lines_of_a_batch_are_judged_one_by_one() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let other = Agent::new(&ingress, "eve@example.org").await;
    let lines = [
        agent.record().to_string(),
        "not json".to_owned(),
        String::new(),
        other.record().to_string(),
        json!({ "client_id": agent.client.client_id, "notes": "x".repeat(300_000) }).to_string(),
        agent.record().to_string(),
    ];
    let answer = agent.send_lines(lines.join("\r\n"), Some("batch-1")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let result = answer.json();
    assert_eq!(
        (&result["accepted"], &result["rejected"]),
        (&json!(2), &json!(3))
    );
    let shown: Vec<_> = result["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            (
                line["line"].as_u64().unwrap(),
                line["code"].as_str().unwrap_or("accepted"),
            )
        })
        .collect();
    let expected = [
        (1, "accepted"),
        (2, "malformed_body"),
        (4, "client_not_found"),
        (5, "too_large"),
        (6, "accepted"),
    ];
    assert_eq!(shown, expected);
    assert_eq!(stored(&harness).await.len(), 2);
    let again = agent
        .send_lines(lines.join("\n"), Some("batch-1"))
        .await
        .json();
    assert_eq!(again, result, "the same ids");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_batch_has_bounds() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    agent.send_lines(String::new(), None).await.problem(422);
    agent
        .send_lines("\n \n".to_owned(), None)
        .await
        .problem(422);
    let line = agent.record().to_string() + "\n";
    let answer = agent.send_lines(line.repeat(10_002), None).await.json();
    assert_eq!(
        (&answer["accepted"], &answer["rejected"]),
        (&json!(10_000), &json!(1))
    );
    assert_eq!(answer["results"][10_000]["code"], "too_many_lines");
    let request = agent
        .owner
        .request(Method::POST, "/calls/batch")
        .json(&agent.record());
    Answer::of(request).await.problem(415);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn without_the_broker_calls_are_refused() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    assert_eq!(
        agent.send(&agent.record(), &[]).await.status,
        StatusCode::ACCEPTED
    );
    harness.nats.lock().await.stop().await;
    let began = std::time::Instant::now();
    let refused = agent.send(&agent.record(), &[]).await;
    refused.problem(503);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(refused.header("retry-after").is_some());
    let refused = agent.send_lines(agent.record().to_string(), None).await;
    refused.problem(503);
    // It fills the queue, and thousands of lines do not wait for room one after another.
    let mut large = agent.record();
    large["notes"] = json!("x".repeat(19_000));
    let line = large.to_string() + "\n";
    let began = std::time::Instant::now();
    agent
        .send_lines(line.repeat(2_000), None)
        .await
        .problem(503);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_call_is_read_in_full_and_lists_are_filtered() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let at = |day: u32, words: &str, sentiment: &str, success: bool| {
        json!({
            "client_id": agent.client.client_id, "started_at": format!("2026-11-{day:02}T23:30:00Z"),
            "duration_seconds": 45.5, "transcript": words, "sentiment": sentiment, "success": success,
            "caller_name": "Zoë", "stt_latency_ms": 100, "llm_latency_ms": 300.5, "tts_latency_ms": 50,
        })
    };
    let records = [
        at(1, "a table for two", "positive", true),
        at(2, "a TABLE for four", "negative", false),
        at(3, "the opening hours", "Positive", false),
    ];
    let ids = seed::counted_calls(&harness, agent.client, &records).await;

    let call = agent.owner.get(&format!("/calls/{}", ids[0])).await;
    assert_eq!(call.status, StatusCode::OK, "{}", call.text());
    let call = call.json();
    assert_eq!(call["record"], records[0]);
    assert_eq!(
        (&call["duration_seconds"], &call["total_latency_ms"]),
        (&json!(45.5), &json!(450.5))
    );
    assert_eq!(
        (&call["sentiment"], &call["sentiment_source"]),
        (&json!("positive"), &json!("agent"))
    );
    assert_eq!(
        (&call["conflicts"], &call["conflicting"]),
        (&json!(0), &json!([]))
    );

    let listed = async |query: &str| {
        let answer = agent.owner.get(&format!("/calls?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        answer.json()
    };
    let days = async |query: &str| {
        let listed = listed(query).await;
        let items = listed["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["counted_at"].as_str().unwrap()[8..10].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(days("").await, ["03", "02", "01"]);
    assert_eq!(days("sentiment=POSITIVE").await, ["03", "01"]);
    assert_eq!(days("success=false").await, ["03", "02"]);
    assert_eq!(days("success=false&sentiment=negative").await, ["02"]);
    assert_eq!(days("q=table").await, ["02", "01"]);
    assert_eq!(days("q=zo%C3%AB&success=true").await, ["01"]);
    assert_eq!(days("q=speaker").await, [""; 0]);
    assert_eq!(days("start_date=2026-11-02").await, ["03", "02"]);
    assert_eq!(days("end_date=2026-11-02").await, ["02", "01"]);
    // In Kathmandu each of them began the day after.
    assert_eq!(
        days("end_date=2026-11-02&timezone=Asia/Kathmandu").await,
        ["01"]
    );
    let first = listed("limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(days(&format!("limit=2&cursor={cursor}")).await, ["01"]);
    let rest = listed(&format!("limit=2&cursor={cursor}")).await;
    assert_eq!(rest["next_cursor"], Value::Null);
    let numbered = listed("page=2&per_page=2").await;
    assert_eq!(
        (
            numbered["items"].as_array().unwrap().len(),
            &numbered["total"]
        ),
        (1, &json!(3))
    );
    assert_eq!(listed("page=1&sentiment=positive").await["total"], json!(2));
    assert_eq!(listed("page=1&q=table").await["total"], json!(2));
    for wrong in [
        "sentiment=happy",
        "start_date=x",
        "timezone=Mars",
        "limit=0",
        "page=1&limit=2",
        "page=999",
    ] {
        agent
            .owner
            .get(&format!("/calls?{wrong}"))
            .await
            .problem(422);
    }
    let other = Agent::new(&ingress, "eve@example.org").await;
    assert_eq!(other.owner.get("/calls").await.json()["items"], json!([]));
    let foreign = format!("/calls?client_id={}", agent.client.client_id);
    assert_eq!(other.owner.get(&foreign).await.json()["items"], json!([]));
    other
        .owner
        .get(&format!("/calls/{}", ids[0]))
        .await
        .problem(404);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn pages_go_through_all_calls_of_all_clients_once() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let other = SeededClient {
        client_id: seed::another_client(&harness, agent.client.user_id).await,
        ..agent.client
    };
    let (mut all, mut negative) = (Vec::new(), Vec::new());
    for (client, count) in [(agent.client, 130), (other, 20)] {
        // Many at the same moment, where only the id tells them apart; few of them negative.
        let records: Vec<_> = (0..count)
            .map(|n| {
                let ended_at = format!("2026-11-20T10:{:02}:00Z", n % 7);
                let sentiment = if n % 13 == 0 { "negative" } else { "neutral" };
                json!({ "client_id": client.client_id, "ended_at": ended_at, "sentiment": sentiment })
            })
            .collect();
        for (n, id) in seed::counted_calls(&harness, client, &records)
            .await
            .iter()
            .enumerate()
        {
            all.push(id.to_string());
            if n % 13 == 0 {
                negative.push(id.to_string());
            }
        }
    }
    all.sort();
    negative.sort();
    let mut cursors = Vec::new();
    let none = Vec::new();
    for (filter, expected) in [
        ("", &all),
        ("&sentiment=negative", &negative),
        ("&sentiment=positive", &none),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = agent
                .owner
                .get(&format!("/calls?limit=9{filter}{cursor}"))
                .await
                .json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| {
                (
                    item["counted_at"].as_str().unwrap().to_owned(),
                    item["id"].as_str().unwrap().to_owned(),
                )
            }));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
            cursors.push(cursor.clone());
        }
        assert!(seen.is_sorted_by(|a, b| a >= b), "newest first");
        let mut ids: Vec<_> = seen.into_iter().map(|(_, id)| id).collect();
        ids.sort();
        assert_eq!(&ids, expected);
    }
    // The cursor of a page without dates does not lead out of the days that are asked for.
    let path = format!("/calls?end_date=2026-11-19{}", cursors[0]);
    assert_eq!(agent.owner.get(&path).await.json()["items"], json!([]));
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn numbered_pages_end_where_nothing_is_left() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let record = |success: bool, sentiment: &str| json!({ "client_id": agent.client.client_id, "success": success, "sentiment": sentiment });
    let records = [
        record(true, "positive"),
        record(false, "negative"),
        record(false, "positive"),
    ];
    seed::counted_calls(&harness, agent.client, &records).await;
    for (query, items) in [
        ("page=1", 3),
        ("page=2&per_page=2", 1),
        ("page=3&per_page=2", 0),
        ("page=1&sentiment=positive", 2),
        ("page=1&sentiment=mixed", 0),
        ("page=1&success=false&sentiment=positive", 1),
        ("page=1&success=true&sentiment=mixed", 0),
    ] {
        let page = agent.owner.get(&format!("/calls?{query}")).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), items, "{query}");
    }
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_id_of_two_clients_is_ambiguous() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let other = SeededClient {
        client_id: seed::another_client(&harness, agent.client.user_id).await,
        ..agent.client
    };
    let id = CallId::generate();
    for client in [agent.client, other] {
        let record = json!({ "client_id": client.client_id, "id": id });
        seed::counted_calls(&harness, client, &[record]).await;
    }
    let answer = agent.owner.get(&format!("/calls/{id}")).await;
    answer.problem(409);
    assert!(answer.text().contains("ambiguous_id"));
    let path = format!("/calls/{id}?client_id={}", other.client_id);
    assert_eq!(
        agent.owner.get(&path).await.json()["client_id"],
        json!(other.client_id)
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_call_that_was_just_accepted_is_waited_for() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let agent = Agent::new(&ingress, "ada@example.org").await;
    let mut record = agent.record();
    record["id"] = json!("7d444840-9dc0-11d1-b245-5ffdce74fad2");
    assert_eq!(agent.send(&record, &[]).await.status, StatusCode::ACCEPTED);
    let path = "/calls/7d444840-9dc0-11d1-b245-5ffdce74fad2";
    let (answer, ()) = tokio::join!(agent.owner.get(path), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        seed::counted_calls(&harness, agent.client, &[record.clone()]).await;
    });
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    agent
        .owner
        .get("/calls/00000000-9dc0-11d1-b245-5ffdce74fad2")
        .await
        .problem(404);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
