//! API keys: how they are made and shown, what they open, and all that ends them.

use std::time::{Duration, Instant};

use aftercall::embedded::harness::{Harness, eventually};
use aftercall::embedded::seed;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics;
use crate::support::{Answer, SignedIn, TestIngress};

const ALL: [&str; 5] = [
    "read",
    "sessions:write",
    "customers:write",
    "clients:write",
    "calls:write",
];

#[tokio::test]
async fn a_key_is_shown_once_and_acts_as_its_maker() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let body = json!({ "name": " agent ", "scopes": ["sessions:write", "read", "read"] });
    let made = ada.post_json("/api-keys", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.json();
    let key = made["key"].as_str().expect("shown").to_owned();
    let prefix = made["prefix"].as_str().unwrap();
    assert!(key.starts_with(prefix) && prefix.starts_with("ak_test_"));
    let expected = json!({
        "id": made["id"], "name": "agent", "prefix": prefix, "key": key,
        "scopes": ["read", "sessions:write"], "account_id": made["account_id"],
        "owner_id": ada.user_id, "client_id": null, "expires_at": null, "last_used_at": null,
        "created_at": made["created_at"], "revoked_at": null,
    });
    assert_eq!(made, expected);

    let path = format!("/api/v1/sessions/{}", session.session_id);
    for (header, value) in [
        ("x-api-key", key.clone()),
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("bearer {key}")),
    ] {
        let request = ingress.request(Method::GET, &path).header(header, value);
        assert_eq!(Answer::of(request).await.status, StatusCode::OK, "{header}");
    }
    let agent = with_key(&ada, &key);
    let created = agent.post_json("/sessions", &json!({})).await.json();
    assert_eq!(created["counselor_id"], json!(ada.user_id));
    let old = ingress.get("/api/sessions", Some(&key)).await;
    assert_eq!(old.json()["items"].as_array().unwrap().len(), 2);

    let listed = ada.get("/api-keys").await;
    assert!(!listed.text().contains(&key), "never shown again");
    assert_eq!(listed.json()["items"][0]["prefix"], prefix);
    // Written in batches, and at the stop at the latest.
    ingress.stop().await;
    let used: Option<bool> = sqlx::query_scalar("select last_used_at > created_at from api_keys")
        .fetch_one(&mut harness.admin().await)
        .await
        .expect("Postgres answers");
    assert_eq!(used, Some(true));
    harness.finish().await;
}

