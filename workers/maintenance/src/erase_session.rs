//! `erasure.requested` → what it names is destroyed

use std::convert::Infallible;

use aftercall::events::ErasureRequested;
use aftercall::worker::{Context, Failure, Handler};

use crate::erasure::Eraser;

/// Destroys a session or parts of one, a call, or a client, right after it was asked for. Whatever keeps it from that, the
/// job `erasures` goes on where it stopped.
#[derive(Clone, Debug)]
pub struct EraseSession {
    eraser: Eraser,
}

impl EraseSession {
    pub fn new(eraser: Eraser) -> Self {
        Self { eraser }
    }
}

impl Handler for EraseSession {
    const NAME: &'static str = "erase-session";
    /// It ends when everything is gone.
    const ATTEMPTS: u32 = u32::MAX;
    const GAVE_UP: &'static str = "Something could not be erased.";
    type Consumes = ErasureRequested;
    type Publishes = Infallible;
    type Fails = Infallible;

    async fn handle(
        &self,
        event: ErasureRequested,
        _context: &Context,
    ) -> Result<Vec<Infallible>, Failure> {
        self.eraser
            .begin(event.erasure_id, event.session_id)
            .await?;
        Ok(Vec::new())
    }

    fn failed(
        &self,
        _event: &ErasureRequested,
        _redrive: u32,
        _reason: String,
    ) -> Option<Infallible> {
        None
    }
}
