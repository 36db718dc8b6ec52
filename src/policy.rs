//! What may be done with a session's recordings and text: the policy of its account, and what the
//! person in it agreed to.
//!
//! Not here: who obeys. Uploads ask [`Rules::may_record`], the workers [`Rules::may_transcribe`] and
//! [`Rules::may_analyze`].
//!
//! Invariant: a no always counts; silence is a no only where the policy needs consent.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::events::{ErasedPart, SkipCode};
use crate::ids::UserId;

/// The policy of an account. An account that never set one has the default: everything is allowed and
/// kept for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Days to keep recordings, from 1; `None` is for ever. So are the next two.
    pub keep_audio_days: Option<i32>,
    pub keep_transcripts_days: Option<i32>,
    pub keep_analyses_days: Option<i32>,
    pub consent_required: bool,
    /// Engines that may have audio; `None` is any.
    pub audio_engines: Option<Vec<String>>,
    /// Engines that may have text; `None` is any.
    pub text_engines: Option<Vec<String>>,
    /// What withdrawn consent leaves.
    pub keep_after_withdrawal: BTreeSet<Part>,
}

/// A part of a session that can be erased by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Recording,
    Transcript,
    Analysis,
}

/// What the person in a session agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    /// To being recorded.
    pub recording: bool,
    /// To automatic transcription and analysis.
    pub ai: bool,
    /// When it was noted.
    pub at: Timestamp,
    /// Who noted it.
    pub by: UserId,
}

/// Everything that decides about a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    pub policy: Policy,
    pub consent: Option<Consent>,
}

/// Why a stage may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skip {
    pub code: SkipCode,
    /// A sentence for the person who waits.
    pub reason: &'static str,
}

impl Part {
    pub const ALL: [Self; 3] = [Self::Recording, Self::Transcript, Self::Analysis];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Transcript => "transcript",
            Self::Analysis => "analysis",
        }
    }
}

impl From<Part> for ErasedPart {
    fn from(part: Part) -> Self {
        match part {
            Part::Recording => Self::Recording,
            Part::Transcript => Self::Transcript,
            Part::Analysis => Self::Analysis,
        }
    }
}

impl Consent {
    /// Whether stages may hear or read the session. Who may not be recorded is not heard either.
    const fn covers_ai(self) -> bool {
        self.recording && self.ai
    }

    /// What was made with what `after` takes back.
    fn withdrawn(self, after: Option<Self>) -> BTreeSet<Part> {
        let recording = after.is_some_and(|after| after.recording);
        let ai = after.is_some_and(|after| after.ai);
        let mut parts = BTreeSet::new();
        if self.recording && !recording {
            parts.extend(Part::ALL);
        }
        if self.ai && !ai {
            parts.extend([Part::Transcript, Part::Analysis]);
        }
        parts
    }
}

impl Rules {
    /// Whether a recording may be taken in.
    pub fn may_record(&self) -> bool {
        match self.consent {
            Some(consent) => consent.recording,
            None => !self.policy.consent_required,
        }
    }

    /// Whether `engine` may have the session's audio.
    pub fn may_transcribe(&self, engine: &str) -> Result<(), Skip> {
        self.agreed(
            "The consent that automatic transcription needs has not been noted.",
            "The person in this session does not agree to automatic transcription.",
        )?;
        allowed(
            self.policy.audio_engines.as_deref(),
            engine,
            "The policy of this account does not let the speech service hear its recordings.",
        )
    }

    /// Whether `engine` may have the session's transcript.
    pub fn may_analyze(&self, engine: &str) -> Result<(), Skip> {
        self.agreed(
            "The consent that automatic analysis needs has not been noted.",
            "The person in this session does not agree to automatic analysis.",
        )?;
        allowed(
            self.policy.text_engines.as_deref(),
            engine,
            "The policy of this account does not let the analysis engine read its transcripts.",
        )
    }

    /// What is to be erased when the consent becomes `after`.
    pub fn erased_by(&self, after: Option<Consent>) -> BTreeSet<Part> {
        let withdrawn = self.consent.map(|before| before.withdrawn(after));
        let withdrawn = withdrawn.unwrap_or_default();
        &withdrawn - &self.policy.keep_after_withdrawal
    }

