//! `aftercall rollups`: the program itself, on the database of a test.

use aftercall::embedded::harness::Harness;
use uuid::Uuid;

use crate::operator::{admin_url, printed, refused, run};

/// Two calls of one client on one day, as if nobody had counted them.
async fn uncounted(harness: &Harness) {
    let insert =
        "insert into calls (account_id, client_id, id, counted_at, received_at, success, sentiment,
            client_inactive, record, stream_created_at, stream_sequences)
        select $1, $2, gen_random_uuid(), at, at, true, 'neutral', false, '{}', at, '{1}'
        from unnest(array['2026-03-01T10:00Z', '2026-03-01T23:59Z']::timestamptz[]) at";
    sqlx::query(insert)
        .bind(Uuid::from_u128(1))
        .bind(Uuid::from_u128(2))
        .execute(&mut harness.admin().await)
        .await
        .expect("calls");
}

#[tokio::test]
async fn rollups_are_compared_and_rebuilt() {
    let harness = Harness::start().await;
    let url = admin_url(&harness);
    let rollups = async |args: &[&str]| run(&url, &[&["rollups"], args].concat(), "").await;
    for nothing in [&["verify"][..], &["rebuild"], &["rebuild", "--verify"]] {
        assert!(printed(&rollups(nothing).await).contains(" 0 days"));
    }
    uncounted(&harness).await;
    for only_compared in [&["verify"][..], &["rebuild", "--verify"]] {
        let found = rollups(only_compared).await;
        let told = String::from_utf8_lossy(&found.stdout).into_owned();
        let first = "2026-03-01: client 00000000-0000-0000-0000-000000000002 of account \
            00000000-0000-0000-0000-000000000001 at 2026-03-01T10:00:00Z: calls 0 kept, 1 recomputed";
        assert!(told.starts_with(first), "{told}");
        assert_eq!(found.status.code(), Some(1));
        let error = String::from_utf8_lossy(&found.stderr).into_owned();
        assert_eq!(error, "error: 1 of 1 days differ from their calls\n");
    }
    let elsewhere = ["rebuild", "--from", "2026-03-02"];
    assert!(printed(&rollups(&elsewhere).await).contains("rebuilt 0 days"));
    let range = [
        "rebuild",
        "--from",
        "2026-03-01",
        "--to",
        "2026-03-31",
        "--verify",
    ];
    let told = printed(&rollups(&range).await);
    assert!(told.contains("2026-03-01: mended 1 of 1 clients"), "{told}");
    assert!(
        told.contains("rebuilt 1 days, 1 of which differed"),
        "{told}"
    );
    assert!(
        told.ends_with("compared 1 days, which are as their calls say\n"),
        "{told}"
    );
    assert!(printed(&rollups(&["rebuild"]).await).contains("rebuilt 1 days, 0 of which"));

    let backwards = ["verify", "--from", "2026-03-02", "--to", "2026-03-01"];
    refused(&rollups(&backwards).await, 1, "--from is after --to");
    refused(
        &rollups(&["verify", "--from", "yesterday"]).await,
        2,
        "--from",
    );
    let closed = "postgres://postgres:x@127.0.0.1:1/aftercall";
    let unreachable = run(closed, &["rollups", "verify"], "").await;
    refused(&unreachable, 1, "Postgres does not answer");
    harness.finish().await;
}
