//! Publishes the events that a command left in the outbox.

use std::collections::BTreeMap;
use std::time::Duration;

use aftercall::bus::Bus;
use aftercall::db::{Db, Principal, WorkerRole, outbox};
use jiff::Timestamp;

/// So many events are taken at a time.
const BATCH: i64 = 200;

/// Publishes what has waited for longer than `delay`; answers how many events that were.
///
/// The rows stay locked until they are deleted, so that two processes do not send the same ones; a
/// process that dies after publishing sends them once more, under the same `Nats-Msg-Id`.
pub async fn relay(db: &Db, bus: &Bus, now: Timestamp, delay: Duration) -> anyhow::Result<u64> {
    let before = now.checked_sub(delay)?;
    let mut published = 0;
    loop {
        let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
        let waiting = outbox::waiting(&mut tx, before, BATCH).await?;
        let taken = waiting.len();
        let mut by_account: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (account, message) in waiting {
            let id = message.envelope.id;
            let headers = message.envelope.headers();
            bus.publish(&message.subject, headers, message.data, &id.to_string())
                .await?;
            by_account.entry(account).or_default().push(id);
        }
        for (account, ids) in by_account {
            outbox::delete(&mut tx, account, &ids).await?;
        }
        tx.commit().await?;
        published += taken as u64;
        if taken < usize::try_from(BATCH)? {
            return Ok(published);
        }
    }
}