    fn agreed(&self, missing: &'static str, refused: &'static str) -> Result<(), Skip> {
        let (code, reason) = match self.consent {
            Some(consent) if consent.covers_ai() => return Ok(()),
            None if !self.policy.consent_required => return Ok(()),
            None => (SkipCode::ConsentMissing, missing),
            Some(_) => (SkipCode::ConsentRefused, refused),
        };
        Err(Skip { code, reason })
    }
}

fn allowed(listed: Option<&[String]>, engine: &str, reason: &'static str) -> Result<(), Skip> {
    if listed.is_none_or(|listed| listed.iter().any(|name| names(name, engine))) {
        return Ok(());
    }
    let code = SkipCode::EngineNotAllowed;
    Err(Skip { code, reason })
}

/// Whether a listed name means this engine: `openai` and `openai/whisper-1` both mean
/// `openai/whisper-1`.
fn names(listed: &str, engine: &str) -> bool {
    engine
        .strip_prefix(listed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(recording: bool, ai: bool) -> Consent {
        Consent {
            recording,
            ai,
            at: Timestamp::UNIX_EPOCH,
            by: UserId::from(uuid::Uuid::nil()),
        }
    }

    fn rules(consent_required: bool, consent: Option<Consent>) -> Rules {
        let policy = Policy {
            consent_required,
            ..Policy::default()
        };
        Rules { policy, consent }
    }

    #[test]
    fn a_no_always_counts_and_silence_only_where_consent_is_needed() {
        // Needed, given, may record, may transcribe.
        let cases = [
            (false, None, true, None),
            (true, None, false, Some(SkipCode::ConsentMissing)),
            (true, Some((true, true)), true, None),
            (
                true,
                Some((true, false)),
                true,
                Some(SkipCode::ConsentRefused),
            ),
            (
                false,
                Some((true, false)),
                true,
                Some(SkipCode::ConsentRefused),
            ),
            (
                false,
                Some((false, true)),
                false,
                Some(SkipCode::ConsentRefused),
            ),
        ];
        for (needed, given, record, skip) in cases {
            let rules = rules(needed, given.map(|(recording, ai)| consent(recording, ai)));
            assert_eq!(rules.may_record(), record, "{rules:?}");
            let code = |decided: Result<(), Skip>| decided.err().map(|skip| skip.code);
            assert_eq!(code(rules.may_transcribe("openai/x")), skip, "{rules:?}");
            assert_eq!(code(rules.may_analyze("local")), skip, "{rules:?}");
        }
    }

    #[test]
    fn an_engine_is_allowed_by_its_name_or_what_it_begins_with() {
        let cases = [
            ("openai", "openai/whisper-1", true),
            ("openai/whisper-1", "openai/whisper-1", true),
            ("openai/whisper-1", "openai/whisper-1:int8", true),
            ("openai/whisper", "openai/whisper-1", false),
            ("openai/whisper-1", "openai", false),
            ("OpenAI", "openai/whisper-1", false),
            ("", "openai/whisper-1", false),
        ];
        for (listed, engine, expected) in cases {
            assert_eq!(names(listed, engine), expected, "{listed} {engine}");
        }
        let mut rules = rules(false, None);
        rules.policy.audio_engines = Some(Vec::new());
        let skip = rules
            .may_transcribe("openai/x")
            .expect_err("none is listed");
        assert_eq!(skip.code, SkipCode::EngineNotAllowed);
        assert!(rules.may_analyze("local").is_ok(), "text is another list");
    }

    #[test]
    fn what_is_taken_back_is_erased_except_what_the_policy_keeps() {
        let everything = BTreeSet::from(Part::ALL);
        let of_ai = BTreeSet::from([Part::Transcript, Part::Analysis]);
        let cases = [
            ((true, true), Some((true, true)), BTreeSet::new()),
            ((true, true), Some((true, false)), of_ai),
            ((true, true), Some((false, true)), everything.clone()),
            ((true, false), None, everything),
            ((false, false), Some((false, false)), BTreeSet::new()),
        ];
        for (before, after, parts) in cases {
            let after = after.map(|(recording, ai)| consent(recording, ai));
            let mut rules = rules(true, Some(consent(before.0, before.1)));
            assert_eq!(rules.erased_by(after), parts);
            rules.policy.keep_after_withdrawal = BTreeSet::from(Part::ALL);
            assert_eq!(rules.erased_by(after), BTreeSet::new());
        }
        assert_eq!(rules(true, None).erased_by(None), BTreeSet::new());
    }
}
