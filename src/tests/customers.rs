//! Customers: who sees them, what is kept of them, and the sessions that name them.

use aftercall::embedded::harness::Harness;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics;
use crate::support::{Answer, SignedIn, TestIngress};

#[tokio::test]
async fn a_customer_is_created_found_and_changed() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let body = json!({
        "name": " Zoë Müller ", "email": " Zoe@example.org ", "phone_number": "+49 (30) 12-34 56",
        "date_of_birth": "1990-02-28", "notes": "prefers mornings", "metadata": { "a": 1 },
    });
    let created = ada.post_json("/customers", &body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text());
    let created = created.json();
    let expected = json!({
        "id": created["id"], "name": "Zoë Müller", "email": "Zoe@example.org",
        "phone_number": "+4930123456", "date_of_birth": "1990-02-28", "notes": "prefers mornings",
        "metadata": { "a": 1 }, "created_by": ada.user_id,
        "created_at": created["created_at"], "updated_at": created["updated_at"],
    });
    assert_eq!(created, expected);
    let path = format!("/customers/{}", created["id"].as_str().unwrap());
    assert_eq!(ada.get(&path).await.json(), expected);

    let change = json!({ "email": null, "name": "Zoë Meyer", "date_of_birth": null });
    let changed = ada.put_json(&path, &change).await.json();
    assert_eq!(changed["name"], "Zoë Meyer");
    assert_eq!(
        (&changed["email"], &changed["date_of_birth"]),
        (&Value::Null, &Value::Null),
        "null empties"
    );
    assert_eq!(changed["notes"], body["notes"], "what is left out stays");
    assert_eq!(
        audited(&harness).await,
        [
            ("customer.created".to_owned(), json!({})),
            (
                "customer.updated".to_owned(),
                json!({ "fields": ["name", "email", "date_of_birth"] })
            ),
        ]
    );
    let erased = ada.request(Method::DELETE, &path);
    assert_eq!(Answer::of(erased).await.problem(405), "method_not_allowed");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_by_field() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let customer = ada.post_json("/customers", &json!({ "name": "Zoë" })).await;
    let path = format!("/customers/{}", customer.json()["id"].as_str().unwrap());
    let cases = [
        ("name", json!("  ")),
        ("name", json!("é".repeat(201))),
        ("name", Value::Null),
        ("email", json!("nobody")),
        ("phone_number", json!("call me")),
        ("date_of_birth", json!("1990-02-30")),
        ("date_of_birth", json!("2990-01-01")),
        ("date_of_birth", json!("-9999-01-01")),
        ("notes", json!("x".repeat(50_001))),
        ("metadata", json!([])),
    ];
    for (field, value) in cases {
        let mut body = json!({ "name": "Zoë" });
        body[field] = value;
        let created = ada.post_json("/customers", &body).await;
        assert_eq!(created.wrong_fields(), [field], "{body}");
        let changed = ada.put_json(&path, &body).await;
        assert_eq!(changed.wrong_fields(), [field], "{body}");
    }
    let unnamed = ada.post_json("/customers", &json!({})).await;
    assert_eq!(unnamed.problem(422), "invalid");
    assert_eq!(ada.get("/customers/7").await.problem(400), "malformed_id");
    let nul = ada.get("/customers?q=a%00").await;
    assert_eq!(nul.wrong_fields(), ["q"]);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn lists_are_paged_and_searched_by_name() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    for name in ["Anna", "ÄNNE", "Bert 100%", "Hanna", "Otto"] {
        let created = ada.post_json("/customers", &json!({ "name": name })).await;
        assert_eq!(created.status, StatusCode::CREATED);
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = ada.get(&format!("/customers{query}")).await.json();
        seen.extend(names(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["Otto", "Hanna", "Bert 100%", "ÄNNE", "Anna"]);
    for (q, found) in [
        ("anna", vec!["Hanna", "Anna"]),
        ("%C3%A4nne", vec!["ÄNNE"]),
        ("%25", vec!["Bert 100%"]),
        ("_", vec![]),
        ("%20", vec!["Otto", "Hanna", "Bert 100%", "ÄNNE", "Anna"]),
    ] {
        let page = ada.get(&format!("/customers?q={q}")).await.json();
        assert_eq!(names(&page), found, "{q}");
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn customers_belong_to_the_account() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let bob = SignedIn::new(&ingress, "bob@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let root = SignedIn::new(&ingress, "root@example.org").await;
    let clinic = clinics::found(&harness).await;
    for user in [ada.user_id, bob.user_id] {
        clinics::place(&harness, user, Some(clinic), "counselor").await;
    }
    clinics::place(&harness, root.user_id, None, "admin").await;
    let created = ada.post_json("/customers", &json!({ "name": "Zoë" })).await;
    let path = format!("/customers/{}", created.json()["id"].as_str().unwrap());
    let renamed = json!({ "name": "Zoë M." });
    assert_eq!(bob.put_json(&path, &renamed).await.status, StatusCode::OK);
    for who in [&ada, &bob, &root] {
        assert_eq!(who.get(&path).await.json()["name"], "Zoë M.");
        assert_eq!(names(&who.get("/customers").await.json()), ["Zoë M."]);
    }
    assert_eq!(eve.get(&path).await.problem(404), "customer_not_found");
    let answer = eve.put_json(&path, &renamed).await;
    assert_eq!(answer.problem(404), "customer_not_found");
    assert!(names(&eve.get("/customers").await.json()).is_empty());
    let picked = format!("{path}?account_id={clinic}");
    assert_eq!(eve.get(&picked).await.problem(404), "account_not_found");
    assert_eq!(root.get(&picked).await.status, StatusCode::OK);
    clinics::place(&harness, bob.user_id, None, "counselor").await;
    assert_eq!(bob.get(&path).await.problem(404), "customer_not_found");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_repeated_creation_gives_the_first_answer() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let send = |body: &Value| {
        let request = ada.request(Method::POST, "/customers");
        Answer::of(request.header("idempotency-key", "one").json(body))
    };
    let first = send(&json!({ "name": "Zoë" })).await;
    let again = send(&json!({ "name": "Zoë" })).await;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::CREATED, first.json())
    );
    let other = send(&json!({ "name": "Otto" })).await;
    assert_eq!(other.problem(422), "idempotency_key_reused");
    assert_eq!(names(&ada.get("/customers").await.json()), ["Zoë"]);
    assert_eq!(audited(&harness).await.len(), 1);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_session_names_a_customer_of_its_account() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let body = json!({ "name": "Zoë", "email": "zoe@example.org", "phone_number": "+4930123456" });
    let zoe = ada.post_json("/customers", &body).await.json();
    let hers = eve
        .post_json("/customers", &json!({ "name": "Foreign" }))
        .await;
    let hers = json!({ "customer_id": hers.json()["id"] });
    let named = json!({ "customer_id": zoe["id"] });
    let session = ada.create_session(&named).await;
    let shown = ada.session(session).await;
    assert_eq!(shown["customer_id"], zoe["id"]);
    let mut person = body.clone();
    person["id"] = zoe["id"].clone();
    assert_eq!(shown["customer"], person);
    let listed = ada.get("/sessions").await.json();
    assert_eq!(listed["items"][0]["customer_id"], zoe["id"]);

    let path = format!("/sessions/{}", session.session_id);
    for answer in [
        ada.post_json("/sessions", &hers).await,
        ada.put_json(&path, &hers).await,
    ] {
        assert_eq!(answer.wrong_fields(), ["customer_id"]);
    }
    let untouched = ada.put_json(&path, &json!({ "title": "A" })).await.json();
    assert_eq!(untouched["customer_id"], zoe["id"]);
    let emptied = ada.put_json(&path, &json!({ "customer_id": null })).await;
    assert_eq!(emptied.json()["customer_id"], Value::Null);
    assert_eq!(ada.session(session).await["customer"], Value::Null);
    let again = ada.put_json(&path, &named).await;
    assert_eq!(again.json()["customer_id"], zoe["id"]);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn only_who_manages_names_another_counsellor() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let max = SignedIn::new(&ingress, "max@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let clinic = clinics::found(&harness).await;
    clinics::place(&harness, ada.user_id, Some(clinic), "counselor").await;
    clinics::place(&harness, max.user_id, Some(clinic), "manager").await;
    let for_whom = |user: &SignedIn<'_>| json!({ "counselor_id": user.user_id });
    let own = ada.post_json("/sessions", &for_whom(&ada)).await;
    assert_eq!(own.json()["counselor_id"], json!(ada.user_id));
    let others = ada.post_json("/sessions", &for_whom(&max)).await;
    assert_eq!(others.problem(403), "role_needed");
    let foreign = max.post_json("/sessions", &for_whom(&eve)).await;
    assert_eq!(foreign.wrong_fields(), ["counselor_id"]);
    let made = max.post_json("/sessions", &for_whom(&ada)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let path = format!("/sessions/{}", made.json()["id"].as_str().unwrap());
    let shown = ada.get(&path).await.json();
    assert_eq!(shown["counselor"]["email"], "ada@example.org");
    clinics::set_active(&harness, ada.user_id, false).await;
    let gone = max.post_json("/sessions", &for_whom(&ada)).await;
    assert_eq!(gone.wrong_fields(), ["counselor_id"]);
    ingress.stop().await;
    harness.finish().await;
}

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a page");
    let name = |item: &Value| item["name"].as_str().expect("a name").to_owned();
    items.iter().map(name).collect()
}

/// What the audit log says of customers, oldest first.
async fn audited(harness: &Harness) -> Vec<(String, Value)> {
    sqlx::query_as(
        "select action, details from audit_log where object_kind = 'customer' order by id",
    )
    .fetch_all(&mut harness.admin().await)
    .await
    .expect("Postgres answers")
}
