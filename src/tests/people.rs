//! Users: who makes, sees and changes whom, and what ends a sign-in.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, SignedIn as Person};
use aftercall::embedded::harness::Harness;
use aftercall::ids::SignInId;
use futures::future::join;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics::{admin, clinic, joined, log_in};
use crate::support::{Answer, PASSWORD, SignedIn, TestIngress};

const OTHER_PASSWORD: &str = "staple battery horse";

#[tokio::test]
async fn an_admin_makes_finds_and_changes_everybody() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let body = json!({
        "email": " Max@Example.org", "name": " Max ", "role": "manager", "clinic_id": elm,
        "password": PASSWORD,
    });
    let made = root.post_json("/users", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    let expected = json!({
        "id": made["id"], "email": "max@example.org", "name": "Max", "role": "manager",
        "clinic_id": elm, "is_active": true, "oauth_provider": null, "created_at": made["created_at"],
    });
    assert_eq!(made, expected);
    let max = log_in(&ingress, "max@example.org", PASSWORD).await;
    assert_eq!(max.get("/auth/me").await.json(), made);
    let path = format!("/users/{}", made["id"].as_str().unwrap());
    assert_eq!(root.get(&path).await.json(), made);
    assert_eq!(
        root.put_json(&path, &made).await.json(),
        made,
        "sent back, it is as it was"
    );

    let plain = json!({ "email": "zoe@example.org", "name": "Zoë" });
    let zoe = root.post_json("/users", &plain).await.json();
    assert_eq!(
        (&zoe["role"], &zoe["clinic_id"]),
        (&json!("counselor"), &Value::Null)
    );
    let login = json!({ "email": "zoe@example.org", "password": PASSWORD });
    let refused = ingress.post_json("/api/v1/auth/login", None, &login).await;
    assert_eq!(
        refused.problem(401),
        "wrong_credentials",
        "no password was set"
    );
    let path = format!("/users/{}", zoe["id"].as_str().unwrap());
    let change = json!({
        "email": "ZOE2@example.org", "role": "manager", "clinic_id": elm, "password": PASSWORD,
    });
    let changed = root.put_json(&path, &change).await.json();
    assert_eq!(changed["email"], "zoe2@example.org");
    assert_eq!(
        (&changed["role"], &changed["clinic_id"]),
        (&json!("manager"), &json!(elm))
    );
    log_in(&ingress, "zoe2@example.org", PASSWORD).await;

    for (query, emails) in [
        (
            "",
            vec!["zoe2@example.org", "max@example.org", "root@example.org"],
        ),
        ("?role=manager&limit=1", vec!["zoe2@example.org"]),
        ("?role=admin", vec!["root@example.org"]),
        (
            &format!("?clinic_id={elm}"),
            vec!["zoe2@example.org", "max@example.org"],
        ),
        ("?is_active=false", vec![]),
    ] {
        assert_eq!(
            emails_of(&root.get(&format!("/users{query}")).await),
            emails,
            "{query}"
        );
    }
    let first = root.get("/users?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let rest = root.get(&format!("/users?limit=2&cursor={cursor}")).await;
    assert_eq!(emails_of(&rest), ["root@example.org"]);
    assert_eq!(rest.json()["next_cursor"], Value::Null);
    assert_eq!(root.get("/users?role=boss").await.wrong_fields(), ["role"]);
    assert_eq!(
        root.get("/users?clinic_id=x").await.problem(400),
        "malformed_query"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_by_field_and_a_taken_address_is_a_conflict() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let nowhere = json!(uuid::Uuid::now_v7());
    let me = root.get("/auth/me").await.json();
    let path = format!("/users/{}", root.user_id);
    for (field, value) in [
        ("email", json!("nobody")),
        ("email", Value::Null),
        ("name", json!(" ")),
        ("name", Value::Null),
        ("role", json!("boss")),
        ("clinic_id", nowhere),
        ("password", json!("short")),
        ("password", json!("é".repeat(600))),
    ] {
        let mut body = json!({ "email": "new@example.org", "name": "New" });
        body[field] = value.clone();
        let made = root.post_json("/users", &body).await;
        assert_eq!(made.wrong_fields(), [field], "{body}");
        let changed = root.put_json(&path, &json!({ field: value })).await;
        assert_eq!(changed.wrong_fields(), [field], "{body}");
    }
    let body = json!({ "is_active": null, "role": null });
    let changed = root.put_json(&path, &body).await;
    assert_eq!(changed.wrong_fields(), ["role", "is_active"]);
    // A personal account is no clinic.
    let own = personal_account(&harness, &root).await;
    let body = json!({ "email": "new@example.org", "name": "New", "clinic_id": own });
    assert_eq!(
        root.post_json("/users", &body).await.wrong_fields(),
        ["clinic_id"]
    );
    let unknown = json!({ "email": "new@example.org", "name": "New", "clinic": own });
    assert_eq!(
        root.post_json("/users", &unknown).await.problem(422),
        "invalid"
    );

    ingress.register("eve@example.org").await;
    let taken = json!({ "email": "EVE@example.org", "name": "Eve" });
    assert_eq!(
        root.post_json("/users", &taken).await.problem(409),
        "email_taken"
    );
    let taken = json!({ "email": "eve@example.org" });
    assert_eq!(
        root.put_json(&path, &taken).await.problem(409),
        "email_taken"
    );
    assert_eq!(root.get("/auth/me").await.json(), me, "nothing has changed");
    let absent = format!("/users/{}", uuid::Uuid::now_v7());
    assert_eq!(root.get(&absent).await.problem(404), "user_not_found");
    assert_eq!(
        root.put_json(&absent, &json!({})).await.problem(404),
        "user_not_found"
    );
    assert_eq!(root.get("/users/x").await.problem(400), "malformed_id");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_repeated_creation_gives_the_first_answer_and_keeps_no_password() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let send = |name: &'static str| {
        let body = json!({ "email": "zoe@example.org", "name": name, "password": PASSWORD });
        let request = root.request(Method::POST, "/users").json(&body);
        Answer::of(request.header("idempotency-key", "k1"))
    };
    let (first, again) = (send("Zoë").await, send("Zoë").await);
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text());
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    assert_eq!(send("Eve").await.problem(422), "idempotency_key_reused");
    let (kept, request): (Value, Vec<u8>) =
        sqlx::query_as("select body, request_sha256 from idempotency_keys where path = '/users'")
            .fetch_one(&mut harness.admin().await)
            .await
            .expect("it is kept");
    assert_eq!(kept, first.json());
    let body = json!({ "email": "zoe@example.org", "name": "Zoë", "password": PASSWORD });
    let plain = <sha2::Sha256 as sha2::Digest>::digest(body.to_string().as_bytes());
    assert_ne!(
        request,
        plain.to_vec(),
        "a guess at the password can be checked with it"
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_manager_looks_after_the_counsellors_of_the_clinic_and_nobody_else() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let (elm, oak) = (
        clinic(&root, "Elm Street").await,
        clinic(&root, "Oak Road").await,
    );
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let mia = joined(&root, "mia@example.org", "manager", &elm).await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let eve = joined(&root, "eve@example.org", "counselor", &oak).await;

    let new = |extra: Value| {
        let mut body = json!({ "email": "new@example.org", "name": "New" });
        let fields = extra.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        body
    };
    for extra in [
        json!({ "role": "manager" }),
        json!({ "role": "admin", "clinic_id": elm }),
    ] {
        let refused = max.post_json("/users", &new(extra)).await;
        assert_eq!(refused.problem(403), "role_needed");
    }
    let elsewhere = max
        .post_json("/users", &new(json!({ "clinic_id": oak })))
        .await;
    assert_eq!(elsewhere.wrong_fields(), ["clinic_id"]);
    let made = max.post_json("/users", &new(json!({}))).await.json();
    assert_eq!(
        made["clinic_id"],
        json!(elm),
        "the manager's own, without being asked"
    );
    let listed = emails_of(&max.get("/users").await);
    assert_eq!(
        listed,
        [
            "new@example.org",
            "ada@example.org",
            "mia@example.org",
            "max@example.org"
        ]
    );
    assert_eq!(
        emails_of(&max.get(&format!("/users?clinic_id={oak}")).await),
        [""; 0]
    );
    let elsewhere = max.get(&format!("/users?account_id={oak}")).await;
    assert_eq!(elsewhere.problem(404), "account_not_found");

    let of = |person: &SignedIn<'_>| format!("/users/{}", person.user_id);
    let renamed = max.put_json(&of(&ada), &json!({ "name": "Ada L." })).await;
    assert_eq!(renamed.json()["name"], "Ada L.");
    for body in [
        json!({ "email": "mine@example.org" }),
        json!({ "role": "manager" }),
        json!({ "clinic_id": oak }),
        json!({ "password": OTHER_PASSWORD }),
        json!({ "password": OTHER_PASSWORD, "current_password": PASSWORD }),
    ] {
        let refused = max.put_json(&of(&ada), &body).await;
        assert_eq!(refused.problem(403), "role_needed", "{body}");
    }
    for body in [
        json!({ "is_active": false }),
        json!({ "name": "M" }),
        json!({ "clinic_id": null }),
    ] {
        let refused = max.put_json(&of(&mia), &body).await;
        assert_eq!(
            refused.problem(403),
            "role_needed",
            "another manager: {body}"
        );
    }
    for body in [
        json!({ "role": "admin" }),
        json!({ "role": "counselor" }),
        json!({ "clinic_id": null }),
    ] {
        let refused = max.put_json(&of(&max), &body).await;
        assert_eq!(refused.problem(403), "role_needed", "themselves: {body}");
    }
    for person in [&eve, &root] {
        assert_eq!(max.get(&of(person)).await.problem(404), "user_not_found");
        let refused = max.put_json(&of(person), &json!({ "name": "E" })).await;
        assert_eq!(refused.problem(404), "user_not_found");
    }
    let off = max
        .put_json(&of(&ada), &json!({ "is_active": false }))
        .await;
    assert_eq!(off.json()["is_active"], json!(false));
    assert_eq!(ada.get("/auth/me").await.problem(401), "unauthorized");
    let on = max.put_json(&of(&ada), &json!({ "is_active": true })).await;
    assert_eq!(on.json()["is_active"], json!(true));
    let gone = max.put_json(&of(&ada), &json!({ "clinic_id": null })).await;
    assert_eq!(gone.json()["clinic_id"], Value::Null);
    assert_eq!(max.get(&of(&ada)).await.problem(404), "user_not_found");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn everybody_else_sees_and_changes_themselves_alone() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let eve = joined(&root, "eve@example.org", "counselor", &elm).await;
    assert_eq!(ada.get("/users").await.problem(403), "role_needed");
    let body = json!({ "email": "new@example.org", "name": "New", "password": PASSWORD });
    assert_eq!(
        ada.post_json("/users", &body).await.problem(403),
        "role_needed"
    );
    let theirs = format!("/users/{}", eve.user_id);
    assert_eq!(ada.get(&theirs).await.problem(404), "user_not_found");
    for body in [
        json!({ "name": "E" }),
        json!({ "password": OTHER_PASSWORD }),
    ] {
        assert_eq!(
            ada.put_json(&theirs, &body).await.problem(404),
            "user_not_found"
        );
    }
    let own = format!("/users/{}", ada.user_id);
    for body in [
        json!({ "email": "a@example.org" }),
        json!({ "role": "admin" }),
        json!({ "clinic_id": null }),
        json!({ "is_active": false }),
    ] {
        assert_eq!(
            ada.put_json(&own, &body).await.problem(403),
            "role_needed",
            "{body}"
        );
    }
    let renamed = ada
        .put_json(&own, &json!({ "name": "Ada L." }))
        .await
        .json();
    assert_eq!(renamed["name"], "Ada L.");
    assert_eq!(ada.get(&own).await.json(), renamed);
    assert_eq!(ada.get("/auth/me").await.json(), renamed);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn ones_own_password_takes_the_present_one() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elsewhere = log_in(&ingress, "root@example.org", PASSWORD).await;
    let own = format!("/users/{}", root.user_id);
    // An admin is no exception: whoever has come by their token would have their account.
    for body in [
        json!({ "password": OTHER_PASSWORD }),
        json!({ "password": OTHER_PASSWORD, "current_password": "wrong" }),
    ] {
        assert_eq!(
            root.put_json(&own, &body).await.wrong_fields(),
            ["current_password"]
        );
    }
    let body = json!({ "password": OTHER_PASSWORD, "current_password": PASSWORD });
    assert_eq!(root.put_json(&own, &body).await.status, StatusCode::OK);
    assert_eq!(
        root.get("/auth/me").await.status,
        StatusCode::OK,
        "this sign-in goes on"
    );
    assert_eq!(elsewhere.get("/auth/me").await.problem(401), "unauthorized");
    let old = json!({ "email": "root@example.org", "password": PASSWORD });
    let refused = ingress.post_json("/api/v1/auth/login", None, &old).await;
    assert_eq!(refused.problem(401), "wrong_credentials");
    log_in(&ingress, "root@example.org", OTHER_PASSWORD).await;

    // Guesses count as failed sign-ins do.
    let body = json!({ "password": PASSWORD, "current_password": "wrong" });
    let mut last = root.put_json(&own, &body).await;
    for _ in 0..11 {
        last = root.put_json(&own, &body).await;
    }
    assert_eq!(last.problem(429), "too_many_attempts");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_others_change_ends_sign_ins() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    joined(&root, "ada@example.org", "counselor", &elm).await;
    for (change, ends) in [
        (json!({ "name": "A" }), false),
        (
            json!({ "email": "ada@example.org", "role": "counselor" }),
            false,
        ),
        (json!({ "clinic_id": null }), false),
        (json!({ "role": "manager" }), true),
        (json!({ "password": PASSWORD }), true),
        (json!({ "is_active": false }), true),
    ] {
        let ada = log_in(&ingress, "ada@example.org", PASSWORD).await;
        let path = format!("/users/{}", ada.user_id);
        let changed = root.put_json(&path, &change).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
        let still = ada.get("/auth/me").await.status;
        assert_eq!(still == StatusCode::UNAUTHORIZED, ends, "{change}");
        let back = root.put_json(&path, &json!({ "is_active": true })).await;
        assert_eq!(back.status, StatusCode::OK);
        let still = ada.get("/auth/me").await.status;
        assert_eq!(
            still == StatusCode::UNAUTHORIZED,
            ends,
            "{change}: it stays ended"
        );
    }
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn an_admin_is_always_left() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let own = format!("/users/{}", root.user_id);
    for body in [json!({ "role": "manager" }), json!({ "is_active": false })] {
        assert_eq!(
            root.put_json(&own, &body).await.problem(409),
            "last_admin",
            "{body}"
        );
    }
    let body = json!({
        "email": "second@example.org", "name": "Second", "role": "admin", "password": PASSWORD,
    });
    root.post_json("/users", &body).await;
    let second = log_in(&ingress, "second@example.org", PASSWORD).await;
    let theirs = format!("/users/{}", second.user_id);
    // Both at once, each the other: one of them is too late, whichever.
    let (demoted, inactive) = (
        json!({ "role": "counselor" }),
        json!({ "is_active": false }),
    );
    let (one, other) = join(
        root.put_json(&theirs, &demoted),
        second.put_json(&own, &inactive),
    )
    .await;
    let statuses = [one.status.as_u16(), other.status.as_u16()];
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(
        [409, 401].iter().any(|code| statuses.contains(code)),
        "{statuses:?}"
    );
    let left: i64 =
        sqlx::query_scalar("select count(*) from users where role = 'admin' and is_active")
            .fetch_one(&mut harness.admin().await)
            .await
            .expect("a count");
    assert_eq!(left, 1);
    // Not by an administrator of the database either.
    let refused = sqlx::query("update users set is_active = false")
        .execute(&mut harness.admin().await)
        .await;
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .contains("admin any more")
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn the_database_itself_refuses_what_handlers_would_not_ask() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    for statement in [
        "select password_hash from users",
        "update users set role = 'admin'",
        "update users set password_hash = 'x'",
        "insert into users (account_id, id, email, name) values (app_account(), gen_random_uuid(), 'a', 'a')",
        "delete from users",
        "select add_person(gen_random_uuid(), gen_random_uuid(), 'a', 'a', 'admin', null, null)",
        "select set_person(u) from users u",
        "update accounts set kind = 'clinic'",
        "insert into accounts (id, kind, name) values (gen_random_uuid(), 'clinic', 'Mine')",
        "insert into accounts (id, kind, name) values (gen_random_uuid(), 'personal', 'Mine')",
        "select create_person(gen_random_uuid(), gen_random_uuid(), 'a@b.c', 'a', 'admin', null, 'x')",
        "select change_person(app_user(), null, null, 'admin', false, null, null, null, null, null)",
        "select change_person(app_user(), null, null, null, false, null, null, 'hash', 'guess', null)",
        "select change_person(app_user(), null, null, null, false, null, null, 'hash', null, null)",
    ] {
        for principal in [Principal::user(ada.user_id), Principal::user(max.user_id)] {
            let mut tx = harness.begin(Process::Ingress, principal).await;
            let refused = sqlx::query(statement).execute(&mut *tx).await;
            let refused = refused.expect_err(statement).to_string();
            let known = [
                "permission denied",
                "row-level security",
                "not allowed",
                "not the present",
            ];
            assert!(
                known.iter().any(|word| refused.contains(word)),
                "{statement}: {refused}"
            );
        }
    }
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(ada.user_id))
        .await;
    for statement in [
        "select id::text from users where id <> app_user()",
        "update accounts set name = 'Mine' returning id::text",
        "select id::text from change_person(
            (select clinic_id from users), null, 'x', null, false, null, null, null, null, null)",
        "select id::text from session_counselor(gen_random_uuid())",
        "select id::text from audit_actors((select array_agg(id) from users))",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(statement)
            .fetch_all(&mut *tx)
            .await
            .expect(statement);
        assert!(rows.is_empty(), "{statement}");
    }
    // Nobody is known yet: nothing is made or changed.
    let mut tx = harness.begin(Process::Ingress, Principal::Auth).await;
    let made = "select create_person(gen_random_uuid(), gen_random_uuid(), 'a@b.c', 'a', 'counselor', null, 'x')";
    let refused = sqlx::query(made).execute(&mut *tx).await;
    assert!(
        refused
            .expect_err("nobody")
            .to_string()
            .contains("not allowed")
    );
    // A sign-in is kept only in one's own name.
    let person = Person {
        user_id: root.user_id,
        sign_in: None,
        account: None,
    };
    let mut tx = harness
        .begin(Process::Ingress, Principal::User(person))
        .await;
    sqlx::query(
        "select change_person($1, null, null, null, false, null, null, 'hash', null, (select $2))",
    )
    .bind(ada.user_id.0)
    .bind(SignInId::generate().0)
    .execute(&mut *tx)
    .await
    .expect("an admin may");
    tx.commit().await.expect("commit");
    assert_eq!(ada.get("/auth/me").await.problem(401), "unauthorized");
    ingress.stop().await;
    harness.finish().await;
}

fn emails_of(page: &Answer) -> Vec<String> {
    let page = page.json();
    let items = page["items"].as_array().expect("a page");
    let email = |item: &Value| item["email"].as_str().expect("an address").to_owned();
    items.iter().map(email).collect()
}

async fn personal_account(harness: &Harness, person: &SignedIn<'_>) -> uuid::Uuid {
    sqlx::query_scalar("select account_id from users where id = $1")
        .bind(person.user_id.0)
        .fetch_one(&mut harness.admin().await)
        .await
        .expect("a user")
}
