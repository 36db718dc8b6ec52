//! The audit log: what stands in it, who reads it, and that nobody edits it.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::clinics::{admin, clinic, joined, log_in};
use crate::support::{Answer, PASSWORD, SignedIn, TestIngress};

const WAV: &[u8] = include_bytes!("../../workers/all/samples/two-cities/two-cities.wav");
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn every_read_and_change_of_a_session_stands_in_the_log() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let seeded = ada
        .create_session(&json!({ "title": "secret title" }))
        .await;
    let path = format!("/sessions/{}", seeded.session_id);
    seed::transcript(&harness, seeded, &["secret words", "Hello."]).await;
    let upload = ada.request(Method::POST, &format!("{path}/upload-recording"));
    let upload = Answer::of(upload.body(WAV)).await;
    assert_eq!(upload.status, StatusCode::ACCEPTED, "{}", upload.text());
    let recording = upload.json()["recording_id"].as_str().unwrap().to_owned();
    let audio = format!("{path}/recordings/{recording}/audio");

    ada.get(&path).await;
    max.get(&path).await;
    let transcript = max
        .request(Method::GET, &format!("{path}/transcript?format=txt"))
        .header("traceparent", TRACEPARENT);
    assert_eq!(Answer::of(transcript).await.status, StatusCode::OK);
    play(&max, &audio).await;
    // Before there is one, nothing is read.
    let analysis = format!("/analysis/{}/analysis", seeded.session_id);
    assert_eq!(max.get(&analysis).await.status, StatusCode::OK);
    ada.put_json(
        &path,
        &json!({ "notes": "secret notes", "status": "completed" }),
    )
    .await;
    for _ in 0..2 {
        ada.post(&format!("{path}/start")).await;
        ada.post(&format!("{path}/end")).await;
    }
    ada.post(&format!("/analysis/{}/analyze", seeded.session_id))
        .await;

    let log = max.get("/audit?limit=100").await;
    assert!(!log.text().contains("secret"), "never contents");
    let seen = of_sessions(&log.json(), &elm);
    let (ada_name, max_name) = ("ada@example.org", "max@example.org");
    let session_id = json!(seeded.session_id);
    let last = WAV.len();
    let expected = [
        ("session.created", ada_name, json!({})),
        (
            "recording.uploaded",
            ada_name,
            json!({ "session_id": session_id, "size_bytes": last }),
        ),
        ("session.read", max_name, json!({})),
        ("transcript.read", max_name, json!({ "generation": 1 })),
        (
            "audio.read",
            max_name,
            json!({ "session_id": session_id, "bytes": [0, 9] }),
        ),
        (
            "audio.read",
            max_name,
            json!({ "session_id": session_id, "bytes": null }),
        ),
        ("session.updated", ada_name, json!({ "fields": ["notes"] })),
        ("session.completed", ada_name, json!({})),
        ("session.started", ada_name, json!({})),
        ("session.ended", ada_name, json!({})),
        ("analysis.requested", ada_name, json!({ "generation": 1 })),
    ]
    .map(|(action, name, details)| (action.to_owned(), name.to_owned(), details));
    assert_eq!(seen, expected);
    let read = &max.get("/audit?action=transcript.read").await.json()["items"][0];
    let expected = json!({
        "id": read["id"], "at": read["at"], "account_id": elm,
        "actor": { "id": max.user_id, "name": max_name }, "key_id": null,
        "action": "transcript.read", "object": { "kind": "session", "id": session_id },
        "address": "127.0.0.1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "details": { "generation": 1 },
    });
    assert_eq!(*read, expected);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn managers_read_the_log_of_the_clinic_and_admins_all_of_it() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let (elm, oak) = (
        clinic(&root, "Elm Street").await,
        clinic(&root, "Oak Road").await,
    );
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let otto = joined(&root, "otto@example.org", "manager", &oak).await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let session = ada.create_session(&json!({})).await.session_id;
    let private = eve.create_session(&json!({})).await.session_id;
    let path = format!("/sessions/{session}");
    root.get(&path).await;
    let of = |id: &dyn std::fmt::Display| format!("/audit?object_id={id}");
    let (read, made) = ("session.read", "session.created");
    assert_eq!(actions(&max, &of(&session)).await, [read, made]);
    assert_eq!(actions(&otto, &of(&session)).await, [""; 0]);
    assert_eq!(actions(&max, &of(&private)).await, [""; 0]);
    assert_eq!(actions(&root, &of(&session)).await, [read, made]);
    assert_eq!(actions(&root, &of(&private)).await, [made]);
    // Also the name of an admin who is not of the clinic.
    let first = max.get(&of(&session)).await.json()["items"][0].clone();
    assert_eq!(first["actor"], json!({ "id": root.user_id, "name": "Ada" }));
    let by = format!("/audit?actor_id={}&action=session.read", root.user_id);
    assert_eq!(actions(&max, &by).await, [read]);
    let in_oak = format!("/audit?account_id={oak}");
    assert_eq!(
        actions(&root, &in_oak).await,
        ["user.created", "clinic.created"]
    );
    assert_eq!(
        actions(&otto, "/audit").await,
        ["user.created", "clinic.created"]
    );
    assert_eq!(max.get(&in_oak).await.problem(404), "account_not_found");

    let at = |entry: &Value| entry["at"].as_str().unwrap().to_owned();
    let all = max.get("/audit").await.json()["items"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(all.len(), 5, "{all:?}");
    let between = format!("/audit?from={}&to={}", at(&all[3]), at(&all[1]));
    assert_eq!(max.get(&between).await.json()["items"], json!(all[2..=3]));
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = max.get(&format!("/audit?limit=2{cursor}")).await.json();
        pages.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, all);
    for (query, code) in [
        ("from=yesterday", "malformed_query"),
        ("actor_id=x", "malformed_query"),
        ("cursor=x", "malformed_cursor"),
        ("account_id=x", "malformed_id"),
    ] {
        assert_eq!(max.get(&format!("/audit?{query}")).await.problem(400), code);
    }
    assert_eq!(max.get("/audit?limit=0").await.wrong_fields(), ["limit"]);
    assert_eq!(
        max.get("/audit?action=%00").await.wrong_fields(),
        ["action"]
    );

    for person in [&ada, &eve] {
        assert_eq!(person.get("/audit").await.problem(403), "role_needed");
    }
    let body = json!({ "name": "agent", "scopes": ["read"] });
    let key = max.post_json("/api-keys", &body).await.json();
    let request = ingress.request(Method::GET, "/api/v1/audit");
    let answer = Answer::of(request.header("x-api-key", key["key"].as_str().unwrap())).await;
    assert_eq!(answer.problem(403), "people_only");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn changes_of_people_and_clinics_stand_in_the_log() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let (elm, oak) = (
        clinic(&root, "Elm Street").await,
        clinic(&root, "Oak Road").await,
    );
    root.put_json(&format!("/clinics/{elm}"), &json!({ "name": "Elm" }))
        .await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let path = format!("/users/{}", ada.user_id);
    ada.put_json(&path, &json!({ "name": "Ada" })).await;
    let own = json!({ "password": "another one", "current_password": PASSWORD });
    ada.put_json(&path, &own).await;
    for change in [
        json!({ "name": "Ada", "role": "counselor" }),
        json!({ "email": "ada2@example.org" }),
        json!({ "role": "manager", "password": PASSWORD }),
        json!({ "clinic_id": oak }),
        json!({ "is_active": false }),
        json!({ "is_active": true }),
        json!({ "clinic_id": null }),
    ] {
        let changed = root.put_json(&path, &change).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    }
    let log = root
        .get(&format!("/audit?object_id={}&limit=100", ada.user_id))
        .await;
    for secret in ["another one", PASSWORD, "ada2@example.org", "argon2"] {
        assert!(!log.text().contains(secret));
    }
    let log = log.json();
    let entry = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&entry["action"]),
            text(&entry["account_id"]),
            entry["details"].clone(),
        )
    };
    let seen: Vec<_> = log["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(entry)
        .collect();
    let moved = |from: &str, to: Option<&str>| json!({ "from": from, "to": to });
    let expected = [
        (
            "user.created",
            &elm,
            json!({ "role": "counselor", "has_password": true }),
        ),
        ("user.updated", &elm, json!({ "fields": ["name"] })),
        ("user.password_changed", &elm, json!({})),
        ("user.email_changed", &elm, json!({})),
        (
            "user.role_changed",
            &elm,
            json!({ "from": "counselor", "to": "manager" }),
        ),
        ("user.password_changed", &elm, json!({})),
        ("user.clinic_changed", &elm, moved(&elm, Some(&oak))),
        ("user.clinic_changed", &oak, moved(&elm, Some(&oak))),
        ("user.deactivated", &oak, json!({})),
        ("user.activated", &oak, json!({})),
        ("user.clinic_changed", &oak, moved(&oak, None)),
    ]
    .map(|(action, account, details)| (action.to_owned(), account.clone(), details));
    assert_eq!(seen, expected);
    let of_clinic = actions(&root, &format!("/audit?object_id={elm}")).await;
    assert_eq!(of_clinic, ["clinic.updated", "clinic.created"]);
    log_in(&ingress, "ada2@example.org", PASSWORD).await;
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_noted_does_not_happen() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let seeded = ada.create_session(&json!({})).await;
    seed::transcript(&harness, seeded, &["Hello."]).await;
    harness.break_table("audit_log", "insert", 2).await;
    let path = format!("/sessions/{}", seeded.session_id);
    let read = ada.get(&format!("{path}/transcript")).await;
    assert_eq!(read.problem(500), "internal");
    let changed = ada.put_json(&path, &json!({ "title": "New" })).await;
    assert_eq!(changed.problem(500), "internal");
    assert_eq!(ada.get(&path).await.json()["title"], Value::Null);
    let read = ada.get(&format!("{path}/transcript")).await;
    assert_eq!(read.status, StatusCode::OK);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn nobody_edits_the_log_or_writes_in_anothers_name() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    ada.create_session(&json!({})).await;
    let edits = [
        "update audit_log set action = 'x'",
        "delete from audit_log",
        "truncate audit_log",
    ];
    let roles = [
        (Process::Ingress, Principal::user(root.user_id)),
        (Process::Ingress, Principal::user(ada.user_id)),
        (Process::Ingress, Principal::Auth),
        (Process::Storage, Principal::Worker(WorkerRole::Storage)),
        (
            Process::Transcription,
            Principal::Worker(WorkerRole::Transcription),
        ),
        (Process::Analysis, Principal::Worker(WorkerRole::Analysis)),
        (
            Process::Maintenance,
            Principal::Worker(WorkerRole::Maintenance),
        ),
    ];
    for edit in edits {
        for (process, principal) in roles {
            let mut tx = harness.begin(process, principal).await;
            let refused = tx.execute(edit).await.expect_err(edit).to_string();
            assert!(refused.contains("permission denied"), "{edit}: {refused}");
        }
        for owner in ["set role aftercall_owner", "reset role"] {
            let mut connection = harness.admin().await;
            connection.execute(owner).await.expect("a role");
            let refused = connection.execute(edit).await.expect_err(edit).to_string();
            assert!(
                refused.contains("only added to"),
                "{owner}, {edit}: {refused}"
            );
        }
    }
    let add = "insert into audit_log (account_id, id, actor_id, action, object_kind)
        select coalesce($1, app_account()), gen_random_uuid(), $2, 'session.read', 'session'";
    let elsewhere: uuid::Uuid = sqlx::query_scalar("select account_id from users where id = $1")
        .bind(root.user_id.0)
        .fetch_one(&mut harness.admin().await)
        .await
        .expect("a user");
    for (account, actor) in [
        (None, Some(root.user_id.0)),
        (None, None),
        (Some(elsewhere), Some(ada.user_id.0)),
    ] {
        let mut tx = harness
            .begin(Process::Ingress, Principal::user(ada.user_id))
            .await;
        let refused = sqlx::query(add)
            .bind(account)
            .bind(actor)
            .execute(&mut *tx)
            .await;
        let refused = refused.expect_err("in another's name").to_string();
        assert!(refused.contains("row-level security"), "{refused}");
    }
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(ada.user_id))
        .await;
    let seen: i64 = sqlx::query_scalar("select count(*) from audit_log")
        .fetch_one(&mut *tx)
        .await
        .expect("a count");
    assert_eq!(seen, 0, "counsellors read none of it");
    ingress.stop().await;
    harness.finish().await;
}

