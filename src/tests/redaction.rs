//! Who reads a session as it was said, and what everybody else reads.

use aftercall::db::provision::Process;
use aftercall::db::{Principal, WorkerRole, declared_names};
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, Seeded};
use aftercall::ids::SessionId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, SignedIn, TestIngress};
use crate::{clinics, stages};

const ALWAYS: &[(&str, &str)] = &[("REDACT_PII", "always")];
const LINES: [&str; 4] = [
    "Hello, this is Maria Lopez. [PHONE_1] is no number.",
    "What is your number, and when were you born?",
    "It's 415-555-0100, I was born on May 3rd, 1984.",
    "Thanks, Maria. I'll mail maria@example.com, says Ada, or ask Mr. Khan.",
];
const REDACTED: [&str; 4] = [
    "Hello, this is [NAME_1]. [LITERAL_1] is no number.",
    "What is your number, and when were you born?",
    "It's [PHONE_1], I was born on [BIRTH_DATE_1].",
    "Thanks, [NAME_1_2]. I'll mail [EMAIL_1], says [NAME_2], or ask [NAME_3].",
];
/// Nothing of these may be in an answer without the original.
const PERSONAL: [&str; 7] = [
    "Maria", "Lopez", "415-555", "May 3rd", "maria@", "Ada", "Khan",
];

/// A session of `owner` with a customer, a transcript and an analysis of it.
async fn session(harness: &Harness, owner: &SignedIn<'_>) -> Seeded {
    let customer = owner
        .post_json("/customers", &json!({ "name": "Maria Lopez" }))
        .await
        .json();
    let body = json!({ "customer_id": customer["id"], "declared_names": ["Mr. Khan"] });
    let seeded = owner.create_session(&body).await;
    seed::transcript(harness, seeded, &LINES).await;
    let quote = |turn: usize, text: &str| json!({ "turn_index": turn, "text": text, "speaker": "speaker_1" });
    let document = json!({
        "version": 1, "session_id": seeded.session_id, "transcript_generation": 1,
        "summary": [{ "text": "Maria's number is 415-555-0100.", "quotes": [quote(2, "It's 415-555")] }],
        "custom_fields": { "mail": {
            "state": "found", "value": "maria@example.com", "quote": quote(3, "maria@example.com"),
        } },
    });
    stages::analysed(harness, seeded, 1, &document).await;
    seeded
}

async fn texts(reader: &SignedIn<'_>, session: SessionId, query: &str) -> Vec<String> {
    let path = format!("/sessions/{session}/transcript{query}");
    let answer = reader.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let answer = answer.json();
    let turns = answer["turns"].as_array().expect("turns").iter();
    turns
        .map(|turn| turn["text"].as_str().expect("text").to_owned())
        .collect()
}

/// Requests with a key of `maker`.
async fn key<'a>(maker: &SignedIn<'a>) -> SignedIn<'a> {
    let body = json!({ "name": "agent", "scopes": ["read", "sessions:write"] });
    let made = maker.post_json("/api-keys", &body).await.json();
    SignedIn {
        ingress: maker.ingress,
        token: made["key"].as_str().expect("shown once").to_owned(),
        user_id: maker.user_id,
    }
}