#[tokio::test]
async fn what_is_no_key_of_ours_is_refused() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let key = made(&ada, &json!({ "name": "a", "scopes": ["read"] })).await;
    let other = made(&ada, &json!({ "name": "b", "scopes": ["read"] })).await;
    let text = key["key"].as_str().unwrap();
    let foreign = other["key"].as_str().unwrap();
    // Each with a checksum that is right.
    let (id_a, secret_b) = (&text[..40], &foreign[40..105]);
    let swapped = checked(&format!("{id_a}{secret_b}"));
    let unknown = checked(&format!("ak_test_{}{secret_b}", "0".repeat(32)));
    let live = checked(&text[..105].replacen("ak_test_", "ak_live_", 1));
    assert_eq!(checked(&text[..105]), text, "the test knows the format");
    let last = if text.ends_with('0') { '1' } else { '0' };
    let wrong = [
        "",
        "ak_",
        &text[..text.len() - 1],
        &format!("{}{last}", &text[..text.len() - 1]),
        &text.to_uppercase(),
        &swapped,
        &unknown,
        &live,
        "a key",
    ];
    for given in wrong {
        let request = ingress.request(Method::GET, "/api/v1/sessions");
        let answer = Answer::of(request.header("x-api-key", given)).await;
        assert_eq!(answer.problem(401), "unauthorized", "{given}");
        let answer = ingress.get("/api/v1/sessions", Some(given)).await;
        assert_eq!(answer.problem(401), "unauthorized", "{given}");
    }
    // A key that is presented decides, whatever else is.
    let request = ada.request(Method::GET, "/sessions");
    let answer = Answer::of(request.header("x-api-key", &swapped)).await;
    assert_eq!(answer.problem(401), "unauthorized");
    assert_eq!(with_key(&ada, text).get("/sessions").await.status, 200);
    ingress.stop().await;
    // Another installation has another SECRET_KEY.
    let secret = [("SECRET_KEY", "another secret of another installation")];
    let elsewhere = TestIngress::start_with(&harness, &secret).await;
    let answer = elsewhere.get("/api/v1/sessions", Some(text)).await;
    assert_eq!(answer.problem(401), "unauthorized");
    elsewhere.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let body = json!({ "name": "Zoë" });
    for (scope, route) in [
        ("sessions:write", "/sessions"),
        ("customers:write", "/customers"),
        ("clients:write", "/clients"),
    ] {
        let others: Vec<_> = ALL.into_iter().filter(|other| *other != scope).collect();
        let lacking = made(&ada, &json!({ "name": "lacking", "scopes": others })).await;
        let answer = of(&ada, &lacking).post_json(route, &body).await;
        assert_eq!(answer.problem(403), "insufficient_scope");
        assert!(answer.text().contains(scope), "{}", answer.text());
        let revoke = format!("/api-keys/{}", lacking["id"].as_str().unwrap());
        Answer::of(ada.request(Method::DELETE, &revoke)).await;
        let having = made(&ada, &json!({ "name": scope, "scopes": [scope] })).await;
        let having = of(&ada, &having);
        let answer = having.post_json(route, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let answer = having.get(route).await;
        assert_eq!(answer.problem(403), "insufficient_scope", "read is its own");
    }
    let every = of(
        &ada,
        &made(&ada, &json!({ "name": "every", "scopes": ALL })).await,
    );
    for answer in [
        every.get("/api-keys").await,
        every
            .post_json("/api-keys", &json!({ "name": "x", "scopes": ["read"] }))
            .await,
        every.get("/auth/me").await,
    ] {
        assert_eq!(answer.problem(403), "people_only");
    }
    let named = json!({ "counselor_id": uuid::Uuid::nil() });
    let answer = every.post_json("/sessions", &named).await;
    assert_eq!(answer.problem(403), "role_needed", "keys manage nobody");
    let head = every.request(Method::HEAD, "/clients");
    assert_eq!(Answer::of(head).await.status, StatusCode::OK);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_bound_key_reaches_its_client_only() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let client = |user| async move {
        let user: &SignedIn<'_> = user;
        let made = user.post_json("/clients", &json!({ "name": "C" })).await;
        made.json()["id"].as_str().expect("an id").to_owned()
    };
    let (mine, other, foreign) = (client(&ada).await, client(&ada).await, client(&eve).await);
    let seeded = ada.create_session(&json!({})).await;
    seed::transcript(&harness, seeded, &["Hello."]).await;
    let session = seeded.session_id;
    let customer = ada.post_json("/customers", &json!({ "name": "Zoë" })).await;
    let customer = customer.json()["id"].as_str().unwrap().to_owned();
    let body = |client: &str, scopes: &[&str]| json!({ "name": "agent", "scopes": scopes, "client_id": client });
    let refused = ada.post_json("/api-keys", &body(&foreign, &["read"])).await;
    assert_eq!(refused.wrong_fields(), ["client_id"]);
    let refused = ada.post_json("/api-keys", &body(&mine, &ALL)).await;
    assert_eq!(refused.wrong_fields(), ["scopes"]);
    let key = made(&ada, &body(&mine, &["read", "calls:write"])).await;
    assert_eq!(key["client_id"], mine);
    let agent = of(&ada, &key);

    let listed = agent.get("/clients").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(agent.get("/clients?page=1").await.json()["total"], 1);
    let shown = agent.get(&format!("/clients/{mine}")).await;
    assert_eq!(shown.json()["id"], mine);
    for path in [
        format!("/clients/{other}"),
        format!("/clients/{foreign}"),
        format!("/customers/{customer}"),
        format!("/sessions/{session}"),
        format!("/sessions/{session}/recordings"),
        format!("/sessions/{session}/transcript"),
        format!("/sessions/{session}/transcript/findings"),
        format!("/sessions/{session}/export"),
        format!("/sessions/{session}/events"),
        format!("/analysis/{session}/analysis"),
    ] {
        agent.get(&path).await.problem(404);
    }
    for path in ["/sessions", "/customers", "/transcripts/search?q=hello"] {
        let page = agent.get(path).await.json();
        assert_eq!(page["items"], json!([]), "{path}");
    }
    // Also where a scope stands in the row that no one may ask for.
    sqlx::query("update api_keys set scopes = $1")
        .bind(ALL.map(str::to_owned).to_vec())
        .execute(&mut harness.admin().await)
        .await
        .expect("scopes");
    let second = TestIngress::start(&harness).await;
    let agent = SignedIn {
        ingress: &second,
        token: agent.token.clone(),
        user_id: agent.user_id,
    };
    for (path, body) in [
        ("/clients", json!({ "name": "C" })),
        ("/customers", json!({ "name": "C" })),
        ("/sessions", json!({})),
    ] {
        assert_eq!(
            agent.post_json(path, &body).await.problem(403),
            "client_bound"
        );
    }
    let change = json!({ "name": "C" });
    let answer = agent.put_json(&format!("/clients/{mine}"), &change).await;
    assert_eq!(answer.problem(403), "client_bound");
    second.stop().await;
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_asked_of_a_key_is_checked() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    for (body, field) in [
        (json!({ "name": "a", "scopes": [] }), "scopes"),
        (
            json!({ "name": "a", "scopes": ["everything"] }),
            "scopes[0]",
        ),
        (json!({ "name": "a", "scopes": "read" }), "scopes"),
        (json!({ "name": " ", "scopes": ["read"] }), "name"),
        (
            json!({ "name": "a", "scopes": ["read"], "client_id": uuid::Uuid::nil() }),
            "client_id",
        ),
        (
            json!({ "name": "a", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z" }),
            "expires_at",
        ),
        (
            json!({ "name": "a", "scopes": ["read"], "expires_at": "soon" }),
            "expires_at",
        ),
        (
            json!({ "name": "a", "scopes": ["read"], "expires": "2090-01-01T00:00:00Z" }),
            "expires",
        ),
    ] {
        let answer = ada.post_json("/api-keys", &body).await;
        assert_eq!(answer.wrong_fields(), [field], "{body}");
    }
    assert_eq!(ada.get("/api-keys").await.json()["items"], json!([]));
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_repeat_does_not_show_the_secret_again() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let send = |name: &str| {
        let body = json!({ "name": name, "scopes": ["read"] });
        let request = ada.request(Method::POST, "/api-keys");
        Answer::of(request.header("idempotency-key", "one").json(&body))
    };
    let first = send("a").await.json();
    let again = send("a").await;
    let mut expected = first.clone();
    expected["key"] = Value::Null;
    assert_eq!(
        (again.status, again.json()),
        (StatusCode::CREATED, expected)
    );
    assert_eq!(send("b").await.problem(422), "idempotency_key_reused");
    let secret = &first["key"].as_str().expect("shown")[40..];
    let kept: Vec<String> = sqlx::query_scalar("select body::text from idempotency_keys")
        .fetch_all(&mut harness.admin().await)
        .await
        .expect("Postgres answers");
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].contains(secret));
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn two_keys_of_a_name_are_active_at_most() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let body = json!({ "name": "agent", "scopes": ["read"] });
    let answers =
        futures::future::join_all((0..8).map(|_| ada.post_json("/api-keys", &body))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|answer| answer.status == StatusCode::CREATED);
    assert_eq!((made.len(), refused.len()), (2, 6));
    for answer in refused {
        assert_eq!(answer.problem(409), "too_many_keys");
    }
    let answer = eve.post_json("/api-keys", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "names are one's own");
    let id = made[0].json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api-keys/{id}");
    let answer = Answer::of(eve.request(Method::DELETE, &path)).await;
    assert_eq!(answer.problem(404), "api_key_not_found");
    let mut revoked = Vec::new();
    for _ in 0..2 {
        let answer = Answer::of(ada.request(Method::DELETE, &path)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.json()["revoked_at"].is_string());
        revoked.push(answer.json());
    }
    assert_eq!(revoked[0], revoked[1], "repeats change nothing");
    let answer = ada.post_json("/api-keys", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "a place is free");
    let actions: Vec<String> =
        sqlx::query_scalar("select action from audit_log where object_id = $1::uuid order by id")
            .bind(&id)
            .fetch_all(&mut harness.admin().await)
            .await
            .expect("Postgres answers");
    assert_eq!(actions, ["api_key.created", "api_key.revoked"]);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_revocation_is_seen_by_every_ingress() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let second = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let key = made(&ada, &json!({ "name": "a", "scopes": ["read"] })).await;
    let text = key["key"].as_str().unwrap();
    for server in [&ingress, &second] {
        let answer = server.get("/api/v1/clients", Some(text)).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let path = format!("/api-keys/{}", key["id"].as_str().unwrap());
    let since = Instant::now();
    Answer::of(ada.request(Method::DELETE, &path)).await;
    let answer = ingress.get("/api/v1/clients", Some(text)).await;
    assert_eq!(answer.problem(401), "unauthorized", "where it was revoked");
    // Whatever a server remembers: each transaction asks again.
    let answer = second.get("/api/v1/clients", Some(text)).await;
    assert_eq!(answer.problem(401), "unauthorized");
    // What needs no transaction goes by memory: here the refusal of a scope.
    eventually("the second server forgets the key", || async {
        let body = json!({ "name": "x" });
        let answer = second.post_json("/api/v1/clients", Some(text), &body).await;
        answer.status == StatusCode::UNAUTHORIZED
    })
    .await;
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    second.stop().await;
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_known_key_is_not_looked_up_for_each_request() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let key = made(&ada, &json!({ "name": "a", "scopes": ["read"] })).await;
    let other = made(&ada, &json!({ "name": "b", "scopes": ["read"] })).await;
    let (agent, other) = (of(&ada, &key), of(&ada, &other));
    assert_eq!(agent.get("/clients").await.status, StatusCode::OK);
    sqlx::query("revoke execute on function auth_find_key from aftercall_api")
        .execute(&mut harness.admin().await)
        .await
        .expect("a revocation");
    assert_eq!(agent.get("/clients").await.status, StatusCode::OK);
    assert_eq!(other.get("/clients").await.problem(500), "internal");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_with_its_makers_access() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let clinic = clinics::found(&harness).await;
    let own = made(&ada, &json!({ "name": "own", "scopes": ["read"] })).await;
    clinics::place(&harness, ada.user_id, Some(clinic), "counselor").await;
    let of_clinic = made(&ada, &json!({ "name": "clinic", "scopes": ["read"] })).await;
    assert_eq!(of_clinic["account_id"], json!(clinic));
    let (own, of_clinic) = (of(&ada, &own), of(&ada, &of_clinic));
    for key in [&own, &of_clinic] {
        assert_eq!(key.get("/sessions").await.status, StatusCode::OK);
    }
    let picked = format!("/sessions?account_id={clinic}");
    assert_eq!(own.get(&picked).await.problem(404), "account_not_found");
    assert_eq!(of_clinic.get(&picked).await.status, StatusCode::OK);
    clinics::place(&harness, ada.user_id, None, "counselor").await;
    assert_eq!(
        of_clinic.get("/sessions").await.problem(401),
        "unauthorized"
    );
    assert_eq!(own.get("/sessions").await.status, StatusCode::OK);
    clinics::set_active(&harness, ada.user_id, false).await;
    assert_eq!(own.get("/sessions").await.problem(401), "unauthorized");
    clinics::set_active(&harness, ada.user_id, true).await;

    let at = Timestamp::now() + Duration::from_millis(1500);
    let body = json!({ "name": "short", "scopes": ["read"], "expires_at": at });
    let short = of(&ada, &made(&ada, &body).await);
    assert_eq!(short.get("/sessions").await.status, StatusCode::OK);
    eventually("the key expires", || async {
        short.get("/sessions").await.status == StatusCode::UNAUTHORIZED
    })
    .await;
    assert!(Timestamp::now() >= at);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_manager_sees_and_revokes_the_keys_of_the_clinic() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let bob = SignedIn::new(&ingress, "bob@example.org").await;
    let max = SignedIn::new(&ingress, "max@example.org").await;
    let clinic = clinics::found(&harness).await;
    let private = made(&ada, &json!({ "name": "own", "scopes": ["read"] })).await;
    for (user, role) in [(&ada, "counselor"), (&bob, "counselor"), (&max, "manager")] {
        clinics::place(&harness, user.user_id, Some(clinic), role).await;
    }
    let hers = made(&ada, &json!({ "name": "clinic", "scopes": ["read"] })).await;
    let ids = |page: Value| -> Vec<Value> {
        let items = page["items"].as_array().expect("a page");
        items.iter().map(|key| key["id"].clone()).collect()
    };
    let seen = |user| async move {
        let user: &SignedIn<'_> = user;
        ids(user.get("/api-keys").await.json())
    };
    assert_eq!(
        seen(&ada).await,
        [hers["id"].clone(), private["id"].clone()]
    );
    assert!(seen(&bob).await.is_empty());
    assert_eq!(seen(&max).await, [hers["id"].clone()]);
    let path = |key: &Value| format!("/api-keys/{}", key["id"].as_str().unwrap());
    let revoke =
        |user: &SignedIn<'_>, key: &Value| Answer::of(user.request(Method::DELETE, &path(key)));
    assert_eq!(revoke(&bob, &hers).await.problem(404), "api_key_not_found");
    assert_eq!(
        revoke(&max, &private).await.problem(404),
        "api_key_not_found"
    );
    assert_eq!(revoke(&max, &hers).await.status, StatusCode::OK);
    assert_eq!(
        of(&ada, &hers).get("/sessions").await.problem(401),
        "unauthorized"
    );
    ingress.stop().await;
    harness.finish().await;
}

/// Makes a key, as it is shown once.
async fn made(user: &SignedIn<'_>, body: &Value) -> Value {
    let answer = user.post_json("/api-keys", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

/// Requests with this key.
fn of<'a>(maker: &SignedIn<'a>, made: &Value) -> SignedIn<'a> {
    with_key(maker, made["key"].as_str().expect("shown once"))
}

fn with_key<'a>(maker: &SignedIn<'a>, key: &str) -> SignedIn<'a> {
    SignedIn {
        ingress: maker.ingress,
        token: key.to_owned(),
        user_id: maker.user_id,
    }
}

/// The text with the checksum that belongs to it.
fn checked(body: &str) -> String {
    format!("{body}{:08x}", crc32fast::hash(body.as_bytes()))
}
