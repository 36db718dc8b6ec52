//! The requests of the service.

use std::time::Duration;

use aftercall::config;
use aftercall::events::JobKind;
use aftercall::providers::aws;
use aftercall::worker::Failure;
use aws_sdk_transcribe::Client;
use aws_sdk_transcribe::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_transcribe::types::{
    CallAnalyticsJob, CallAnalyticsJobStatus, JobExecutionSettings, Media, ParticipantRole,
    TranscriptionJobStatus,
};

use super::error::{TranscribeError, transcribe_error};
use super::failure::sentence;
use super::request::Request;

/// Who waits for a slow service asks this much less often than who waits for a job.
const PATIENCE: u32 = 3;

/// Amazon Transcribe; clones share their connections.
#[derive(Clone, Debug)]
pub struct Transcribe {
    client: Client,
    role_arn: Option<String>,
    /// Until the next request while the service is busy or away.
    pause: Duration,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Running,
    Done(Finished),
    Failed { reason: Option<String> },
}

/// What is known of a job that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub language: Option<String>,
    /// The address of its output.
    pub written_to: Option<String>,
    /// The channel that it was told to take for the agent's.
    pub agent_channel: Option<u16>,
}

impl Transcribe {
    /// Prepares a client; talks to nobody yet.
    pub async fn connect(settings: &config::AwsTranscribe) -> Self {
        let shared = aws::settings(&settings.account, settings.endpoint_url.as_deref()).await;
        Self {
            client: Client::new(&shared),
            role_arn: settings.role_arn.clone(),
            pause: settings.poll.saturating_mul(PATIENCE),
        }
    }

    /// Starts a job. One of the same name is the same job: it was started before.
    pub async fn start(&self, request: &Request) -> Result<(), TranscribeError> {
        let started = match request.kind {
            JobKind::Standard => self.start_standard(request).await,
            JobKind::CallAnalytics => self.start_call_analytics(request).await,
        };
        match started {
            Err(StartError::Exists) => {
                tracing::info!(job = request.name, "was started before");
                Ok(())
            }
            Err(StartError::Other(error)) => Err(error),
            Ok(()) => Ok(()),
        }
    }

    /// How far a job is.
    pub async fn progress(&self, kind: JobKind, name: &str) -> Result<Progress, TranscribeError> {
        let progress = match kind {
            JobKind::Standard => self.standard_progress(name).await,
            JobKind::CallAnalytics => self.call_analytics_progress(name).await,
        };
        // A name is all that is asked with: refused is one that the service does not know.
        progress.map_err(|error| match error {
            TranscribeError::Refused { .. } => TranscribeError::NotFound,
            error => error,
        })
    }

