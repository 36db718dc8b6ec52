//! Rollups against a real Postgres: folded, taken away, tampered with and rebuilt.

use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::calls::{self, Arrived};
use super::provision::Process;
use super::rollups::{Hold, apply, lock_days};
use super::rollups_rebuild::{Rebuilt, extent, first_difference, rebuild};
use super::{Principal, Tx, WorkerRole};
use crate::embedded::harness::{Harness, eventually};
use crate::ids::{AccountId, CallId, ClientId};
use crate::rollups::{Counted, Deltas, EndedReason, Latencies, Sentiment};

const FIRST: Date = date(2026, 11, 20);
const LAST: Date = date(2026, 11, 22);

async fn begin(harness: &Harness) -> Tx {
    let role = Principal::Worker(WorkerRole::Analytics);
    harness.begin(Process::Analytics, role).await
}

/// As the command line acts.
async fn operate(harness: &Harness) -> Tx {
    let db = harness.admin_db();
    db.begin(Principal::Operator).await.expect("a transaction")
}

/// Calls of a few clients within three days.
fn any_call() -> impl Strategy<Value = Counted> {
    let seconds = 0_i64..3 * 86_400;
    let latency = || prop::option::of(0.0..5_000.0_f64);
    (
        0_u128..3,
        seconds,
        prop::option::of(0_i64..600_000),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::sample::select(EndedReason::ALL)),
        prop::sample::select(Sentiment::ALL),
        (latency(), latency(), latency()),
    )
        .prop_map(
            |(client, second, duration_ms, success, ended_reason, sentiment, latencies)| {
                let start: Timestamp = "2026-11-20T00:00:00Z".parse().expect("a time");
                Counted {
                    account_id: AccountId(Uuid::from_u128(1 + client / 2)),
                    client_id: ClientId(Uuid::from_u128(10 + client)),
                    at: start + SignedDuration::from_secs(second),
                    duration_ms,
                    success,
                    ended_reason,
                    sentiment,
                    latencies: Latencies {
                        stt_ms: latencies.0,
                        llm_ms: latencies.1,
                        tts_ms: latencies.2,
                    },
                }
            },
        )
}

fn some_calls(count: usize) -> Vec<(CallId, Counted)> {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(any_call(), count);
    let calls = strategy.new_tree(&mut runner).expect("calls").current();
    calls
        .into_iter()
        .map(|call| (CallId::generate(), call))
        .collect()
}

/// Inserts calls and counts those that are new, as the analytics worker does.
async fn fold(tx: &mut Tx, calls: &[(CallId, Counted)]) {
    lock_days(tx, calls.iter().map(|call| call.1.at), Hold::Shared)
        .await
        .expect("held");
    let arrived: Vec<_> = calls
        .iter()
        .map(|(id, counted)| Arrived {
            id: *id,
            received_at: counted.at,
            counted: *counted,
            direction: None,
            sentiment_by: None,
            client_inactive: false,
            session_id: None,
            record: "{}",
            stream_sequence: 1,
        })
        .collect();
    let arrived: Vec<_> = arrived.iter().collect();
    let inserted = calls::insert(tx, Timestamp::UNIX_EPOCH, &arrived)
        .await
        .expect("inserted");
    let mut deltas = Deltas::default();
    for call in arrived.iter().filter(|call| inserted.contains(&call.key())) {
        deltas.add(&call.counted);
    }
    apply(tx, &deltas).await.expect("applied");
}

/// Removes calls and takes them away.
async fn remove(harness: &Harness, calls: &[(CallId, Counted)]) {
    let mut tx = operate(harness).await;
    lock_days(&mut tx, calls.iter().map(|call| call.1.at), Hold::Shared)
        .await
        .expect("held");
    let mut deltas = Deltas::default();
    for (id, counted) in calls {
        let delete = sqlx::query("delete from calls where id = $1").bind(id.0);
        delete.execute(&mut *tx).await.expect("deleted");
        deltas.subtract(counted);
    }
    apply(&mut tx, &deltas).await.expect("applied");
    tx.commit().await.expect("commit");
}

async fn differences(harness: &Harness) -> Vec<String> {
    let mut found = Vec::new();
    for day in FIRST
        .series(jiff::Span::new().days(1))
        .take_while(|day| *day <= LAST)
    {
        let mut tx = operate(harness).await;
        let difference = first_difference(&mut tx, day).await.expect("compared");
        found.extend(difference.map(|difference| difference.to_string()));
    }
    found
}

/// One adds to two hours and waits for the first; meanwhile another empties the second, which removes it.
#[tokio::test]
async fn an_hour_that_is_emptied_meanwhile_is_counted_in_again() {
    let harness = Harness::start().await;
    let mut calls = some_calls(2);
    for ((_, call), at) in calls
        .iter_mut()
        .zip(["2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"])
    {
        *call = Counted {
            account_id: AccountId(Uuid::from_u128(1)),
            client_id: ClientId(Uuid::from_u128(10)),
            at: at.parse().expect("a time"),
            latencies: Latencies {
                stt_ms: Some(100.0),
                ..Latencies::default()
            },
            ..*call
        };
    }
    let mut tx = begin(&harness).await;
    fold(&mut tx, &calls).await;
    tx.commit().await.expect("commit");

    let mut holds = operate(&harness).await;
    let first = "select 1 from call_latencies where hour = '2026-11-20T10:00:00Z' for update";
    sqlx::query(first).execute(&mut *holds).await.expect("held");
    // In other quarters of the same hours: rows of quarters keep who changes them apart.
    let mut again = calls.clone();
    for (id, call) in &mut again {
        *id = CallId::generate();
        call.at += SignedDuration::from_mins(15);
    }
    let mut tx = begin(&harness).await;
    let folded = async {
        fold(&mut tx, &again).await;
        tx.commit().await.expect("commit");
    };
    let meanwhile = async {
        let waits = "select exists (select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')";
        let mut admin = harness.admin().await;
        let admin = tokio::sync::Mutex::new(&mut admin);
        eventually("the fold waits", || async {
            let mut admin = admin.lock().await;
            let waits = sqlx::query_scalar(waits).fetch_one(&mut **admin).await;
            waits.expect("an answer")
        })
        .await;
        remove(&harness, &calls[1..]).await;
        holds.commit().await.expect("let go");
    };
    tokio::join!(folded, meanwhile);
    assert_eq!(differences(&harness).await, [""; 0]);
    harness.finish_as_it_is().await;
}

