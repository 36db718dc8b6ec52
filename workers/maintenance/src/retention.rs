//! Asks for the erasure of what is older than its account's policy lets it become.
//!
//! An erasure like any other: the rows go in the transaction that asks, the rest by its event.

use aftercall::db::erasures::{self, Reason, Subject};
use aftercall::db::retention::{self, Overdue};
use aftercall::db::{Db, Principal, WorkerRole, outbox, timeline};
use aftercall::events::Fact;
use jiff::Timestamp;

/// So many are asked for in one run of the job.
const BATCH: i64 = 500;

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
