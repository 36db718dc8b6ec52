//! Streaks and waits, with time moved by moving the rows.

use super::*;
use crate::db::provision::Process;
use crate::db::{Principal, WorkerRole};
use crate::embedded::harness::Harness;

const RULES: Rules = Rules {
    free: 3,
    window: Duration::from_secs(900),
    first_wait: Duration::from_secs(4),
    longest_wait: Duration::from_secs(60),
};
const ADA: Subject = Subject([1; 32]);
const HOME: Subject = Subject([2; 32]);
const OFFICE: Subject = Subject([3; 32]);

struct Bench {
    harness: Harness,
}

impl Bench {
    async fn start() -> Self {
        Self {
            harness: Harness::start().await,
        }
    }

    async fn tx(&self) -> Tx {
        self.harness.begin(Process::Ingress, Principal::Auth).await
    }

    async fn count(&self, subjects: &[Subject]) {
        let mut tx = self.tx().await;
        count(&mut tx, subjects, RULES).await.expect("counted");
        tx.commit().await.expect("commit");
    }

    async fn wait(&self, subject: Subject) -> u32 {
        wait_s(&mut self.tx().await, subject).await.expect("known")
    }

    async fn pass(&self, seconds: i64) {
        let moved = sqlx::query(
            "update throttles set since = since - make_interval(secs => $1),
                blocked_until = blocked_until - make_interval(secs => $1)",
        );
        moved
            .bind(f64::from(i32::try_from(seconds).expect("short")))
            .execute(&mut self.harness.admin().await)
            .await
            .expect("moved");
    }
}

#[tokio::test]
async fn waits_begin_after_the_free_attempts_and_double_to_the_longest() {
    let bench = Bench::start().await;
    bench.count(&[ADA]).await;
    bench.count(&[ADA]).await;
    assert_eq!(bench.wait(ADA).await, 0);
    for wait in [4, 8, 16, 32, 60, 60] {
        bench.count(&[ADA]).await;
        let found = bench.wait(ADA).await;
        assert!((wait - 1..=wait).contains(&found), "{found} of {wait}");
        bench.pass(i64::from(wait) + 1).await;
        assert_eq!(bench.wait(ADA).await, 0);
    }
    assert_eq!(bench.wait(HOME).await, 0, "of somebody else");
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn a_streak_ends_after_the_window() {
    let bench = Bench::start().await;
    for _ in 0..2 {
        bench.count(&[ADA]).await;
    }
    bench.pass(901).await;
    for _ in 0..2 {
        bench.count(&[ADA]).await;
    }
    assert_eq!(bench.wait(ADA).await, 0, "two of four are forgotten");
    bench.count(&[ADA]).await;
    assert!(bench.wait(ADA).await > 0);
    // While the wait is not long over, the next failure doubles it; later it is forgotten.
    bench.pass(890).await;
    bench.count(&[ADA]).await;
    assert!(bench.wait(ADA).await > 4);
    bench.pass(8 + 901).await;
    bench.count(&[ADA]).await;
    assert_eq!(bench.wait(ADA).await, 0);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn the_longest_wait_of_any_subject_counts_and_one_can_be_forgotten() {
    let bench = Bench::start().await;
    for _ in 0..3 {
        bench.count(&[ADA, HOME]).await;
    }
    let known = async |subjects| {
        look_up(&mut bench.tx().await, "nobody@example.org", subjects)
            .await
            .expect("known")
    };
    let both = known([ADA, OFFICE]).await;
    assert!(both.wait_s > 0 && both.is_counted && both.login.is_none());
    let home = known([OFFICE, HOME]).await;
    assert!(home.wait_s > 0 && !home.is_counted);
    let mut tx = bench.tx().await;
    forget(&mut tx, ADA).await.expect("forgotten");
    tx.commit().await.expect("commit");
    let neither = known([ADA, OFFICE]).await;
    assert_eq!((neither.wait_s, neither.is_counted), (0, false));
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn attempts_at_once_are_all_counted() {
    let bench = Bench::start().await;
    let attempts = (0..12).map(|number| {
        let bench = &bench;
        async move {
            let orders = [[ADA, HOME], [HOME, ADA]];
            bench.count(&orders[number % 2]).await;
        }
    });
    futures::future::join_all(attempts).await;
    let counted: Vec<i32> = sqlx::query_scalar("select attempts from throttles")
        .fetch_all(&mut bench.harness.admin().await)
        .await
        .expect("rows");
    assert_eq!(counted, [12, 12]);
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn maintenance_deletes_what_is_over() {
    let bench = Bench::start().await;
    bench.count(&[HOME]).await;
    bench.pass(7200).await;
    bench.count(&[ADA]).await;
    let role = Principal::Worker(WorkerRole::Maintenance);
    let mut tx = bench.harness.begin(Process::Maintenance, role).await;
    let before = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    assert_eq!(sweep(&mut tx, before).await.expect("swept"), 1);
    tx.commit().await.expect("commit");
    let mut tx = bench.harness.begin(Process::Maintenance, role).await;
    let denied = sqlx::query("select subject from throttles")
        .fetch_all(&mut *tx)
        .await;
    assert!(denied.is_err(), "the subjects are nobody's to read");
    bench.harness.finish_as_it_is().await;
}
