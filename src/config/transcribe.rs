//! Who transcribes, and how Amazon Transcribe is asked.

use std::time::Duration;

use serde::Serialize;

use super::{ConfigError, Env, ObjectStore};

/// Speakers that Amazon Transcribe tells apart on one channel
/// (<https://docs.aws.amazon.com/transcribe/latest/APIReference/API_Settings.html>).
const MAX_SPEAKERS: std::ops::RangeInclusive<u8> = 1..=30;

/// Who transcribes recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechProvider {
    /// A server that speaks `POST /v1/audio/transcriptions`.
    OpenAi,
    /// Amazon Transcribe.
    Aws,
}

/// Amazon Transcribe, in the account and region of the bucket of recordings.
#[derive(Clone, Debug)]
pub struct AwsTranscribe {
    pub account: ObjectStore,
    /// Unset is Amazon's own.
    pub endpoint_url: Option<String>,
    /// The role with which the service reads and writes the bucket; unset, the caller's rights count.
    pub role_arn: Option<String>,
    /// Shortest pause between two questions about a job.
    pub poll: Duration,
    /// Longest recording that is accepted.
    pub max_audio: Duration,
    pub job: TranscribeJob,
}

/// What a job asks for where a request does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TranscribeJob {
    /// Call Analytics for recordings with two channels.
    pub call_analytics: bool,
    /// BCP 47, as the service spells it; unset, it finds the language out.
    pub language: Option<String>,
    /// The languages to choose from, at least two, or none for all.
    pub language_options: Vec<String>,
    /// Name of a custom vocabulary, which belongs to one language.
    pub vocabulary: Option<String>,
    pub redact_pii: bool,
    /// Speakers to tell apart on one channel; 1 tells none apart.
    pub max_speakers: u8,
    /// The channel of a call's agent.
    pub agent_channel: u8,
}

impl SpeechProvider {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        env.one_of(
            "TRANSCRIPTION_PROVIDER",
            &[("openai", Self::OpenAi), ("aws", Self::Aws)],
        )
    }
}

impl AwsTranscribe {
    pub fn read(env: &Env) -> Result<Self, ConfigError> {
        let own = env.http_url("AWS_ENDPOINT_URL_TRANSCRIBE")?;
        Ok(Self {
            account: ObjectStore::read(env)?,
            endpoint_url: own
                .map_or_else(|| env.http_url("AWS_ENDPOINT_URL"), |url| Ok(Some(url)))?,
            role_arn: env.optional("AWS_TRANSCRIBE_ROLE_ARN"),
            poll: env.seconds("AWS_TRANSCRIBE_POLL_SECONDS")?,
            max_audio: env.seconds("TRANSCRIPTION_MAX_AUDIO_SECONDS")?,
            job: TranscribeJob::read(env)?,
        })
    }
}

impl TranscribeJob {
    fn read(env: &Env) -> Result<Self, ConfigError> {
        let wrong = |name, expected: &str| ConfigError::Wrong {
            name,
            expected: expected.to_owned(),
        };
        let language = env.optional("AWS_TRANSCRIBE_LANGUAGE");
        let vocabulary = env.optional("AWS_TRANSCRIBE_VOCABULARY");
        if vocabulary.is_some() && language.is_none() {
            let expected = "unset where AWS_TRANSCRIBE_LANGUAGE is: it belongs to one language";
            return Err(wrong("AWS_TRANSCRIBE_VOCABULARY", expected));
        }
        let listed = env.optional("AWS_TRANSCRIBE_LANGUAGE_OPTIONS");
        let listed = listed.unwrap_or_default();
        let listed = listed.split(',').map(|option| option.trim().to_owned());
        let language_options: Vec<_> = listed.filter(|option| !option.is_empty()).collect();
        if language_options.len() == 1 {
            let expected = "two languages or more, between commas";
            return Err(wrong("AWS_TRANSCRIBE_LANGUAGE_OPTIONS", expected));
        }
        let max_speakers: u8 = env.parsed("AWS_TRANSCRIBE_MAX_SPEAKERS", "from 1 to 30")?;
        if !MAX_SPEAKERS.contains(&max_speakers) {
            return Err(wrong("AWS_TRANSCRIBE_MAX_SPEAKERS", "from 1 to 30"));
        }
        Ok(Self {
            call_analytics: env.one_of(
                "AWS_TRANSCRIBE_MODE",
                &[("standard", false), ("call_analytics", true)],
            )?,
            language,
            language_options,
            vocabulary,
            redact_pii: env.flag("AWS_TRANSCRIBE_REDACT_PII")?,
            max_speakers,
            agent_channel: env.one_of("AWS_TRANSCRIBE_AGENT_CHANNEL", &[("0", 0), ("1", 1)])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_find_the_language_out() {
        let read = AwsTranscribe::read(&Env::default()).expect("the defaults");
        assert_eq!((read.job.language, read.job.max_speakers), (None, 10));
        assert_eq!(
            SpeechProvider::read(&Env::default()),
            Ok(SpeechProvider::OpenAi)
        );
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_at_the_start() {
        for (name, value) in [
            ("AWS_TRANSCRIBE_VOCABULARY", "clinic"),
            ("AWS_TRANSCRIBE_LANGUAGE_OPTIONS", "en-US"),
            ("AWS_TRANSCRIBE_MAX_SPEAKERS", "31"),
            ("AWS_TRANSCRIBE_MAX_SPEAKERS", "0"),
            ("AWS_TRANSCRIBE_AGENT_CHANNEL", "2"),
            ("AWS_TRANSCRIBE_MODE", "medical"),
            ("AWS_ENDPOINT_URL_TRANSCRIBE", "transcribe"),
        ] {
            let error = AwsTranscribe::read(&Env::default().with([(name, value)]));
            let error = error.expect_err(value).to_string();
            assert!(error.starts_with(&format!("{name} must be ")), "{error}");
        }
    }
}