#[tokio::test]
async fn a_key_gets_placeholders_in_every_form() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, ALWAYS).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let seeded = session(&harness, &ada).await;
    let id = seeded.session_id;
    assert_eq!(texts(&ada, id, "").await, LINES);
    let agent = key(&ada).await;
    assert_eq!(texts(&agent, id, "").await, REDACTED);
    assert_eq!(
        texts(&agent, id, "?generation=1").await,
        REDACTED,
        "they are stable"
    );
    for format in ["txt", "srt", "vtt", "json"] {
        let path = format!("/sessions/{id}/transcript?format={format}");
        let (original, redacted) = (ada.get(&path).await.text(), agent.get(&path).await.text());
        assert!(redacted.contains("[PHONE_1]") && redacted.contains("[LITERAL_1]"));
        for word in PERSONAL {
            assert!(original.contains(word), "{format}: {original}");
            assert!(!redacted.contains(word), "{format}: {redacted}");
        }
    }
    let path = format!("/analysis/{id}/analysis");
    let analysis = agent.get(&path).await.json()["analysis"].clone();
    assert_eq!(
        analysis["summary"][0]["text"],
        "[NAME_1_2]'s number is [PHONE_1]."
    );
    assert_eq!(
        analysis["summary"][0]["quotes"][0]["text"], "It's [PHONE_1]",
        "cut through"
    );
    assert_eq!(analysis["custom_fields"]["mail"]["value"], "[EMAIL_1]");
    assert_eq!(
        analysis["custom_fields"]["mail"]["quote"]["text"],
        "[EMAIL_1]"
    );
    assert_eq!(analysis["session_id"], json!(id));
    let by_number = agent.get(&format!("{path}?generation=1")).await.json();
    assert_eq!(by_number["analysis"], analysis);
    let original = ada.get(&path).await.json()["analysis"].clone();
    assert_eq!(
        original["custom_fields"]["mail"]["value"],
        "maria@example.com"
    );

    let details: Vec<Value> = sqlx::query_scalar(
        "select details from audit_log where action in ('transcript.read', 'analysis.read')
            and key_id is not null",
    )
    .fetch_all(&mut harness.admin().await)
    .await
    .expect("Postgres answers");
    assert_eq!(details.len(), 8);
    assert!(
        details.iter().all(|it| it["redacted"] == true),
        "{details:?}"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn audio_is_refused_where_text_is_redacted() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, ALWAYS).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let seeded = session(&harness, &ada).await;
    let recordings = format!("/sessions/{}/recordings", seeded.session_id);
    let agent = key(&ada).await;
    let listed = agent.get(&recordings).await.json();
    let recording = listed["items"][0]["id"]
        .as_str()
        .expect("a recording")
        .to_owned();
    let audio = format!("{recordings}/{recording}/audio");
    assert_eq!(agent.get(&audio).await.problem(403), "original_only");
    let missing = format!("{recordings}/{}/audio", seeded.session_id);
    assert_eq!(
        agent.get(&missing).await.problem(404),
        "recording_not_found"
    );
    // This one has no bytes in the store, which its counsellor is told.
    assert_ne!(ada.get(&audio).await.status, StatusCode::FORBIDDEN);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn people_of_the_account_read_originals_and_admins_pick_it_first() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, ALWAYS).await;
    let admin = clinics::admin(&harness, &ingress).await;
    let clinic = clinics::clinic(&admin, "North").await;
    let ada = clinics::joined(&admin, "Ada@example.org", "counselor", &clinic).await;
    let manager = clinics::joined(&admin, "max@example.org", "manager", &clinic).await;
    let other = clinics::joined(&admin, "eve@example.org", "counselor", &clinic).await;
    let id = session(&harness, &ada).await.session_id;
    assert_eq!(texts(&ada, id, "").await, LINES);
    assert_eq!(texts(&manager, id, "").await, LINES);
    let path = format!("/sessions/{id}/transcript");
    assert_eq!(other.get(&path).await.problem(404), "session_not_found");
    let all = texts(&admin, id, "").await;
    assert_eq!(all[2], REDACTED[2], "who looks at all accounts at once");
    let picked = format!("?account_id={clinic}");
    assert_eq!(texts(&admin, id, &picked).await, LINES);
    let own = session(&harness, &admin).await.session_id;
    assert_eq!(texts(&admin, own, "").await, LINES, "their own");
    let agent = key(&manager).await;
    assert_eq!(
        texts(&agent, id, "").await[2],
        REDACTED[2],
        "a manager's key is a key"
    );
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn nothing_is_redacted_on_the_way_out_unless_always() {
    for setting in ["off", "llm"] {
        let harness = Harness::start().await;
        let ingress = TestIngress::start_with(&harness, &[("REDACT_PII", setting)]).await;
        let ada = SignedIn::new(&ingress, "ada@example.org").await;
        let id = session(&harness, &ada).await.session_id;
        let agent = key(&ada).await;
        assert_eq!(texts(&agent, id, "").await, LINES, "{setting}");
        let analysis = agent.get(&format!("/analysis/{id}/analysis")).await.json();
        assert_eq!(
            analysis["analysis"]["custom_fields"]["mail"]["value"],
            "maria@example.com"
        );
        ingress.stop().await;
        harness.finish_as_it_is().await;
    }
}