#[tokio::test]
async fn rollups_are_exact_after_folds_repeats_and_removals() {
    let harness = Harness::start().await;
    let calls = some_calls(600);
    for batch in calls.chunks(90) {
        let mut tx = begin(&harness).await;
        fold(&mut tx, batch).await;
        fold(&mut tx, &batch[..10]).await;
        tx.commit().await.expect("commit");
    }
    assert_eq!(differences(&harness).await, Vec::<String>::new());
    let mut tx = operate(&harness).await;
    assert_eq!(extent(&mut tx).await.expect("a query"), Some((FIRST, LAST)));
    drop(tx);

    for batch in calls[..500].chunks(70) {
        remove(&harness, batch).await;
    }
    assert_eq!(differences(&harness).await, Vec::<String>::new());
    remove(&harness, &calls[500..]).await;
    let mut admin = harness.admin().await;
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from call_rollups) + (select count(*) from call_latencies)",
    )
    .fetch_one(&mut admin)
    .await
    .expect("a count");
    assert_eq!(left, 0, "what is empty leaves no row");
    let mut tx = operate(&harness).await;
    assert_eq!(extent(&mut tx).await.expect("a query"), None);
    drop(tx);
    harness.finish().await;
}

#[tokio::test]
async fn what_was_tampered_with_is_found_and_mended() {
    let harness = Harness::start().await;
    let calls = some_calls(300);
    let mut tx = begin(&harness).await;
    fold(&mut tx, &calls).await;
    tx.commit().await.expect("commit");
    let tampering = [
        "update call_rollups set duration_ms = duration_ms + 1 where quarter::date = '2026-11-21'
            and client_id = '00000000-0000-0000-0000-00000000000b'",
        "delete from call_rollups where quarter < '2026-11-20T06:00:00Z'",
        "update call_latencies set stt = total where hour >= '2026-11-22'",
        "insert into call_latencies select account_id, gen_random_uuid(), hour, stt, llm, tts, total
            from call_latencies limit 1",
        "delete from calls where counted_at >= '2026-11-21' and counted_at < '2026-11-21T04:00:00Z'",
    ];
    for change in tampering {
        let mut admin = harness.admin().await;
        let set = "set timezone = 'UTC'";
        sqlx::query(set).execute(&mut admin).await.expect("set");
        sqlx::query(change)
            .execute(&mut admin)
            .await
            .expect("changed");
        let found = differences(&harness).await;
        assert!(!found.is_empty(), "not seen: {change}");
        let mut mended = 0;
        for day in [FIRST, date(2026, 11, 21), LAST] {
            let mut tx = operate(&harness).await;
            let rebuilt = rebuild(&mut tx, day).await.expect("rebuilt");
            tx.commit().await.expect("commit");
            assert_eq!(rebuilt.first.is_some(), rebuilt.mended > 0);
            if let Some(difference) = rebuilt.first {
                assert_eq!(difference.to_string(), found[mended]);
                mended += 1;
            }
        }
        assert_eq!(mended, found.len());
        assert_eq!(
            differences(&harness).await,
            Vec::<String>::new(),
            "{change}"
        );
    }
    let mut tx = operate(&harness).await;
    let empty = rebuild(&mut tx, date(1970, 1, 1))
        .await
        .expect("a day of nothing");
    assert_eq!(empty, Rebuilt::default());
    drop(tx);
    harness.finish().await;
}

#[tokio::test]
async fn folds_of_that_day_wait_and_those_of_others_do_not() {
    let harness = Harness::start().await;
    let calls = some_calls(200);
    let of_first = |call: &&(CallId, Counted)| call.1.at.to_string().starts_with("2026-11-20");
    let (first, others): (Vec<_>, Vec<_>) = calls.iter().partition(|call| of_first(call));
    let (first, others): (Vec<_>, Vec<_>) = (
        first.into_iter().copied().collect(),
        others.into_iter().copied().collect(),
    );
    let mut rebuilding = operate(&harness).await;
    let rebuilt = rebuild(&mut rebuilding, FIRST).await.expect("rebuilt");
    assert_eq!(rebuilt, Rebuilt::default());

    let mut tx = begin(&harness).await;
    fold(&mut tx, &others).await;
    tx.commit().await.expect("commit");
    let mut tx = begin(&harness).await;
    let waiting = async {
        fold(&mut tx, &first).await;
        tx.commit().await.expect("commit");
    };
    let mut waiting = std::pin::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    early.expect_err("the day is held");
    rebuilding.commit().await.expect("commit");
    waiting.await;
    assert_eq!(differences(&harness).await, Vec::<String>::new());
    harness.finish().await;
}
