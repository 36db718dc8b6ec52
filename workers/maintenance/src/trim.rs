//! Takes what everybody has consumed out of streams that fill up.
//!
//! A stream refuses new messages when it is full, and what is consumed counts too. From half of the
//! bound on only the newest are kept, for a replay: an hour at first, and the less the fuller the stream
//! is; from three quarters on nothing that is consumed.
//!
//! Invariant: nothing goes that a durable consumer has not acknowledged, nor a message that an erasure
//! has found and is about to destroy.

use std::time::Duration;

use aftercall::bus::{Bus, CALLS, EVENTS, Fill};
use aftercall::db::jobs::{self, Messages};
use aftercall::db::{Db, Principal, WorkerRole, erasures};
use jiff::{SignedDuration, Timestamp};
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Streams whose messages are facts that Postgres keeps. Not DEAD: its letters carry text, and an
/// erasure must find them.
const STREAMS: [&str; 2] = [CALLS, EVENTS];
/// At half of the bound.
const LONGEST_KEPT: Duration = Duration::from_hours(1);

const BYTES: &str = "aftercall_stream_bytes";
const MAX_BYTES: &str = "aftercall_stream_max_bytes";
const TRIMMED: &str = "aftercall_trimmed_messages_total";

/// Names and units for `/metrics`.
pub fn describe_metrics() {
    describe_gauge!(BYTES, Unit::Bytes, "what a stream holds");
    describe_gauge!(MAX_BYTES, Unit::Bytes, "what a stream may hold");
    describe_counter!(
        TRIMMED,
        Unit::Count,
        "consumed messages that were taken out of a stream that filled up"
    );
}

/// Trims every stream that fills up; answers how many messages that took.
pub async fn trim(db: &Db, bus: &Bus, now: Timestamp) -> anyhow::Result<u64> {
    let mut trimmed = 0;
    for stream in STREAMS {
        trimmed += trim_stream(db, bus, stream, now).await?;
    }
    Ok(trimmed)
}

/// Trims one stream if it fills up; answers how many messages that took.
pub async fn trim_stream(db: &Db, bus: &Bus, stream: &str, now: Timestamp) -> anyhow::Result<u64> {
    let fill = bus.fill(stream).await?;
    tell(stream, fill);
    let Some(kept) = kept(fill) else {
        return Ok(0);
    };
    let Some(consumed) = bus.consumed(stream, fill.last_sequence).await? else {
        return Ok(0);
    };
    let mut below = consumed.sequence + 1;
    if !kept.is_zero() {
        let newest = now.checked_sub(SignedDuration::try_from(kept)?)?;
        below = below.min(bus.first_since(stream, fill, newest).await?);
    }
    // Held until the purge: an erasure that looks for messages comes before this or after it.
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    jobs::hold_messages(&mut tx, Messages::Trimmed).await?;
    if let Some(found) = erasures::lowest_found(&mut tx, stream).await? {
        below = below.min(found);
    }
    if below <= fill.first_sequence {
        if kept.is_zero() {
            tracing::warn!(
                stream,
                behind = consumed.slowest,
                "fills up with what is not consumed"
            );
        }
        return Ok(0);
    }
    let trimmed = bus.purge_below(stream, below).await?;
    tx.commit().await?;
    counter!(TRIMMED, "stream" => stream.to_owned()).increment(trimmed);
    tracing::info!(
        stream,
        messages = trimmed,
        kept_s = kept.as_secs(),
        "trimmed"
    );
    Ok(trimmed)
}

/// For how long consumed messages are kept; None while the stream is at most half full.
fn kept(fill: Fill) -> Option<Duration> {
    let max = u128::from(fill.max_bytes?);
    let bytes = u128::from(fill.bytes);
    if bytes * 2 <= max {
        return None;
    }
    let left = (max * 3).saturating_sub(bytes * 4);
    let longest_ms = LONGEST_KEPT.as_millis();
    let kept_ms = u64::try_from(longest_ms * left / max).unwrap_or(0);
    Some(Duration::from_millis(kept_ms))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; exact up to 2^53 bytes"
)]
fn tell(stream: &str, fill: Fill) {
    gauge!(BYTES, "stream" => stream.to_owned()).set(fill.bytes as f64);
    if let Some(max) = fill.max_bytes {
        gauge!(MAX_BYTES, "stream" => stream.to_owned()).set(max as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept_at(bytes: u64, max_bytes: Option<u64>) -> Option<u64> {
        let fill = Fill {
            bytes,
            max_bytes,
            first_sequence: 1,
            last_sequence: 1,
        };
        kept(fill).map(|kept| kept.as_secs())
    }

    #[test]
    fn an_hour_shrinks_to_nothing_between_a_half_and_three_quarters() {
        let of_thousand = |bytes| kept_at(bytes, Some(1_000));
        assert_eq!(of_thousand(0), None);
        assert_eq!(of_thousand(500), None);
        assert_eq!(of_thousand(501), Some(3_585));
        assert_eq!(of_thousand(625), Some(1_800));
        assert_eq!(of_thousand(749), Some(14));
        assert_eq!(of_thousand(750), Some(0));
        assert_eq!(of_thousand(1_001), Some(0));
    }

    #[test]
    fn a_stream_without_a_bound_is_left_alone_and_a_huge_one_does_not_overflow() {
        assert_eq!(kept_at(u64::MAX, None), None);
        assert_eq!(kept_at(u64::MAX, Some(u64::MAX)), Some(0));
        assert_eq!(kept_at(u64::MAX / 8 * 5, Some(u64::MAX)), Some(1_800));
    }
}
