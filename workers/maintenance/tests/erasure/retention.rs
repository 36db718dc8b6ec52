//! What is older than the policy allows goes, and nothing else.

use std::time::Duration;

use aftercall::db::erasure_sessions::Step;
use aftercall::events::{ErasedPart, ErasureRequested};
use aftercall::ids::ErasureId;
use aftercall_maintenance::{relay, retain};
use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use crate::bench::Bench;

const DAYS: i64 = 30;

/// Days to keep audio, transcripts and analyses.
async fn keep(bench: &Bench, days: [Option<i32>; 3]) {
    let insert = "insert into account_policies
            (account_id, keep_audio_days, keep_transcripts_days, keep_analyses_days)
        values ($1, $2, $3, $4)";
    let mut query = sqlx::query(insert).bind(bench.account().await.0);
    for days in days {
        query = query.bind(days);
    }
    let mut admin = bench.harness.admin().await;
    query.execute(&mut admin).await.expect("a policy");
}

async fn retain_after(bench: &Bench, days: i64) -> u64 {
    let now = Timestamp::now() + SignedDuration::from_hours(24 * days);
    let db = bench
        .harness
        .db(aftercall::db::provision::Process::Maintenance);
    retain(&db, now).await.expect("the job runs")
}

/// The erasures that retention asked for.
async fn asked(bench: &Bench) -> Vec<ErasureRequested> {
    let mut admin = bench.harness.admin().await;
    let rows = sqlx::query(
        "select id, parts from erasures where reason = 'retention' and requested_by is null
            and subject_id = $1 order by parts",
    )
    .bind(bench.seeded.session_id.0)
    .fetch_all(&mut admin)
    .await
    .expect("Postgres answers");
    let of = |row: &sqlx::postgres::PgRow| ErasureRequested {
        session_id: bench.seeded.session_id,
        erasure_id: ErasureId(row.get("id")),
        parts: row
            .get::<Vec<String>, _>("parts")
            .iter()
            .map(|part| part.parse().expect("a part"))
            .collect(),
    };
    rows.iter().map(of).collect()
}

#[tokio::test]
async fn what_is_too_old_is_erased_once() {
    let bench = Bench::start().await;
    let days = i32::try_from(DAYS).ok();
    keep(&bench, [days, days, days]).await;
    assert_eq!(retain_after(&bench, DAYS - 1).await, 0);
    assert_eq!(retain_after(&bench, DAYS + 1).await, 3);
    assert_eq!(retain_after(&bench, DAYS + 1).await, 0, "asked for already");
    let asked = asked(&bench).await;
    let parts: Vec<_> = asked.iter().map(|erasure| erasure.parts.clone()).collect();
    let all = [
        ErasedPart::Analysis,
        ErasedPart::Recording,
        ErasedPart::Transcript,
    ];
    assert_eq!(parts, all.map(|part| vec![part]));

    let left = bench.rows().await;
    let has = |table: &str| left.iter().any(|(name, _)| *name == table);
    assert!(
        has("sessions") && has("recordings") && has("uploads"),
        "{left:?}"
    );
    assert!(
        !has("transcripts") && !has("transcriptions") && !has("analyses"),
        "{left:?}"
    );
    let running = bench.run();
    let (db, bus) = (
        bench
            .harness
            .db(aftercall::db::provision::Process::Maintenance),
        bench.harness.bus.clone(),
    );
    let soon = Timestamp::now() + SignedDuration::from_secs(5);
    relay(&db, &bus, soon, Duration::ZERO)
        .await
        .expect("relayed");
    bench.harness.idle_of("erase-session").await;
    for erasure in &asked {
        assert_eq!(bench.work(erasure).await.step, Step::Done);
    }
    let (key, multipart) = &bench.open;
    assert!(bench.store.head(&bench.key).await.is_err());
    assert!(
        bench.store.parts(key, multipart).await.is_ok(),
        "an upload is new"
    );
    let timeline = bench.harness.timeline(bench.seeded).await;
    let told = timeline.iter().filter(|of| *of == "erasure.requested");
    assert_eq!(told.count(), 3);
    running.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn each_part_has_its_own_age_and_null_keeps() {
    let bench = Bench::start().await;
    keep(
        &bench,
        [i32::try_from(DAYS).ok(), None, i32::try_from(2 * DAYS).ok()],
    )
    .await;
    assert_eq!(retain_after(&bench, DAYS + 1).await, 1);
    assert_eq!(asked(&bench).await[0].parts, [ErasedPart::Recording]);
    assert_eq!(retain_after(&bench, 2 * DAYS + 1).await, 1);
    assert_eq!(retain_after(&bench, 1_000 * DAYS).await, 0);
    let left = bench.rows().await;
    assert!(left.contains(&("transcripts", 1)), "{left:?}");
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn an_account_without_a_policy_and_an_erased_session_are_left_alone() {
    let bench = Bench::start().await;
    assert_eq!(retain_after(&bench, 1_000 * DAYS).await, 0);
    keep(&bench, [Some(1), Some(1), Some(1)]).await;
    bench.ask_for_all().await;
    assert_eq!(retain_after(&bench, 2).await, 0);
    bench.harness.finish_as_it_is().await;
}
