//! What leaves the machine, and that quotes are of the original all the same.

use aftercall::config::RedactPii;
use aftercall::db::provision::Process;
use aftercall::db::{Principal, sessions};
use aftercall::embedded::seed;

use crate::bench::{Bench, HANDLER, engine, settings};
use crate::model::{lines, report};
use crate::stub::{Act, Asked, Stub};

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
    let principal = Principal::user(seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, principal).await;
    let change = sessions::Change {
        declared_names: Some(vec!["Maria Lopez".to_owned()]),
        ..sessions::Change::default()
    };
    sessions::update(&mut tx, seeded.session_id, &change)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let schema = serde_json::json!({"properties": {"person": {"type": "string",
        "description": "Whether Maria Lopez called", "enum": ["Maria Lopez", "nobody"]}}});
    bench.ask_for_fields(seeded, schema).await;
    let said = "Hello, this is Maria Lopez again, on 030 901820 or maria@example.org, card 4111 1111 1111 1111.";
    bench.analyze_in(seeded, &["Who is it?", said]).await;

    for asked in stub.asked() {
        let sent = asked.body.to_string();
        for secret in ["Maria", "Lopez", "901820", "example.org", "4111"] {
            assert!(!sent.contains(secret), "{secret}: {sent}");
        }
        for placeholder in ["[NAME_", "[PHONE_", "[EMAIL_", "[CARD_"] {
            assert!(sent.contains(placeholder), "{placeholder}: {sent}");
        }
    }
    let analysis = bench.document(seeded).await.unwrap();
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
