//! Asks again for work that Postgres says is unfinished.
//!
//! JetStream carries work and Postgres is the record: whatever the broker lost (a wiped store, an
//! event older than the stream keeps) is found here. Failed stages are left alone: they wait for a
//! person. Handlers answer "already done" where the work was done all along.

use std::time::Duration;

use aftercall::db::{
    Db, Principal, WorkerRole, analyses, outbox, recording_fetches, recordings, timeline,
    transcriptions,
};
use aftercall::events::{Fact, RecordingUploaded};
use jiff::Timestamp;

/// So many pieces of work of each kind are taken at a time.
const BATCH: i64 = 200;

/// Puts the events of unfinished work that nothing has touched for `age` into the outbox once more;
/// answers how many.
///
/// The id of such an event is the one it had, so `age` must be longer than the broker's duplicate
/// window. What was claimed counts as touched, so that the next run leaves it alone for as long.
pub async fn reconcile(db: &Db, now: Timestamp, age: Duration) -> anyhow::Result<u64> {
    let before = now.checked_sub(age)?;
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let fetches = recording_fetches::claim_unfinished(&mut tx, before, BATCH).await?;
    let mut facts: Vec<Fact> = fetches.into_iter().map(Fact::from).collect();
    for recording in recordings::claim_unchecked(&mut tx, before, BATCH).await? {
        let uploaded = RecordingUploaded {
            session_id: recording.session_id,
            recording_id: recording.id,
            run: recording.run,
            late: recording.late,
        };
        facts.push(uploaded.into());
    }
    let transcriptions = transcriptions::claim_unfinished(&mut tx, before, BATCH).await?;
    facts.extend(transcriptions.into_iter().map(Fact::from));
    let analyses = analyses::claim_unfinished(&mut tx, before, BATCH).await?;
    facts.extend(analyses.into_iter().map(Fact::from));
    for fact in &facts {
        if let Some(session) = timeline::read(&mut tx, fact.session_id()).await? {
            outbox::insert(
                &mut tx,
                &session,
                crate::SOURCE,
                None,
                std::slice::from_ref(fact),
            )
            .await?;
        }
    }
    tx.commit().await?;
    Ok(facts.len() as u64)
}
