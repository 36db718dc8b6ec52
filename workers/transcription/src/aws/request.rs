//! Which job a recording allows, under which name, and with which settings.
//!
//! Limits: <https://docs.aws.amazon.com/transcribe/latest/dg/limits-guidelines.html>

use aftercall::config::TranscribeJob;
use aftercall::db::recordings::Recording;
use aftercall::documents::transcription_options::TranscriptionOptions;
use aftercall::events::{JobKind, TranscriptionRequested};
use aws_sdk_transcribe::types::{
    CallAnalyticsJobSettings, ChannelDefinition, ContentRedaction, LanguageCode, MediaFormat,
    ParticipantRole, RedactionOutput, RedactionType, Settings,
};
use sha2::{Digest, Sha256};

/// What the service takes at most, and at least.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_ms: i64,
    pub max_bytes: i64,
    /// Of a Call Analytics job.
    pub max_call_bytes: i64,
    pub min_ms: i64,
    pub min_sample_rate_hz: i32,
    pub max_sample_rate_hz: i32,
}

impl Limits {
    /// Those of the service.
    pub const SERVICE: Self = Self {
        max_ms: 4 * 60 * 60 * 1000,
        max_bytes: 2_000_000_000,
        max_call_bytes: 500_000_000,
        min_ms: 500,
        min_sample_rate_hz: 8_000,
        max_sample_rate_hz: 48_000,
    };

    pub const fn max_bytes(&self, kind: JobKind) -> i64 {
        match kind {
            JobKind::Standard => self.max_bytes,
            JobKind::CallAnalytics => self.max_call_bytes,
        }
    }
}

/// What is asked of the service for one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub kind: JobKind,
    /// Call Analytics was asked for, and the recording has not two channels.
    pub fell_back: bool,
    /// The settings, with what the request asked for in their place.
    pub job: TranscribeJob,
    /// Channels that the service can tell apart; of more, all are mixed into one.
    pub channels: u16,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: JobKind,
    pub name: String,
    pub bucket: String,
    pub output_key: String,
    pub output_uri: String,
    pub media_uri: String,
    pub media_format: Option<MediaFormat>,
    pub plan: Plan,
}

impl Plan {
    /// `None` where a vocabulary is asked for without the language that it belongs to.
    pub fn of(
        settings: &TranscribeJob,
        options: &TranscriptionOptions,
        recording: &Recording,
    ) -> Option<Self> {
        let mut job = settings.clone();
        if let Some(language) = &options.language {
            // A vocabulary of the settings belongs to their language.
            if job.language.as_ref() != Some(language) {
                job.vocabulary = None;
            }
            job.language = Some(language.clone());
        }
        if let Some(vocabulary) = &options.vocabulary {
            job.vocabulary = Some(vocabulary.clone());
        }
        job.max_speakers = options.max_speakers.unwrap_or(job.max_speakers);
        job.redact_pii = options.redact_pii.unwrap_or(job.redact_pii);
        job.call_analytics = options.call_analytics.unwrap_or(job.call_analytics);
        if job.vocabulary.is_some() && job.language.is_none() {
            return None;
        }
        let channels = u16::try_from(recording.channels.unwrap_or(1)).unwrap_or(1);
        let kind = if job.call_analytics && channels == 2 {
            JobKind::CallAnalytics
        } else {
            JobKind::Standard
        };
        Some(Self {
            kind,
            fell_back: job.call_analytics && kind == JobKind::Standard,
            job,
            channels: if channels == 2 { 2 } else { 1 },
        })
    }

    /// What the names of a run's jobs begin with: what they are made of, and what is asked for. The
    /// service refuses a name that it has seen, so the same run is never started twice.
    pub fn base_name(&self, event: &TranscriptionRequested, redrive: i32) -> String {
        let asked = serde_json::to_vec(&(self.kind, &self.job)).expect("settings are plain data");
        let [a, b, c, d, ..] = Sha256::digest(asked).0;
        format!(
            "aftercall-{}-{}-{}-{redrive}-{:08x}",
            event.recording_id.0.simple(),
            event.generation,
            event.run,
            u32::from_be_bytes([a, b, c, d]),
        )
    }

