//! Policies of accounts: their shape, who reads them, who sets them.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, policies};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use aftercall::ids::{AccountId, ApiKeyId};
use aftercall::policy::Policy;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clinics;
use crate::support::{SignedIn, TestIngress};

/// The person's own account.
async fn account_of(harness: &Harness, person: &SignedIn<'_>) -> Uuid {
    let mut admin = harness.admin().await;
    sqlx::query_scalar("select account_id from users where id = $1")
        .bind(person.user_id.0)
        .fetch_one(&mut admin)
        .await
        .expect("a user")
}

async fn audited(harness: &Harness, action: &str) -> Vec<Value> {
    let mut admin = harness.admin().await;
    sqlx::query_scalar("select details from audit_log where action = $1 order by id")
        .bind(action)
        .fetch_all(&mut admin)
        .await
        .expect("Postgres answers")
}

#[tokio::test]
async fn a_policy_has_defaults_and_is_replaced_as_a_whole() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let account = account_of(&harness, &ada).await;
    let path = format!("/accounts/{account}/policy");
    let defaults = json!({
        "account_id": account, "keep_audio_days": null, "keep_transcripts_days": null,
        "keep_analyses_days": null, "consent_required": false, "audio_engines": null,
        "text_engines": null, "keep_after_withdrawal": [], "updated_at": null,
    });
    assert_eq!(ada.get(&path).await.json(), defaults);

    let given = json!({
        "keep_audio_days": 30, "keep_transcripts_days": 1, "keep_analyses_days": 36_500,
        "consent_required": true, "audio_engines": ["openai/whisper-1"], "text_engines": [],
        "keep_after_withdrawal": ["analysis", "recording", "analysis"],
    });
    let set = ada.put_json(&path, &given).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text());
    let set = set.json();
    for field in [
        "keep_audio_days",
        "keep_transcripts_days",
        "keep_analyses_days",
        "consent_required",
        "audio_engines",
        "text_engines",
    ] {
        assert_eq!(set[field], given[field], "{field}");
    }
    assert_eq!(
        set["keep_after_withdrawal"],
        json!(["recording", "analysis"])
    );
    assert!(set["updated_at"].is_string());
    assert_eq!(ada.get(&path).await.json(), set);

    let emptied = ada
        .put_json(&path, &json!({ "consent_required": true }))
        .await
        .json();
    assert_eq!(
        emptied["keep_audio_days"],
        Value::Null,
        "what is left out has its default"
    );
    assert_eq!(emptied["consent_required"], true);
    let fields = |entry: &Value| entry["fields"].as_array().expect("names").len();
    let notes = audited(&harness, "policy.changed").await;
    assert_eq!(notes.iter().map(fields).collect::<Vec<_>>(), [7, 6]);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_no_policy_is_refused_by_field() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let account = account_of(&harness, &ada).await;
    let path = format!("/accounts/{account}/policy");
    let many = vec!["x"; 51];
    let cases = [
        ("keep_audio_days", json!(0)),
        ("keep_transcripts_days", json!(36_501)),
        ("keep_analyses_days", json!(-1)),
        ("keep_audio_days", json!(1.5)),
        ("keep_audio_days", json!(9_223_372_036_854_775_807_i64)),
        ("consent_required", json!("yes")),
        ("audio_engines", json!("openai")),
        ("text_engines", json!(many)),
        ("audio_engines.1", json!(["openai", ""])),
        ("text_engines.0", json!(["a b"])),
        ("text_engines.0", json!(["x".repeat(201)])),
        ("keep_after_withdrawal[0]", json!(["session"])),
        ("account_id", json!(account)),
        ("unknown", json!(1)),
    ];
    for (field, value) in cases {
        let name = field.split(['.', '[']).next().expect("a name");
        let answer = ada.put_json(&path, &json!({ name: value })).await;
        assert_eq!(answer.wrong_fields(), [field], "{value}");
    }
    assert_eq!(ada.get(&path).await.json()["updated_at"], Value::Null);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn who_manages_an_account_sets_its_policy() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let people = ["counselor", "manager", "admin", "stranger"];
    let mut signed_in = Vec::new();
    for name in people {
        signed_in.push(SignedIn::new(&ingress, &format!("{name}@example.org")).await);
    }
    let [counselor, manager, admin, stranger] = &signed_in[..] else {
        unreachable!("four people");
    };
    let (clinic, other) = (
        clinics::found(&harness).await,
        clinics::found(&harness).await,
    );
    for (person, clinic, role) in [
        (counselor, Some(clinic), "counselor"),
        (manager, Some(clinic), "manager"),
        (stranger, Some(other), "manager"),
        (admin, None, "admin"),
    ] {
        clinics::place(&harness, person.user_id, clinic, role).await;
    }
    let path = format!("/accounts/{clinic}/policy");
    let body = json!({ "consent_required": true });
    for person in [counselor, manager, admin] {
        assert_eq!(person.get(&path).await.status, StatusCode::OK);
    }
    assert_eq!(
        counselor.put_json(&path, &body).await.problem(403),
        "role_needed"
    );
    for person in [manager, admin] {
        let answer = person.put_json(&path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    assert_eq!(stranger.get(&path).await.problem(404), "account_not_found");
    assert_eq!(
        stranger.put_json(&path, &body).await.problem(404),
        "account_not_found"
    );

    // One's own account is one's own, in a clinic too, and nobody else's but an admin's.
    let own = account_of(&harness, counselor).await;
    let own = format!("/accounts/{own}/policy");
    assert_eq!(counselor.put_json(&own, &body).await.status, StatusCode::OK);
    assert_eq!(manager.get(&own).await.problem(404), "account_not_found");
    assert_eq!(admin.put_json(&own, &body).await.status, StatusCode::OK);
    let nowhere = format!("/accounts/{}/policy", Uuid::now_v7());
    assert_eq!(admin.get(&nowhere).await.problem(404), "account_not_found");
    assert_eq!(
        admin.put_json(&nowhere, &body).await.problem(404),
        "account_not_found"
    );
    let malformed = counselor.get("/accounts/7/policy").await;
    assert_eq!(malformed.problem(400), "malformed_id");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_key_reads_the_policy_that_binds_it_and_never_sets_one() {
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let needed = Policy {
        consent_required: true,
        ..Policy::default()
    };
    seed::policy(&harness, seeded, &needed).await;
    let key = ApiKeyId::generate();
    let account: Uuid = sqlx::query_scalar(
        "insert into api_keys (account_id, id, owner_id, name, secret_hash, scopes)
        select account_id, $1, id, 'k', sha256('k'), '{}' from users where id = $2 returning account_id",
    )
    .bind(key.0)
    .bind(seeded.user_id.0)
    .fetch_one(&mut harness.admin().await)
    .await
    .expect("a key");
    let account = AccountId::from(account);
    let mut tx = harness.begin(Process::Ingress, Principal::Key(key)).await;
    let rules = policies::rules(&mut tx, seeded.session_id).await;
    let rules = rules.expect("a query").expect("a session");
    assert!(!rules.may_record(), "what binds the account binds its keys");
    assert_eq!(
        policies::sight(&mut tx, account).await.expect("a query"),
        Some(false)
    );
    let refused = policies::put(&mut tx, account, &Policy::default()).await;
    let refused = refused.expect_err("row-level security").to_string();
    assert!(refused.contains("row-level security"), "{refused}");
    harness.finish_as_it_is().await;
}
