//! Erasing over HTTP: who may, what is 404 from then on, and the receipt.

use aftercall::config;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, erasure_sessions, erasures};
use aftercall::embedded::harness::{Harness, eventually};
use aftercall::embedded::seed::Seeded;
use aftercall::events::ErasedPart;
use aftercall::providers::object_store::ObjectStore;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics;
use crate::support::{Answer, SignedIn, TestIngress};

const WAV: &[u8] = include_bytes!("../../workers/all/samples/two-cities/two-cities.wav");

async fn erase(user: &SignedIn<'_>, session: Seeded) -> Answer {
    let path = format!("/sessions/{}?erase=true", session.session_id);
    Answer::of(user.request(Method::DELETE, &path)).await
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let body = answer.json();
    assert_eq!(
        body.as_object().map(serde_json::Map::len),
        Some(1),
        "{body}"
    );
    body["erasure_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn an_erased_session_is_gone_at_once_and_a_repeat_gives_the_same() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({"title": "Secret"})).await;
    let other = ada.create_session(&json!({})).await;
    let erasure = id_of(&erase(&ada, session).await);

    let id = session.session_id;
    for path in [
        format!("/sessions/{id}"),
        format!("/sessions/{id}/recordings"),
        format!("/sessions/{id}/transcript"),
        format!("/sessions/{id}/export"),
        format!("/sessions/{id}/transcript/findings"),
        format!("/sessions/{id}/events"),
        format!("/analysis/{id}/analysis"),
    ] {
        assert_eq!(
            ada.get(&path).await.problem(404),
            "session_not_found",
            "{path}"
        );
    }
    for path in [
        format!("/sessions/{id}/start"),
        format!("/sessions/{id}/end"),
        format!("/sessions/{id}/retry"),
        format!("/analysis/{id}/transcribe"),
        format!("/sessions/{id}/upload-recording"),
    ] {
        assert_eq!(
            ada.post(&path).await.problem(404),
            "session_not_found",
            "{path}"
        );
    }
    let changed = ada
        .put_json(&format!("/sessions/{id}"), &json!({"title": "x"}))
        .await;
    assert_eq!(changed.problem(404), "session_not_found");
    let ended = Answer::of(ada.request(Method::DELETE, &format!("/sessions/{id}"))).await;
    assert_eq!(ended.problem(404), "session_not_found");
    let list = ada.get("/sessions").await.json();
    let listed = list["items"].as_array().expect("a list");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], json!(other.session_id));

    assert_eq!(id_of(&erase(&ada, session).await), erasure);
    let receipt = ada.get(&format!("/erasures/{erasure}")).await.json();
    assert_eq!(receipt["erasure_id"], json!(erasure));
    assert_eq!(receipt["subject"], json!({"kind": "session", "id": id}));
    assert_eq!(receipt["state"], "running");
    assert_eq!(receipt["requested_by"], json!(ada.user_id));
    assert_eq!(receipt["completed_at"], Value::Null);
    assert_eq!(receipt["pending"][0]["where"], "everywhere");
    assert_eq!(
        ada.get(&format!("/erasures/{erasure}")).await.json(),
        receipt
    );
    eventually("its event is published", || async {
        harness.published("erasure.requested").await == 1
    })
    .await;
    let mut admin = harness.admin().await;
    let audited: Vec<(String, Value)> = sqlx::query_as(
        "select action, details from audit_log where object_id = $1 and action = 'session.erased'",
    )
    .bind(id.0)
    .fetch_all(&mut admin)
    .await
    .expect("Postgres answers");
    let once = ("session.erased".to_owned(), json!({"erasure_id": erasure}));
    assert_eq!(audited, [once]);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn many_at_once_are_one_erasure() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let (a, b, c) = tokio::join!(
        erase(&ada, session),
        erase(&ada, session),
        erase(&ada, session)
    );
    let ids = [id_of(&a), id_of(&b), id_of(&c)];
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn foreign_sessions_and_erasures_do_not_exist() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let session = ada.create_session(&json!({})).await;
    assert_eq!(erase(&eve, session).await.problem(404), "session_not_found");
    assert_eq!(ada.session(session).await["status"], "created");
    let erasure = id_of(&erase(&ada, session).await);
    assert_eq!(erase(&eve, session).await.problem(404), "session_not_found");
    let path = format!("/erasures/{erasure}");
    assert_eq!(eve.get(&path).await.problem(404), "erasure_not_found");
    let nobody = ingress.get(&format!("/api/v1{path}"), None).await;
    assert_eq!(nobody.problem(401), "unauthorized");
    assert_eq!(ada.get("/erasures/x").await.problem(400), "malformed_id");
    let wrong = format!("/sessions/{}?erase=maybe", session.session_id);
    let wrong = Answer::of(ada.request(Method::DELETE, &wrong)).await;
    assert_eq!(wrong.problem(400), "malformed_query");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_manager_erases_and_the_owner_may_ask_again() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let counselor = SignedIn::new(&ingress, "ada@example.org").await;
    let manager = SignedIn::new(&ingress, "mia@example.org").await;
    let colleague = SignedIn::new(&ingress, "bob@example.org").await;
    let clinic = clinics::found(&harness).await;
    clinics::place(&harness, counselor.user_id, Some(clinic), "counselor").await;
    clinics::place(&harness, manager.user_id, Some(clinic), "manager").await;
    clinics::place(&harness, colleague.user_id, Some(clinic), "counselor").await;
    let session = counselor.create_session(&json!({})).await;
    let hidden = erase(&colleague, session).await;
    assert_eq!(hidden.problem(404), "session_not_found");
    let erasure = id_of(&erase(&manager, session).await);
    assert_eq!(id_of(&erase(&counselor, session).await), erasure);
    let path = format!("/erasures/{erasure}");
    for user in [&manager, &counselor] {
        let receipt = user.get(&path).await.json();
        assert_eq!(receipt["requested_by"], json!(manager.user_id));
    }
    assert_eq!(colleague.get(&path).await.problem(404), "erasure_not_found");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_upload_that_ends_after_the_erasure_leaves_nothing() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let (send, receive) = tokio::sync::mpsc::channel::<std::io::Result<bytes::Bytes>>(1);
    let body = futures::stream::unfold(receive, |mut receive| async {
        Some((receive.recv().await?, receive))
    });
    let path = format!("/sessions/{}/upload-recording", session.session_id);
    let request = ada.request(Method::POST, &path);
    let uploading = Answer::of(request.body(reqwest::Body::wrap_stream(body)));
    let erasing = async {
        let first = bytes::Bytes::from_static(&WAV[..65_536]);
        send.send(Ok(first)).await.expect("it reads");
        let mut admin = harness.admin().await;
        let uploads = "select count(*) from uploads where multipart_id is not null";
        let uploads = &tokio::sync::Mutex::new((&mut admin, uploads));
        eventually("the upload has begun", || async {
            let mut uploads = uploads.lock().await;
            let (admin, query) = &mut *uploads;
            let count: i64 = sqlx::query_scalar(*query)
                .fetch_one(&mut **admin)
                .await
                .expect("Postgres answers");
            count == 1
        })
        .await;
        id_of(&erase(&ada, session).await);
        // The upload may have been given up before it ends.
        let rest = bytes::Bytes::from_static(&WAV[65_536..]);
        let _ = send.send(Ok(rest)).await;
        drop(send);
    };
    let (answer, ()) = tokio::join!(uploading, erasing);
    assert_eq!(answer.problem(404), "session_not_found");
    let settings = config::ObjectStore::read(&harness.env(Process::Ingress)).expect("settings");
    let store = ObjectStore::connect(&settings).await.expect("a client");
    eventually("its bytes are removed", || async {
        store.list("recordings/").await.expect("a list").is_empty()
    })
    .await;
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_repeated_creation_does_not_bring_an_erased_session_back() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let create = || {
        let request = ada.request(Method::POST, "/sessions");
        let request = request.header("idempotency-key", "once");
        Answer::of(request.json(&json!({"title": "Secret"})))
    };
    let id = create().await.json()["id"].clone();
    let session = Seeded {
        user_id: ada.user_id,
        session_id: id.as_str().expect("an id").parse().expect("a UUID"),
    };
    let erasure = id_of(&erase(&ada, session).await);
    let role = Principal::Worker(WorkerRole::Maintenance);
    let mut tx = harness.begin(Process::Maintenance, role).await;
    let erasure = erasure.parse().expect("a UUID");
    let work = erasure_sessions::get(&mut tx, erasure, session.session_id).await;
    let work = work.expect("a query").expect("its work");
    assert_eq!(work.parts, [ErasedPart::Session]);
    erasure_sessions::remove_traces(&mut tx, &work)
        .await
        .expect("removed");
    assert!(
        erasures::get(&mut tx, erasure)
            .await
            .expect("a query")
            .is_some()
    );
    tx.commit().await.expect("commit");
    assert_eq!(create().await.problem(404), "erased");
    assert_eq!(ada.get("/sessions").await.json()["items"], json!([]));
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