    /// A refusal is for good. While the service is busy or away everybody waits, which is no failure of
    /// a recording: only the handler's deadline ends it. The rest is tried again and counted.
    pub fn cannot_ask(&self, error: TranscribeError) -> Failure {
        match error {
            TranscribeError::Refused { ref message, .. } => {
                let reason = sentence(message.as_deref());
                Failure::reject_because(reason, error)
            }
            TranscribeError::Throttled(_) | TranscribeError::Unavailable(_) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(error, "asked again later");
                Failure::NotYet(self.pause)
            }
            error => Failure::Retry(error.into()),
        }
    }

    async fn start_standard(&self, request: &Request) -> Result<(), StartError> {
        // With a role a job over the account's limit waits in a queue in place of being refused.
        let execution = self.role_arn.as_ref().map(|role| {
            JobExecutionSettings::builder()
                .allow_deferred_execution(true)
                .data_access_role_arn(role)
                .build()
        });
        self.client
            .start_transcription_job()
            .transcription_job_name(&request.name)
            .media(media(request))
            .set_media_format(request.media_format.clone())
            .output_bucket_name(&request.bucket)
            .output_key(&request.output_key)
            .set_language_code(request.language_code())
            .set_identify_language(request.identifies_language())
            .set_language_options(request.language_options())
            .settings(request.settings())
            .set_content_redaction(request.redaction())
            .set_job_execution_settings(execution)
            .send()
            .await
            .map(drop)
            .map_err(StartError::of)
    }

    async fn start_call_analytics(&self, request: &Request) -> Result<(), StartError> {
        self.client
            .start_call_analytics_job()
            .call_analytics_job_name(&request.name)
            .media(media(request))
            .output_location(&request.output_uri)
            .set_data_access_role_arn(self.role_arn.clone())
            .settings(request.call_analytics_settings())
            .set_channel_definitions(Some(request.channel_definitions()))
            .send()
            .await
            .map(drop)
            .map_err(StartError::of)
    }

    async fn standard_progress(&self, name: &str) -> Result<Progress, TranscribeError> {
        let asked = self.client.get_transcription_job();
        let answer = asked.transcription_job_name(name).send().await;
        let job = answer.map_err(transcribe_error)?.transcription_job;
        let job = job.ok_or(TranscribeError::NotFound)?;
        Ok(match job.transcription_job_status {
            Some(TranscriptionJobStatus::Completed) => Progress::Done(Finished {
                language: job.language_code.map(|code| code.as_str().to_owned()),
                written_to: job
                    .transcript
                    .and_then(|it| it.redacted_transcript_file_uri.or(it.transcript_file_uri)),
                agent_channel: None,
            }),
            Some(TranscriptionJobStatus::Failed) => Progress::Failed {
                reason: job.failure_reason,
            },
            _ => Progress::Running,
        })
    }

    async fn call_analytics_progress(&self, name: &str) -> Result<Progress, TranscribeError> {
        let asked = self.client.get_call_analytics_job();
        let answer = asked.call_analytics_job_name(name).send().await;
        let job = answer.map_err(transcribe_error)?.call_analytics_job;
        let job = job.ok_or(TranscribeError::NotFound)?;
        Ok(match job.call_analytics_job_status {
            Some(CallAnalyticsJobStatus::Completed) => Progress::Done(Finished {
                agent_channel: agent_channel(&job),
                language: job.language_code.map(|code| code.as_str().to_owned()),
                written_to: job
                    .transcript
                    .and_then(|it| it.redacted_transcript_file_uri.or(it.transcript_file_uri)),
            }),
            Some(CallAnalyticsJobStatus::Failed) => Progress::Failed {
                reason: job.failure_reason,
            },
            _ => Progress::Running,
        })
    }
}

/// Why a job was not started.
enum StartError {
    Exists,
    Other(TranscribeError),
}

impl StartError {
    fn of<E>(error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if error.code() == Some("ConflictException") {
            Self::Exists
        } else {
            Self::Other(transcribe_error(error))
        }
    }
}

/// The settings may have changed since the job was started.
fn agent_channel(job: &CallAnalyticsJob) -> Option<u16> {
    let mut sides = job.channel_definitions().iter();
    let agent = sides.find(|side| side.participant_role == Some(ParticipantRole::Agent))?;
    u16::try_from(agent.channel_id).ok()
}

fn media(request: &Request) -> Media {
    Media::builder().media_file_uri(&request.media_uri).build()
}

#[cfg(test)]
mod tests {
    use aftercall::config::{AwsTranscribe, Env};

    use super::super::error::Source;
    use super::*;

    async fn service(url: &str) -> Transcribe {
        let env = Env::default().with([
            ("AWS_ENDPOINT_URL_TRANSCRIBE", url),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]);
        Transcribe::connect(&AwsTranscribe::read(&env).expect("settings")).await
    }

    #[tokio::test]
    async fn only_what_waiting_does_not_mend_is_counted() {
        let service = service("http://127.0.0.1:9").await;
        let source = || Source::from("a fault");
        for nobodys in [
            TranscribeError::Throttled(source()),
            TranscribeError::Unavailable(source()),
        ] {
            let failure = service.cannot_ask(nobodys);
            assert!(
                matches!(failure, Failure::NotYet(pause) if pause == Duration::from_secs(30)),
                "{failure:?}"
            );
        }
        for counted in [TranscribeError::NotFound, TranscribeError::Fault(source())] {
            assert!(matches!(service.cannot_ask(counted), Failure::Retry(_)));
        }
        let refused = TranscribeError::Refused {
            message: Some("No.".to_owned()),
            source: source(),
        };
        assert!(matches!(
            service.cannot_ask(refused),
            Failure::Reject { .. }
        ));
    }

    #[tokio::test]
    async fn a_service_that_cannot_be_reached_is_away() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let service = service(&format!("http://{address}")).await;
        let error = service.progress(JobKind::Standard, "a-job").await;
        assert!(
            matches!(error, Err(TranscribeError::Unavailable(_))),
            "{error:?}"
        );
    }
}
