//! A client with all of its calls.

use aftercall::db::erasure_sessions::Step;
use aftercall::ids::CallId;
use sqlx::AssertSqlSafe;

use crate::bench::{Bench, CANARY, OTHER};

/// More than go in one transaction.
const CALLS: usize = 2_500;

/// Its calls were never kept: only a dead letter and the frame name them.
#[tokio::test]
async fn nothing_is_left_of_calls_that_were_given_up() {
    let bench = Bench::start().await;
    refuse_calls_of(&bench).await;
    let frame = [
        bench.call(CallId::generate(), CANARY),
        bench.of_other(OTHER),
    ];
    bench.publish(&frame).await;
    bench.fold().await;
    let desk = bench.maintain();
    bench.harness.idle_of("file-dead-letter").await;
    desk.stop().await;
    assert_eq!(bench.counted(bench.client).await, (0, 0));
    let seen = bench.places(CANARY).await;
    assert!(seen.contains(&"dead_letters".to_owned()), "{seen:?}");

    let erasure = bench.ask(None).await;
    bench.begin(erasure).await;
    bench.settle().await;
    bench.assert_no_canary().await;
    assert_eq!(bench.step(erasure).await, Step::Done);
    let destroyed = bench.destroyed(erasure).await;
    assert_eq!(destroyed["postgres: calls in dead letters"], 1);
    assert_eq!(destroyed["stream CALLS: messages"], 1);
    assert_eq!(destroyed["stream DEAD: messages"], 1);
    bench.harness.finish_as_it_is().await;
}

/// Stands for whatever nobody thought of.
pub async fn refuse_calls_of(bench: &Bench) {
    let refuse = format!(
        "alter table calls add constraint never check (client_id <> '{}')",
        bench.client
    );
    sqlx::query(AssertSqlSafe(refuse))
        .execute(&mut bench.harness.admin().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_left_of_a_client() {
    let bench = Bench::start().await;
    let mut calls = vec![bench.of_other(OTHER); 1];
    calls.extend((0..CALLS).map(|_| bench.call(CallId::generate(), CANARY)));
    for frame in calls.chunks(250) {
        bench.publish(frame).await;
    }
    bench.fold().await;
    let waiting = [
        bench.call(CallId::generate(), CANARY),
        bench.of_other(OTHER),
    ];
    bench.publish(&waiting).await;

    let erasure = bench.ask(None).await;
    bench.begin(erasure).await;
    assert_eq!(bench.counted(bench.client).await, (0, 0));
    assert_eq!(bench.counted(bench.other).await, (1, 1));
    bench.assert_exact().await;
    let left = bench.places(CANARY).await;
    assert_eq!(left.len(), 1, "the frame that nobody has read: {left:?}");
    assert!(left[0].contains(".blk"));
    let destroyed = bench.destroyed(erasure).await;
    assert_eq!(destroyed["postgres: calls"], 2_500);
    assert_eq!(destroyed["postgres: clients"], 1);
    assert_eq!(destroyed["stream CALLS: messages"], 11);

    bench.fold().await;
    assert_eq!(
        bench.counted(bench.client).await,
        (0, 0),
        "nothing is kept of it"
    );
    assert_eq!(bench.counted(bench.other).await, (2, 2));
    assert_eq!(bench.harness.dead().await, 0, "nor given up");
    assert_eq!(bench.left(erasure).await, (1, 0));
    assert_eq!(bench.settle().await, 1);
    bench.assert_no_canary().await;
    bench.assert_exact().await;
    assert_eq!(bench.step(erasure).await, Step::Done);
    assert_eq!(bench.destroyed(erasure).await["stream CALLS: messages"], 12);
    bench.harness.finish_as_it_is().await;
}
