//! A handler that does what a test tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::BoxFuture;

use crate::events::{RecordingFailed, RecordingStored, RecordingUploaded};
use crate::worker::{Context, Failure, Handler};

pub const HANDLER: &str = "store-recording";
pub const GAVE_UP: &str = "The recording could not be checked.";

type Answer = Result<Vec<RecordingStored>, Failure>;
type Script = Box<dyn Fn(Run) -> BoxFuture<'static, Answer> + Send + Sync>;

/// What a script is told.
pub struct Run {
    /// Counts the runs of the handler, from 1.
    pub number: u32,
    pub message: RecordingUploaded,
    pub context: Context,
}

impl Run {
    /// The fact that follows.
    pub fn stored(&self) -> RecordingStored {
        RecordingStored {
            session_id: self.message.session_id,
            recording_id: self.message.recording_id,
            duration_ms: 1,
            channels: 1,
            sample_rate_hz: 8_000,
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "what a script answers")]
    pub fn done(&self) -> Answer {
        Ok(vec![self.stored()])
    }
}

/// A handler that does what the test says; it may fail `ATTEMPTS` times.
#[derive(Clone)]
pub struct Scripted<const ATTEMPTS: u32 = 8> {
    script: Arc<Script>,
    runs: Arc<AtomicU32>,
}

impl<const ATTEMPTS: u32> Scripted<ATTEMPTS> {
    pub fn new<F>(script: impl Fn(Run) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self {
            script: Arc::new(Box::new(move |run| Box::pin(script(run)))),
            runs: Arc::default(),
        }
    }

    pub fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

impl<const ATTEMPTS: u32> Handler for Scripted<ATTEMPTS> {
    const NAME: &'static str = HANDLER;
    const ATTEMPTS: u32 = ATTEMPTS;
    const GAVE_UP: &'static str = GAVE_UP;
    type Consumes = RecordingUploaded;
    type Publishes = RecordingStored;
    type Fails = RecordingFailed;

    async fn handle(&self, message: RecordingUploaded, context: &Context) -> Answer {
        let number = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let context = context.clone();
        (self.script)(Run {
            number,
            message,
            context,
        })
        .await
    }

    fn failed(
        &self,
        message: &RecordingUploaded,
        redrive: u32,
        reason: String,
    ) -> Option<RecordingFailed> {
        Some(RecordingFailed {
            session_id: message.session_id,
            recording_id: message.recording_id,
            run: message.run,
            redrive: i32::try_from(redrive).unwrap_or(i32::MAX),
            reason,
        })
    }
}
