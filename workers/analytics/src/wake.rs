//! Tells the ingresses that the figures of an account changed.

use aftercall::bus::Bus;
use aftercall::ids::AccountId;

/// Says so on plain NATS, which stores nothing: whoever follows the figures reads them again. One that
/// is lost does no harm, because followers also look now and then.
pub async fn wake(bus: &Bus, account: AccountId) {
    let subject = aftercall::bus::subjects::wake_analytics(account.0);
    if let Err(error) = bus.client().publish(subject, "".into()).await {
        tracing::debug!(%error, "followers were not woken");
    }
}
