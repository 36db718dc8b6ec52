//! What follows when a recording is transcribed: its result, and with the session's last recording
//! the session's transcript and the request to analyse it.

use aftercall::db::timeline::{self, LockedSession, RecordError};
use aftercall::db::transcriptions::{self, Outcome};
use aftercall::db::{Db, Tx, analyses, transcripts};
use aftercall::events::{
    AnalysisRequested, Publishes, RecordingTranscribed, TranscriptCompleted, TranscriptionRequested,
};

use crate::transcribe_recording::ROLE;

aftercall::publishes! {
    /// What follows when a recording is transcribed.
    pub enum Published { RecordingTranscribed, TranscriptCompleted, AnalysisRequested }
}

/// Writes the outcome, if there is one to write, and what follows from it, in one transaction.
///
/// Everything here is written once: a second call answers the same facts.
pub async fn conclude(
    db: &Db,
    event: &TranscriptionRequested,
    outcome: Option<&Outcome<'_>>,
) -> Result<Vec<Published>, RecordError> {
    let mut tx = db.begin(ROLE).await?;
    let Some(session) = timeline::lock(&mut tx, event.session_id).await? else {
        return Ok(Vec::new());
    };
    if let Some(outcome) = outcome {
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
