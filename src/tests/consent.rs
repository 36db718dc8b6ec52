//! What the person in a session agreed to, and what follows from it.

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::policy::{Part, Policy};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::stages::{self, REASON};
use crate::support::{SignedIn, TestIngress};

#[tokio::test]
async fn consent_is_noted_with_who_and_when() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let silent = ada.create_session(&json!({})).await;
    assert_eq!(ada.session(silent).await["consent"], Value::Null);
    let body = json!({ "consent": { "recording": true, "ai": false } });
    let session = ada.create_session(&body).await;
    let path = format!("/sessions/{}", session.session_id);
    let first = ada.session(session).await["consent"].clone();
    assert_eq!(
        (&first["recording"], &first["ai"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(first["by"], json!(ada.user_id));
    assert!(first["at"].is_string());

    let repeated = ada.put_json(&path, &body).await.json();
    assert_eq!(repeated["consent"], first, "nothing has changed");
    let given = ada
        .put_json(&path, &json!({ "consent": { "ai": true } }))
        .await
        .json();
    assert_eq!(
        given["consent"]["recording"], true,
        "what is left out stays"
    );
    assert_eq!(given["consent"]["ai"], true);
    assert!(given["consent"]["at"].as_str() > first["at"].as_str());
    let titled = ada.put_json(&path, &json!({ "title": "T" })).await.json();
    assert_eq!(titled["consent"], given["consent"]);
    let emptied = ada
        .put_json(&path, &json!({ "consent": null }))
        .await
        .json();
    assert_eq!(emptied["consent"], Value::Null);

    let cases = [
        (json!({ "recording": true }), vec!["consent.ai"]),
        (json!({}), vec!["consent.recording", "consent.ai"]),
        (json!({ "recording": true, "ai": 1 }), vec!["consent.ai"]),
        (
            json!({ "recording": true, "ai": true, "at": "2026-01-01T00:00:00Z" }),
            vec!["consent.at"],
        ),
        (
            json!({ "recording": true, "ai": true, "by": ada.user_id }),
            vec!["consent.by"],
        ),
    ];
    for (consent, fields) in cases {
        let body = json!({ "consent": consent });
        assert_eq!(
            ada.post_json("/sessions", &body).await.wrong_fields(),
            fields
        );
        assert_eq!(ada.put_json(&path, &body).await.wrong_fields(), fields);
    }
    let mut admin = harness.admin().await;
    let notes: Vec<Value> = sqlx::query_scalar(
        "select details from audit_log where action = 'consent.changed' and object_id = $1 order by id",
    )
    .bind(session.session_id.0)
    .fetch_all(&mut admin)
    .await
    .expect("Postgres answers");
    let expected = [
        json!({ "recording": true, "ai": false, "erasure_id": null }),
        json!({ "recording": true, "ai": true, "erasure_id": null }),
        json!({ "recording": null, "ai": null, "erasure_id": notes[2]["erasure_id"] }),
    ];
    assert_eq!(notes, expected);
    assert!(notes[2]["erasure_id"].is_string());
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn later_consent_asks_for_what_was_skipped() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let needed = Policy {
        consent_required: true,
        ..Policy::default()
    };
    let uploaded = seed::recording(&harness, session, "recordings/none", 1, [0; 32]).await;
    seed::stored(&harness, &uploaded, stages::PROBED).await;
    seed::policy(&harness, session, &needed).await;
    stages::transcription_skipped(&harness, session, uploaded.recording_id, (1, 1)).await;
    let stage = ada.session(session).await["stages"]["transcription"].clone();
    assert_eq!(
        (&stage["state"], &stage["reason"]),
        (&json!("skipped"), &json!(REASON))
    );
    assert_eq!(ada.session(session).await["status"], "recorded");

    let path = format!("/sessions/{}", session.session_id);
    let half = json!({ "consent": { "recording": true, "ai": false } });
    ada.put_json(&path, &half).await;
    let stage = ada.session(session).await["stages"]["transcription"].clone();
    assert_eq!(stage["state"], "skipped", "that is not enough");
    let whole = json!({ "consent": { "ai": true } });
    let answer = ada.put_json(&path, &whole).await.json();
    let stage = &answer["stages"]["transcription"];
    assert_eq!(
        (&stage["state"], &stage["attempt"]),
        (&json!("running"), &json!(2))
    );
    ada.put_json(&path, &whole).await;
    let asked = harness.timeline(session).await;
    let asked = asked.iter().filter(|it| *it == "transcription.requested");
    assert_eq!(asked.count(), 2, "once more, and not at each repeat");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_skipped_stage_begins_again_when_somebody_asks() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["Hello."]).await;
    stages::analysis_skipped(&harness, session, (1, 1)).await;
    let path = format!("/analysis/{}/analysis", session.session_id);
    let shown = ada.get(&path).await.json();
    assert_eq!(
        (&shown["status"], &shown["error"]),
        (&json!("skipped"), &json!(REASON))
    );
    assert_eq!(shown["generations"][0]["state"], "skipped");

    let retry = format!("/sessions/{}/retry", session.session_id);
    let answer = ada.post(&retry).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let stage = &answer.json()["stages"]["analysis"];
    assert_eq!(
        (&stage["state"], &stage["attempt"]),
        (&json!("running"), &json!(2))
    );
    assert_eq!(ada.post(&retry).await.problem(409), "nothing_failed");

    stages::analysis_skipped(&harness, session, (1, 2)).await;
    let analyze = format!("/analysis/{}/analyze", session.session_id);
    let asked = ada.post(&analyze).await.json();
    assert_eq!(asked, json!({ "generation": 1, "status": "running" }));
    let stage = ada.session(session).await["stages"]["analysis"].clone();
    assert_eq!(
        (&stage["state"], &stage["attempt"]),
        (&json!("running"), &json!(3))
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

/// A session with a transcript and an analysis, made with consent.
async fn analysed(harness: &Harness, person: &SignedIn<'_>) -> Seeded {
    let body = json!({ "consent": { "recording": true, "ai": true } });
    let session = person.create_session(&body).await;
    seed::transcript(harness, session, &["Hello."]).await;
    stages::analysed(harness, session, 1, &json!({})).await;
    session
}

/// What is left of a session: its recording, its transcript, its analysis.
async fn left(person: &SignedIn<'_>, session: Seeded) -> [bool; 3] {
    let id = session.session_id;
    let recordings = person
        .get(&format!("/sessions/{id}/recordings"))
        .await
        .json();
    let transcript = person.get(&format!("/sessions/{id}/transcript")).await;
    let analysis = person.get(&format!("/analysis/{id}/analysis")).await.json();
    [
        recordings["items"][0]["state"] == "stored",
        transcript.status == StatusCode::OK,
        analysis["analysis"] != Value::Null,
    ]
}

#[tokio::test]
async fn withdrawn_consent_erases_what_the_policy_does_not_keep() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    // Who keeps what, what is withdrawn, and what is left.
    let cases = [
        (vec![], json!({ "ai": false }), [true, false, false]),
        (vec![], json!({ "recording": false }), [false, false, false]),
        (vec![], Value::Null, [false, false, false]),
        (
            vec![Part::Analysis],
            json!({ "ai": false }),
            [true, false, true],
        ),
        (
            vec![Part::Recording, Part::Transcript],
            Value::Null,
            [true, true, false],
        ),
        (Part::ALL.to_vec(), Value::Null, [true, true, true]),
    ];
    for (kept, consent, expected) in cases {
        let session = analysed(&harness, &ada).await;
        let policy = Policy {
            keep_after_withdrawal: kept.into_iter().collect(),
            ..Policy::default()
        };
        seed::policy(&harness, session, &policy).await;
        assert_eq!(left(&ada, session).await, [true; 3]);
        let path = format!("/sessions/{}", session.session_id);
        let body = json!({ "consent": consent });
        let answer = ada.put_json(&path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(left(&ada, session).await, expected, "{consent}");
        ada.put_json(&path, &body).await;
        let timeline = harness.timeline(session).await;
        let erasures = timeline.iter().filter(|it| *it == "erasure.requested");
        assert_eq!(erasures.count(), usize::from(expected != [true; 3]), "once");
    }
    let mut admin = harness.admin().await;
    let reasons: Vec<String> = sqlx::query_scalar("select distinct reason from erasures")
        .fetch_all(&mut admin)
        .await
        .expect("Postgres answers");
    assert_eq!(reasons, ["consent"]);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn consent_that_comes_back_asks_anew_for_what_was_erased() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = analysed(&harness, &ada).await;
    let path = format!("/sessions/{}", session.session_id);
    let asked = async |what: &str| {
        let timeline = harness.timeline(session).await;
        timeline.iter().filter(|it| *it == what).count()
    };
    ada.put_json(&path, &json!({ "consent": { "ai": false } }))
        .await;
    assert_eq!(asked("transcription.requested").await, 1);
    let back = json!({ "consent": { "ai": true } });
    let answer = ada.put_json(&path, &back).await.json();
    assert_eq!(asked("transcription.requested").await, 2);
    assert_eq!(answer["stages"]["transcription"]["state"], "running");
    ada.put_json(&path, &back).await;
    assert_eq!(asked("transcription.requested").await, 2);

    // Where the transcript was kept, only the analysis is asked for.
    let session = analysed(&harness, &ada).await;
    let path = format!("/sessions/{}", session.session_id);
    let policy = Policy {
        keep_after_withdrawal: [Part::Transcript].into(),
        ..Policy::default()
    };
    seed::policy(&harness, session, &policy).await;
    ada.put_json(&path, &json!({ "consent": { "ai": false } }))
        .await;
    let answer = ada.put_json(&path, &back).await.json();
    assert_eq!(answer["stages"]["analysis"]["state"], "running");
    assert_eq!(answer["stages"]["transcription"]["state"], "done");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
