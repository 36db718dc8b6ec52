//! Clinics: who keeps them, and who sees what in them. Also how tests come by clinics and roles.

use aftercall::embedded::harness::Harness;
use aftercall::ids::{AccountId, UserId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, SignedIn, TestIngress};

const MP3: &[u8] = include_bytes!("../audio/fixtures/tone.mp3");

/// Makes a clinic.
pub async fn found(harness: &Harness) -> AccountId {
    let id = AccountId::generate();
    sqlx::query("insert into accounts (id, kind, name) values ($1, 'clinic', 'Clinic')")
        .bind(id.0)
        .execute(&mut harness.admin().await)
        .await
        .expect("a clinic");
    id
}

/// Gives somebody a role, in a clinic or in none.
pub async fn place(harness: &Harness, user: UserId, clinic: Option<AccountId>, role: &str) {
    sqlx::query("update users set clinic_id = $2, role = $3 where id = $1")
        .bind(user.0)
        .bind(clinic.map(|id| id.0))
        .bind(role)
        .execute(&mut harness.admin().await)
        .await
        .expect("a user");
}

/// Lets somebody in, or no longer.
pub async fn set_active(harness: &Harness, user: UserId, is_active: bool) {
    sqlx::query("update users set is_active = $2 where id = $1")
        .bind(user.0)
        .bind(is_active)
        .execute(&mut harness.admin().await)
        .await
        .expect("a user");
}

/// An admin with [`PASSWORD`].
pub async fn admin<'a>(harness: &Harness, ingress: &'a TestIngress) -> SignedIn<'a> {
    let admin = SignedIn::new(ingress, "root@example.org").await;
    place(harness, admin.user_id, None, "admin").await;
    admin
}

/// Makes a clinic as an admin does; answers its id.
pub async fn clinic(admin: &SignedIn<'_>, name: &str) -> String {
    let made = admin.post_json("/clinics", &json!({ "name": name })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    made.json()["id"].as_str().expect("an id").to_owned()
}

/// Makes somebody of a clinic with [`PASSWORD`], and signs them in.
pub async fn joined<'a>(
    admin: &SignedIn<'a>,
    email: &str,
    role: &str,
    clinic: &str,
) -> SignedIn<'a> {
    let body = json!({
        "email": email, "name": email, "role": role, "clinic_id": clinic, "password": PASSWORD,
    });
    let made = admin.post_json("/users", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    log_in(admin.ingress, email, PASSWORD).await
}

/// Signs somebody in.
pub async fn log_in<'a>(ingress: &'a TestIngress, email: &str, password: &str) -> SignedIn<'a> {
    let body = json!({ "email": email, "password": password });
    let answer = ingress.post_json("/api/v1/auth/login", None, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = answer.json();
    let user_id = answer["user"]["id"].as_str().and_then(|id| id.parse().ok());
    SignedIn {
        ingress,
        token: answer["access_token"].as_str().expect("a token").to_owned(),
        user_id: user_id.expect("an id"),
    }
}