/// A part, the whole, and twice nothing.
async fn play(max: &SignedIn<'_>, audio: &str) {
    let part = max.request(Method::GET, audio).header("range", "bytes=0-9");
    assert_eq!(Answer::of(part).await.status, StatusCode::PARTIAL_CONTENT);
    let whole = max.get(audio).await;
    assert_eq!(whole.body, WAV);
    let etag = whole.header("etag").expect("as it was made").to_owned();
    let known = max
        .request(Method::GET, audio)
        .header("if-none-match", etag);
    assert_eq!(Answer::of(known).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(
        Answer::of(max.request(Method::HEAD, audio)).await.status,
        StatusCode::OK
    );
}

/// Action, actor and details of what was done to sessions, oldest first.
fn of_sessions(log: &Value, account: &str) -> Vec<(String, String, Value)> {
    let mut seen = Vec::new();
    for entry in log["items"]
        .as_array()
        .expect("as it was made")
        .iter()
        .rev()
    {
        assert_eq!(entry["account_id"], json!(account));
        let action = entry["action"].as_str().expect("as it was made").to_owned();
        let nouns = ["session", "audio", "recording", "transcript", "analysis"];
        if nouns.iter().any(|noun| action.starts_with(noun)) {
            let name = entry["actor"]["name"]
                .as_str()
                .expect("as it was made")
                .to_owned();
            seen.push((action, name, entry["details"].clone()));
        }
    }
    seen
}

async fn actions(person: &SignedIn<'_>, path: &str) -> Vec<String> {
    let page = person.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let page = page.json();
    let items = page["items"].as_array().expect("a page");
    let action = |item: &Value| item["action"].as_str().expect("an action").to_owned();
    items.iter().map(action).collect()
}
