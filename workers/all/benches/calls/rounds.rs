//! Calls one by one, our side in turns with the baseline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::args::Args;
use crate::figures::real;
use crate::load::{self, Sent};
use crate::machine;
use crate::measured::{Comparison, Round};
use crate::records;
use crate::systems::{Running, Site, System};

const WARM_UP: Duration = Duration::from_secs(2);
/// After the last accept, everything is to be counted within this time.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// For each concurrency, the rounds of both sides.
pub async fn run(args: &Args) -> anyhow::Result<Vec<Comparison>> {
    let writers = args.writers;
    let mut ours = Site::settle(System::Ours, args.clients).await;
    let mut baseline = Site::settle(System::Baseline { writers }, args.clients).await;
    let measured = both(&mut ours, &mut baseline, args).await;
    ours.close().await;
    baseline.close().await;
    measured
}

async fn both(
    ours: &mut Site,
    baseline: &mut Site,
    args: &Args,
) -> anyhow::Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    for &concurrency in &args.concurrency {
        let mut comparison = Comparison::at(concurrency);
        for number in 1..=args.rounds {
            eprintln!("round {number} of {} at {concurrency}", args.rounds);
            comparison.ours.push(round(ours, concurrency, args).await?);
            comparison
                .baseline
                .push(round(baseline, concurrency, args).await?);
        }
        comparisons.push(comparison);
    }
    Ok(comparisons)
}

async fn round(site: &mut Site, concurrency: usize, args: &Args) -> anyhow::Result<Round> {
    let running = site.start().await?;
    let requests = Arc::new(records::requests(running.address, &site.agent));
    site.empty().await?;
    let warm = load::run(running.address, &requests, concurrency, WARM_UP).await?;
    counted(site, &warm).await?;
    site.empty().await?;

    let (before, own_before) = (running.cpu_s()?, machine::own_cpu_s()?);
    let sent = load::run(running.address, &requests, concurrency, args.duration()).await?;
    let load_cpu_s = machine::own_cpu_s()? - own_before;
    let visible_at = counted(site, &sent).await?;
    let round = finished(&running, &before, &sent, visible_at, load_cpu_s)?;
    running.stop().await;
    Ok(round)
}

/// Waits until all that was accepted is counted, and nothing else is.
async fn counted(site: &mut Site, sent: &Sent) -> anyhow::Result<Instant> {
    let accepted = sent.accepted.count();
    loop {
        let visible = site.visible().await?;
        ensure!(
            visible <= accepted,
            "{visible} calls are counted of {accepted}"
        );
        if visible == accepted {
            return Ok(Instant::now());
        }
        ensure!(
            sent.last_answer.elapsed() < PATIENCE,
            "{visible} of {accepted} calls were counted in time"
        );
        tokio::time::sleep(POLL).await;
    }
}

fn finished(
    running: &Running,
    before: &[(&'static str, f64)],
    sent: &Sent,
    visible_at: Instant,
    load_cpu_s: f64,
) -> anyhow::Result<Round> {
    let accepted = sent.accepted.count();
    let thousands = real(accepted) / 1_000.0;
    let after = running.cpu_s()?;
    let cpu = after
        .iter()
        .zip(before)
        .map(|((name, after), (_, before))| (*name, (after - before) / thousands));
    let per_s = |at: Instant| real(accepted) / (at - sent.began).as_secs_f64();
    Ok(Round {
        accepted,
        refused: sent.refused,
        accepted_per_s: per_s(sent.last_answer),
        visible_per_s: per_s(visible_at),
        answers: sent.accepted.quantiles(),
        lag_ms: (visible_at - sent.last_answer).as_secs_f64() * 1_000.0,
        cpu_s_per_thousand: cpu.collect(),
        load_cpu_s_per_thousand: load_cpu_s / thousands,
        peak_bytes: running.peak_bytes()?,
    })
}
