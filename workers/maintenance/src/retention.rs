//! Asks for the erasure of what is older than its account's policy lets it become.
//!
//! An erasure like any other: the rows go in the transaction that asks, the rest by its event.

use aftercall::db::erasures::{self, Reason, Subject};
use aftercall::db::retention::{self, Overdue};
use aftercall::db::{Db, Principal, WorkerRole, call_erasures, outbox, timeline};
use aftercall::events::Fact;
use jiff::Timestamp;

use crate::erasure::Eraser;

/// So many are asked for in one run of the job.
const BATCH: i64 = 500;
/// So many calls are blanked in one transaction.
const CALLS_AT_ONCE: i64 = 1_000;

/// Asks for what is too old at `now`; answers how many erasures that makes. One that fails stays for
/// the next run and holds no other up.
pub async fn retain(db: &Db, now: Timestamp) -> anyhow::Result<u64> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let overdue = retention::overdue(&mut tx, now, BATCH).await?;
    tx.commit().await?;
    let mut asked = 0;
    for old in overdue {
        match ask(db, &old).await {
            Ok(count) => asked += count,
            Err(error) => {
                let (session_id, error) = (old.session_id, format!("{error:#}"));
                tracing::warn!(%session_id, part = %old.part, error, "kept for too long");
            }
        }
    }
    Ok(asked)
}

/// Blanks what calls said too long ago, also in dead letters; answers how many calls that were. Their
/// messages go with the erasures that this makes, a batch each. A client that fails holds no other up.
pub async fn retain_calls(db: &Db, eraser: &Eraser, now: Timestamp) -> anyhow::Result<u64> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let overdue = call_erasures::overdue(&mut tx, now, BATCH).await?;
    let letters = call_erasures::overdue_letters(&mut tx, now).await?;
    tx.commit().await?;
    let mut blanked = 0;
    for old in overdue {
        match retain_calls_of(db, eraser, old, now).await {
            Ok(count) => blanked += count,
            Err(error) => kept_for_too_long(old, &error),
        }
    }
    for old in letters {
        if let Err(error) = eraser.strike_old(old).await {
            kept_for_too_long(old, &error);
        }
    }
    Ok(blanked)
}

async fn retain_calls_of(
    db: &Db,
    eraser: &Eraser,
    old: call_erasures::Overdue,
    now: Timestamp,
) -> anyhow::Result<u64> {
    let mut blanked = 0;
    loop {
        let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
        let Some((count, work)) = call_erasures::blank(&mut tx, old, CALLS_AT_ONCE).await? else {
            call_erasures::went_through(&mut tx, old, now).await?;
            tx.commit().await?;
            return Ok(blanked);
        };
        tx.commit().await?;
        blanked += count as u64;
        if let Err(error) = eraser.pass_calls(work).await {
            let (erasure_id, error) = (work.erasure_id, format!("{error:#}"));
            tracing::warn!(%erasure_id, error, "messages of old calls are left for later");
        }
    }
}

fn kept_for_too_long(old: call_erasures::Overdue, error: &anyhow::Error) {
    let (client_id, error) = (old.client_id, format!("{error:#}"));
    tracing::warn!(%client_id, error, "calls are kept for too long");
}

async fn ask(db: &Db, old: &Overdue) -> anyhow::Result<u64> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let Some(session) = timeline::lock(&mut tx, old.session_id).await? else {
        return Ok(0);
    };
    let (parts, before) = ([old.part], Some(old.made_before));
    let subject = Subject::Session(old.session_id);
    let account = session.account_id;
    let erasure = erasures::open(&mut tx, account, subject, &parts, Reason::Retention).await?;
    let asked = erasures::request(&mut tx, &session, erasure, &parts, before).await?;
    let facts: [Fact; 1] = [asked.into()];
    timeline::record(&mut tx, &session, &facts).await?;
    outbox::insert(&mut tx, &session, crate::SOURCE, None, &facts).await?;
    tx.commit().await?;
    Ok(1)
}
