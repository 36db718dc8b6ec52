//! Calls that agents publish as they should, and what goes wrong without harm.

use std::collections::HashSet;
use std::time::Duration;

use aftercall::bus;
use aftercall::db::provision::Process;
use aftercall::ids::{CallId, ClientId};
use async_nats::{Client, ConnectOptions, HeaderMap, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::scene::{Agent, Scene, lines};
use crate::support::TestIngress;

/// Connects as `docs/agents.md` says.
async fn connect(scene: &Scene, agent: &Agent) -> Client {
    ConnectOptions::with_user_and_password(agent.client.to_string(), agent.key.clone())
        .custom_inbox_prefix(agent.inbox())
        .connect(&scene.url)
        .await
        .expect("a good key")
}

async fn publish(client: &Client, agent: &Agent, body: &Value) -> Value {
    let answer = client.request(agent.subject(), body.to_string().into());
    serde_json::from_slice(&answer.await.expect("an answer").payload).expect("JSON")
}

#[tokio::test]
async fn a_call_is_stored_as_it_came_before_it_is_answered() {
    let scene = Scene::start().await;
    let client = connect(&scene, &scene.ours).await;
    let id = CallId::generate();
    let call = json!({ "client_id": scene.ours.client, "id": id, "duration_seconds": 45.5,
        "transcript": "Guten Tag.\nWer spricht?", "metadata": { "shop": 7 } });
    let answer = publish(&client, &scene.ours, &call).await;
    assert_eq!(answer, json!({ "id": id, "status": "accepted" }));
    let stored = lines(&scene.harness).await;
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0]["call"], call);
    assert_eq!(stored[0]["id"], json!(id));
    assert!(stored[0]["account_id"].is_string());

    let minted = publish(&client, &scene.ours, &scene.ours.call()).await;
    assert!(
        minted["id"]
            .as_str()
            .is_some_and(|it| it.parse::<CallId>().is_ok())
    );
    scene.finish().await;
}

#[tokio::test]
async fn a_bad_call_is_refused_as_over_http() {
    let scene = Scene::start().await;
    let client = connect(&scene, &scene.ours).await;
    let of = |body: Value| {
        let mut body = body;
        body["client_id"] = json!(scene.ours.client);
        body
    };
    for (body, field) in [
        (of(json!({ "duration_seconds": -1 })), "duration_seconds"),
        (of(json!({ "surprise": 1 })), "surprise"),
        (of(json!({ "notes": "a\u{0}b" })), "notes"),
        (json!({}), "body"),
        (json!({ "client_id": ClientId::generate() }), "client_id"),
    ] {
        let answer = publish(&client, &scene.ours, &body).await;
        assert_eq!(answer["status"], 422, "{body}: {answer}");
        let over_http = scene
            .ingress
            .request(reqwest::Method::POST, "/api/v1/calls");
        let over_http = over_http.header("x-api-key", &scene.ours.key).json(&body);
        let over_http: Value = over_http.send().await.unwrap().json().await.unwrap();
        if over_http["status"] == 422 {
            assert_eq!(answer, over_http);
        }
        let named = answer["errors"].as_array().expect("errors");
        assert!(named.iter().any(|it| it["field"] == field), "{answer}");
    }
    for text in ["", "no JSON", "[", "\u{feff}{}"] {
        let answer = client.request(scene.ours.subject(), text.to_owned().into());
        let answer: Value = serde_json::from_slice(&answer.await.unwrap().payload).unwrap();
        assert_eq!(answer["status"], 400, "{text}: {answer}");
    }
    assert!(lines(&scene.harness).await.is_empty());
    scene.finish().await;
}

