//! What calls said goes when it is too old; that they were stays, and what is counted of them.

use aftercall::db::provision::Process;
use aftercall::ids::CallId;
use aftercall_maintenance::retain_calls;
use jiff::{SignedDuration, Timestamp};
use sqlx::AssertSqlSafe;

use crate::bench::{Bench, CANARY};
use crate::client::refuse_calls_of;

const DAYS: i32 = 30;

async fn retain_after(bench: &Bench, days: i64) -> u64 {
    let now = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let db = bench.harness.db(Process::Maintenance);
    retain_calls(&db, &bench.eraser, now).await.unwrap()
}

#[tokio::test]
async fn dead_letters_lose_what_is_too_old() {
    let bench = Bench::start().await;
    let mut admin = bench.harness.admin().await;
    for statement in [
        "update clients set name = 'Bakery'".to_owned(),
        format!(
            "insert into account_policies (account_id, keep_transcripts_days) values ('{}', {DAYS})",
            bench.account
        ),
    ] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut admin)
            .await
            .unwrap();
    }
    refuse_calls_of(&bench).await;
    bench
        .publish(&[bench.call(CallId::generate(), CANARY)])
        .await;
    bench.fold().await;
    let desk = bench.maintain();
    bench.harness.idle_of("file-dead-letter").await;
    desk.stop().await;
    retain_after(&bench, i64::from(DAYS) - 1).await;
    assert_eq!(bench.places(CANARY).await.len(), 3);
    retain_after(&bench, i64::from(DAYS) + 1).await;
    bench.assert_no_canary().await;
    let states: Vec<String> = sqlx::query_scalar("select state from erasure_calls")
        .fetch_all(&mut admin)
        .await
        .unwrap();
    assert_eq!(states, ["done"]);
    retain_after(&bench, i64::from(DAYS) + 1).await;
    let erasures: i64 = sqlx::query_scalar("select count(*) from erasure_calls")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    assert_eq!(erasures, 1, "nothing is asked for when there is nothing");
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn text_is_blanked_and_rows_stay() {
    let bench = Bench::start().await;
    let mut admin = bench.harness.admin().await;
    sqlx::query("update clients set name = 'Bakery'")
        .execute(&mut admin)
        .await
        .unwrap();
    let id = CallId::generate();
    let again = format!("{CANARY} again");
    for frame in [
        [
            bench.call(id, CANARY),
            bench.call(CallId::generate(), CANARY),
        ],
        [bench.call(id, &again), bench.of_other(CANARY)],
    ] {
        bench.publish(&frame).await;
    }
    bench.fold().await;
    assert_eq!(retain_after(&bench, 1_000).await, 0, "no policy, no age");
    let policy = "insert into account_policies (account_id, keep_transcripts_days) values ($1, $2)";
    sqlx::query(policy)
        .bind(bench.account.0)
        .bind(DAYS)
        .execute(&mut admin)
        .await
        .unwrap();
    assert_eq!(retain_after(&bench, i64::from(DAYS) - 1).await, 0);
    assert_eq!(retain_after(&bench, i64::from(DAYS) + 1).await, 3);
    bench.assert_no_canary().await;
    bench.assert_exact().await;
    assert_eq!(bench.counted(bench.client).await, (2, 2));
    assert_eq!(bench.counted(bench.other).await, (1, 1));
    assert_eq!(retain_after(&bench, i64::from(DAYS) + 1).await, 0);

    let unfinished: i64 =
        sqlx::query_scalar("select count(*) from erasure_calls where state <> 'done'")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert_eq!(unfinished, 0);
    // A call that counts long ago arrives when retention has gone through that time.
    bench.publish(&[bench.of_other(CANARY)]).await;
    bench.fold().await;
    assert_eq!(retain_after(&bench, i64::from(DAYS) + 3).await, 1);
    bench.assert_no_canary().await;
    bench.harness.finish_as_it_is().await;
}