    /// Whether the service takes the recording as it lies in the bucket.
    pub fn takes(&self, recording: &Recording, limits: &Limits) -> bool {
        let fits = recording.duration_ms.is_some_and(|ms| {
            (limits.min_ms..=limits.max_ms).contains(&ms)
                && recording.size_bytes <= limits.max_bytes(self.kind)
        });
        let has_channels = recording.channels.is_none_or(|channels| channels <= 2);
        let sample_rates = limits.min_sample_rate_hz..=limits.max_sample_rate_hz;
        let has_rate = recording
            .sample_rate_hz
            .is_none_or(|rate| sample_rates.contains(&rate));
        fits && has_channels && has_rate && media_format(&recording.content_type).is_some()
    }
}

impl Request {
    pub fn language_code(&self) -> Option<LanguageCode> {
        let language = self.plan.job.language.as_deref();
        language.map(LanguageCode::from)
    }

    pub fn identifies_language(&self) -> Option<bool> {
        self.plan.job.language.is_none().then_some(true)
    }

    /// The languages to choose from, where the service chooses.
    pub fn language_options(&self) -> Option<Vec<LanguageCode>> {
        let options = &self.plan.job.language_options;
        let codes = options.iter().map(|code| LanguageCode::from(code.as_str()));
        (self.plan.job.language.is_none() && !options.is_empty()).then(|| codes.collect())
    }

    pub fn settings(&self) -> Settings {
        let job = &self.plan.job;
        let settings = Settings::builder().set_vocabulary_name(job.vocabulary.clone());
        if self.plan.channels == 2 {
            settings.channel_identification(true).build()
        } else if job.max_speakers > 1 {
            settings
                .show_speaker_labels(true)
                .max_speaker_labels(job.max_speakers.into())
                .build()
        } else {
            settings.build()
        }
    }

    pub fn redaction(&self) -> Option<ContentRedaction> {
        self.plan.job.redact_pii.then(|| {
            ContentRedaction::builder()
                .redaction_type(RedactionType::Pii)
                .redaction_output(RedactionOutput::Redacted)
                .build()
                .expect("both that are required are set")
        })
    }

    pub fn call_analytics_settings(&self) -> CallAnalyticsJobSettings {
        // Here a fixed language is the only one to choose from.
        let fixed = self.language_code().map(|code| vec![code]);
        CallAnalyticsJobSettings::builder()
            .set_vocabulary_name(self.plan.job.vocabulary.clone())
            .set_content_redaction(self.redaction())
            .set_language_options(fixed.or_else(|| self.language_options()))
            .build()
    }

    pub fn channel_definitions(&self) -> Vec<ChannelDefinition> {
        let role = |channel: u8| {
            if channel == self.plan.job.agent_channel {
                ParticipantRole::Agent
            } else {
                ParticipantRole::Customer
            }
        };
        let channels = [0, 1].into_iter();
        channels
            .map(|channel| {
                ChannelDefinition::builder()
                    .channel_id(channel.into())
                    .participant_role(role(channel))
                    .build()
            })
            .collect()
    }
}

/// The service's word for a content type that recordings are stored under; `None` where it has none.
pub fn media_format(content_type: &str) -> Option<MediaFormat> {
    Some(match content_type {
        "audio/wav" => MediaFormat::Wav,
        "audio/mpeg" => MediaFormat::Mp3,
        "audio/flac" => MediaFormat::Flac,
        "audio/ogg" => MediaFormat::Ogg,
        "audio/mp4" => MediaFormat::Mp4,
        "audio/webm" => MediaFormat::Webm,
        _ => return None,
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
