//! Whether a recording may be heard: decided before anything leaves this machine, again before each
//! chunk, and once more when the result is written. Consent that is withdrawn meanwhile ends the run.

use aftercall::db::recordings::{self, Recording};
use aftercall::db::timeline::{self, LockedSession, RecordError};
use aftercall::db::transcriptions;
use aftercall::db::{Db, Tx, policies};
use aftercall::events::{TranscriptionRequested, TranscriptionSkipped};
use serde_json::json;

use crate::ROLE;

/// One attempt at a transcription.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub event: &'a TranscriptionRequested,
    /// Which redrive of the run this is; 0 is the run itself.
    pub redrive: i32,
    /// Who would hear the recording, as transcripts name it.
    pub engine: &'a str,
}

/// What is to be done.
#[derive(Debug)]
pub enum Admission {
    Hear(Box<Recording>),
    /// The result is there already.
    Done,
    Skipped(TranscriptionSkipped),
    /// The recording is gone.
    Gone,
}

impl Attempt<'_> {
    /// Decides about the whole run. A skip is recorded in the transaction that decides it.
    pub async fn admit(&self, db: &Db) -> Result<Admission, RecordError> {
        let (recording_id, generation) = (self.event.recording_id, self.event.generation);
        let mut tx = db.begin(ROLE).await?;
        let Some(session) = timeline::lock(&mut tx, self.event.session_id).await? else {
            return Ok(Admission::Gone);
        };
        let asked = transcriptions::get(&mut tx, recording_id, generation).await?;
        if asked.as_ref().is_some_and(|asked| asked.state == "done") {
            return Ok(Admission::Done);
        }
        // A skipped run is over: what changed since makes another one.
        if let Some(skipped) = self.skipped_before(&mut tx, &session).await? {
            return Ok(Admission::Skipped(skipped));
        }
        // Withdrawn consent may have erased what was asked for: the stage says so all the same.
        if let Some(skipped) = self.skip_if_forbidden(&mut tx, &session).await? {
            tx.commit().await?;
            return Ok(Admission::Skipped(skipped));
        }
        let recording = recordings::get(&mut tx, recording_id).await?;
        tx.commit().await?;
        let recording = asked.and(recording);
        Ok(recording.map_or(Admission::Gone, |it| Admission::Hear(Box::new(it))))
    }

    /// Whether audio may be sent now, and its text kept. Until `tx` ends, nobody can withdraw consent.
    pub async fn may_go_on(&self, tx: &mut Tx) -> Result<bool, RecordError> {
        if timeline::hold(tx, self.event.session_id).await?.is_none() {
            return Ok(false);
        }
        let rules = policies::rules(tx, self.event.session_id).await?;
        Ok(rules.is_some_and(|rules| rules.may_transcribe(self.engine).is_ok()))
    }

    /// Records the skip of this attempt if the rules forbid it.
    pub async fn skip_if_forbidden(
        &self,
        tx: &mut Tx,
        session: &LockedSession,
    ) -> Result<Option<TranscriptionSkipped>, RecordError> {
        let rules = policies::rules(tx, session.session_id).await?;
        let decided = rules.unwrap_or_default().may_transcribe(self.engine);
        let Err(skip) = decided else {
            return Ok(None);
        };
        let skipped = TranscriptionSkipped {
            session_id: self.event.session_id,
            recording_id: self.event.recording_id,
            generation: self.event.generation,
            run: self.event.run,
            redrive: self.redrive,
            reason_code: skip.code,
            reason: skip.reason.to_owned(),
        };
        timeline::record(tx, session, &[skipped.clone().into()]).await?;
        Ok(Some(skipped))
    }

    async fn skipped_before(
        &self,
        tx: &mut Tx,
        session: &LockedSession,
    ) -> Result<Option<TranscriptionSkipped>, RecordError> {
        let attempt = json!({
            "recording_id": self.event.recording_id,
            "generation": self.event.generation,
            "run": self.event.run,
            "redrive": self.redrive,
        });
        timeline::find(tx, session, attempt).await
    }
}
