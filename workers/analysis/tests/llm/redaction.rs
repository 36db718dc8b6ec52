//! What leaves the machine, and that quotes are of the original all the same.

use std::collections::{BTreeMap, BTreeSet};

use aftercall::config::RedactPii;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, sessions};
use aftercall::documents::analysis::CustomFieldState;
use aftercall::embedded::seed::{self, Seeded};
use serde::Deserialize;
use serde_json::json;

use crate::bench::{Bench, HANDLER, engine, settings};
use crate::model::{lines, report};
use crate::stub::{Act, Asked, Stub};

/// Kinds whose form is fixed: none of them may arrive.
const FIXED: [&str; 4] = ["PHONE", "EMAIL", "CARD", "IBAN"];

#[derive(Deserialize)]
struct Row {
    line: String,
    #[serde(default)]
    names: Vec<String>,
}

async fn declare(bench: &Bench, seeded: Seeded, names: Vec<String>) {
    let principal = Principal::user(seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, principal).await;
    let change = sessions::Change {
        declared_names: Some(names),
        ..sessions::Change::default()
    };
    let updated = sessions::update(&mut tx, seeded.session_id, &change).await;
    updated.expect("a change");
    tx.commit().await.expect("commit");
}

/// Repeats a whole line, placeholders and all.
fn repeating(asked: &Asked) -> String {
    let (turn, text) = lines(asked).remove(1);
    let quote = serde_json::json!({"turn": turn, "text": text});
    report(asked, &format!("It was said: {text}"), &[quote]).to_string()
}

#[tokio::test]
async fn personal_data_does_not_leave_and_is_there_in_the_result() {
    let stub = Stub::start([Act::Made(repeating)]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Llm)).await;
    let seeded = seed::session(&bench.harness).await;
    declare(&bench, seeded, vec!["Maria Lopez".to_owned()]).await;
    let schema = json!({"properties": {
        "person": {"type": "string", "description": "Whether\nMaria Lopez called",
            "enum": ["Maria Lopez", "nobody"]},
        "lopez_paid": {"type": "string", "title": "By maria@example.org"},
    }});
    bench.ask_for_fields(seeded, schema).await;
    let said = "Hello, this is Maria Lopez again, on 030 901820 or maria@example.org, card 4111 1111 1111 1111.";
    bench.analyze_in(seeded, &["Who is it?", said]).await;

    for asked in stub.asked() {
        let sent = asked.body.to_string();
        for secret in ["Maria", "Lopez", "lopez", "901820", "example.org", "4111"] {
            assert!(!sent.contains(secret), "{secret}: {sent}");
        }
        for placeholder in ["[NAME_", "[PHONE_", "[EMAIL_", "[CARD_"] {
            assert!(sent.contains(placeholder), "{placeholder}: {sent}");
        }
    }
    let analysis = bench.document(seeded).await.unwrap();
    let field = &analysis.custom_fields["lopez_paid"];
    assert_eq!(field.value, Some(json!(format!("It was said: {said}"))));
    let summary = &analysis.summary.unwrap()[0];
    assert_eq!(summary.text, format!("It was said: {said}"));
    assert_eq!(summary.quotes[0].text, said);
    // What is kept of answers is as the model gave them, until the analysis is written.
    assert!(
        bench
            .requests(seeded)
            .await
            .iter()
            .all(|it| it.answer.is_none())
    );
    bench.stop().await.finish_of(HANDLER).await;
}

/// Lines of the corpus with one set of names, as one conversation.
#[derive(Default)]
struct Conversation {
    said: Vec<String>,
    /// Kind and value.
    personal: Vec<(String, String)>,
}

fn corpus() -> BTreeMap<Vec<String>, Conversation> {
    let rows = include_str!("../../../../src/redaction/corpus.jsonl").lines();
    let mut conversations: BTreeMap<Vec<String>, Conversation> = BTreeMap::new();
    for row in rows {
        let Row { line, names } = serde_json::from_str(row).expect("a row");
        let conversation = conversations.entry(names).or_default();
        let (mut said, mut rest) = (String::new(), line.as_str());
        while let Some((before, marked)) = rest.split_once('{') {
            let (marked, after) = marked.split_once('}').expect("a label ends");
            let (kind, value) = marked.split_once(':').expect("a label has a kind");
            said.push_str(before);
            said.push_str(value);
            let label = (kind.to_owned(), value.to_owned());
            conversation.personal.push(label);
            rest = after;
        }
        said.push_str(rest);
        conversation.said.push(said);
    }
    conversations
}

