//! The engine against chat servers that nobody here wrote.

use std::path::Path;

use aftercall::config::RedactPii;
use aftercall::documents::analysis::Analysis;
use aftercall::documents::schema;
use aftercall::embedded::harness::Harness;
use aftercall::session::Phase;

use crate::bench::{Bench, HANDLER, engine, settings};

const LINES: [&str; 3] = [
    "Good morning, how can I help you?",
    "I would like an appointment on Monday.",
    "Monday at three is free.",
];
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/llm/aimock.json");

/// aimock (<https://github.com/CopilotKit/aimock>): first an answer in prose, then a good one.
#[tokio::test]
async fn aimock_is_asked_twice_and_paid_twice() {
    let harness = Harness::start().await;
    let mut peer = harness.aimock(Path::new(FIXTURES)).await;
    let bench = Bench::on(harness, engine(settings(&peer.base_url()), RedactPii::Off));
    let seeded = bench.analyze(&LINES).await;

    let requests = bench.requests(seeded).await;
    let states: Vec<_> = requests.iter().map(|it| it.state.as_str()).collect();
    assert_eq!(states, ["failed", "succeeded"], "{requests:?}");
    let analysis = bench.document(seeded).await.unwrap();
    assert_eq!(analysis.outcome.unwrap().success, Some(true));
    assert_eq!(analysis.questions.unwrap()[0].quote.speaker, "speaker_0");
    let cost = analysis.cost.unwrap();
    assert_eq!(
        (cost.input_tokens, cost.output_tokens),
        (Some(1_700), Some(131))
    );
    // 1,700 * 0.40 + 131 * 1.60 dollars a million, request by request.
    assert_eq!(cost.amount_micros, Some(338 + 552));
    peer.stop().await;
    bench.stop().await.finish_of(HANDLER).await;
}

/// llama.cpp with a model of 135 million parameters, which understands little: whatever it says, the
/// document is valid, quotes what was said, and the server's own count of tokens is on record.
#[tokio::test]
#[ignore = "installs a model: make test-model"]
async fn a_small_model_is_kept_to_the_contract() {
    let harness = Harness::start().await;
    let mut peer = harness.small_model().await;
    let mut settings = settings(&peer.base_url());
    settings.context_tokens = 8_192;
    settings.max_output_tokens = 512;
    settings.idle = std::time::Duration::from_secs(60);
    settings.time_limit = std::time::Duration::from_secs(300);
    let bench = Bench::on(harness, engine(settings, RedactPii::Off));
    let seeded = bench.analyze(&LINES).await;

    let requests = bench.requests(seeded).await;
    assert!(!requests.is_empty());
    for request in &requests {
        assert!(
            request.output_tokens.is_some_and(|tokens| tokens > 0),
            "{request:?}"
        );
        assert!(
            request.input_tokens.is_some_and(|tokens| tokens > 0),
            "{request:?}"
        );
    }
    let stage = bench.harness.session(seeded).await.stages.analysis;
    if let Some(analysis) = bench.document(seeded).await {
        let document = serde_json::to_value(&analysis).unwrap();
        assert!(jsonschema::is_valid(&schema::of::<Analysis>(), &document));
        for statement in analysis.summary.iter().flatten() {
            println!("{}", statement.text);
            for quote in &statement.quotes {
                assert!(LINES[quote.turn_index as usize].contains(&quote.text));
            }
        }
        println!("{:?} {:?}", analysis.provenance.dropped, analysis.cost);
    } else {
        // Cut off at its limit, or not to the schema: told, with the answer kept.
        assert_eq!(stage.state, Phase::Failed);
        assert!(requests.iter().all(|it| it.answer.is_some()));
        println!("{:?} {requests:?}", stage.reason);
    }
    peer.stop().await;
    bench.stop().await.finish_as_it_is().await;
}
