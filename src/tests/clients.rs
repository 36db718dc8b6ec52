//! Clients: their settings, lists in both forms, and a deletion that hides.

use aftercall::embedded::harness::Harness;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics;
use crate::support::{Answer, SignedIn, TestIngress};

#[tokio::test]
async fn a_client_is_created_changed_hidden_and_brought_back() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let body = json!({
        "name": "Dr. Who", "phone_number": "+49 30 123456", "profession": "dentist",
        "voice_id": "v1", "voice_name": "Alma", "system_prompt": "Be kind.",
    });
    let created = ada.post_json("/clients", &body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    let created = created.json();
    let mut expected = body.clone();
    for (field, value) in [
        ("id", &created["id"]),
        ("created_at", &created["created_at"]),
        ("updated_at", &created["updated_at"]),
        ("phone_number", &json!("+4930123456")),
        ("is_active", &json!(true)),
        ("fetch_recordings", &json!(false)),
        ("analyze_calls", &json!(false)),
    ] {
        expected[field] = value.clone();
    }
    assert_eq!(created, expected);
    let path = format!("/clients/{}", created["id"].as_str().unwrap());
    let change = json!({ "voice_id": null, "system_prompt": "Be brief.", "analyze_calls": true });
    let changed = ada.put_json(&path, &change).await.json();
    assert_eq!(
        (&changed["voice_id"], &changed["system_prompt"]),
        (&Value::Null, &json!("Be brief."))
    );
    assert_eq!(changed["voice_name"], "Alma");
    assert_eq!(
        (&changed["fetch_recordings"], &changed["analyze_calls"]),
        (&json!(false), &json!(true))
    );

    let mut deleted = Vec::new();
    for _ in 0..2 {
        let answer = Answer::of(ada.request(Method::DELETE, &path)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["is_active"], false);
        deleted.push(answer.json());
    }
    assert_eq!(deleted[0], deleted[1], "repeats change nothing");
    assert_eq!(ada.get(&path).await.json(), deleted[0]);
    assert!(names(&ada.get("/clients").await.json()).is_empty());
    let all = ada.get("/clients?include_inactive=true").await.json();
    assert_eq!(names(&all), ["Dr. Who"]);
    let back = ada.put_json(&path, &json!({ "is_active": true })).await;
    assert_eq!(back.json()["is_active"], true);
    assert_eq!(names(&ada.get("/clients").await.json()), ["Dr. Who"]);
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_log where object_kind = 'client' order by id")
            .fetch_all(&mut harness.admin().await)
            .await
            .expect("Postgres answers");
    assert_eq!(
        actions,
        [
            "client.created",
            "client.updated",
            "client.deleted",
            "client.updated"
        ]
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn lists_have_cursors_or_numbers() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    for name in ["a", "b", "c", "d", "e"] {
        let created = ada.post_json("/clients", &json!({ "name": name })).await;
        assert_eq!(created.status, StatusCode::CREATED);
    }
    let first = ada.get("/clients?limit=3").await.json();
    assert_eq!(names(&first), ["e", "d", "c"]);
    let cursor = first["next_cursor"].as_str().expect("more");
    let rest = ada.get(&format!("/clients?limit=3&cursor={cursor}")).await;
    assert_eq!(
        (names(&rest.json()), &rest.json()["next_cursor"]),
        (vec!["b".to_owned(), "a".to_owned()], &Value::Null)
    );
    let numbered = ada.get("/clients?page=2&per_page=2").await.json();
    assert_eq!(names(&numbered), ["c", "b"]);
    assert_eq!(
        (&numbered["page"], &numbered["per_page"], &numbered["total"]),
        (&json!(2), &json!(2), &json!(5))
    );
    assert_eq!(numbered.get("next_cursor"), None);
    let beyond = ada.get("/clients?page=4&per_page=2").await.json();
    assert_eq!((names(&beyond).len(), &beyond["total"]), (0, &json!(5)));
    assert_eq!(ada.get("/clients?per_page=2").await.json()["page"], 1);
    for (query, field) in [
        ("page=0", "page"),
        ("page=100001", "page"),
        ("page=1&per_page=101", "per_page"),
        ("per_page=0", "per_page"),
        ("page=1&limit=2", "page"),
        ("limit=0", "limit"),
    ] {
        let answer = ada.get(&format!("/clients?{query}")).await;
        assert_eq!(answer.wrong_fields(), [field], "{query}");
    }
    let answer = ada.get("/clients?cursor=bad").await;
    assert_eq!(answer.problem(400), "malformed_cursor");
    let answer = ada.get("/clients?page=x").await;
    assert_eq!(answer.problem(400), "malformed_query");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn clients_belong_to_the_account() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let bob = SignedIn::new(&ingress, "bob@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let clinic = clinics::found(&harness).await;
    for user in [ada.user_id, bob.user_id] {
        clinics::place(&harness, user, Some(clinic), "counselor").await;
    }
    let created = ada
        .post_json("/clients", &json!({ "name": "Dr. Who" }))
        .await;
    let path = format!("/clients/{}", created.json()["id"].as_str().unwrap());
    assert_eq!(bob.get(&path).await.status, StatusCode::OK);
    let change = json!({ "name": "Mine" });
    for answer in [
        eve.get(&path).await,
        eve.put_json(&path, &change).await,
        Answer::of(eve.request(Method::DELETE, &path)).await,
    ] {
        assert_eq!(answer.problem(404), "client_not_found");
    }
    assert_eq!(ada.get(&path).await.json()["name"], "Dr. Who");
    assert_eq!(eve.get("/clients?page=1").await.json()["total"], 0);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_by_field() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let client = ada.post_json("/clients", &json!({ "name": "A" })).await;
    let path = format!("/clients/{}", client.json()["id"].as_str().unwrap());
    for (field, value) in [
        ("name", json!("")),
        ("name", Value::Null),
        ("phone_number", json!("+")),
        ("profession", json!("x".repeat(201))),
        ("voice_id", json!(7)),
        ("system_prompt", json!("x".repeat(50_001))),
        ("is_active", json!("yes")),
    ] {
        let mut body = json!({ "name": "A" });
        body[field] = value;
        let created = ada.post_json("/clients", &body).await;
        assert_eq!(created.wrong_fields(), [field], "{body}");
        let changed = ada.put_json(&path, &body).await;
        assert_eq!(changed.wrong_fields(), [field], "{body}");
    }
    ingress.stop().await;
    harness.finish().await;
}

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a page");
    let name = |item: &Value| item["name"].as_str().expect("a name").to_owned();
    items.iter().map(name).collect()
}
