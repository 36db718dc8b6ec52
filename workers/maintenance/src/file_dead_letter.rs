//! A dead letter → the desk (`dead_letters`)

use std::convert::Infallible;

use aftercall::bus::CALLS;
use aftercall::db::dead_letters::{self, Letter};
use aftercall::db::{Db, Principal, Tx, WorkerRole, call_erasures, erasure_sessions};
use aftercall::events::calls_ended::{self, read_line};
use aftercall::worker::{Context, Failure, Handler};

/// Files what handlers gave up on, so that it can be listed, read and redriven.
#[derive(Clone, Debug)]
pub struct FileDeadLetter {
    db: Db,
}

impl FileDeadLetter {
    pub fn new(db: Db) -> Self {
        Self { db }
    }
}

impl Handler for FileDeadLetter {
    const NAME: &'static str = "file-dead-letter";
    /// A letter has nowhere else to go: it is tried for as long as it takes.
    const ATTEMPTS: u32 = u32::MAX;
    const GAVE_UP: &'static str = "A failed message could not be filed.";
    type Consumes = Letter;
    type Publishes = Infallible;
    type Fails = Infallible;

    async fn handle(
        &self,
        mut letter: Letter,
        _context: &Context,
    ) -> Result<Vec<Infallible>, Failure> {
        let mut tx = self
            .db
            .begin(Principal::Worker(WorkerRole::Maintenance))
            .await?;
        if let Some(session) = letter.session_id
            && erasure_sessions::reopen(&mut tx, session).await?
        {
            // Late: its message goes with the erasure's next pass.
            tracing::info!(session_id = %session, "dead letter of an erased session dropped");
        } else if !strike_erased(&mut tx, &mut letter).await? {
            tracing::info!("dead letter of erased calls dropped");
        } else if dead_letters::file(&mut tx, &letter).await? {
            tracing::warn!(
                handler = letter.handler,
                class = letter.class,
                "dead letter filed"
            );
        }
        tx.commit().await?;
        Ok(Vec::new())
    }

    fn failed(&self, _letter: &Letter, _redrive: u32, _reason: String) -> Option<Infallible> {
        None
    }
}

/// Takes erased calls out of a letter that came late; their erasures destroy its message. Answers whether
/// anything is left to be filed.
async fn strike_erased(tx: &mut Tx, letter: &mut Letter) -> anyhow::Result<bool> {
    if letter.subject != calls_ended::SUBJECT {
        return Ok(true);
    }
    let key = |line: &[u8]| {
        read_line(line)
            .ok()
            .map(|line| (line.account_id, line.id, line.client_id))
    };
    let keys: Vec<_> = calls_ended::lines(&letter.data).filter_map(key).collect();
    let erased = if letter.stream == CALLS {
        // The message that brought them goes too.
        let arrived: Vec<_> = keys
            .iter()
            .map(|key| (*key, letter.stream_sequence))
            .collect();
        call_erasures::note_late(tx, letter.stream_created_at, &arrived).await?
    } else {
        call_erasures::is_erased(tx, &keys).await?
    };
    if erased.is_empty() {
        return Ok(true);
    }
    let struck = call_erasures::without(&letter.data, |line| {
        key(line).is_some_and(|key| erased.contains(&key))
    });
    letter.data = struck.data.unwrap_or_default();
    Ok(!letter.data.is_empty())
}
