//! The status of a session and of its stages: a pure function of the set of its facts.
//!
//! Invariant: [`SessionState::of`] gives the same answer for any order and any repetition of the same
//! facts, so facts may arrive out of order and more than once. It is computed in the transaction that
//! records a fact (`db::timeline`), never changed in place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::events::{Fact, Stage};
use crate::ids::RecordingId;

/// How far a session is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Created,
    Active,
    Ended,
    Recorded,
    Transcribed,
    Analyzed,
    Completed,
    /// The newest attempt at a first result failed for good; the stage says why.
    Failed,
}

/// Status and stages of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionState {
    pub status: Status,
    pub stages: Stages,
}

/// The three stages of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stages {
    pub recording: StageState,
    pub transcription: StageState,
    pub analysis: StageState,
}

/// Where a stage is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageState {
    pub state: Phase,
    /// Counts the runs of the current generation; 0 before the first.
    pub attempt: i32,
    /// Why the stage failed or was skipped, in a sentence for the people in the session.
    pub reason: Option<String>,
    /// From 0 to 1, while it is running.
    pub progress: Option<f64>,
}

/// The phase of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    Pending,
    Running,
    Done,
    Failed,
    Skipped,
}

impl Status {
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Active,
        Self::Ended,
        Self::Recorded,
        Self::Transcribed,
        Self::Analyzed,
        Self::Completed,
        Self::Failed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Recorded => "recorded",
            Self::Transcribed => "transcribed",
            Self::Analyzed => "analyzed",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no status.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a status: use one of created, active, ended, recorded, transcribed, analyzed, completed, failed"
)]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    /// Reads a status in any case.
    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(text))
            .ok_or(UnknownStatus)
    }
}

impl SessionState {
    pub fn of<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        Summary::of(facts).state()
    }
}

/// An attempt at a stage: generation, run, redrive. Later attempts are greater.
type Attempt = (i32, i32, i32);

/// Attempts at one piece of work, and what became of them.
#[derive(Default)]
struct Work {
    attempts: BTreeSet<Attempt>,
    failed: BTreeMap<Attempt, String>,
    skipped: BTreeMap<Attempt, String>,
    /// Generations with a result.
    done: BTreeSet<i32>,
    /// Milliseconds done of a total, by generation.
    progress: BTreeMap<i32, (i64, i64)>,
}

impl Work {
    fn requested(&mut self, attempt: Attempt) {
        self.attempts.insert(attempt);
    }

    fn failed(&mut self, attempt: Attempt, reason: &str) {
        self.attempts.insert(attempt);
        keep_greater(self.failed.entry(attempt).or_default(), reason);
    }

    fn skipped(&mut self, attempt: Attempt, reason: &str) {
        self.attempts.insert(attempt);
        keep_greater(self.skipped.entry(attempt).or_default(), reason);
    }

    fn newest_generation(&self) -> Option<i32> {
        self.attempts
            .last()
            .map(|attempt| attempt.0)
            .max(self.done.last().copied())
    }

    /// Why the newest attempt failed, if it did and its generation has no result.
    fn failure(&self) -> Option<&str> {
        self.newest_of(&self.failed)
    }

    /// Why the newest attempt was skipped, if it was and its generation has no result.
    fn skip(&self) -> Option<&str> {
        self.newest_of(&self.skipped)
    }

    fn newest_of<'a>(&self, reasons: &'a BTreeMap<Attempt, String>) -> Option<&'a str> {
        let newest = self.attempts.last()?;
        let superseded = self.done.iter().any(|generation| *generation >= newest.0);
        let reason = reasons.get(newest).filter(|_| !superseded);
        reason.map(String::as_str)
    }

    fn runs_of(&self, generation: i32) -> i32 {
        let runs = self
            .attempts
            .iter()
            .filter(|attempt| attempt.0 == generation);
        runs.map(|attempt| attempt.1).max().unwrap_or(1)
    }
}

/// What the facts say, gathered without regard to their order.
#[derive(Default)]
struct Summary {
    has_room: bool,
    auto_transcribe: bool,
    auto_analyze: bool,
    auto_complete: bool,
    started: bool,
    ended: bool,
    signed_off: bool,
    /// Recordings that count for the status.
    first: BTreeSet<RecordingId>,
    /// Recordings that are to be fetched.
    asked: BTreeSet<RecordingId>,
    /// Recordings that arrived when the session was already transcribed.
    late: BTreeSet<RecordingId>,
    checks: BTreeMap<RecordingId, Work>,
    transcriptions: BTreeMap<RecordingId, Work>,
    /// Generations of the session's transcript.
    transcripts: BTreeSet<i32>,
    /// The first of them came with the call: no recording counts for the status.
    given: bool,
    analysis: Work,
}

