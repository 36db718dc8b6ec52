//! Erasing calls and clients over HTTP: who may, what is 404 from then on, and the receipt.

use aftercall::embedded::harness::{Harness, eventually};
use aftercall::ids::{CallId, ClientId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, SignedIn, TestIngress};

/// A call of a client, as the analytics worker keeps one; nobody has counted it.
pub async fn insert_call(harness: &Harness, client: ClientId) -> CallId {
    let id = CallId::generate();
    insert_call_called(harness, client, id).await;
    id
}

async fn insert_call_called(harness: &Harness, client: ClientId, id: CallId) {
    let insert = "insert into calls (account_id, client_id, id, counted_at, received_at, sentiment,
            client_inactive, record, stream_created_at, stream_sequences)
        select account_id, id, $2, now(), now(), 'neutral', false, '{}', now(), '{}' from clients where id = $1";
    sqlx::query(insert)
        .bind(client.0)
        .bind(id.0)
        .execute(&mut harness.admin().await)
        .await
        .expect("a call");
}

async fn create_client(user: &SignedIn<'_>) -> ClientId {
    let created = user.post_json("/clients", &json!({"name": "Bakery"})).await;
    serde_json::from_value(created.json()["id"].clone()).expect("an id")
}

async fn delete(user: &SignedIn<'_>, path: &str) -> Answer {
    Answer::of(user.request(Method::DELETE, path)).await
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()["erasure_id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Notes that the work is done, as the maintenance worker does when nothing is left.
async fn finish_work(harness: &Harness, erasure: &str) {
    let done =
        "update erasure_calls set state = 'done', completed_at = now() where erasure_id = $1::uuid";
    let done = sqlx::query(done).bind(erasure);
    done.execute(&mut harness.admin().await)
        .await
        .expect("done");
}

#[tokio::test]
async fn a_call_is_erased_once() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let bob = SignedIn::new(&ingress, "bob@example.org").await;
    let client = create_client(&ada).await;
    let call = insert_call(&harness, client).await;
    let path = format!("/calls/{call}");

    assert_eq!(delete(&ada, &path).await.problem(405), "method_not_allowed");
    let erase = format!("{path}?erase=true");
    assert_eq!(delete(&bob, &erase).await.problem(404), "call_not_found");
    let elsewhere = format!("{erase}&client_id={}", ClientId::generate());
    assert_eq!(
        delete(&ada, &elsewhere).await.problem(404),
        "call_not_found"
    );
    let malformed = delete(&ada, "/calls/x?erase=true").await;
    assert_eq!(malformed.problem(400), "malformed_id");
    let unknown = format!("/calls/{}?erase=true", CallId::generate());
    assert_eq!(delete(&ada, &unknown).await.problem(404), "call_not_found");

    let (one, two, three) = tokio::join!(
        delete(&ada, &erase),
        delete(&ada, &erase),
        delete(&ada, &erase)
    );
    let erasure = id_of(&one);
    assert_eq!(
        [id_of(&two), id_of(&three)],
        [erasure.clone(), erasure.clone()]
    );
    assert_eq!(delete(&bob, &erase).await.problem(404), "call_not_found");
    let named = format!("{erase}&client_id={client}");
    assert_eq!(id_of(&delete(&ada, &named).await), erasure);
    eventually("its event is published", || async {
        harness.published("erasure.requested").await == 1
    })
    .await;

    let receipt = ada.get(&format!("/erasures/{erasure}")).await.json();
    assert_eq!(receipt["subject"], json!({"kind": "call", "id": call}));
    assert_eq!(receipt["parts"], json!(["call"]));
    assert_eq!(receipt["state"], "running");
    assert_eq!(receipt["pending"][0]["what"], "calls");
    assert_eq!(receipt["completed_at"], Value::Null);
    let other = bob.get(&format!("/erasures/{erasure}")).await;
    assert_eq!(other.problem(404), "erasure_not_found");
    finish_work(&harness, &erasure).await;
    let receipt = ada.get(&format!("/erasures/{erasure}")).await.json();
    assert_eq!(
        (&receipt["state"], &receipt["pending"]),
        (&json!("done"), &json!([]))
    );
    assert_ne!(receipt["completed_at"], Value::Null);
    assert_eq!(id_of(&delete(&ada, &erase).await), erasure);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_id_that_two_clients_used_needs_its_client() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let (one, two) = (create_client(&ada).await, create_client(&ada).await);
    let call = insert_call(&harness, one).await;
    insert_call_called(&harness, two, call).await;
    let erase = format!("/calls/{call}?erase=true");
    assert_eq!(delete(&ada, &erase).await.problem(409), "ambiguous_id");
    let first = id_of(&delete(&ada, &format!("{erase}&client_id={one}")).await);
    let second = id_of(&delete(&ada, &erase).await);
    assert_ne!(first, second, "the other is the only one now");
    assert_eq!(
        id_of(&delete(&ada, &format!("{erase}&client_id={one}")).await),
        first
    );
    assert_eq!(delete(&ada, &erase).await.problem(409), "ambiguous_id");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_erased_client_is_gone_at_once_with_its_keys_and_answers() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let client = create_client(&ada).await;
    let call = insert_call(&harness, client).await;
    let bound = json!({"name": "agent", "scopes": ["read"], "client_id": client});
    let key = ada.post_json("/api-keys", &bound).await.json();
    let path = format!("/clients/{client}");
    let deleted = delete(&ada, &path).await;
    assert_eq!(
        deleted.json()["is_active"],
        json!(false),
        "a soft delete stays one"
    );

    let erase = format!("{path}?erase=true");
    let erasure = id_of(&delete(&ada, &erase).await);
    assert_eq!(ada.get(&path).await.problem(404), "client_not_found");
    assert_eq!(delete(&ada, &path).await.problem(404), "client_not_found");
    let changed = ada.put_json(&path, &json!({"name": "x"})).await;
    assert_eq!(changed.problem(404), "client_not_found");
    let listed = ada.get("/clients?include_inactive=true").await.json();
    assert_eq!(listed["items"], json!([]));
    let of_client = delete(&ada, &format!("/calls/{call}?erase=true")).await;
    assert_eq!(
        of_client.problem(404),
        "call_not_found",
        "it goes with its client"
    );
    assert_eq!(id_of(&delete(&ada, &erase).await), erasure);
    let receipt = ada.get(&format!("/erasures/{erasure}")).await.json();
    assert_eq!(receipt["subject"], json!({"kind": "client", "id": client}));
    assert_eq!(receipt["destroyed"][0]["what"], "clients");

    let mut admin = harness.admin().await;
    let row: (String, Option<String>) = sqlx::query_as("select name, system_prompt from clients")
        .fetch_one(&mut admin)
        .await
        .expect("its row");
    assert_eq!(row, (String::new(), None));
    let id = key["id"].as_str().expect("an id");
    let revoked: bool =
        sqlx::query_scalar("select revoked_at is not null from api_keys where id = $1::uuid")
            .bind(id)
            .fetch_one(&mut admin)
            .await
            .expect("the key");
    assert!(revoked, "a key of this client alone ends with it");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