#[tokio::test]
async fn admins_keep_the_clinics_and_managers_read_their_own() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let made = root
        .post_json("/clinics", &json!({ "name": " Elm Street " }))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    let elm = made["id"].as_str().unwrap().to_owned();
    let expected = json!({ "id": elm, "name": "Elm Street", "created_at": made["created_at"] });
    assert_eq!(made, expected);
    let oak = clinic(&root, "Oak Road").await;
    let (own, other) = (format!("/clinics/{elm}"), format!("/clinics/{oak}"));
    assert_eq!(root.get(&own).await.json(), made);
    let listed = root.get("/clinics?limit=1").await.json();
    assert_eq!(listed["items"][0]["id"], json!(oak), "newest first");
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = root
        .get(&format!("/clinics?limit=1&cursor={cursor}"))
        .await
        .json();
    assert_eq!(rest, json!({ "items": [made], "next_cursor": null }));
    let renamed = root.put_json(&own, &json!({ "name": "Elm" })).await;
    assert_eq!(renamed.json()["name"], "Elm");
    for body in [json!({}), json!({ "name": "" }), json!({ "name": null })] {
        assert_eq!(
            root.post_json("/clinics", &body).await.problem(422),
            "invalid"
        );
        assert_eq!(root.put_json(&own, &body).await.problem(422), "invalid");
    }
    let picked = format!("/clinics?account_id={elm}");
    let refused = root.post_json(&picked, &json!({ "name": "A" })).await;
    assert_eq!(refused.wrong_fields(), ["account_id"]);
    assert_eq!(
        root.get(&picked).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let rename = json!({ "name": "Mine" });
    for person in [&max, &ada] {
        assert_eq!(person.get("/clinics").await.problem(403), "role_needed");
        assert_eq!(
            person.post_json("/clinics", &rename).await.problem(403),
            "role_needed"
        );
        assert_eq!(
            person.put_json(&own, &rename).await.problem(403),
            "role_needed"
        );
    }
    assert_eq!(max.get(&own).await.json()["name"], "Elm");
    assert_eq!(max.get(&other).await.problem(404), "clinic_not_found");
    assert_eq!(ada.get(&own).await.problem(403), "role_needed");
    let absent = format!("/clinics/{}", uuid::Uuid::now_v7());
    assert_eq!(root.get(&absent).await.problem(404), "clinic_not_found");
    assert_eq!(
        root.put_json(&absent, &rename).await.problem(404),
        "clinic_not_found"
    );
    assert_eq!(root.get("/clinics/x").await.problem(400), "malformed_id");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn joining_moves_nothing_and_leaving_ends_the_sight() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let (elm, oak) = (
        clinic(&root, "Elm Street").await,
        clinic(&root, "Oak Road").await,
    );
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let otto = joined(&root, "otto@example.org", "manager", &oak).await;
    let eve = joined(&root, "eve@example.org", "counselor", &elm).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let private = titled(&ada, "/sessions", "private").await;
    let join = root.put_json(&of(&ada), &json!({ "clinic_id": elm })).await;
    assert_eq!(join.status, StatusCode::OK, "{}", join.text());
    let shared = titled(&ada, "/sessions", "shared").await;
    let eves = titled(&eve, "/sessions", "eve's").await;
    // Who does not want it to be the clinic's picks the personal account.
    let account = personal_account(&harness, &ada).await;
    let picked = format!("/sessions?account_id={account}");
    let later = titled(&ada, &picked, "private too").await;

    assert_eq!(
        titles(&ada, "/sessions").await,
        ["private too", "shared", "private"]
    );
    assert_eq!(titles(&ada, &picked).await, ["private too", "private"]);
    let in_elm = format!("/sessions?account_id={elm}");
    assert_eq!(titles(&ada, &in_elm).await, ["shared"]);
    assert_eq!(titles(&eve, "/sessions").await, ["eve's"]);
    assert_eq!(titles(&max, "/sessions").await, ["eve's", "shared"]);
    assert_eq!(titles(&otto, "/sessions").await, [""; 0]);
    assert_eq!(
        titles(&root, "/sessions").await,
        ["private too", "eve's", "shared", "private"]
    );
    assert_eq!(titles(&root, &in_elm).await, ["eve's", "shared"]);
    assert_eq!(titles(&root, &picked).await, ["private too", "private"]);
    assert_eq!(max.get(&picked).await.problem(404), "account_not_found");
    assert_eq!(otto.get(&in_elm).await.problem(404), "account_not_found");
    for (person, session, seen) in [
        (&max, &shared, true),
        (&max, &private, false),
        (&max, &later, false),
        (&eve, &shared, false),
        (&ada, &eves, false),
        (&otto, &shared, false),
        (&root, &private, true),
    ] {
        let shown = person.get(session).await.status == StatusCode::OK;
        assert_eq!(shown, seen, "{session}");
    }

    // Whoever sees a session uploads into it, whichever account they act in.
    for (person, session) in [(&ada, &private), (&root, &private), (&max, &shared)] {
        let upload = person.request(Method::POST, &format!("{session}/upload-recording"));
        let upload = Answer::of(upload.body(MP3)).await;
        assert_eq!(upload.status, StatusCode::ACCEPTED, "{}", upload.text());
    }
    let leave = max.put_json(&of(&ada), &json!({ "clinic_id": null })).await;
    assert_eq!(leave.status, StatusCode::OK, "{}", leave.text());
    assert_eq!(titles(&ada, "/sessions").await, ["private too", "private"]);
    assert_eq!(ada.get(&shared).await.problem(404), "session_not_found");
    assert_eq!(ada.get(&in_elm).await.problem(404), "account_not_found");
    let kept = max.get(&shared).await.json();
    let person = json!({ "id": ada.user_id, "name": "Ada", "email": "ada@example.org" });
    assert_eq!(
        kept["counselor"], person,
        "the clinic knows whose session it was"
    );
    assert_eq!(max.get(&of(&ada)).await.problem(404), "user_not_found");
    let back = root.put_json(&of(&ada), &json!({ "clinic_id": elm })).await;
    assert_eq!(back.status, StatusCode::OK);
    assert_eq!(
        titles(&ada, "/sessions").await,
        ["private too", "shared", "private"]
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

fn of(person: &SignedIn<'_>) -> String {
    format!("/users/{}", person.user_id)
}

/// Makes a session with a title; answers its path.
async fn titled(person: &SignedIn<'_>, path: &str, title: &str) -> String {
    let made = person.post_json(path, &json!({ "title": title })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    format!("/sessions/{}", made.json()["id"].as_str().expect("an id"))
}

async fn titles(person: &SignedIn<'_>, path: &str) -> Vec<String> {
    let page = person.get(path).await.json();
    let items = page["items"].as_array().expect("a page");
    let title = |item: &Value| item["title"].as_str().expect("a title").to_owned();
    items.iter().map(title).collect()
}

async fn personal_account(harness: &Harness, person: &SignedIn<'_>) -> uuid::Uuid {
    sqlx::query_scalar("select account_id from users where id = $1")
        .bind(person.user_id.0)
        .fetch_one(&mut harness.admin().await)
        .await
        .expect("a user")
}
