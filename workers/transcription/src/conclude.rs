//! What follows when a recording is transcribed: its result, and with the session's last recording
//! the session's transcript and the request to analyse it.

use aftercall::db::timeline::{self, LockedSession, RecordError};
use aftercall::db::transcriptions::{self, Outcome};
use aftercall::db::{Db, Tx, analyses, transcripts};
use aftercall::events::{AnalysisRequested, Publishes, RecordingTranscribed, TranscriptCompleted};

use crate::ROLE;
use crate::permission::Attempt;

aftercall::publishes! {
    /// What follows when a recording is transcribed, or may not be.
    pub enum Published {
        RecordingTranscribed, TranscriptionSkipped, TranscriptCompleted, AnalysisRequested,
    }
}

/// Writes the outcome, if there is one to write, and what follows from it, in one transaction. An
/// outcome that may not be kept any more is dropped.
///
/// Everything here is written once: a second call answers the same facts.
pub async fn conclude(
    db: &Db,
    attempt: Attempt<'_>,
    outcome: Option<&Outcome<'_>>,
) -> Result<Vec<Published>, RecordError> {
    let event = attempt.event;
    let mut tx = db.begin(ROLE).await?;
    let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
        return Ok(Vec::new());
    };
    if let Some(outcome) = outcome {
        if let Some(skipped) = attempt.skip_if_forbidden(&mut tx, &session).await? {
            tx.commit().await?;
            return Ok(vec![skipped.into()]);
        }
        let (recording_id, generation) = (event.recording_id, event.generation);
        transcriptions::finish(
            &mut tx,
            session.account_id,
            recording_id,
            generation,
            outcome,
        )
        .await?;
    }
    let mut published: Vec<Published> = vec![
        RecordingTranscribed {
            session_id: event.session_id,
            recording_id: event.recording_id,
            generation: event.generation,
        }
        .into(),
    ];
    if let Some(generation) = transcripts::compose(&mut tx, &session, event.generation).await? {
        published.push(
            TranscriptCompleted {
                session_id: event.session_id,
                generation,
                given: false,
            }
            .into(),
        );
        if session.auto_analyze {
            published.push(
                ask_for_analysis(&mut tx, &session, generation)
                    .await?
                    .into(),
            );
        }
    }
    let facts: Vec<_> = published
        .iter()
        .cloned()
        .map(Publishes::into_fact)
        .collect();
    timeline::record(&mut tx, &session, &facts).await?;
    tx.commit().await?;
    Ok(published)
}

async fn ask_for_analysis(
    tx: &mut Tx,
    session: &LockedSession,
    transcript_generation: i32,
) -> Result<AnalysisRequested, RecordError> {
    if let Some(asked) = analyses::first_of_transcript(tx, session, transcript_generation).await? {
        return Ok(asked);
    }
    let generation = session.analysis_generation + 1;
    analyses::request(tx, session, generation, transcript_generation).await?;
    Ok(AnalysisRequested {
        session_id: session.session_id,
        generation,
        run: 1,
        transcript_generation,
    })
}
