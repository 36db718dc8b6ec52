//! A dead letter → the desk (`dead_letters`)

use std::convert::Infallible;

use aftercall::db::dead_letters::{self, Letter};
use aftercall::db::{Db, Principal, WorkerRole, erasure_sessions};
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

    async fn handle(&self, letter: Letter, _context: &Context) -> Result<Vec<Infallible>, Failure> {
        let mut tx = self
            .db
            .begin(Principal::Worker(WorkerRole::Maintenance))
            .await?;
        if let Some(session) = letter.session_id
            && erasure_sessions::reopen(&mut tx, session).await?
        {
            // Late: its message goes with the erasure's next pass.
            tracing::info!(session_id = %session, "dead letter of an erased session dropped");
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
