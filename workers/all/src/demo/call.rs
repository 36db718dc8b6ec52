//! One call on its way, as any client of the API would send it.

use std::time::{Duration, Instant};

use aftercall::client::terminal::PipelineProgress;
use aftercall::client::{Client, Outcome, SessionDraft, TimelineEvent};
use aftercall::documents::analysis::Analysis;
use aftercall::documents::transcript::Transcript;
use aftercall::ids::SessionId;
use anyhow::{Context, bail};
use secrecy::SecretString;
use uuid::Uuid;

use super::sample::Sample;

/// What became of it.
#[derive(Debug)]
pub struct Call {
    pub transcript: Transcript,
    pub analysis: Analysis,
    pub upload: Duration,
    /// The timeline from the upload on.
    pub events: Vec<TimelineEvent>,
}

/// Registers a user, creates a session, uploads the recording and follows it to the end.
pub async fn send(url: &str, sample: &Sample) -> anyhow::Result<Call> {
    let client = sign_up(Client::of(url)?).await?;
    let draft = SessionDraft {
        title: Some("Appointment moved to Thursday".to_owned()),
    };
    let session = client.create_session(&draft).await?.id;
    let length = std::fs::metadata(&sample.recording)
        .with_context(|| format!("could not read {}", sample.recording.display()))?
        .len();
    let mut progress = PipelineProgress::start(length, true);
    let followed = follow(&client, session, sample, &mut progress).await;
    progress.finish();
    let (upload, events) = followed?;
    let answer = client.analysis(session).await?;
    Ok(Call {
        transcript: client.transcript(session).await?,
        analysis: answer.analysis.context("the server has no analysis")?,
        upload,
        events,
    })
}

/// A user of this run only.
async fn sign_up(client: Client) -> anyhow::Result<Client> {
    let email = format!("demo-{}@example.org", Uuid::now_v7().simple());
    let password = SecretString::from(Uuid::new_v4().simple().to_string());
    let signed_in = client.register(&email, "Demo", &password).await?;
    Ok(client.with_token(signed_in.access_token))
}

async fn follow(
    client: &Client,
    session: SessionId,
    sample: &Sample,
    progress: &mut PipelineProgress,
) -> anyhow::Result<(Duration, Vec<TimelineEvent>)> {
    let begun = Instant::now();
    let key = Uuid::now_v7().to_string();
    let sent = client.upload(session, &sample.recording, &key, progress.upload());
    let recording = sent.await.context("the upload failed")?.recording_id;
    let upload = begun.elapsed();
    progress.uploaded();
    let mut events = Vec::new();
    let observe = |event: &TimelineEvent, now: &aftercall::client::Session| {
        progress.show(&now.stages);
        events.push(event.clone());
    };
    let outcome = client.follow_to_the_end(session, Some(recording), observe);
    match outcome.await? {
        Outcome::Done => Ok((upload, events)),
        Outcome::Skipped { stage } => bail!("the {stage} was skipped"),
        Outcome::Failed { stage, reason } => bail!("the {stage} failed: {reason}"),
    }
}
