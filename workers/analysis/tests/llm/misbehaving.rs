//! A server and a model that do everything wrong: what comes of it, and that the books are right.

use aftercall::config::RedactPii;
use aftercall::embedded::seed;
use aftercall::session::Phase;
use serde_json::json;

use crate::bench::{Bench, HANDLER, engine, settings};
use crate::model::{honest, lines, report};
use crate::stub::{Act, Asked, Stub};

const LINES: [&str; 3] = [
    "Good morning, how can I help you?",
    "I would like an appointment on Monday.",
    "Monday at three is free.",
];
const UNUSABLE: &str = "The language model gave no answer that can be used.";
const REFUSED: &str = "The language model's server refused the request.";

/// What a script is to end in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// Analysed, after so many requests in so many deliveries.
    Done(usize, u64),
    /// Given up with this sentence, after so many requests.
    GivenUp(usize, &'static str),
}

struct Case {
    name: &'static str,
    acts: Vec<Act>,
    end: End,
}

fn case(name: &'static str, acts: impl Into<Vec<Act>>, end: End) -> Case {
    Case {
        name,
        acts: acts.into(),
        end,
    }
}

fn duplicate_key(asked: &Asked) -> String {
    honest(asked).replacen('{', r#"{"topics":[],"#, 1)
}

fn not_a_number(asked: &Asked) -> String {
    honest(asked).replace("0.8", "NaN")
}

fn fenced(asked: &Asked) -> String {
    format!("```json\n{}\n```", honest(asked))
}

fn trailing(asked: &Asked) -> String {
    format!("{} I hope this helps!", honest(asked))
}

fn unknown_field(asked: &Asked) -> String {
    honest(asked).replacen('{', r#"{"mood":"good","#, 1)
}

fn missing_field(asked: &Asked) -> String {
    honest(asked).replace("\"topics\"", "\"topic\"")
}

fn endless_list(asked: &Asked) -> String {
    let mut answer: serde_json::Value = serde_json::from_str(&honest(asked)).unwrap();
    answer["questions"] = json!(vec![answer["questions"][0].clone(); 500]);
    answer.to_string()
}

fn invented(asked: &Asked) -> String {
    let quotes = [
        json!({"turn": 1, "text": "I would like a refund at once"}),
        json!({"turn": 99, "text": "cancel everything"}),
    ];
    report(asked, "They argue.", &quotes).to_string()
}

fn half_invented(asked: &Asked) -> String {
    let said = lines(asked).remove(1);
    let quotes = [
        json!({"turn": 0, "text": "nobody said this"}),
        json!({"turn": 0, "text": said.1}),
    ];
    report(asked, "They find a day.", &quotes).to_string()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    use Act::*;
    let once = |act| [act, Honest];
    let unsure = "{\"summary\": [";
    vec![
        case("honest", [Honest], End::Done(1, 1)),
        case(
            "not JSON",
            once(Say("Sure! Here is a summary.".into())),
            End::Done(2, 1),
        ),
        case(
            "never JSON",
            [Say("Sure!".into())],
            End::GivenUp(2, UNUSABLE),
        ),
        case("fenced JSON", [Made(fenced)], End::Done(1, 1)),
        case(
            "words after the JSON",
            once(Made(trailing)),
            End::Done(2, 1),
        ),
        case("truncated", once(Truncated(unsure.into())), End::Done(2, 1)),
        case(
            "always truncated",
            [Truncated(unsure.into())],
            End::GivenUp(2, UNUSABLE),
        ),
        case("unknown field", once(Made(unknown_field)), End::Done(2, 1)),
        case("missing field", once(Made(missing_field)), End::Done(2, 1)),
        case(
            "wrong type",
            [Say("[1, 2]".into())],
            End::GivenUp(2, UNUSABLE),
        ),
        case(
            "list without end",
            once(Made(endless_list)),
            End::Done(2, 1),
        ),
        case(
            "deep nesting",
            once(Say("[".repeat(10_000))),
            End::Done(2, 1),
        ),
        case("empty", once(Say(String::new())), End::Done(2, 1)),
        case("NUL", once(Say("\u{0}".into())), End::Done(2, 1)),
        case("duplicate keys", once(Made(duplicate_key)), End::Done(2, 1)),
        case("NaN", once(Made(not_a_number)), End::Done(2, 1)),
        case("huge", once(Huge), End::Done(2, 1)),
        case(
            "refusal",
            [Refuse],
            End::GivenUp(
                1,
                "The language model declined to analyse this conversation.",
            ),
        ),
        case(
            "429 with Retry-After",
            once(Status(429, Some("1"))),
            End::Done(2, 2),
        ),
        case("500", once(Status(500, None)), End::Done(2, 2)),
        case(
            "503 with Retry-After",
            once(Status(503, Some("1"))),
            End::Done(2, 2),
        ),
        case(
            "429 with Retry-After in the past",
            once(Status(429, Some("Sat, 01 Jan 2000 00:00:00 GMT"))),
            End::Done(2, 2),
        ),
        case(
            "put off before the repair",
            [
                Say("no".into()),
                Status(429, Some("0")),
                Say("never".into()),
            ],
            End::GivenUp(3, UNUSABLE),
        ),
        case("redirect", once(Redirect), End::Done(2, 2)),
        case("bad bytes", once(BadBytes), End::Done(2, 2)),
        case("cut after the end", [CutAfter(honest)], End::Done(1, 1)),
        case("wrong key", once(Status(401, None)), End::Done(2, 2)),
        case("cut in mid-stream", once(Cut), End::Done(2, 2)),
        case("error in mid-stream", once(ErrorMidway), End::Done(2, 2)),
        case("stalled behind comments", once(Stall), End::Done(2, 2)),
        case("wrong content type", once(Page), End::Done(2, 2)),
        case(
            "one document, no stream",
            [Document(honest)],
            End::Done(1, 1),
        ),
        case(
            "prompt too long",
            [Complain("maximum context length is 2048 tokens")],
            End::GivenUp(
                1,
                "The conversation is longer than the language model can read at once.",
            ),
        ),
        case(
            "no such form, then refused",
            [Status(413, None)],
            End::GivenUp(1, REFUSED),
        ),
        case("invented quotes", [Made(invented)], End::Done(1, 1)),
        case(
            "half invented quotes",
            [Made(half_invented)],
            End::Done(1, 1),
        ),
        // The last ones: what the server takes is remembered for the process.
        case(
            "no JSON schema",
            [
                Complain("response_format json_schema is not supported"),
                Complain("'type' must be one of text, json_object"),
                Honest,
            ],
            End::Done(3, 1),
        ),
        case("no JSON schema, remembered", [Honest], End::Done(1, 1)),
    ]
}

#[tokio::test]
async fn every_misbehaviour_ends_in_a_document_or_a_sentence() {
    let stub = Stub::start([Act::Honest]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let mut dead = 0;
    for Case { name, acts, end } in cases() {
        stub.play(acts);
        let before = bench.harness.deliveries(HANDLER).await;
        let seeded = bench.analyze(&LINES).await;
        let deliveries = bench.harness.deliveries(HANDLER).await - before;
        let requests = bench.requests(seeded).await;
        let bill = stub.bill();
        assert_eq!(requests.len(), bill.requests, "{name}: {requests:?}");

        // What was spent is on record, whatever came of it.
        let sum = |of: fn(&crate::bench::Recorded) -> Option<i64>| {
            requests.iter().filter_map(of).sum::<i64>().unsigned_abs()
        };
        assert_eq!(sum(|it| it.input_tokens), bill.input_tokens, "{name}");
        assert_eq!(sum(|it| it.output_tokens), bill.output_tokens, "{name}");
        assert_eq!(sum(|it| it.amount_micros), bill.amount_micros, "{name}");

        let stage = bench.harness.session(seeded).await.stages.analysis;
        match end {
            End::Done(expected, delivered) => {
                assert_eq!(
                    stage.state,
                    Phase::Done,
                    "{name}: {:?} {requests:?}",
                    stage.reason
                );
                assert_eq!((bill.requests, deliveries), (expected, delivered), "{name}");
                let cost = bench.document(seeded).await.unwrap().cost.expect(name);
                assert_eq!(cost.attempts.len(), expected, "{name}");
                assert_eq!(cost.input_tokens, Some(bill.input_tokens), "{name}");
                assert_eq!(cost.output_tokens, Some(bill.output_tokens), "{name}");
                let amount = cost.amount_micros.map(i64::unsigned_abs);
                assert_eq!(amount, Some(bill.amount_micros), "{name}");
                assert!(requests.iter().all(|it| it.answer.is_none()), "{name}");
            }
            End::GivenUp(expected, reason) => {
                dead += 1;
                assert_eq!(stage.state, Phase::Failed, "{name}");
                assert_eq!(stage.reason.as_deref(), Some(reason), "{name}");
                assert_eq!(bill.requests, expected, "{name}");
                assert!(requests.iter().all(|it| it.state == "failed"), "{name}");
            }
        }
        assert_eq!(bench.harness.dead().await, dead, "{name}");
    }
    bench.stop().await.finish_as_it_is().await;
}

#[tokio::test]
async fn quotes_that_were_not_said_are_dropped_and_counted() {
    let stub = Stub::start([Act::Made(invented), Act::Made(half_invented)]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let seeded = bench.analyze(&LINES).await;
    let analysis = bench.document(seeded).await.unwrap();
    assert_eq!((analysis.summary, analysis.outcome), (None, None));
    assert_eq!(analysis.topics, Some(Vec::new()));
    assert_eq!(
        analysis.provenance.unavailable["summary"].code,
        "no_evidence"
    );
    let dropped = analysis.provenance.dropped.unwrap();
    assert_eq!((dropped.quotes, dropped.findings), (12, 8));

    let seeded = bench.analyze(&LINES).await;
    let analysis = bench.document(seeded).await.unwrap();
    let summary = analysis.summary.unwrap();
    let quote = &summary[0].quotes[0];
    assert_eq!((quote.turn_index, quote.text.as_str()), (1, LINES[1]));
    assert_eq!(
        (quote.speaker.as_str(), quote.start_ms),
        ("speaker_1", 1_000)
    );
    assert_eq!(analysis.provenance.dropped.unwrap().quotes, 6);
    assert_eq!(analysis.provenance.methods["summary"], "model");
    assert_eq!(analysis.provenance.methods["sentiment"], "vader-3.3.2");
    assert_eq!(analysis.engine.name, "llm");
    assert_eq!(analysis.engine.model.as_deref(), Some("vendor/small"));
    assert!(
        analysis
            .engine
            .prompt_version
            .unwrap()
            .starts_with("sha256:")
    );
    let harness = bench.stop().await;
    harness.finish_of(HANDLER).await;
}

#[tokio::test]
async fn the_dead_letter_keeps_what_the_model_said() {
    let stub = Stub::start([Act::Say("My answer is: forty-two".into())]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let seeded = bench.analyze(&LINES).await;
    let requests = bench.requests(seeded).await;
    let answers: Vec<_> = requests
        .iter()
        .map(|it| it.answer.as_deref().unwrap())
        .collect();
    assert_eq!(answers, ["My answer is: forty-two"; 2]);
    let errors: Vec<_> = requests
        .iter()
        .map(|it| it.error.as_deref().unwrap())
        .collect();
    assert_eq!(errors, ["invalid"; 2]);

    let harness = bench.stop().await;
    let dead = harness.bus.jetstream().get_stream("DEAD").await.unwrap();
    let letter = dead.get_raw_message(1).await.unwrap();
    let reason = letter.headers.get("aftercall-reason").unwrap().as_str();
    assert!(
        reason.contains("the model answered: My answer is: forty-two"),
        "{reason}"
    );

    // What a model said is of the session, and goes with its analysis.
    let mut admin = harness.admin().await;
    sqlx::query("delete from analyses")
        .execute(&mut admin)
        .await
        .unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from model_requests")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(left, 0);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_server_that_is_busy_for_an_unknown_time_is_left_alone() {
    let stub = Stub::start([Act::Status(429, None)]).await;
    let bench = Bench::start(engine(settings(&stub.url()), RedactPii::Off)).await;
    let seeded = seed::session(&bench.harness).await;
    let requested = seed::transcript(&bench.harness, seeded, &LINES).await;
    seed::publish(&bench.harness, &requested).await;
    aftercall::embedded::harness::eventually("it was asked", async || {
        let requests = bench.requests(seeded).await;
        requests.iter().any(|it| it.state == "failed")
    })
    .await;
    let harness = bench.stop().await;
    assert_eq!(stub.bill().requests, 1);
    let retries: Vec<i32> = sqlx::query_scalar("select retries from delivery_failures")
        .fetch_all(&mut harness.admin().await)
        .await
        .unwrap();
    assert!(
        retries.iter().all(|count| *count == 0),
        "waiting counts as no failure: {retries:?}"
    );
    harness.finish_as_it_is().await;
}