impl Summary {
    fn of<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        let mut all = Self {
            auto_transcribe: true,
            auto_analyze: true,
            ..Self::default()
        };
        for fact in facts {
            all.add(fact);
        }
        all
    }

    fn add(&mut self, fact: &Fact) {
        match fact {
            Fact::SessionCreated(e) => {
                self.has_room |= e.has_room;
                self.auto_transcribe &= e.auto_transcribe;
                self.auto_analyze &= e.auto_analyze;
                self.auto_complete |= e.auto_complete;
            }
            Fact::SessionStarted(_) => self.started = true,
            Fact::SessionEnded(_) => self.ended = true,
            Fact::SessionCompleted(_) => self.signed_off = true,
            Fact::RecordingRequested(e) => {
                self.check(e.recording_id).requested((1, e.run, 0));
                self.asked.insert(e.recording_id);
            }
            Fact::RecordingUploaded(e) => {
                self.check(e.recording_id).requested((1, e.run, 0));
                let counted = if e.late {
                    &mut self.late
                } else {
                    &mut self.first
                };
                counted.insert(e.recording_id);
            }
            Fact::RecordingStored(e) => {
                self.check(e.recording_id).done.insert(1);
            }
            Fact::RecordingFailed(e) => {
                self.check(e.recording_id)
                    .failed((1, e.run, e.redrive), &e.reason);
            }
            Fact::TranscriptionRequested(e) => {
                self.transcription(e.recording_id)
                    .requested((e.generation, e.run, 0));
            }
            Fact::TranscriptProgressed(e) => {
                let work = self.transcription(e.recording_id);
                let kept = work.progress.entry(e.generation).or_default();
                *kept = (kept.0.max(e.done_ms), kept.1.max(e.total_ms));
            }
            Fact::RecordingTranscribed(e) => {
                self.transcription(e.recording_id).done.insert(e.generation);
            }
            Fact::TranscriptionFailed(e) => {
                let attempt = (e.generation, e.run, e.redrive);
                self.transcription(e.recording_id)
                    .failed(attempt, &e.reason);
            }
            Fact::TranscriptionSkipped(e) => {
                let attempt = (e.generation, e.run, e.redrive);
                self.transcription(e.recording_id)
                    .skipped(attempt, &e.reason);
            }
            Fact::TranscriptCompleted(e) => {
                self.transcripts.insert(e.generation);
                self.given |= e.given;
            }
            Fact::AnalysisRequested(e) => self.analysis.requested((e.generation, e.run, 0)),
            Fact::AnalysisCompleted(e) => {
                self.analysis.done.insert(e.generation);
            }
            Fact::AnalysisFailed(e) => {
                self.analysis
                    .failed((e.generation, e.run, e.redrive), &e.reason);
            }
            Fact::AnalysisSkipped(e) => {
                self.analysis
                    .skipped((e.generation, e.run, e.redrive), &e.reason);
            }
            Fact::StageRedriven(e) => {
                let attempt = (e.generation, e.run, e.redrive);
                match (e.stage, e.recording_id) {
                    (Stage::Recording, Some(id)) => self.check(id).requested(attempt),
                    (Stage::Transcription, Some(id)) => self.transcription(id).requested(attempt),
                    (Stage::Analysis, _) => self.analysis.requested(attempt),
                    (Stage::Recording | Stage::Transcription, None) => {}
                }
            }
            // A run that was asked for is running, whoever does the work. What was reached was reached;
            // whether it can still be read is for the rows to say.
            Fact::TranscriptionStarted(_) | Fact::ErasureRequested(_) => {}
        }
    }

    fn check(&mut self, recording: RecordingId) -> &mut Work {
        self.checks.entry(recording).or_default()
    }

    fn transcription(&mut self, recording: RecordingId) -> &mut Work {
        self.transcriptions.entry(recording).or_default()
    }

    fn state(&self) -> SessionState {
        SessionState {
            status: self.status(),
            stages: Stages {
                recording: self.recording_stage(),
                transcription: self.transcription_stage(),
                analysis: self.analysis_stage(),
            },
        }
    }

    fn status(&self) -> Status {
        let live = (self.has_room || self.started) && !self.ended;
        let analyzed = self.transcribed() && !self.analysis.done.is_empty();
        if self.signed_off || (analyzed && !live && self.auto_complete) {
            Status::Completed
        } else if self.first_result_failed() {
            Status::Failed
        } else if analyzed {
            Status::Analyzed
        } else if self.transcribed() {
            Status::Transcribed
        } else if !self.first.is_empty() {
            Status::Recorded
        } else if self.ended {
            Status::Ended
        } else if live {
            Status::Active
        } else {
            Status::Created
        }
    }

    /// Every recording that counts is transcribed, and the session's transcript is written; or it was
    /// given.
    fn transcribed(&self) -> bool {
        let mut counted = self.counted().peekable();
        let recorded = counted.peek().is_some();
        !self.transcripts.is_empty()
            && (self.given || (recorded && counted.all(|id| self.has_transcript(*id))))
    }

    /// The recordings that count for the status, be they still to be fetched.
    fn counted(&self) -> impl Iterator<Item = &RecordingId> {
        let to_come = self.asked.difference(&self.late);
        let to_come = to_come.filter(|id| !self.first.contains(id));
        self.first.iter().chain(to_come)
    }

    fn has_transcript(&self, recording: RecordingId) -> bool {
        self.transcriptions
            .get(&recording)
            .is_some_and(|work| !work.done.is_empty())
    }

    /// Whether the newest attempt at a stage's first result failed.
    fn first_result_failed(&self) -> bool {
        let failed = |work: Option<&Work>| work.is_some_and(|work| work.failure().is_some());
        let of_recording = |id: &RecordingId| {
            failed(self.checks.get(id))
                || (!self.has_transcript(*id) && failed(self.transcriptions.get(id)))
        };
        (!self.given && self.counted().any(of_recording))
            || (self.analysis.done.is_empty() && failed(Some(&self.analysis)))
    }

    fn recording_stage(&self) -> StageState {
        let attempt = self
            .checks
            .values()
            .map(|work| work.runs_of(1))
            .max()
            .unwrap_or(0);
        let failure = self.checks.values().find_map(Work::failure);
        let phase = match failure {
            _ if self.checks.is_empty() => Phase::Pending,
            Some(_) => Phase::Failed,
            None if self.checks.values().all(|work| !work.done.is_empty()) => Phase::Done,
            None => Phase::Running,
        };
        StageState {
            state: phase,
            attempt,
            reason: failure.map(str::to_owned),
            progress: None,
        }
    }

    fn transcription_stage(&self) -> StageState {
        let Some(generation) = self
            .transcriptions
            .values()
            .filter_map(Work::newest_generation)
            .max()
        else {
            if !self.transcripts.is_empty() {
                return StageState {
                    state: Phase::Done,
                    ..StageState::default()
                };
            }
            let stored = !self.checks.is_empty() && self.recording_stage().state == Phase::Done;
            return not_requested(stored && !self.auto_transcribe, "transcription");
        };
        let of_generation: Vec<_> = self
            .transcriptions
            .values()
            .filter(|work| work.newest_generation() == Some(generation))
            .collect();
        let failure = of_generation.iter().find_map(|work| work.failure());
        let finished = self.transcripts.contains(&generation)
            && of_generation
                .iter()
                .all(|work| work.done.contains(&generation));
        // Others may still be at work: the stage is skipped when all that is left was.
        let mut left = of_generation
            .iter()
            .filter(|work| !work.done.contains(&generation));
        let skip = left.clone().find_map(|work| work.skip());
        let skip = skip.filter(|_| left.all(|work| work.skip().is_some()));
        let (phase, progress) = match (failure, skip) {
            (Some(_), _) => (Phase::Failed, None),
            (None, _) if finished => (Phase::Done, None),
            (None, Some(_)) => (Phase::Skipped, None),
            (None, None) => (Phase::Running, Some(progress(&of_generation, generation))),
        };
        StageState {
            state: phase,
            attempt: of_generation
                .iter()
                .map(|work| work.runs_of(generation))
                .max()
                .unwrap_or(0),
            reason: failure.or(skip).map(str::to_owned),
            progress,
        }
    }

    fn analysis_stage(&self) -> StageState {
        let Some(generation) = self.analysis.newest_generation() else {
            return not_requested(
                !self.transcripts.is_empty() && !self.auto_analyze,
                "analysis",
            );
        };
        let (failure, skip) = (self.analysis.failure(), self.analysis.skip());
        let phase = match (failure, skip) {
            (Some(_), _) => Phase::Failed,
            (None, _) if self.analysis.done.contains(&generation) => Phase::Done,
            (None, Some(_)) => Phase::Skipped,
            (None, None) => Phase::Running,
        };
        StageState {
            state: phase,
            attempt: self.analysis.runs_of(generation),
            reason: failure.or(skip).map(str::to_owned),
            progress: None,
        }
    }
}

/// Of two reasons for one attempt the greater stands, so that order does not matter.
fn keep_greater(kept: &mut String, reason: &str) {
    if kept.as_str() < reason {
        reason.clone_into(kept);
    }
}

/// The mean progress of the recordings of a generation, from 0 to 1.
fn progress(works: &[&Work], generation: i32) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share of milliseconds needs no precision"
    )]
    let share = |work: &&Work| match work.progress.get(&generation) {
        _ if work.done.contains(&generation) => 1.0,
        Some((done, total)) if *total > 0 => (*done as f64 / *total as f64).clamp(0.0, 1.0),
        _ => 0.0,
    };
    #[expect(clippy::cast_precision_loss, reason = "a session has few recordings")]
    let mean = works.iter().map(share).sum::<f64>() / works.len().max(1) as f64;
    (mean * 1000.0).round() / 1000.0
}

fn not_requested(skipped: bool, stage: &str) -> StageState {
    if skipped {
        StageState {
            state: Phase::Skipped,
            reason: Some(format!("Automatic {stage} is off for this session.")),
            ..StageState::default()
        }
    } else {
        StageState::default()
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
