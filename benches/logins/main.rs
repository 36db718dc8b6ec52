//! What a flood of sign-ins does to everybody else, and whether its answers tell who exists.
//!
//! `make bench` runs it, on an ingress in a process of its own, a real Postgres and a real nats-server.
//! It reports and judges no time: baseline and load are of one run, so their ratio is what to look at.
//!
//! Invariant: requests are sent when they are due, whether or not earlier ones were answered, and their
//! time counts from then.

mod figures;
mod ingress;
mod load;
mod people;

use std::time::Duration;

use aftercall::embedded::harness::Harness;
use anyhow::Context as _;

use figures::{EqualTime, Report};
use ingress::Ingress;
use load::{Flood, Reads, Visitor};
use people::People;

/// Reads of `GET /auth/me` a second, in both phases.
const READS_PER_S: u32 = 50;
/// Sign-ins a second.
const SIGN_INS_PER_S: u32 = 200;
const WARM_UP: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(30);
const FLOOD: Duration = Duration::from_secs(30);
/// Tries of each kind when known and unknown addresses are compared.
const TRIES: usize = 200;

/// One thread: the client shares the machine with what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let harness = Harness::start().await;
    let measured = measure(&harness).await;
    harness.finish_as_it_is().await;
    let report = measured?;
    println!("{report}");
    let path = report.write().context("the figures could not be written")?;
    println!("written to {}", path.display());
    Ok(())
}

async fn measure(harness: &Harness) -> anyhow::Result<Report> {
    let people = People::settle(harness).await?;
    let ingress = Ingress::start(harness).await;
    let visitor = Visitor::of(&ingress)?;
    let tokens = visitor.tokens(&people).await?;

    eprintln!("idle, {} s", IDLE.as_secs());
    let reads = Reads {
        visitor: &visitor,
        tokens: &tokens,
        per_s: READS_PER_S,
    };
    reads.run(WARM_UP).await?;
    let idle = reads.run(IDLE).await?;

    eprintln!("{SIGN_INS_PER_S} sign-ins a second, {} s", FLOOD.as_secs());
    let flood = Flood {
        visitor: &visitor,
        people: &people,
        per_s: SIGN_INS_PER_S,
    };
    // Connections to Postgres are opened when they are first needed, and then kept.
    let (warm, flooding) = tokio::join!(reads.run(WARM_UP), flood.run(WARM_UP));
    warm.and(flooding)?;
    let (flooded, sign_ins) = tokio::join!(reads.run(FLOOD), flood.run(FLOOD));

    eprintln!("{TRIES} tries each of known and unknown addresses");
    let (known, unknown) = visitor.compare(&people, TRIES).await?;
    ingress.stop().await;
    Ok(Report {
        idle,
        flooded: flooded?,
        sign_ins: sign_ins?,
        equal_time: EqualTime::of(&known, &unknown),
    })
}