#[tokio::test]
async fn a_key_for_repeats_gives_the_same_id() {
    let scene = Scene::start().await;
    let client = connect(&scene, &scene.ours).await;
    let ask = async |key: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", key);
        let body = scene.ours.call().to_string();
        let answer = client.request_with_headers(scene.ours.subject(), headers, body.into());
        let answer: Value = serde_json::from_slice(&answer.await.unwrap().payload).unwrap();
        answer
    };
    let (first, again, other) = (ask("a").await, ask("a").await, ask("b").await);
    assert_eq!(first["status"], "accepted", "{first}");
    assert_eq!(first, again);
    assert_ne!(first["id"], other["id"]);
    let wrong = ask(&"x".repeat(300)).await;
    assert_eq!(wrong["code"], "malformed_idempotency_key", "{wrong}");
    scene.finish().await;
}

#[tokio::test]
async fn an_ingress_that_stops_in_a_burst_loses_nothing_that_it_answered() {
    let scene = Scene::start().await;
    let second = TestIngress::start_in(&scene.harness.env(Process::Ingress)).await;
    let client = connect(&scene, &scene.ours).await;
    let mut asked = JoinSet::new();
    for _ in 0..400 {
        let (client, subject) = (client.clone(), scene.ours.subject());
        let body = json!({ "client_id": scene.ours.client, "id": CallId::generate() });
        asked.spawn(async move {
            // What was on its way to the one that stopped is not answered, and sent again.
            for _ in 0..5 {
                let request = Request::new()
                    .payload(body.to_string().into())
                    .timeout(Some(Duration::from_secs(2)));
                if let Ok(answer) = client.send_request(subject.clone(), request).await {
                    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                    assert_eq!(answer["status"], "accepted", "{answer}");
                    return answer["id"].to_string();
                }
            }
            panic!("no answer to {body}");
        });
    }
    second.stop().await;
    let accepted: HashSet<String> = asked.join_all().await.into_iter().collect();
    assert_eq!(accepted.len(), 400);
    let stored: HashSet<String> = lines(&scene.harness)
        .await
        .iter()
        .map(|line| line["id"].to_string())
        .collect();
    assert_eq!(stored, accepted);
    scene.finish().await;
}

#[tokio::test]
async fn an_erased_client_takes_no_calls() {
    let scene = Scene::start().await;
    let client = connect(&scene, &scene.ours).await;
    sqlx::query("update clients set erased_at = clock_timestamp() where id = $1")
        .bind(scene.ours.client.0)
        .execute(&mut scene.harness.admin().await)
        .await
        .expect("Postgres answers");
    let answer = publish(&client, &scene.ours, &scene.ours.call()).await;
    assert_eq!(answer["code"], "client_not_found", "{answer}");
    scene.finish().await;
}

#[tokio::test]
async fn what_there_is_no_room_for_is_refused_at_once() {
    let mut scene = Scene::start().await;
    scene.stop_spying().await;
    let client = connect(&scene, &scene.ours).await;
    // Nothing can be stored for a while, so requests stay in hand: 8 MiB of them.
    let jetstream = scene.harness.bus.jetstream();
    jetstream.delete_stream(bus::CALLS).await.expect("gone");
    let call = json!({ "client_id": scene.ours.client, "transcript": "x".repeat(200 << 10) });
    let mut asked = JoinSet::new();
    for _ in 0..60 {
        let (client, subject, call) = (client.clone(), scene.ours.subject(), call.to_string());
        asked.spawn(async move {
            // Three sends of a frame have to fail before the others are answered.
            let request = Request::new()
                .payload(call.into())
                .timeout(Some(Duration::from_secs(60)));
            let answer = client
                .send_request(subject, request)
                .await
                .expect("an answer");
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
            answer["code"].as_str().expect("a problem").to_owned()
        });
    }
    let codes = asked.join_all().await;
    let of = |code: &str| codes.iter().filter(|it| *it == code).count();
    assert!(of("queue_full") >= 60 - 41, "{codes:?}");
    assert_eq!(of("queue_full") + of("unavailable"), 60, "{codes:?}");

    let again = scene
        .harness
        .bus
        .provision(bus::Parameters::default())
        .await;
    again.expect("the stream");
    let answer = publish(&client, &scene.ours, &scene.ours.call()).await;
    assert_eq!(answer["status"], "accepted", "{answer}");
    scene.finish().await;
}
