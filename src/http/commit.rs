//! What every command ends with: facts on the timeline and in the outbox, commit, publish.

use crate::db::timeline::{self, LockedSession};
use crate::db::{Tx, outbox};
use crate::events::{Fact, Message};
use crate::ids::AccountId;

use super::AppState;
use super::caller::Caller;
use super::extract::Trace;
use super::problem::ApiError;

/// What the events of this process name as their source.
const SOURCE: &str = "aftercall/ingress";

/// Records facts of a locked session and puts their events into the outbox.
pub async fn stage(
    tx: &mut Tx,
    session: &LockedSession,
    trace: Trace,
    facts: &[Fact],
) -> Result<Vec<Message>, ApiError> {
    timeline::record(tx, session, facts).await?;
    let traceparent = trace.traceparent();
    Ok(outbox::insert(tx, session, SOURCE, Some(&traceparent), facts).await?)
}

/// Puts the event of a fact into the outbox whose session goes: there will be no timeline.
pub async fn stage_last(
    tx: &mut Tx,
    session: &LockedSession,
    trace: Trace,
    fact: &Fact,
) -> Result<Vec<Message>, ApiError> {
    let traceparent = trace.traceparent();
    let facts = std::slice::from_ref(fact);
    Ok(outbox::insert(tx, session, SOURCE, Some(&traceparent), facts).await?)
}

/// Puts the event of a fact into the outbox that is of no session.
pub async fn stage_of(
    tx: &mut Tx,
    account_id: AccountId,
    trace: Trace,
    fact: &Fact,
) -> Result<Vec<Message>, ApiError> {
    let traceparent = trace.traceparent();
    let facts = std::slice::from_ref(fact);
    Ok(outbox::insert_of(tx, account_id, SOURCE, Some(&traceparent), facts).await?)
}

/// Commits, and publishes what was [`stage`]d.
///
/// The answer does not wait for the broker: events that cannot be published now stay in the outbox,
/// where the relay of the maintenance worker finds them.
pub async fn commit(
    state: &AppState,
    tx: Tx,
    session: &LockedSession,
    caller: Caller,
    messages: Vec<Message>,
) -> Result<(), ApiError> {
    commit_of(state, tx, session.account_id, caller, messages).await
}

/// The same for an account, where there is no session.
pub async fn commit_of(
    state: &AppState,
    tx: Tx,
    account: AccountId,
    caller: Caller,
    messages: Vec<Message>,
) -> Result<(), ApiError> {
    tx.commit().await?;
    if !messages.is_empty() {
        let (db, bus) = (state.db.clone(), state.bus.clone());
        let principal = caller.principal();
        let messages = messages.into_iter().map(move |message| (account, message));
        state.tasks.spawn(async move {
            crate::outbox::publish(&db, &bus, principal, messages).await;
        });
    }
    Ok(())
}
