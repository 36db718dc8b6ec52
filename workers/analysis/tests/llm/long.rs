//! Transcripts that are longer than the model's context.

use aftercall::config::RedactPii;
use aftercall::embedded::harness::eventually;
use aftercall::embedded::seed;
use aftercall::session::Phase;

use crate::bench::{Bench, HANDLER, engine, settings};
use crate::stub::{Act, Stub};

fn line(number: usize) -> String {
    format!(
        "This is remark {number} about the appointment and the bill that was sent to me in spring."
    )
}

#[tokio::test]
async fn a_long_transcript_is_read_in_parts_and_put_together() {
    let stub = Stub::start([Act::Honest]).await;
    let mut settings = settings(&stub.url());
    settings.context_tokens = 7_500;
    let window = settings.context_tokens;
    let bench = Bench::start(engine(settings, RedactPii::Off)).await;
    let lines: Vec<String> = (0..300).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let seeded = bench.analyze(&lines).await;

    let asked = stub.asked();
    let parts: Vec<_> = asked.iter().filter(|it| !it.is_reduction).collect();
    assert!(parts.len() > 5, "{}", parts.len());
    // Every turn once, in order.
    let read: Vec<u32> = parts
        .iter()
        .flat_map(|it| crate::model::lines(it))
        .map(|it| it.0)
        .collect();
    assert_eq!(read, (0..300).collect::<Vec<u32>>());
    for asked in &asked {
        // Four bytes a token, as tokenizers do with English.
        let tokens = asked.body.to_string().len() / 4;
        assert!(tokens + 4_096 < window as usize, "{tokens}");
    }
    let fences: std::collections::BTreeSet<_> = asked.iter().map(|it| it.fence.clone()).collect();
    assert_eq!(fences.len(), asked.len(), "no fence is used twice");

    let analysis = bench.document(seeded).await.unwrap();
    assert_eq!(analysis.summary.unwrap().len(), 1);
    let items = analysis.action_items.unwrap();
    assert_eq!(items.len(), parts.len());
    assert!(
        items
            .windows(2)
            .all(|pair| pair[0].quote.turn_index < pair[1].quote.turn_index)
    );
    let cost = analysis.cost.unwrap();
    assert_eq!(cost.attempts.len(), asked.len());
    assert_eq!(cost.input_tokens, Some(stub.bill().input_tokens));
    bench.stop().await.finish_of(HANDLER).await;
}

#[tokio::test]
async fn parts_that_were_read_are_not_read_again_after_a_failure() {
    let acts = [
        Act::Honest,
        Act::Honest,
        Act::Status(500, None),
        Act::Honest,
    ];
    let stub = Stub::start(acts).await;
    let mut settings = settings(&stub.url());
    settings.context_tokens = 7_500;
    let bench = Bench::start(engine(settings, RedactPii::Off)).await;
    let lines: Vec<String> = (0..300).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let seeded = bench.analyze(&lines).await;

    let asked = stub.asked();
    let mut parts: Vec<_> = asked
        .iter()
        .filter(|it| !it.is_reduction)
        .map(|it| it.data.clone())
        .collect();
    let sent = parts.len();
    parts.sort();
    parts.dedup();
    assert_eq!(
        sent,
        parts.len() + 1,
        "only the part that failed is sent twice"
    );
    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    assert!(bench.document(seeded).await.is_some());
    bench.stop().await.finish_of(HANDLER).await;
}

#[tokio::test]
async fn an_analysis_that_another_attempt_wrote_is_not_paid_for_any_more() {
    let stub = Stub::start([Act::Held]).await;
    let mut settings = settings(&stub.url());
    settings.context_tokens = 7_500;
    settings.idle = std::time::Duration::from_secs(30);
    settings.time_limit = std::time::Duration::from_secs(30);
    let bench = Bench::start(engine(settings, RedactPii::Off)).await;
    let lines: Vec<String> = (0..300).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let seeded = seed::session(&bench.harness).await;
    let requested = seed::transcript(&bench.harness, seeded, &lines).await;
    seed::publish(&bench.harness, &requested).await;
    eventually("the first part is sent", async || stub.bill().requests == 1).await;
    sqlx::query("update analyses set state = 'done', engine = 'other', document = '{}'")
        .execute(&mut bench.harness.admin().await)
        .await
        .unwrap();
    stub.release();
    bench.harness.idle_of(HANDLER).await;

    assert_eq!(stub.bill().requests, 1);
    let requests = bench.requests(seeded).await;
    assert_eq!(requests.len(), 1);
    // What it cost is on record, what was said is not.
    assert_eq!(requests[0].state, "succeeded");
    assert!(requests[0].input_tokens.is_some() && requests[0].answer.is_none());
    bench.stop().await.finish_as_it_is().await;
}

#[tokio::test]
async fn consent_that_is_withdrawn_midway_stops_the_next_part() {
    let stub = Stub::start([Act::Held]).await;
    let mut settings = settings(&stub.url());
    settings.context_tokens = 7_500;
    settings.idle = std::time::Duration::from_secs(30);
    settings.time_limit = std::time::Duration::from_secs(30);
    let bench = Bench::start(engine(settings, RedactPii::Off)).await;
    let lines: Vec<String> = (0..300).map(line).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let seeded = seed::session(&bench.harness).await;
    let requested = seed::transcript(&bench.harness, seeded, &lines).await;
    seed::publish(&bench.harness, &requested).await;
    eventually("the first part is sent", async || stub.bill().requests == 1).await;
    seed::consent(&bench.harness, seeded, true, false).await;
    stub.release();
    bench.harness.idle_of(HANDLER).await;

    assert_eq!(stub.bill().requests, 1);
    let stage = bench.harness.session(seeded).await.stages.analysis;
    assert_eq!(stage.state, Phase::Skipped);
    // What was spent stays on record.
    assert_eq!(bench.requests(seeded).await.len(), 1);
    bench.stop().await.finish_of(HANDLER).await;
}