async fn create_customer(user: &SignedIn<'_>) -> String {
    let request = user.request(Method::POST, "/customers");
    let request = request.header("idempotency-key", "once");
    let answer = Answer::of(request.json(&json!({"name": "Zoe Secret"}))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

async fn erase_customer(user: &SignedIn<'_>, customer: &str) -> Answer {
    let path = format!("/customers/{customer}?erase=true");
    Answer::of(user.request(Method::DELETE, &path)).await
}

#[tokio::test]
async fn a_customer_goes_with_all_of_their_sessions() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let customer = create_customer(&ada).await;
    let of_customer = json!({"title": "Secret", "customer_id": customer});
    let first = ada.create_session(&of_customer).await;
    let second = ada.create_session(&of_customer).await;
    let other = ada.create_session(&json!({})).await;
    let alone = id_of(&erase(&ada, first).await);

    let erasure = id_of(&erase_customer(&ada, &customer).await);
    assert_ne!(alone, erasure);
    assert_eq!(id_of(&erase_customer(&ada, &customer).await), erasure);
    let path = format!("/customers/{customer}");
    assert_eq!(ada.get(&path).await.problem(404), "customer_not_found");
    let path = format!("/sessions/{}", second.session_id);
    assert_eq!(ada.get(&path).await.problem(404), "session_not_found");
    let created = ada.post_json("/sessions", &of_customer).await;
    assert_eq!(created.wrong_fields(), ["customer_id"]);
    let request = ada.request(Method::POST, "/customers");
    let request = request.header("idempotency-key", "once");
    let again = Answer::of(request.json(&json!({"name": "Zoe Secret"}))).await;
    assert_eq!(again.problem(404), "erased");
    ada.session(other).await;
    let receipt = ada.get(&format!("/erasures/{erasure}")).await.json();
    assert_eq!(
        receipt["subject"],
        json!({"kind": "customer", "id": customer})
    );
    let gone = json!({"where": "postgres", "what": "customers", "count": 1});
    assert_eq!(receipt["destroyed"], json!([gone]));
    assert_eq!(
        receipt["pending"][0]["count"], 1,
        "the other was erased alone"
    );
    eventually("each session has its event", || async {
        harness.published("erasure.requested").await == 2
    })
    .await;
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_customer_without_sessions_is_erased_at_once() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let customer = create_customer(&ada).await;
    let refused = erase_customer(&eve, &customer).await;
    assert_eq!(refused.problem(404), "customer_not_found");
    let path = format!("/customers/{customer}?erase=false");
    let kept = Answer::of(ada.request(Method::DELETE, &path)).await;
    assert_eq!(kept.problem(405), "method_not_allowed");
    let erasure = id_of(&erase_customer(&ada, &customer).await);
    let receipt = ada.get(&format!("/erasures/{erasure}")).await.json();
    assert_eq!(receipt["state"], "done");
    assert_eq!(receipt["completed_at"], receipt["requested_at"]);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_customer_with_sessions_of_others_is_for_managers() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let counselor = SignedIn::new(&ingress, "ada@example.org").await;
    let manager = SignedIn::new(&ingress, "mia@example.org").await;
    let colleague = SignedIn::new(&ingress, "bob@example.org").await;
    let clinic = clinics::found(&harness).await;
    clinics::place(&harness, counselor.user_id, Some(clinic), "counselor").await;
    clinics::place(&harness, manager.user_id, Some(clinic), "manager").await;
    clinics::place(&harness, colleague.user_id, Some(clinic), "counselor").await;
    let customer = create_customer(&counselor).await;
    let of_customer = json!({"customer_id": customer});
    let session = counselor.create_session(&of_customer).await;
    let own = colleague.create_session(&of_customer).await;
    let refused = erase_customer(&colleague, &customer).await;
    assert_eq!(refused.problem(403), "role_needed");
    colleague.session(own).await;
    let erasure = id_of(&erase_customer(&manager, &customer).await);
    let path = format!("/sessions/{}", session.session_id);
    assert_eq!(counselor.get(&path).await.problem(404), "session_not_found");
    let path = format!("/erasures/{erasure}");
    assert_eq!(manager.get(&path).await.status, StatusCode::OK);
    assert_eq!(colleague.get(&path).await.problem(404), "erasure_not_found");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn keys_erase_nothing() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let customer = create_customer(&ada).await;
    let body = json!({"name": "agent", "scopes": ["read", "sessions:write", "customers:write"]});
    let key = ada.post_json("/api-keys", &body).await.json();
    let secret = key["secret"]
        .as_str()
        .or(key["key"].as_str())
        .expect("a secret");
    for path in [
        format!("/sessions/{}?erase=true", session.session_id),
        format!("/customers/{customer}?erase=true"),
    ] {
        let request = ingress.request(Method::DELETE, &format!("/api/v1{path}"));
        let refused = Answer::of(request.header("x-api-key", secret)).await;
        assert_eq!(refused.problem(403), "people_only", "{path}");
    }
    ada.session(session).await;
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
