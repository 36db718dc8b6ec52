//! Erased calls that come all the same.

use aftercall::db::erasure_sessions::Step;
use aftercall::ids::CallId;

use crate::bench::{Bench, CANARY, OTHER};

#[tokio::test]
async fn a_call_that_is_sent_again_stays_dead() {
    let bench = Bench::start().await;
    let id = CallId::generate();
    bench.publish(&[bench.call(id, OTHER)]).await;
    bench.fold().await;
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    bench.settle().await;
    assert_eq!(bench.step(erasure).await, Step::Done);
    let mut admin = bench.harness.admin().await;
    sqlx::query("update clients set name = 'Bakery'")
        .execute(&mut admin)
        .await
        .unwrap();

    for subject in ["calls.ended", "redrive.calls.fold-calls.calls.ended"] {
        let late = [
            bench.of_other(OTHER),
            bench.call(id, CANARY),
            bench.call(id, CANARY),
        ];
        bench.publish_on(subject, &late).await;
        bench.fold().await;
        assert_eq!(bench.counted(bench.client).await, (0, 0));
        assert_eq!(bench.step(erasure).await, Step::Settling);
        assert_eq!(bench.left(erasure).await, (1, 0));
        assert_eq!(bench.settle().await, 1);
        bench.assert_no_canary().await;
        assert_eq!(bench.step(erasure).await, Step::Done);
    }
    assert_eq!(bench.counted(bench.other).await, (2, 2));
    assert_eq!(bench.destroyed(erasure).await["stream CALLS: messages"], 3);
    bench.assert_exact().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_dead_letter_that_comes_late_is_filed_without_it() {
    let bench = Bench::start().await;
    let id = CallId::generate();
    bench.publish(&[bench.call(id, OTHER)]).await;
    bench.fold().await;
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    bench.settle().await;
    let mut admin = bench.harness.admin().await;
    sqlx::query("update clients set name = 'Bakery'")
        .execute(&mut admin)
        .await
        .unwrap();

    let dead = "dead.fold-calls.calls.ended";
    bench
        .publish_on(dead, &[bench.call(id, CANARY), bench.of_other(OTHER)])
        .await;
    bench.publish_on(dead, &[bench.call(id, CANARY)]).await;
    let desk = bench.maintain();
    bench.harness.idle_of("file-dead-letter").await;
    desk.stop().await;
    let left = bench.places(CANARY).await;
    assert_eq!(left.len(), 1, "only the stream: {left:?}");
    let letters: Vec<Vec<u8>> = sqlx::query_scalar("select data from dead_letters")
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert_eq!(letters.len(), 1);
    assert!(String::from_utf8_lossy(&letters[0]).contains(OTHER));
    assert_eq!(bench.settle().await, 1);
    bench.assert_no_canary().await;
    assert_eq!(bench.step(erasure).await, Step::Done);
    bench.harness.finish_as_it_is().await;
}
