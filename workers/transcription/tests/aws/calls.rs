//! A stand-in for the Call Analytics jobs of Amazon Transcribe. What it reads and writes goes through the
//! SDK's own deserializers and serializers, so that it speaks as the service does.

use std::sync::{Arc, Mutex, PoisonError};

use aftercall::providers::object_store::ObjectStore;
use aws_sdk_transcribe::operation::get_call_analytics_job::{
    GetCallAnalyticsJobInput, GetCallAnalyticsJobOutput,
};
use aws_sdk_transcribe::operation::start_call_analytics_job::{
    StartCallAnalyticsJobInput, StartCallAnalyticsJobOutput,
};
use aws_sdk_transcribe::types::{
    CallAnalyticsJob, CallAnalyticsJobStatus, LanguageCode, Transcript,
};
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::codec::Codec;
use aws_smithy_schema::serde::{SerializableStruct, ShapeSerializer};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::front::refusal;

/// A job goes one step each time it is asked about.
const STEPS: [CallAnalyticsJobStatus; 3] = [
    CallAnalyticsJobStatus::Queued,
    CallAnalyticsJobStatus::InProgress,
    CallAnalyticsJobStatus::Completed,
];

/// A running stand-in; ends when it is dropped.
pub struct Calls {
    address: std::net::SocketAddr,
    seen: Arc<Seen>,
    _serving: JoinSet<std::io::Result<()>>,
}

struct Seen {
    store: ObjectStore,
    output: &'static str,
    fails: Option<&'static str>,
    jobs: Mutex<Vec<Job>>,
}

struct Job {
    input: StartCallAnalyticsJobInput,
    /// How often it was asked about.
    asked: usize,
}

impl Calls {
    /// Each job that is done has written `output`, unless it `fails`.
    pub async fn start(
        store: ObjectStore,
        output: &'static str,
        fails: Option<&'static str>,
    ) -> Self {
        let seen = Arc::new(Seen {
            store,
            output,
            fails,
            jobs: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            seen,
            _serving: serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for with each job that was started.
    pub fn started(&self) -> Vec<StartCallAnalyticsJobInput> {
        self.seen
            .jobs()
            .iter()
            .map(|job| job.input.clone())
            .collect()
    }
}

impl Seen {
    fn jobs(&self) -> std::sync::MutexGuard<'_, Vec<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start_job(&self, body: &[u8]) -> Response {
        let mut reader = JsonCodec::default().create_deserializer(body);
        let input = StartCallAnalyticsJobInput::deserialize(&mut reader).expect("a request");
        let name = input.call_analytics_job_name.clone();
        let known = |job: &Job| job.input.call_analytics_job_name == name;
        if self.jobs().iter().any(known) {
            return refusal(StatusCode::BAD_REQUEST, "ConflictException", "It exists.");
        }
        let location = input.output_location.clone().expect("a place");
        let key = location.splitn(4, '/').nth(3).expect("a key").to_owned();
        if self.fails.is_none() {
            let put = self.store.put(&key, "application/json", self.output.into());
            put.await.expect("written");
        }
        let job = CallAnalyticsJob::builder().set_call_analytics_job_name(name);
        let job = job.call_analytics_job_status(CallAnalyticsJobStatus::Queued);
        self.jobs().push(Job { input, asked: 0 });
        let output = StartCallAnalyticsJobOutput::builder().call_analytics_job(job.build());
        written(&output.build())
    }

    fn tell(&self, body: &[u8]) -> Response {
        let mut reader = JsonCodec::default().create_deserializer(body);
        let input = GetCallAnalyticsJobInput::deserialize(&mut reader).expect("a request");
        let name = input.call_analytics_job_name;
        let mut jobs = self.jobs();
        let found = jobs
            .iter_mut()
            .find(|job| job.input.call_analytics_job_name == name);
        let Some(found) = found else {
            return refusal(StatusCode::BAD_REQUEST, "NotFoundException", "No such job.");
        };
        let status = STEPS[found.asked.min(STEPS.len() - 1)].clone();
        found.asked += 1;
        let done = status == CallAnalyticsJobStatus::Completed;
        let key = found.input.output_location.as_deref().expect("a place");
        let written_to = key.replace("s3://", "https://s3.us-east-1.amazonaws.com/");
        let job = CallAnalyticsJob::builder()
            .set_call_analytics_job_name(name)
            .set_channel_definitions(found.input.channel_definitions.clone());
        let job = match self.fails {
            Some(reason) if done => job
                .call_analytics_job_status(CallAnalyticsJobStatus::Failed)
                .failure_reason(reason),
            None if done => job
                .call_analytics_job_status(status)
                .language_code(LanguageCode::EnUs)
                .transcript(
                    Transcript::builder()
                        .transcript_file_uri(written_to)
                        .build(),
                ),
            _ => job.call_analytics_job_status(status),
        };
        let output = GetCallAnalyticsJobOutput::builder().call_analytics_job(job.build());
        written(&output.build())
    }
}

async fn answer(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok());
    match target {
        Some("Transcribe.StartCallAnalyticsJob") => seen.start_job(&body).await,
        Some("Transcribe.GetCallAnalyticsJob") => seen.tell(&body),
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

fn written(output: &impl SerializableStruct) -> Response {
    let mut writer = JsonCodec::default().create_serializer();
    writer
        .write_struct(output.schema(), output)
        .expect("a serialized answer");
    let body = writer.finish();
    ([("content-type", "application/x-amz-json-1.1")], body).into_response()
}
