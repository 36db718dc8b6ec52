//! Publishes the events of a transaction right after its commit.
//!
//! Not here: the rows (`db::outbox`), and the relay of maintenance, which sends what this leaves.
//!
//! Invariant: what cannot be published now stays in the outbox, so a failure here loses nothing.

use std::collections::BTreeMap;

use crate::bus::Bus;
use crate::db::{Db, Principal, outbox};
use crate::events::Message;
use crate::ids::AccountId;

/// Publishes in order; the rows go when the broker has the events. What fails is logged and left.
pub async fn publish(
    db: &Db,
    bus: &Bus,
    principal: Principal,
    messages: impl IntoIterator<Item = (AccountId, Message)>,
) {
    let mut published: BTreeMap<AccountId, Vec<_>> = BTreeMap::new();
    for (account, message) in messages {
        let id = message.envelope.id;
        let headers = message.envelope.headers();
        match bus
            .publish(&message.subject, headers, message.data, &id.to_string())
            .await
        {
            Ok(_) => published.entry(account).or_default().push(id),
            Err(error) => {
                tracing::warn!(%error, "event waits in the outbox");
                break;
            }
        }
    }
    if published.is_empty() {
        return;
    }
    let forgotten = async {
        let mut tx = db.begin(principal).await?;
        for (account, ids) in published {
            outbox::delete(&mut tx, account, &ids).await?;
        }
        tx.commit().await
    };
    if let Err(error) = forgotten.await {
        tracing::warn!(%error, "published events stay in the outbox and are sent again");
    }
}
