//! One call of a frame with others.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Poll;

use aftercall::db::Principal;
use aftercall::db::call_reads;
use aftercall::db::erasure_sessions::Step;
use aftercall::db::provision::Process;
use aftercall::ids::{CallId, ErasureId, SessionId};
use futures::future::poll_fn;

use crate::bench::{Bench, CANARY, OTHER};

/// A call with a conflict and a dead letter, among calls of others in every message and letter.
async fn with_everything(bench: &Bench) -> CallId {
    let id = CallId::generate();
    let own = bench.call(id, CANARY);
    bench
        .publish(&[bench.of_other(OTHER), own, bench.of_other(OTHER)])
        .await;
    bench.fold().await;
    let conflict = format!("{CANARY} again");
    bench
        .publish(&[bench.call(id, &conflict), bench.of_other(OTHER)])
        .await;
    bench.fold().await;
    let dead = "dead.fold-calls.calls.ended";
    bench.publish_on(dead, &[own, bench.of_other(OTHER)]).await;
    bench.publish_on(dead, &[own]).await;
    let desk = bench.maintain();
    bench.harness.idle_of("file-dead-letter").await;
    desk.stop().await;
    let seen = bench.places(CANARY).await.join("\n");
    for place in ["calls", "call_conflicts", "dead_letters", ".blk"] {
        assert!(seen.contains(place), "no canary in {place}:\n{seen}");
    }
    id
}

fn everything() -> BTreeMap<String, i64> {
    let expected = [
        ("postgres: calls", 1),
        ("postgres: calls in dead letters", 2),
        ("postgres: conflicting calls", 1),
        ("stream CALLS: messages", 2),
        ("stream DEAD: messages", 2),
    ];
    expected
        .map(|(what, count)| (what.to_owned(), count))
        .into()
}

#[tokio::test]
async fn nothing_is_left_of_a_call_and_everything_of_the_others() {
    let bench = Bench::start().await;
    let id = with_everything(&bench).await;
    // The name of its client stays, which says so too.
    let mut admin = bench.harness.admin().await;
    sqlx::query("update clients set name = 'Bakery'")
        .execute(&mut admin)
        .await
        .unwrap();
    assert_eq!(bench.counted(bench.other).await, (3, 3));
    bench.assert_exact().await;

    let erasure = bench.ask(Some(id)).await;
    let user = Principal::user(bench.seeded.user_id);
    let mut tx = bench.harness.begin(Process::Ingress, user).await;
    let seen = call_reads::keys_of(&mut tx, id, None).await.unwrap();
    assert_eq!(seen, [], "hidden before its rows go");
    drop(tx);
    bench.begin(erasure).await;
    bench.assert_no_canary().await;
    bench.assert_exact().await;
    assert_eq!(bench.counted(bench.client).await, (0, 0));
    assert_eq!(bench.counted(bench.other).await, (3, 3));
    let kept = bench.places(OTHER).await;
    assert!(kept.contains(&"calls".to_owned()), "{kept:?}");
    assert!(kept.contains(&"dead_letters".to_owned()), "{kept:?}");
    assert_eq!(bench.step(erasure).await, Step::Settling);
    assert_eq!(bench.destroyed(erasure).await, everything());

    assert_eq!(bench.settle().await, 1);
    assert_eq!(bench.step(erasure).await, Step::Done);
    assert_eq!(bench.settle().await, 0);
    assert_eq!(bench.destroyed(erasure).await, everything());
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn its_event_starts_it() {
    let bench = Bench::start().await;
    let id = CallId::generate();
    bench.publish(&[bench.call(id, OTHER)]).await;
    bench.fold().await;
    let erasure = bench.ask(Some(id)).await;
    let worker = bench.maintain();
    let db = bench.harness.db(Process::Maintenance);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
    let relayed =
        aftercall_maintenance::relay(&db, &bench.harness.bus, soon, std::time::Duration::ZERO);
    relayed.await.unwrap();
    bench.harness.idle_of("erase-session").await;
    assert_eq!(bench.step(erasure).await, Step::Settling);
    assert_eq!(bench.counted(bench.client).await, (0, 0));
    worker.stop().await;
    bench.harness.finish_as_it_is().await;
}

/// The process dies at every point at which it waits for something, each time a little later.
#[tokio::test]
async fn it_goes_on_after_any_crash_and_counts_everything_once() {
    let bench = Bench::start().await;
    let id = with_everything(&bench).await;
    let erasure = bench.ask(Some(id)).await;
    let begin = || bench.eraser.begin(erasure, SessionId(erasure.0));
    let mut polls = 1;
    while cut_off(begin(), polls).await.is_none() {
        polls += 1;
    }
    assert!(polls > 20, "only {polls} crashes");
    bench.assert_exact().await;
    assert_eq!(bench.step(erasure).await, Step::Settling);
    assert_eq!(bench.destroyed(erasure).await, everything());
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn the_session_that_a_call_became_goes_with_it() {
    let bench = Bench::start().await;
    let id = CallId::generate();
    bench.publish(&[bench.call(id, OTHER)]).await;
    bench.fold().await;
    let mut admin = bench.harness.admin().await;
    sqlx::query("update calls set session_id = $1")
        .bind(bench.seeded.session_id.0)
        .execute(&mut admin)
        .await
        .unwrap();
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    let asked: (ErasureId, bool) = {
        let row: (uuid::Uuid, bool) = sqlx::query_as(
            "select e.erasure_id, s.erased_at is not null from erasure_sessions e
            join sessions s on s.id = e.session_id where s.id = $1",
        )
        .bind(bench.seeded.session_id.0)
        .fetch_one(&mut admin)
        .await
        .unwrap();
        (ErasureId(row.0), row.1)
    };
    assert_eq!(asked, (erasure, true));
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn the_session_that_a_fold_made_of_a_call_goes_with_it() {
    let bench = Bench::start().await;
    let mut admin = bench.harness.admin().await;
    sqlx::query("update clients set name = 'Bakery', analyze_calls = true")
        .execute(&mut admin)
        .await
        .unwrap();
    let id = CallId::generate();
    bench
        .publish(&[bench.call(id, CANARY), bench.of_other(OTHER)])
        .await;
    bench.fold().await;
    let seen = bench.places(CANARY).await;
    for table in ["sessions", "transcripts", "calls"] {
        assert!(seen.contains(&table.to_owned()), "{seen:?}");
    }
    let erasure = bench.ask(Some(id)).await;
    bench.begin(erasure).await;
    let session = SessionId::of_call(bench.client, id);
    bench.eraser.begin(erasure, session).await.unwrap();
    bench.assert_no_canary().await;
    bench.settle().await;
    assert_eq!(bench.step(erasure).await, Step::Done);
    let left: i64 = sqlx::query_scalar(
        "select count(*) from sessions where erased_at is null and call_id is not null",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(left, 1, "that of the other client");
    bench.harness.finish_as_it_is().await;
}

/// Drops `work` when it has been polled so often.
async fn cut_off<F: Future>(work: F, polls: usize) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}
