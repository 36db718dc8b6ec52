//! Programs and servers are killed at random while calls come in: nothing that was answered 2xx is
//! lost, nothing is counted twice.
//!
//! It runs twice: shortly among the tests, and as long as the promise says in `make chaos`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod callers;
mod site;
#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aftercall::embedded::recount;
use aftercall::ids::CallId;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::MissedTickBehavior;

use callers::Callers;
use site::{Site, Victim};

/// From the last restart until everything is stored and counted.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);

struct Case {
    seed: u64,
    calls: usize,
    per_s: u32,
    kill_every: Duration,
    kill_for: Duration,
}

#[tokio::test]
async fn a_few_calls_outlive_every_kill() {
    survive(Case {
        seed: 1,
        calls: 1_500,
        per_s: 250,
        kill_every: Duration::from_secs(1),
        kill_for: Duration::from_secs(6),
    })
    .await;
}

#[tokio::test]
#[ignore = "takes minutes: make chaos"]
async fn twenty_thousand_calls_outlive_every_kill() {
    for seed in [11, 22, 33] {
        survive(Case {
            seed,
            calls: 20_000,
            per_s: 400,
            kill_every: Duration::from_secs(2),
            kill_for: Duration::from_secs(60),
        })
        .await;
    }
}

async fn survive(case: Case) {
    println!(
        "seed {}: {} calls at {}/s",
        case.seed, case.calls, case.per_s
    );
    let mut site = Site::start().await;
    let callers = Callers::of(&site);
    let calling = callers.call(case.calls, case.per_s);
    let killing = kill(&mut site, &case);
    let (accepted, kills) = tokio::join!(calling, killing);
    assert_eq!(
        accepted.ids.len(),
        case.calls,
        "every call is accepted in the end"
    );

    let drained = drain(&mut site, &accepted.ids, kills.last_restart).await;
    recount::assert_exact(&mut site.harness.admin().await).await;
    assert_eq!(site.harness.dead().await, 0, "nothing was given up");
    println!(
        "seed {}: killed {:?}; {} of {} requests sent again; drained {} ms after the last restart",
        case.seed,
        kills.count,
        accepted.repeats,
        case.calls,
        drained.as_millis(),
    );
    site.finish().await;
}

struct Kills {
    /// Of each [`Victim`], in their order.
    count: [u32; Victim::ALL.len()],
    last_restart: Instant,
}

async fn kill(site: &mut Site, case: &Case) -> Kills {
    let mut rng = StdRng::seed_from_u64(case.seed);
    let mut count = [0; Victim::ALL.len()];
    let mut last_restart = Instant::now();
    let until = last_restart + case.kill_for;
    let mut due = tokio::time::interval(case.kill_every);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    due.tick().await;
    loop {
        due.tick().await;
        if Instant::now() > until {
            return Kills {
                count,
                last_restart,
            };
        }
        let chosen = rng.random_range(0..Victim::ALL.len());
        count[chosen] += 1;
        let began = Instant::now();
        site.kill_and_restart(Victim::ALL[chosen]).await;
        last_restart = Instant::now();
        println!(
            "killed {:?}, back in {} ms",
            Victim::ALL[chosen],
            began.elapsed().as_millis()
        );
    }
}

/// Waits until every accepted call is a row, and none waits in the stream.
async fn drain(site: &mut Site, accepted: &BTreeSet<CallId>, last_restart: Instant) -> Duration {
    let mut admin = site.harness.admin().await;
    loop {
        let rows: Vec<CallId> = sqlx::query_scalar("select id from calls")
            .fetch_all(&mut admin)
            .await
            .unwrap();
        let stored: BTreeSet<_> = rows.iter().copied().collect();
        assert_eq!(stored.len(), rows.len(), "a call is one row");
        assert!(stored.is_subset(accepted), "a call that nobody sent");
        if stored.len() == accepted.len() {
            break;
        }
        let waited = last_restart.elapsed();
        let missing = accepted.len() - stored.len();
        assert!(
            waited < DRAINED_WITHIN,
            "{missing} calls are not stored after {waited:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.harness.idle_of("fold-calls").await;
    last_restart.elapsed()
}
