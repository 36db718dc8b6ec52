//! Messages of erased calls: destroyed when nobody waits for them any more.
//!
//! A frame carries calls of others, so one goes only when every durable consumer has acknowledged it, and
//! what it brought is in Postgres.

use aftercall::bus::{CALLS, DEAD};
use aftercall::db::call_erasures::{self, Work};
use aftercall::db::jobs::{self, Messages};

use super::Eraser;

/// Messages that are noted at once as destroyed.
const AT_ONCE: i64 = 100;
/// A message that was trimmed leaves its bytes behind until the file that holds them goes: when every
/// message of the file is gone. The server does not tell its files, but none is larger than 8 MiB, and
/// only a message that is larger itself makes it so, which frames are not. What has more than twice that
/// behind it is in another file than the end of the stream.
const MORE_THAN_A_FILE: u64 = 2 * (8 << 20);

impl Eraser {
    /// Destroys what may be destroyed by now.
    pub(super) async fn destroy_frames(&self, work: &Work) -> anyhow::Result<()> {
        for stream in [CALLS, DEAD] {
            // What is there under this lock is not trimmed before it is destroyed.
            let mut tx = self.tx().await?;
            jobs::hold_messages(&mut tx, Messages::Sought).await?;
            let extent = self.bus.extent(stream).await?;
            call_erasures::sort_out(&mut tx, work, stream, extent).await?;
            tx.commit().await?;
            let Some(consumed) = self.bus.consumed(stream, extent.last_sequence).await? else {
                continue;
            };
            self.destroy_up_to(work, stream, consumed.sequence).await?;
        }
        self.look_at_files(work).await
    }

    /// Whether what was trimmed before the erasure is gone from the broker's disk by now.
    pub(super) async fn look_at_calls(&self, work: &Work) -> anyhow::Result<()> {
        self.look_at_files(work).await?;
        self.advance_calls(work).await
    }

    async fn destroy_up_to(&self, work: &Work, stream: &str, last: u64) -> anyhow::Result<()> {
        loop {
            let mut tx = self.tx().await?;
            let found = call_erasures::found(&mut tx, work, stream, last, AT_ONCE).await?;
            tx.commit().await?;
            if found.is_empty() {
                return Ok(());
            }
            for sequence in &found {
                self.bus.destroy(stream, *sequence).await?;
            }
            let mut tx = self.tx().await?;
            call_erasures::destroyed(&mut tx, work, stream, &found).await?;
            tx.commit().await?;
        }
    }

    async fn look_at_files(&self, work: &Work) -> anyhow::Result<()> {
        for stream in [CALLS, DEAD] {
            let (extent, fill) = (self.bus.extent(stream).await?, self.bus.fill(stream).await?);
            let is_more = fill.bytes > MORE_THAN_A_FILE;
            let mut tx = self.tx().await?;
            call_erasures::look_at_trimmed(&mut tx, work, stream, extent, is_more).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
