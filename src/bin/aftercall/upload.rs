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

#[cfg(test)]
mod tests {
    use aftercall::ids::RecordingId;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    const ID: &str = "01980000-0000-7000-8000-000000000001";

    /// A server whose pipeline ends with these states.
    fn server(recording: &'static str, transcription: &'static str) -> Router {
        let session = move || {
            let stage = |state| {
                let reason = (state == "failed").then_some("The file is damaged.");
                json!({ "state": state, "attempt": 1, "reason": reason, "progress": null })
            };
            json!({
                "id": ID,
                "status": "recorded",
                "title": null,
                "stages": {
                    "recording": stage(recording),
                    "transcription": stage(transcription),
                    "analysis": stage("pending"),
                },
            })
        };
        let uploaded = json!({ "recording_id": ID, "session_id": ID, "status": "recorded" });
        let event = |seq: i64, event_type: &str| {
            let data = json!({ "recording_id": ID });
            let at = "2026-11-21T10:00:00Z";
            let entry = json!({ "seq": seq, "type": event_type, "at": at, "data": data });
            format!("id: {seq}\ndata: {entry}\n\n")
        };
        let last = if recording == "failed" {
            "recording.failed"
        } else {
            "recording.stored"
        };
        let events = event(1, "recording.uploaded") + &event(2, last);
        let answer = |value: Value| move || async { Json(value) };
        Router::new()
            .route("/api/v1/sessions", post(answer(session())))
            .route("/api/v1/sessions/{id}", get(answer(session())))
            .route(
                "/api/v1/sessions/{id}/upload-recording",
                post(answer(uploaded)),
            )
            .route(
                "/api/v1/sessions/{id}/events",
                get(move || async move { events }),
            )
    }

    async fn upload_to(router: Router, follow: bool) -> anyhow::Result<()> {
        aftercall::lifecycle::install_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await });
        let file = tempfile::NamedTempFile::new()?;
        let args = Args {
            file: file.path().to_owned(),
            follow,
            url: None,
            token: None,
            session: None,
            title: None,
        };
        let env = Env::default().with([("AFTERCALL_URL", url.as_str()), ("AFTERCALL_TOKEN", "t")]);
        run(args, &env).await
    }

    #[tokio::test]
    async fn a_stage_that_fails_fails_the_command() {
        let error = upload_to(server("failed", "pending"), true)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the recording failed: The file is damaged."
        );
        upload_to(server("done", "skipped"), true).await.unwrap();
        // Who does not follow does not learn of it.
        upload_to(server("failed", "pending"), false).await.unwrap();
    }

    #[tokio::test]
    async fn what_the_server_refuses_is_told() {
        let refuse = || async { StatusCode::UNAUTHORIZED.into_response() };
        let error = upload_to(Router::new().fallback(refuse), true)
            .await
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "401 Unauthorized");
    }

    #[tokio::test]
    async fn nothing_is_made_for_a_file_that_is_not_there() {
        let args = |token: Option<&str>| Args {
            file: "/absent/call.wav".into(),
            follow: false,
            url: Some("http://127.0.0.1:1".to_owned()),
            token: token.map(SecretString::from),
            session: Some(SessionId::from(RecordingId::generate().as_uuid())),
            title: None,
        };
        aftercall::lifecycle::install_tls();
        let error = run(args(None), &Env::default()).await.unwrap_err();
        assert!(error.to_string().contains("AFTERCALL_TOKEN"), "{error}");
        let error = run(args(Some("t")), &Env::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "could not read /absent/call.wav");
    }
}
