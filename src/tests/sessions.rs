//! Sessions: their life, who sees them, and commands that are repeated.

use std::time::{Duration, Instant};

use aftercall::embedded::harness::{Harness, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, SignedIn, TestIngress};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_session_lives_from_creation_to_sign_off() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let created = ada.post("/sessions").await;
    assert_eq!(created.status, StatusCode::CREATED, "an empty body is fine");
    let created = created.json();
    let stage = json!({ "state": "pending", "attempt": 0, "reason": null, "progress": null });
    let expected = json!({
        "id": created["id"], "session_id": created["id"], "room_url": null, "status": "created",
        "title": null, "notes": null, "customer_id": null, "counselor_id": ada.user_id,
        "metadata": {}, "custom_fields_schema": null, "consent": null, "declared_names": [],
        "stages": { "recording": stage, "transcription": stage, "analysis": stage },
        "created_at": created["created_at"], "updated_at": created["updated_at"],
        "started_at": null, "ended_at": null, "expires_at": null,
    });
    assert_eq!(created, expected);
    let path = format!("/sessions/{}", created["id"].as_str().unwrap());
    let shown = ada.get(&path).await.json();
    let person = json!({ "id": ada.user_id, "name": "Ada", "email": "ada@example.org" });
    assert_eq!(
        (&shown["customer"], &shown["counselor"]),
        (&Value::Null, &person)
    );

    let (start, end) = (format!("{path}/start"), format!("{path}/end"));
    let started = ada.post(&start).await.json();
    assert_eq!(started["status"], "active");
    let again = ada.post(&start).await;
    assert_eq!(again.json()["started_at"], started["started_at"]);
    let ended = ada.post(&end).await;
    assert_eq!(
        (ended.status, &ended.json()["status"]),
        (StatusCode::OK, &json!("ended"))
    );
    for repeat in [
        ada.post(&end).await,
        Answer::of(ada.request(Method::DELETE, &path)).await,
    ] {
        assert_eq!(repeat.status, StatusCode::OK);
        assert_eq!(repeat.json()["ended_at"], ended.json()["ended_at"]);
    }
    assert_eq!(ada.post(&start).await.problem(409), "session_ended");
    for _ in 0..2 {
        let signed_off = ada.put_json(&path, &json!({ "status": "COMPLETED" })).await;
        assert_eq!(signed_off.json()["status"], "completed");
    }
    for event_type in ["created", "started", "ended", "completed"] {
        let event_type = format!("session.{event_type}");
        eventually("a fact is published once", || async {
            harness.published(&event_type).await == 1
        })
        .await;
    }
    eventually("the outbox is empty", || async {
        outbox(&harness).await.is_empty()
    })
    .await;
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn people_change_what_they_wrote() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let written = json!({
        "title": "First", "notes": "Müller, 25 % ’quoted’", "metadata": { "a": [1, null] },
        "auto_transcribe": false, "unknown": "is ignored",
    });
    let session = ada.create_session(&written).await;
    let path = format!("/sessions/{}", session.session_id);
    let shown = ada.session(session).await;
    for field in ["title", "notes", "metadata"] {
        assert_eq!(shown[field], written[field]);
    }
    let changed = ada
        .put_json(&path, &json!({ "title": null, "metadata": { "b": 2 } }))
        .await
        .json();
    assert_eq!(changed["title"], Value::Null, "null empties");
    assert_eq!(changed["notes"], written["notes"], "what is left out stays");
    assert_eq!(changed["metadata"], json!({ "b": 2 }));

    let long = |count: usize| "é".repeat(count);
    let cases = [
        ("title", json!(long(501))),
        ("title", json!(["a"])),
        ("title", json!("a\u{0}")),
        ("notes", json!(long(50_001))),
        ("metadata", json!("text")),
        ("metadata", json!([1])),
    ];
    for (field, value) in cases {
        let body = json!({ field: value });
        assert_eq!(
            ada.post_json("/sessions", &body).await.wrong_fields(),
            [field]
        );
        assert_eq!(ada.put_json(&path, &body).await.wrong_fields(), [field]);
    }
    let nobody = json!({ "customer_id": uuid::Uuid::nil() });
    assert_eq!(
        ada.post_json("/sessions", &nobody).await.wrong_fields(),
        ["customer_id"]
    );
    let flag = json!({ "auto_analyze": "yes" });
    assert_eq!(
        ada.post_json("/sessions", &flag).await.wrong_fields(),
        ["auto_analyze"]
    );
    for status in ["ended", "failed", "done", ""] {
        let answer = ada.put_json(&path, &json!({ "status": status })).await;
        assert_eq!(answer.wrong_fields(), ["status"]);
    }
    let send = |kind: &str, body: String| {
        let request = ada
            .request(Method::POST, "/sessions")
            .header("content-type", kind);
        Answer::of(request.body(body))
    };
    assert_eq!(
        send("application/json", "{".to_owned()).await.problem(400),
        "malformed_body"
    );
    assert_eq!(
        send("text/plain", "{}".to_owned()).await.problem(415),
        "unsupported_media_type"
    );
    let huge = json!({ "notes": "x".repeat(2 << 20) }).to_string();
    assert_eq!(
        send("application/json", huge).await.problem(413),
        "too_large"
    );
    assert_eq!(
        ada.get("/sessions").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_belongs_to_another_does_not_exist() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let id = ada.create_session(&json!({})).await.session_id.to_string();
    let routes = [
        (Method::GET, "/sessions/{id}"),
        (Method::PUT, "/sessions/{id}"),
        (Method::DELETE, "/sessions/{id}"),
        (Method::POST, "/sessions/{id}/start"),
        (Method::POST, "/sessions/{id}/end"),
        (Method::POST, "/sessions/{id}/retry"),
        (Method::GET, "/sessions/{id}/events"),
        (Method::GET, "/sessions/{id}/transcript"),
        (Method::GET, "/sessions/{id}/transcript/findings"),
        (Method::GET, "/sessions/{id}/recordings"),
        (Method::POST, "/analysis/{id}/transcribe"),
        (Method::POST, "/analysis/{id}/analyze"),
        (Method::GET, "/analysis/{id}/analysis"),
    ];
    let nobodys = uuid::Uuid::now_v7().to_string();
    for (method, route) in routes {
        let send = |user: &SignedIn<'_>, id: &str| {
            let request = user.request(method.clone(), &route.replace("{id}", id));
            let is_put = method == Method::PUT;
            Answer::of(if is_put {
                request.json(&json!({ "title": "x" }))
            } else {
                request
            })
        };
        let (foreign, absent) = (send(&eve, &id).await, send(&eve, &nobodys).await);
        assert_eq!(
            foreign.problem(404),
            "session_not_found",
            "{method} {route}"
        );
        assert_eq!(
            foreign.body, absent.body,
            "{route} tells that the session exists"
        );
        assert_eq!(
            send(&eve, "not-an-id").await.problem(400),
            "malformed_id",
            "{route}"
        );
        let path = format!("/api/v1{}", route.replace("{id}", &id));
        let anonymous = Answer::of(ingress.request(method.clone(), &path)).await;
        assert_eq!(anonymous.problem(401), "unauthorized", "{method} {route}");
    }
    assert_eq!(eve.get("/sessions").await.json()["items"], json!([]));
    assert_eq!(
        ada.get(&format!("/sessions/{id}")).await.json()["title"],
        Value::Null
    );

    sqlx::query("update users set is_active = false where email = 'ada@example.org'")
        .execute(&mut harness.admin().await)
        .await
        .unwrap();
    assert_eq!(ada.get("/sessions").await.problem(401), "unauthorized");
    assert_eq!(ada.post("/sessions").await.problem(401), "unauthorized");
    assert_eq!(
        ada.get(&format!("/sessions/{id}")).await.problem(401),
        "unauthorized"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let session = ada
            .create_session(&json!({ "title": number.to_string() }))
            .await;
        made.push(session.session_id.to_string());
    }
    ada.post(&format!("/sessions/{}/end", made[1])).await;
    made.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ada.get(&format!("/sessions?limit=2{cursor}")).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, made, "newest first, without gap or repeat");
    for (status, count) in [("ended", 1), ("EnDeD", 1), ("created", 4), ("failed", 0)] {
        let list = ada.get(&format!("/sessions?status={status}")).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{status}");
    }
    assert_eq!(
        ada.get("/sessions?status=asleep").await.wrong_fields(),
        ["status"]
    );
    for limit in ["0", "101", "-1"] {
        assert_eq!(
            ada.get(&format!("/sessions?limit={limit}"))
                .await
                .wrong_fields(),
            ["limit"]
        );
    }
    for query in ["limit=many", "cursor=%25%25", "cursor=e30", "cursor="] {
        let answer = ada.get(&format!("/sessions?{query}")).await;
        assert!(answer.problem(400).starts_with("malformed_"), "{query}");
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let send = |user: &SignedIn<'_>, key: &str, title: &str| {
        let request = user
            .request(Method::POST, "/sessions")
            .header("idempotency-key", key);
        Answer::of(request.json(&json!({ "title": title })))
    };
    let first = send(&ada, "key 1", "a").await;
    assert_eq!(first.status, StatusCode::CREATED);
    let again = send(&ada, "key 1", "a").await;
    assert_eq!((again.status, again.json()), (first.status, first.json()));
    let older_prefix = ingress
        .request(Method::POST, "/api/sessions/")
        .bearer_auth(&ada.token)
        .header("idempotency-key", "key 1");
    let older = Answer::of(older_prefix.json(&json!({ "title": "a" }))).await;
    assert_eq!(older.json(), first.json());
    assert_eq!(
        send(&ada, "key 1", "b").await.problem(422),
        "idempotency_key_reused"
    );
    assert_ne!(
        send(&ada, "key 2", "a").await.json()["id"],
        first.json()["id"]
    );
    assert_ne!(
        send(&eve, "key 1", "a").await.json()["id"],
        first.json()["id"]
    );
    let longest = "k".repeat(255);
    assert_eq!(send(&ada, &longest, "a").await.status, StatusCode::CREATED);
    for key in ["", " ", &"k".repeat(256), "schlüssel"] {
        assert_eq!(
            send(&ada, key, "a").await.problem(400),
            "malformed_idempotency_key"
        );
    }
    // A refusal is not kept: the key is free for the corrected request.
    let wrong = send(&ada, "key 3", &"x".repeat(501)).await;
    assert_eq!(wrong.wrong_fields(), ["title"]);
    assert_eq!(send(&ada, "key 3", "x").await.status, StatusCode::CREATED);

    let at_once = futures::future::join_all((0..8).map(|_| send(&ada, "key 4", "a"))).await;
    let (made, refused): (Vec<_>, Vec<_>) = at_once
        .iter()
        .partition(|answer| answer.status == StatusCode::CREATED);
    assert!(made.iter().all(|answer| answer.json() == made[0].json()));
    assert!(
        refused
            .iter()
            .all(|answer| answer.problem(409) == "still_running")
    );
    let count: i64 = sqlx::query_scalar("select count(*) from sessions where title = 'a'")
        .fetch_one(&mut harness.admin().await)
        .await
        .unwrap();
    assert_eq!(count, 5, "key 1 twice, key 2, the longest key, key 4");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn commands_succeed_while_the_broker_is_down() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    harness.nats.lock().await.stop().await;
    let asked = Instant::now();
    let request = ada
        .request(Method::POST, "/sessions")
        .header("traceparent", TRACEPARENT);
    let created = Answer::of(request).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    let path = format!("/sessions/{}", created.json()["id"].as_str().unwrap());
    assert_eq!(
        ada.post(&format!("{path}/end")).await.json()["status"],
        "ended"
    );
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "nobody waits for the broker"
    );
    let waiting = outbox(&harness).await;
    let types: Vec<_> = waiting
        .iter()
        .map(|(event_type, _)| event_type.as_str())
        .collect();
    assert_eq!(types, ["session.created", "session.ended"]);
    let trace = waiting[0].1.as_deref().unwrap();
    assert_eq!(trace[..35], TRACEPARENT[..35], "the trace goes on");
    assert_ne!(trace, TRACEPARENT, "in a step of its own");
    // What is being published cannot end now; the hard stop ends it.
    drop(ingress);
    harness.finish_as_it_is().await;
}

/// Type and `traceparent` of the events that wait, oldest first.
async fn outbox(harness: &Harness) -> Vec<(String, Option<String>)> {
    sqlx::query_as("select event_type, traceparent from outbox order by created_at, id")
        .fetch_all(&mut harness.admin().await)
        .await
        .expect("Postgres answers")
}
