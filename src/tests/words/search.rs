//! Search of transcripts: who finds what, in which language, and what is shown of it.

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics::{admin, clinic, joined};
use crate::support::{Answer, SignedIn, TestIngress};

/// `(session, turn)` of what is found, in order, over all pages.
async fn found(by: &SignedIn<'_>, query: &str) -> Vec<(String, u64)> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(by, query, &format!("&limit=2{cursor}")).await;
        for item in page["items"].as_array().expect("items") {
            let session = item["session_id"].as_str().expect("an id").to_owned();
            all.push((session, item["turn_index"].as_u64().expect("a number")));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn page(by: &SignedIn<'_>, query: &str, more: &str) -> Value {
    let answer = send(by, query, more).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
    answer.json()
}

async fn send(by: &SignedIn<'_>, query: &str, more: &str) -> Answer {
    let request = by.request(Method::GET, &format!("/transcripts/search?{more}"));
    Answer::of(request.query(&[("q", query)])).await
}

/// The excerpt with highlighted pieces in brackets.
fn shown(item: &Value) -> String {
    let pieces = item["excerpt"].as_array().expect("pieces").iter();
    let pieces = pieces.map(|piece| {
        let text = piece["text"].as_str().expect("text");
        if piece["highlighted"] == true {
            format!("[{text}]")
        } else {
            text.to_owned()
        }
    });
    pieces.collect()
}

#[tokio::test]
async fn words_are_found_in_any_form_and_shown_in_their_turn() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let session = ada.create_session(&json!({})).await;
    let lines = [
        "Good morning, how can I help you?",
        "I would like <b>refunds</b> & my money \u{2}back\u{3}, \"please\".",
        "Refunding takes a week.",
        "Then call the manager.",
    ];
    seed::transcript(&harness, session, &lines).await;
    let id = session.session_id.to_string();
    let at = |turns: &[u64]| -> Vec<_> { turns.iter().map(|turn| (id.clone(), *turn)).collect() };

    let mut both = found(&ada, "REFUND").await;
    both.sort();
    assert_eq!(both, at(&[1, 2]));
    assert_eq!(found(&ada, "refund money").await, at(&[1]));
    assert_eq!(found(&ada, "\"my money back\"").await, at(&[1]));
    assert_eq!(found(&ada, "\"back money\"").await, at(&[]));
    assert_eq!(found(&ada, "refunds -week").await, at(&[1]));
    let mut either = found(&ada, "manager or week").await;
    either.sort();
    assert_eq!(either, at(&[2, 3]));
    // It looks for words, not for what they begin with, and not for operators of the database.
    assert_eq!(found(&ada, "mana:*").await, at(&[]));
    assert_eq!(found(&ada, "refund & !week | 'x' \\ <->").await, at(&[]));
    assert_eq!(
        found(&ada, "the").await,
        at(&[]),
        "in English it is no word"
    );

    let answer = page(&ada, "refund money", "").await;
    let item = &answer["items"][0];
    assert_eq!(
        shown(item),
        "I would like <b>[refunds]</b> & my [money] back, \"please\"."
    );
    let transcript = ada.get(&format!("/sessions/{id}/transcript")).await.json();
    let turn = &transcript["turns"][1];
    for field in ["recording_id", "speaker", "start_ms", "end_ms"] {
        assert_eq!(item[field], turn[field], "{field}");
    }
    assert_eq!(
        (&item["language"], &item["generation"]),
        (&json!("en"), &json!(1))
    );
    assert!(item["rank"].as_f64().expect("a number") > 0.0);
    assert_eq!(answer["next_cursor"], Value::Null);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn each_transcript_is_read_in_its_language() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let mut ids = Vec::new();
    for (language, line) in [
        (Some("de-AT"), "Die Rechnungen wurden bezahlt."),
        (Some("en_GB"), "The invoices were paid."),
        (Some("fr"), "Les factures sont payées."),
        (Some("zh"), "发票 已经 支付"),
        (None, "The invoices are Rechnungen."),
    ] {
        let session = ada.create_session(&json!({})).await;
        seed::transcript_in(&harness, session, language, &[line]).await;
        ids.push(session.session_id.to_string());
    }
    for (query, expected) in [
        ("Rechnung", &[0][..]),
        ("rechnungen", &[0, 4]),
        ("invoice", &[1]),
        ("invoices", &[1, 4]),
        ("facture", &[2]),
        ("发票", &[3]),
        // Not left out where the language is not known.
        ("the", &[4]),
        ("are", &[4]),
    ] {
        let mut sessions: Vec<_> = found(&ada, query)
            .await
            .into_iter()
            .map(|hit| hit.0)
            .collect();
        sessions.sort();
        let mut expected: Vec<_> = expected.iter().map(|place| ids[*place].clone()).collect();
        expected.sort();
        assert_eq!(sessions, expected, "{query}");
    }
    let first = page(&ada, "Rechnung", "").await;
    assert_eq!(
        shown(&first["items"][0]),
        "Die [Rechnungen] wurden bezahlt."
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn only_what_one_sees_is_found_and_reading_it_is_noted() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let root = admin(&harness, &ingress).await;
    let elm = clinic(&root, "Elm Street").await;
    let oak = clinic(&root, "Oak Road").await;
    let max = joined(&root, "max@example.org", "manager", &elm).await;
    let ada = joined(&root, "ada@example.org", "counselor", &elm).await;
    let eve = joined(&root, "eve@example.org", "counselor", &elm).await;
    let otto = joined(&root, "otto@example.org", "manager", &oak).await;
    let session = ada.create_session(&json!({})).await;
    seed::transcript(&harness, session, &["A zebra.", "Two zebras."]).await;
    let others = otto.create_session(&json!({})).await;
    seed::transcript(&harness, others, &["A zebra in Oak Road."]).await;

    assert_eq!(found(&ada, "zebra").await.len(), 2);
    assert_eq!(found(&max, "zebra").await.len(), 2);
    assert_eq!(found(&eve, "zebra").await.len(), 0);
    assert_eq!(found(&otto, "zebra").await.len(), 1);
    assert_eq!(found(&root, "zebra").await.len(), 3);
    let picked = page(&root, "zebra", &format!("&account_id={oak}")).await;
    assert_eq!(picked["items"].as_array().expect("items").len(), 1);
    assert_eq!(
        send(&ada, "zebra", &format!("&account_id={oak}"))
            .await
            .problem(404),
        "account_not_found"
    );

    page(&max, "zebra", "").await;
    let log = max.get("/audit?action=transcript.searched&limit=100").await;
    assert!(!log.text().contains("zebra"));
    let log = log.json();
    let entry = &log["items"][0];
    assert_eq!(
        entry["object"],
        json!({ "kind": "session", "id": session.session_id })
    );
    assert_eq!(entry["details"], json!({ "turns": 2 }));
    assert_eq!(entry["actor"]["id"], json!(max.user_id));
    let counted = log["items"].as_array().expect("items").len();
    assert_eq!(
        counted, 5,
        "of Ada, of Max twice, and two pages of an admin"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat_and_what_is_wrong_is_said() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let mut expected = Vec::new();
    for _ in 0..3 {
        let session = ada.create_session(&json!({})).await;
        let lines = [
            "A lion.",
            "No.",
            "A lion and a lion again.",
            "The lion is here.",
        ];
        seed::transcript(&harness, session, &lines).await;
        let id = session.session_id.to_string();
        expected.extend([0, 2, 3].map(|turn| (id.clone(), turn)));
    }
    let mut all = found(&ada, "lion").await;
    let best = page(&ada, "lion", "&limit=1").await;
    assert_eq!(
        best["items"][0]["turn_index"], 2,
        "twice is better than once"
    );
    all.sort();
    expected.sort();
    assert_eq!(all, expected);

    for wrong in [
        "",
        " ",
        "!!!",
        "-lion",
        "-lion -bear",
        &"x".repeat(201),
        "a\0b",
    ] {
        assert_eq!(send(&ada, wrong, "").await.wrong_fields(), ["q"], "{wrong}");
    }
    assert_eq!(ada.get("/transcripts/search").await.wrong_fields(), ["q"]);
    for limit in ["0", "101", "-1"] {
        let refused = send(&ada, "lion", &format!("&limit={limit}")).await;
        assert_eq!(refused.wrong_fields(), ["limit"]);
    }
    for cursor in ["x", "e30", "%00", "bnVsbA"] {
        let refused = send(&ada, "lion", &format!("&cursor={cursor}")).await;
        assert_eq!(refused.problem(400), "malformed_cursor", "{cursor}");
    }
    let posted = ada.post("/transcripts/search?q=lion").await;
    assert_eq!(posted.problem(405), "method_not_allowed");
    // Nothing of a query breaks the database.
    for odd in [
        "'",
        "\\",
        "\"",
        "a' | 'b",
        "(((",
        "lion\" or",
        "💥",
        "a:b:c",
        "<->",
        &"é".repeat(200),
    ] {
        let status = send(&ada, odd, "").await.status.as_u16();
        assert!([200, 422].contains(&status), "{odd}: {status}");
    }
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn pages_go_on_while_what_they_show_is_changed_and_erased() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let session = ada.create_session(&json!({})).await;
        seed::transcript(&harness, session, &["A lion.", "No.", "A lion too."]).await;
        sessions.push(session);
    }
    let at = |page: &Value| -> Vec<_> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|item| (item["session_id"].clone(), item["turn_index"].clone()))
            .collect()
    };
    let first = page(&ada, "lion", "&limit=3").await;
    let mut seen = at(&first);
    assert_eq!(seen.len(), 3);
    let cursor = first["next_cursor"].as_str().expect("more").to_owned();
    // The newest session stood first; the cursor stands in the one before.
    let erase = format!("/sessions/{}?erase=true", sessions[2].session_id);
    let erase = Answer::of(ada.request(Method::DELETE, &erase)).await;
    assert_eq!(erase.status, StatusCode::ACCEPTED);
    let path = format!("/sessions/{}/transcript", sessions[1].session_id);
    let body = json!({ "generation": 1, "turns": [{ "index": 0, "text": "A bear." }] });
    let corrected = Answer::of(ada.request(Method::PATCH, &path).json(&body)).await;
    assert_eq!(corrected.status, StatusCode::OK, "{}", corrected.text());
    let rest = page(&ada, "lion", &format!("&limit=100&cursor={cursor}")).await;
    let rest = at(&rest);
    assert!(rest.iter().all(|item| !seen.contains(item)), "{rest:?}");
    seen.extend(rest);
    let left = json!(sessions[1].session_id);
    let of_corrected: Vec<_> = seen.iter().filter(|item| item.0 == left).collect();
    assert_eq!(of_corrected, [&(left.clone(), json!(2))]);
    let oldest = json!(sessions[0].session_id);
    assert_eq!(seen.iter().filter(|item| item.0 == oldest).count(), 2);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn what_is_erased_is_found_no_more_and_the_index_never_held_it() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let (kept, gone) = (
        ada.create_session(&json!({})).await,
        ada.create_session(&json!({ "consent": { "recording": true, "ai": true } }))
            .await,
    );
    seed::transcript(&harness, kept, &["A canarybird."]).await;
    seed::transcript(&harness, gone, &["Another canarybird."]).await;
    assert_eq!(found(&ada, "canarybirds").await.len(), 2);
    let path = format!("/sessions/{}", gone.session_id);
    let withdrawn = json!({ "consent": { "recording": true, "ai": false } });
    let answer = ada.put_json(&path, &withdrawn).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(found(&ada, "canarybird").await.len(), 1);
    let erase = ada.request(
        Method::DELETE,
        &format!("/sessions/{}?erase=true", kept.session_id),
    );
    assert_eq!(Answer::of(erase).await.status, StatusCode::ACCEPTED);
    assert_eq!(found(&ada, "canarybird").await.len(), 0);

    let mut admin = harness.admin().await;
    let left: i64 = sqlx::query_scalar("select count(*) from turn_words where session_id = $1")
        .bind(gone.session_id.0)
        .fetch_one(&mut admin)
        .await
        .expect("a count");
    assert_eq!(left, 0);
    // A GIN index keeps its keys when their rows are long gone.
    sqlx::query("checkpoint")
        .execute(&mut admin)
        .await
        .expect("written");
    let in_files: bool = sqlx::query_scalar(
        "select bool_or(position('canarybird'::bytea in pg_read_binary_file(pg_relation_filepath(c))) > 0)
        from unnest(array['turn_words', 'turn_words_words', 'turn_words_pkey']::regclass[]) c",
    )
    .fetch_one(&mut admin)
    .await
    .expect("files");
    assert!(!in_files, "plain words stand in the files of the index");
    ingress.stop().await;
    harness.finish_as_it_is().await;
}
