//! Messages of a session in the streams, and what is left of those that were trimmed before.

use aftercall::bus::{DEAD, EVENTS, Extent, subjects};
use aftercall::db::erasure_sessions::{self, Destroyed, Log, Place, Step, Work};
use aftercall::db::jobs::{self, Messages};
use aftercall::events::{ErasureRequested, Event};
use aftercall::ids::EventId;
use jiff::SignedDuration;

use super::Eraser;

/// A message that was trimmed, or that expired, leaves its bytes behind until the file that holds them
/// goes: when every message of the file is gone. The server does not tell its files, but none is larger
/// than 8 MiB, and a fact takes more than 256 bytes with its subject and headers. A file that held a
/// message therefore ends within 32,768 sequences of it; twice that is waited for.
const BEYOND: u64 = 2 * (8 << 20) / 256;

/// The broker tells times in nanoseconds, and Postgres keeps microseconds.
const KEPT_EXACTLY: SignedDuration = SignedDuration::from_millis(1);

impl Eraser {
    /// Destroys every message whose subject ends with the session; of a part of a session, which no
    /// fact carries, only dead letters. Which ones is written down first.
    pub(super) async fn destroy_messages(&self, work: &Work) -> anyhow::Result<()> {
        self.destroy_planned(work).await?;
        let session = work.session_id.to_string();
        let mut tx = self.tx().await?;
        jobs::hold_messages(&mut tx, Messages::Sought).await?;
        let extent = self.bus.extent(EVENTS).await?;
        let (mut places, mut found) = (Vec::new(), Vec::new());
        if work.is_whole() {
            for filter in subjects::events_ending_with(&session) {
                for message in self.bus.find(EVENTS, &filter).await? {
                    // Until the last pass the erasure's own event is what goes on after a crash.
                    if work.step == Step::Requested && is_own(&message.subject) {
                        continue;
                    }
                    let id = message.headers.get("ce-id");
                    found.extend(id.and_then(|id| id.as_str().parse::<EventId>().ok()));
                    places.push(Place(EVENTS.to_owned(), message.sequence));
                }
            }
        }
        let dead = subjects::dead_ending_with(&session);
        let dead = self.bus.find(DEAD, &dead).await?.into_iter();
        places.extend(dead.map(|message| Place(DEAD.to_owned(), message.sequence)));
        let log = Log {
            created_at: extent.created_at,
            last_sequence: i64::try_from(extent.last_sequence)?,
        };
        erasure_sessions::plan_messages(&mut tx, work, &places, &found, log).await?;
        tx.commit().await?;
        let planned = Work {
            messages: places,
            ..work.clone()
        };
        self.destroy_planned(&planned).await
    }

    async fn destroy_planned(&self, work: &Work) -> anyhow::Result<()> {
        if work.messages.is_empty() {
            return Ok(());
        }
        for Place(stream, sequence) in &work.messages {
            self.bus.destroy(stream, *sequence).await?;
        }
        let count = |name: &str| work.messages.iter().filter(|place| place.0 == name).count();
        let destroyed: Vec<_> = [EVENTS, DEAD]
            .into_iter()
            .filter(|stream| count(stream) > 0)
            .map(|stream| Destroyed::of(&format!("stream {stream}"), "messages", count(stream)))
            .collect();
        let mut tx = self.tx().await?;
        erasure_sessions::messages_gone(&mut tx, work, &destroyed).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether what was trimmed before the erasure is gone from the broker's disk by now.
    pub(super) async fn look_at_the_log(&self, work: &Work) -> anyhow::Result<()> {
        let extent = self.bus.extent(EVENTS).await?;
        let mut tx = self.tx().await?;
        if work.log.is_none_or(|log| is_beyond(extent, log)) {
            erasure_sessions::advance(&mut tx, work, Step::Done).await?;
        } else {
            erasure_sessions::touch(&mut tx, work).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

fn is_own(subject: &str) -> bool {
    subjects::original(subject).starts_with(&format!("events.{}.", ErasureRequested::TYPE))
}

/// Whether no file of the stream can hold what was in it at `log`.
fn is_beyond(now: Extent, log: Log) -> bool {
    let last = u64::try_from(log.last_sequence).unwrap_or(0);
    let made_anew = now.created_at.duration_since(log.created_at) > KEPT_EXACTLY;
    made_anew || now.first_sequence > last.saturating_add(BEYOND)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_trimmed_message_is_waited_for_until_its_file_is_gone() {
        let created_at: Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        let log = Log {
            created_at,
            last_sequence: 1_000,
        };
        let now = |created_at, first_sequence| Extent {
            created_at,
            first_sequence,
            last_sequence: 1_000_000,
        };
        assert!(!is_beyond(now(created_at, 1), log));
        assert!(
            !is_beyond(now(created_at, 1_001), log),
            "its file has newer messages"
        );
        assert!(!is_beyond(now(created_at, 66_536), log));
        assert!(is_beyond(now(created_at, 66_537), log));
        let rounded = created_at + SignedDuration::from_nanos(999);
        assert!(!is_beyond(now(rounded, 1), log));
        let made_anew = created_at + SignedDuration::from_secs(1);
        assert!(is_beyond(now(made_anew, 1), log));
    }

    #[test]
    fn an_erasure_knows_its_own_events() {
        let own = "events.erasure.requested.0198";
        assert!(is_own(own));
        assert!(is_own(&subjects::redrive("erase-session", own)));
        assert!(!is_own("events.session.created.0198"));
    }
}
