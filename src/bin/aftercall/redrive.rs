//! Sending a dead letter again to the one handler that gave it up.

use aftercall::bus::{Bus, BusError};
use aftercall::db::dead_letters::{self, Letter};
use aftercall::db::timeline::{self, LockedSession, RecordError};
use aftercall::db::{Db, Principal, Tx, WorkerRole, outbox};
use aftercall::events::{
    AnalysisRequested, DecodeError, Event, Fact, Message, RecordingRequested, RecordingUploaded,
    Stage, StageRedriven, TranscriptionRequested, TranscriptionStarted,
};
use aftercall::ids::DeadLetterId;
use aftercall::worker::redrive_message;

/// What the facts of this program name as their source.
const SOURCE: &str = "aftercall/cli";
const MAINTENANCE: Principal = Principal::Worker(WorkerRole::Maintenance);

#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    #[error("there is no dead letter {0}")]
    Absent(DeadLetterId),
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error("the stage could not be marked as redriven")]
    Record(#[from] RecordError),
    /// The letter counts as redriven, and nothing was sent: the same command sends it.
    #[error("the message could not be sent: try again")]
    Publish(#[from] BusError),
}

/// Sends a letter again and answers which redrive that is, from 1.
///
/// The stage stops being failed in the transaction that counts the redrive; then the message is
/// sent. A program that dies in between leaves a letter that can be redriven again.
pub async fn redrive(db: &Db, bus: &Bus, id: DeadLetterId) -> Result<i32, RedriveError> {
    let absent = || RedriveError::Absent(id);
    let mut tx = db.begin(MAINTENANCE).await?;
    // Read first: a session is locked before any other row of it, and the letter names it.
    let letter = dead_letters::get(&mut tx, id)
        .await?
        .ok_or_else(absent)?
        .letter;
    tx.commit().await?;

    let mut tx = db.begin(MAINTENANCE).await?;
    let session = match letter.session_id {
        Some(session) => timeline::lock(&mut tx, session).await?,
        None => None,
    };
    let redrive = dead_letters::mark_redriven(&mut tx, id)
        .await?
        .ok_or_else(absent)?;
    let announced = match (session, redriven_stage(&letter, redrive)) {
        (Some(session), Some(fact)) => Some(announce(&mut tx, &session, fact).await?),
        _ => None,
    };
    tx.commit().await?;

    redrive_message(&letter, redrive).publish(bus).await?;
    if let Some((session, message)) = announced {
        // The outbox has it if this fails; it only wakes those who watch the session.
        if let Err(error) = publish(db, bus, &session, message).await {
            eprintln!("warning: maintenance will announce the redrive: {error:#}");
        }
    }
    Ok(redrive)
}

async fn announce(
    tx: &mut Tx,
    session: &LockedSession,
    fact: StageRedriven,
) -> Result<(LockedSession, Message), RedriveError> {
    let fact = [Fact::from(fact)];
    timeline::record(tx, session, &fact).await?;
    let messages = outbox::insert(tx, session, SOURCE, None, &fact).await?;
    let message = messages.into_iter().next().expect("one fact, one message");
    Ok((*session, message))
}

async fn publish(
    db: &Db,
    bus: &Bus,
    session: &LockedSession,
    message: Message,
) -> anyhow::Result<()> {
    let id = message.envelope.id;
    let headers = message.envelope.headers();
    bus.publish(&message.subject, headers, message.data, &id.to_string())
        .await?;
    let mut tx = db.begin(MAINTENANCE).await?;
    outbox::delete(&mut tx, session.account_id, &[id]).await?;
    tx.commit().await?;
    Ok(())
}

/// The stage that a letter's message starts; `None` for a message that starts none, or that cannot
/// be read, which may be why it is dead.
fn redriven_stage(letter: &Letter, redrive: i32) -> Option<StageRedriven> {
    let (session_id, stage, recording_id, generation, run) = match letter.event_type.as_deref()? {
        RecordingRequested::TYPE => {
            let fact: RecordingRequested = read(letter).ok()?;
            (
                fact.session_id,
                Stage::Recording,
                Some(fact.recording_id),
                1,
                fact.run,
            )
        }
        RecordingUploaded::TYPE => {
            let fact: RecordingUploaded = read(letter).ok()?;
            (
                fact.session_id,
                Stage::Recording,
                Some(fact.recording_id),
                1,
                fact.run,
            )
        }
        TranscriptionRequested::TYPE => {
            let fact: TranscriptionRequested = read(letter).ok()?;
            let recording = Some(fact.recording_id);
            (
                fact.session_id,
                Stage::Transcription,
                recording,
                fact.generation,
                fact.run,
            )
        }
        TranscriptionStarted::TYPE => {
            let fact: TranscriptionStarted = read(letter).ok()?;
            // A redrive of the run may have started what is collected here.
            let redrive = redrive + fact.redrive;
            return (letter.session_id == Some(fact.session_id)).then_some(StageRedriven {
                session_id: fact.session_id,
                stage: Stage::Transcription,
                recording_id: Some(fact.recording_id),
                generation: fact.generation,
                run: fact.run,
                redrive,
            });
        }
        AnalysisRequested::TYPE => {
            let fact: AnalysisRequested = read(letter).ok()?;
            (
                fact.session_id,
                Stage::Analysis,
                None,
                fact.generation,
                fact.run,
            )
        }
        _ => return None,
    };
    // The subject, which the session was found by, and the body may disagree in a forged message.
    (letter.session_id == Some(session_id)).then_some(StageRedriven {
        session_id,
        stage,
        recording_id,
        generation,
        run,
        redrive,
    })
}

fn read<E: Event>(letter: &Letter) -> Result<E, DecodeError> {
    let headers = &letter.headers;
    let envelope = aftercall::events::Envelope::from_headers(|name| headers.get(name)?.as_str())?;
    E::decode(&envelope, &letter.data)
}

#[cfg(test)]
mod tests;