#[tokio::test]
async fn names_are_declared_with_a_session() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let silent = ada.create_session(&json!({})).await;
    assert_eq!(ada.session(silent).await["declared_names"], json!([]));
    let seeded = session(&harness, &ada).await;
    assert_eq!(
        ada.session(seeded).await["declared_names"],
        json!(["Mr. Khan"])
    );
    let path = format!("/sessions/{}", seeded.session_id);
    let put = |names: Value| {
        let (ada, path) = (&ada, &path);
        async move {
            ada.put_json(path, &json!({ "declared_names": names }))
                .await
        }
    };
    let changed = put(json!(["Zoë", "Mr. Khan"])).await;
    assert_eq!(changed.json()["declared_names"], json!(["Zoë", "Mr. Khan"]));
    let titled = ada.put_json(&path, &json!({ "title": "T" })).await.json();
    assert_eq!(
        titled["declared_names"],
        json!(["Zoë", "Mr. Khan"]),
        "it stays"
    );
    let listed = ada.get("/sessions").await.json();
    assert_eq!(
        listed["items"][0]["declared_names"],
        json!(["Zoë", "Mr. Khan"])
    );

    let worker = Principal::Worker(WorkerRole::Analysis);
    let mut tx = harness.begin(Process::Analysis, worker).await;
    let names = declared_names::of_session(&mut tx, seeded.session_id).await;
    assert_eq!(
        names.expect("names"),
        ["Maria Lopez", "Ada", "Zoë", "Mr. Khan"]
    );
    drop(tx);
    let stranger = SignedIn::new(&ingress, "eve@example.org").await;
    for principal in [Principal::user(stranger.user_id), Principal::Auth] {
        let mut tx = harness.begin(Process::Ingress, principal).await;
        let names = declared_names::of_session(&mut tx, seeded.session_id).await;
        assert_eq!(
            names.expect("an answer"),
            Vec::<String>::new(),
            "{principal:?}"
        );
    }

    let many = vec!["Ann"; 51];
    for (names, field) in [
        (json!([""]), "declared_names.0"),
        (json!(["Ann", "--"]), "declared_names.1"),
        (json!(["A\u{0}nn"]), "declared_names.0"),
        (json!(["x".repeat(201)]), "declared_names.0"),
        (json!(many), "declared_names"),
    ] {
        assert_eq!(put(names.clone()).await.wrong_fields(), [field]);
        let body = json!({ "declared_names": names });
        assert_eq!(
            ada.post_json("/sessions", &body).await.wrong_fields(),
            [field]
        );
    }
    let wrong = put(json!("Ann")).await;
    assert!(wrong.status.is_client_error(), "{}", wrong.text());
    assert_eq!(put(json!([])).await.json()["declared_names"], json!([]));
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn names_of_speakers_are_names() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start_with(&harness, ALWAYS).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let seeded = ada.create_session(&json!({})).await;
    let lines = ["I am the doctor.", "And I am Zed Smith."];
    seed::transcript(&harness, seeded, &lines).await;
    let id = seeded.session_id;
    let agent = key(&ada).await;
    assert_eq!(texts(&agent, id, "").await, lines, "nobody has told a name");
    let path = format!("/sessions/{id}/transcript");
    for speakers in [
        json!({ "speaker_0": "Doctor", "speaker_1": "Zed Smith" }),
        json!({ "Zed Smith": "speaker_1" }),
    ] {
        let body = json!({ "speakers": speakers });
        let renamed = ada.request(reqwest::Method::PATCH, &path).json(&body);
        let renamed = Answer::of(renamed).await;
        assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text());
        // Also where the name was taken back: earlier generations have it.
        for query in ["", "?generation=1", "?generation=2"] {
            let read = agent.get(&format!("{path}{query}")).await;
            assert_eq!(read.status, StatusCode::OK, "{}", read.text());
            let read = read.text();
            assert!(!read.contains("Smith") && !read.contains("Zed"), "{read}");
            assert!(read.contains("I am the doctor."), "{read}");
        }
    }
    // Retention takes the generation that gave the name before those that have it.
    let mut admin = harness.admin().await;
    sqlx::query("delete from transcripts where session_id = $1 and generation = 2")
        .bind(id.0)
        .execute(&mut admin)
        .await
        .expect("a generation less");
    let read = agent.get(&path).await.text();
    assert!(!read.contains("Smith") && !read.contains("Zed"), "{read}");
    let worker = Principal::Worker(WorkerRole::Analysis);
    let mut tx = harness.begin(Process::Analysis, worker).await;
    let names = declared_names::of_session(&mut tx, id).await;
    assert_eq!(names.expect("names"), ["Ada", "Zed Smith"]);
    drop(tx);
    ingress.stop().await;
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn whoever_called_is_one_of_the_names() {
    let harness = Harness::start().await;
    let client = seed::client(&harness).await;
    let calls = [json!({ "caller_name": "Zed Smith" })];
    let call = seed::counted_calls(&harness, client, &calls).await[0];
    let session = SessionId::generate();
    sqlx::query(
        "insert into sessions (account_id, id, owner_id, stages, client_id, call_id)
        values ($1, $2, $3, '{}', $4, $5)",
    )
    .bind(client.account_id.0)
    .bind(session.0)
    .bind(client.user_id.0)
    .bind(client.client_id.0)
    .bind(call.0)
    .execute(&mut harness.admin().await)
    .await
    .expect("a session");
    let worker = Principal::Worker(WorkerRole::Analysis);
    let mut tx = harness.begin(Process::Analysis, worker).await;
    let names = declared_names::of_session(&mut tx, session).await;
    assert_eq!(names.expect("names"), ["Test", "Zed Smith"]);
    drop(tx);
    harness.finish_as_it_is().await;
}
