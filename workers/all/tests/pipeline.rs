//! The whole pipeline in this process on real servers, as a client sees it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::OnceLock;

use aftercall::client::{Client, ClientError, Outcome, SessionDraft, TimelineEvent};
use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use aftercall::ids::{RecordingId, SessionId};
use aftercall::session::Status;
use aftercall::telemetry::{self, PrometheusHandle};
use aftercall_all::demo::sample::Sample;
use aftercall_all::demo::score::Score;
use aftercall_all::pipeline::Pipeline;
use futures::TryStreamExt;
use futures::future::pending;
use secrecy::SecretString;
use tokio::net::TcpListener;
use uuid::Uuid;

/// Ingress and workers on the servers of one test.
struct Bench {
    harness: Harness,
    pipeline: Pipeline,
    url: String,
}

impl Bench {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pipeline =
            Pipeline::start(|process: Process| harness.env(process), listener, metrics()).unwrap();
        Self {
            harness,
            pipeline,
            url,
        }
    }

    /// A client on behalf of a user of its own.
    async fn user(&self) -> Client {
        let client = Client::of(&self.url).unwrap();
        let email = format!("{}@example.org", Uuid::now_v7().simple());
        let password = SecretString::from("correct horse");
        let signed_in = client.register(&email, "Test", &password).await.unwrap();
        assert!(signed_in.expires_in > 0);
        client.with_token(signed_in.access_token)
    }

    async fn finish(self) {
        self.harness.idle().await;
        self.pipeline.stop(pending::<()>()).await;
        self.harness.finish().await;
    }
}

/// The recorder of a process; tests that share one share its metrics.
fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| telemetry::install_metrics().unwrap())
}

/// Uploads a file and waits for what becomes of it.
async fn send(
    client: &Client,
    session: SessionId,
    file: &Path,
) -> (RecordingId, Outcome, Vec<TimelineEvent>) {
    let key = Uuid::now_v7().to_string();
    let uploaded = client.upload(session, file, &key, |_| ()).await.unwrap();
    assert_eq!(uploaded.session_id, session);
    let again = client.upload(session, file, &key, |_| ()).await.unwrap();
    assert_eq!(again.recording_id, uploaded.recording_id);
    let mut events = Vec::new();
    let outcome = client
        .follow_to_the_end(session, None, |event, _| events.push(event.clone()))
        .await
        .unwrap();
    (uploaded.recording_id, outcome, events)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_becomes_a_transcript_and_an_analysis() {
    let bench = Bench::start().await;
    let sample = Sample::clinic_call().unwrap();
    let client = bench.user().await;
    let draft = SessionDraft {
        title: Some("A call".to_owned()),
    };
    let session = client.create_session(&draft).await.unwrap();
    assert_eq!(session.status, Status::Created);

    let (recording, outcome, events) = send(&client, session.id, &sample.recording).await;
    assert_eq!(outcome, Outcome::Done);
    let types: Vec<_> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .filter(|of| *of != "transcript.progressed")
        .collect();
    let expected = [
        "session.created",
        "recording.uploaded",
        "recording.stored",
        "transcription.requested",
        "recording.transcribed",
        "transcript.completed",
        "analysis.requested",
        "analysis.completed",
    ];
    assert_eq!(types[..expected.len()], expected);
    let places: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(places, (1..).take(places.len()).collect::<Vec<i64>>());
    assert!(events.windows(2).all(|pair| pair[0].at <= pair[1].at));

    // Resumed in the middle, the stream is the rest of it.
    let rest = client.follow(session.id, 3);
    let count = places.len() - 3;
    let rest: Vec<_> = futures::StreamExt::take(rest, count)
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rest, events[3..]);

    let transcript = client.transcript(session.id).await.unwrap();
    assert_eq!(
        (transcript.session_id, transcript.generation),
        (session.id, 1)
    );
    assert!(
        transcript
            .turns
            .iter()
            .all(|turn| turn.recording_id == recording)
    );
    let score = Score::of(&transcript, &sample.turns);
    assert!(score.words.rate().unwrap() <= 0.05, "{score:?}");
    assert!(score.on_time_rate().unwrap() >= 0.95, "{score:?}");
    let text = client.transcript_text(session.id).await.unwrap();
    assert!(text.contains("Riverside Clinic"), "{text}");

    let analysis = client.analysis(session.id).await.unwrap().analysis.unwrap();
    assert_eq!(analysis.transcript_generation, 1);
    assert!(!analysis.summary.unwrap().is_empty());
    assert_eq!(analysis.talk.speakers.len(), 2);

    bench.harness.idle().await;
    let session = client.session(session.id).await.unwrap();
    assert_eq!(session.status, Status::Completed);
    bench.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_the_session_of_another() {
    let bench = Bench::start().await;
    let owner = bench.user().await;
    let session = owner
        .create_session(&SessionDraft::default())
        .await
        .unwrap()
        .id;
    let stranger = bench.user().await;
    let refused = |error: ClientError| match error {
        ClientError::Refused(problem) => problem.status,
        other => panic!("{other:?}"),
    };
    let file = Sample::clinic_call().unwrap().recording;
    assert_eq!(refused(stranger.session(session).await.unwrap_err()), 404);
    assert_eq!(
        refused(stranger.transcript(session).await.unwrap_err()),
        404
    );
    assert_eq!(refused(stranger.analysis(session).await.unwrap_err()), 404);
    let sent = stranger.upload(session, &file, "key", |_| ()).await;
    assert_eq!(refused(sent.unwrap_err()), 404);
    let events = stranger.follow(session, 0).try_collect::<Vec<_>>().await;
    assert_eq!(refused(events.unwrap_err()), 404);

    let nobody = Client::of(&bench.url).unwrap();
    assert_eq!(refused(nobody.session(session).await.unwrap_err()), 401);
    let forged = nobody.with_token(SecretString::from("x.y.z"));
    assert_eq!(refused(forged.session(session).await.unwrap_err()), 401);
    bench.finish().await;
}
