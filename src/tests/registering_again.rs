//! `Idempotency-Key` of registrations.

use aftercall::embedded::harness::Harness;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestIngress};

const ME: &str = "/api/v1/auth/me";

fn ada() -> Value {
    json!({ "email": "Ada@example.org", "password": PASSWORD, "name": "Ada" })
}

async fn register(ingress: &TestIngress, key: &str, body: &Value) -> Answer {
    let request = ingress.request(Method::POST, "/api/v1/auth/register");
    Answer::of(request.header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_repeat_has_the_same_user_and_tokens_of_its_own() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let first = register(&ingress, "one", &ada()).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    // The same in other letters is the same request.
    let same = json!({ "name": " Ada ", "email": "ada@example.org ", "password": PASSWORD });
    for body in [ada(), same] {
        let again = register(&ingress, "one", &body).await;
        assert_eq!(again.status, StatusCode::CREATED, "{}", again.text());
        let (first, again) = (first.json(), again.json());
        assert_eq!(again["user"], first["user"]);
        assert_ne!(again["access_token"], first["access_token"]);
        for answer in [first, again] {
            let token = answer["access_token"].as_str().unwrap();
            assert_eq!(ingress.get(ME, Some(token)).await.status, StatusCode::OK);
        }
    }
    let kept: Vec<String> = sqlx::query_scalar("select body::text from idempotency_keys")
        .fetch_all(&mut harness.admin().await)
        .await
        .unwrap();
    assert_eq!(kept, ["{}"], "no token is kept");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_key_alone_lets_nobody_in() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    register(&ingress, "one", &ada()).await;
    for (field, value) in [("password", "wrong horse battery"), ("name", "Eve")] {
        let mut body = ada();
        body[field] = json!(value);
        let other = register(&ingress, "one", &body).await;
        assert_eq!(other.problem(422), "idempotency_key_reused", "{field}");
    }
    // Another key, or none, learns what everybody does.
    let other = register(&ingress, "two", &ada()).await;
    assert_eq!(other.problem(409), "email_taken");
    let none = ingress
        .post_json("/api/v1/auth/register", None, &ada())
        .await;
    assert_eq!(none.problem(409), "email_taken");
    for bad in ["", "é", &"x".repeat(256)] {
        let answer = register(&ingress, bad, &ada()).await;
        assert_eq!(answer.problem(400), "malformed_idempotency_key", "{bad}");
    }
    // The key belongs to the e-mail address: somebody else may have the same.
    let eve = json!({ "email": "eve@example.org", "password": PASSWORD, "name": "Eve" });
    let eve = register(&ingress, "one", &eve).await;
    assert_eq!(eve.status, StatusCode::CREATED, "{}", eve.text());
    // Whoever was deactivated is not let in by it either, and a new password counts.
    sqlx::query("update users set is_active = false where name = 'Ada'")
        .execute(&mut harness.admin().await)
        .await
        .unwrap();
    let gone = register(&ingress, "one", &ada()).await;
    assert_eq!(gone.problem(422), "idempotency_key_reused");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn guessing_by_repeats_is_slowed_down() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    register(&ingress, "one", &ada()).await;
    let mut body = ada();
    for attempt in 0..10 {
        body["password"] = json!(format!("guess number {attempt}"));
        let answer = register(&ingress, "one", &body).await;
        assert_eq!(answer.problem(422), "idempotency_key_reused");
    }
    let answer = register(&ingress, "one", &ada()).await;
    assert_eq!(answer.problem(429), "too_many_attempts");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn registrations_at_once_make_one_user() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let body = ada();
    let all = futures::future::join_all((0..5).map(|_| register(&ingress, "one", &body))).await;
    for answer in &all {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        assert_eq!(answer.json()["user"], all[0].json()["user"]);
    }
    ingress.stop().await;
    harness.finish().await;
}
