//! What is paid, and that nothing is paid twice.

use aftercall::config::RedactPii;
use aftercall::documents::analysis::AttemptOutcome;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;

use crate::bench::{Bench, HANDLER, engine, settings};
use crate::stub::{Act, Stub};

const LINES: [&str; 2] = ["Can you call me back?", "I will call you tomorrow."];

#[tokio::test]
async fn answers_of_an_attempt_that_failed_later_are_not_asked_for_again() {
    let stub = Stub::start([Act::Honest]).await;
    let harness = Harness::start().await;
    // The document cannot be written at first.
    harness.break_table("analyses", "update", 1).await;
    let bench = Bench::on(harness, engine(settings(&stub.url()), RedactPii::Off));
    let seeded = bench.analyze(&LINES).await;

    assert_eq!(bench.harness.deliveries(HANDLER).await, 2);
    assert_eq!(stub.bill().requests, 1);
    let cost = bench.document(seeded).await.unwrap().cost.unwrap();
    assert_eq!(cost.input_tokens, Some(stub.bill().input_tokens));
    assert_eq!(
        (cost.currency.as_deref(), cost.price_version.as_deref()),
        (Some("USD"), Some("test"))
    );
    bench.stop().await.finish_of(HANDLER).await;
}

#[tokio::test]
async fn what_an_earlier_run_spent_counts_and_a_lost_request_shows() {
    let stub = Stub::start([Act::Say("no".into())]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let seeded = bench.analyze(&LINES).await;
    let spent = stub.bill();
    assert_eq!(spent.requests, 2);
    // A process that died while it waited leaves this behind.
    let mut admin = bench.harness.admin().await;
    sqlx::query(
        "insert into model_requests (account_id, session_id, generation, id, run, purpose, model, question)
        select account_id, session_id, generation, gen_random_uuid(), run, 'part 1 of 1', 'm', 'x'::bytea
        from model_requests limit 1",
    )
    .execute(&mut admin)
    .await
    .unwrap();

    stub.play([Act::Honest]);
    let again = seed::analysis_again(&bench.harness, seeded).await;
    assert_eq!(again.run, 2);
    seed::publish(&bench.harness, &again).await;
    bench.harness.idle_of(HANDLER).await;

    let cost = bench.document(seeded).await.unwrap().cost.unwrap();
    let outcomes: Vec<_> = cost.attempts.iter().map(|it| it.outcome).collect();
    let failed = AttemptOutcome::Failed;
    assert_eq!(
        outcomes,
        [failed, failed, failed, AttemptOutcome::Succeeded]
    );
    assert_eq!(cost.attempts[2].input_tokens, None);
    let all = spent.amount_micros + stub.bill().amount_micros;
    assert_eq!(cost.amount_micros.map(i64::unsigned_abs), Some(all));
    bench.stop().await.finish_as_it_is().await;
}

#[tokio::test]
async fn nobody_spoke_and_nothing_is_asked() {
    let stub = Stub::start([Act::Honest]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let seeded = bench.analyze(&["…", "--"]).await;
    let analysis = bench.document(seeded).await.unwrap();
    assert_eq!(stub.bill().requests, 0);
    assert_eq!((analysis.cost, analysis.topics), (None, None));
    assert_eq!(
        analysis.provenance.unavailable["outcome"].code,
        "too_little_text"
    );
    bench.stop().await.finish_of(HANDLER).await;
}