#[tokio::test]
async fn nothing_of_the_corpus_with_a_fixed_form_arrives_at_a_model() {
    let stub = Stub::start([Act::Honest]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Llm)).await;
    let (mut lines, mut counts) = (0, BTreeMap::<String, (u32, u32)>::new());
    for (names, conversation) in corpus() {
        stub.play([Act::Honest]);
        let seeded = seed::session(&bench.harness).await;
        declare(&bench, seeded, names).await;
        let said: Vec<&str> = conversation.said.iter().map(String::as_str).collect();
        lines += said.len();
        bench.analyze_in(seeded, &said).await;
        assert!(bench.document(seeded).await.is_some());
        // With the spaces of a transcript's line.
        let arrived: Vec<String> = stub.asked().iter().map(|it| it.body.to_string()).collect();
        assert!(!arrived.is_empty());
        for (kind, value) in conversation.personal {
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            let has_arrived = arrived.iter().any(|body| body.contains(&value));
            let (all, seen) = counts.entry(kind.clone()).or_default();
            *all += 1;
            *seen += u32::from(has_arrived);
            assert!(
                !has_arrived || !FIXED.contains(&kind.as_str()),
                "{kind} {value}"
            );
        }
    }
    assert!(lines >= 200, "{lines}");
    for (kind, (all, seen)) in &counts {
        println!("{kind}: {seen} of {all} arrived");
        // Words that are names elsewhere count as arrived here: rougher than the corpus test's own floors.
        assert!(seen * 100 <= all * 25, "{kind}: {seen} of {all} arrived");
    }
    let kinds: BTreeSet<_> = counts.keys().map(String::as_str).collect();
    assert!(FIXED.iter().all(|kind| kinds.contains(kind)));
    bench.stop().await.finish_of(HANDLER).await;
}

/// Cites and reports data that it never saw.
fn inventing(asked: &Asked) -> String {
    let (turn, text) = lines(asked).remove(0);
    let quotes = [
        json!({"turn": turn, "text": "[PHONE_99]"}),
        json!({"turn": turn, "text": text}),
    ];
    let mut answer = report(asked, "Call [PHONE_99].", &quotes);
    answer["topics"][0]["name"] = json!("[LITERAL_1] is said");
    answer["custom_fields"]["line"] =
        json!({"value": "[PHONE_99]", "confidence": 1, "quote": quotes[1]});
    answer.to_string()
}

#[tokio::test]
async fn placeholders_that_were_said_or_invented_stand_for_nothing() {
    let stub = Stub::start([Act::Made(inventing)]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Llm)).await;
    let seeded = seed::session(&bench.harness).await;
    bench
        .ask_for_fields(seeded, json!({"properties": {"line": {"type": "string"}}}))
        .await;
    let said = ["It says [PHONE_99] and [NAME_1] here.", "Call 555-0100."];
    bench.analyze_in(seeded, &said).await;

    let sent = stub.asked().remove(0).data;
    assert!(
        sent.contains("It says [LITERAL_1] and [LITERAL_2] here."),
        "{sent}"
    );
    assert!(sent.contains("Call [PHONE_1]."), "{sent}");
    let analysis = bench.document(seeded).await.unwrap();
    assert_eq!(analysis.summary, None);
    assert_eq!(analysis.action_items, Some(Vec::new()));
    let topics = analysis.topics.unwrap();
    assert_eq!(topics[0].name, "(PHONE_99) is said");
    assert_eq!(topics[0].quotes.len(), 1);
    assert_eq!(topics[0].quotes[0].text, said[0]);
    let field = &analysis.custom_fields["line"];
    assert_eq!(
        (field.state, &field.value),
        (CustomFieldState::Failed, &None)
    );
    bench.stop().await.finish_of(HANDLER).await;
}

/// Repeats a line with a number.
fn summing(asked: &Asked) -> String {
    let all = lines(asked);
    let line = all.iter().find(|(_, text)| text.contains("[ACCOUNT_"));
    let (number, text) = line.or(all.first()).expect("a line");
    let words = text.split(' ').take(4).collect::<Vec<_>>().join(" ");
    let quote = json!({"turn": number, "text": words});
    report(asked, text, &[quote]).to_string()
}

#[tokio::test]
async fn notes_hold_no_personal_data_either() {
    let stub = Stub::start([Act::Made(summing)]).await;
    let mut settings = settings(&stub.url());
    settings.context_tokens = 7_500;
    let bench = Bench::start(engine(settings, RedactPii::Llm)).await;
    // What is personal only by what was said before it, and written with more space than a note has.
    let about = "And your account number?".to_owned();
    let long = format!("Number  12   345 {}", "and so on ".repeat(80));
    let lines: Vec<&str> = [about.as_str(), long.as_str()].repeat(12);
    let seeded = seed::session(&bench.harness).await;
    bench.analyze_in(seeded, &lines).await;
    let asked = stub.asked();
    for asked in &asked {
        assert!(!asked.data.contains("345"), "{}", asked.data);
    }
    let notes = asked.iter().filter(|it| it.is_reduction);
    let notes: String = notes.map(|it| it.data.as_str()).collect();
    assert!(notes.contains("[ACCOUNT_1]"), "{notes}");
    assert!(bench.document(seeded).await.is_some());
    bench.stop().await.finish_of(HANDLER).await;
}
