//! `aftercall upload`: a recording to any server, and what becomes of it.

use std::path::PathBuf;

use aftercall::client::terminal::{self, PipelineProgress};
use aftercall::client::{Client, Outcome, SessionDraft};
use aftercall::config::Env;
use aftercall::ids::{RecordingId, SessionId};
use anyhow::{Context, bail};
use secrecy::SecretString;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// WAV, MP3, FLAC, Ogg/Opus, MP4/M4A or WebM.
    file: PathBuf,
    /// Wait for transcript and analysis, and print them.
    #[arg(long)]
    follow: bool,
    /// Address of the server; AFTERCALL_URL, or else this machine's port 8000.
    #[arg(long)]
    url: Option<String>,
    /// An access token; AFTERCALL_TOKEN keeps it out of the list of processes.
    #[arg(long, value_parser = secret)]
    token: Option<SecretString>,
    /// Add the recording to this session instead of a new one.
    #[arg(long, value_name = "ID", conflicts_with = "title")]
    session: Option<SessionId>,
    /// Title of the new session.
    #[arg(long)]
    title: Option<String>,
}

pub async fn run(args: Args, env: &Env) -> anyhow::Result<()> {
    let url = args.url.map_or_else(|| env.text("AFTERCALL_URL"), Ok)?;
    let token = args
        .token
        .or_else(|| env.optional_secret("AFTERCALL_TOKEN"));
    let token = token.context("no access token: set AFTERCALL_TOKEN or use --token")?;
    let client = Client::of(&url)?.with_token(token);
    // A file that cannot be read should not leave an empty session behind.
    let metadata = tokio::fs::metadata(&args.file).await;
    let length = metadata
        .with_context(|| format!("could not read {}", args.file.display()))?
        .len();

    let session = match args.session {
        Some(session) => session,
        None => {
            client
                .create_session(&SessionDraft { title: args.title })
                .await?
                .id
        }
    };
    println!("session    {session}");
    let mut progress = PipelineProgress::start(length, args.follow);
    let key = RecordingId::generate().to_string();
    let sent = client
        .upload(session, &args.file, &key, progress.upload())
        .await;
    let recording = match sent {
        Ok(uploaded) => uploaded.recording_id,
        Err(error) => {
            progress.finish();
            return Err(error).context("the upload failed");
        }
    };
    progress.uploaded();
    if !args.follow {
        progress.finish();
        println!("recording  {recording}");
        return Ok(());
    }
    let outcome = client
        .follow_to_the_end(session, Some(recording), |_, now| {
            progress.show(&now.stages);
        })
        .await;
    progress.finish();
    println!("recording  {recording}");
    report(&client, session, outcome?).await
}

async fn report(client: &Client, session: SessionId, outcome: Outcome) -> anyhow::Result<()> {
    match outcome {
        Outcome::Failed { stage, reason } => bail!("the {stage} failed: {reason}"),
        Outcome::Skipped {
            stage: "recording" | "transcription",
        } => Ok(()),
        Outcome::Skipped { .. } => {
            println!(
                "\n{}",
                terminal::transcript(&client.transcript(session).await?)
            );
            Ok(())
        }
        Outcome::Done => {
            println!(
                "\n{}",
                terminal::transcript(&client.transcript(session).await?)
            );
            let answer = client.analysis(session).await?;
            let analysis = answer.analysis.context("the server has no analysis")?;
            print!("{}", terminal::analysis(&analysis));
            Ok(())
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the form that clap takes a parser in"
)]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}
