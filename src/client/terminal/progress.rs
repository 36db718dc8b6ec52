//! A session on its way through the pipeline: lines that move on a terminal, and lines that follow
//! each other anywhere else.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{percent, printable};
use crate::session::{Phase, StageState, Stages};

const UPLOAD: &str = "{spinner} {prefix:14} {bar:32} {bytes} of {total_bytes}";
const STAGE: &str = "{spinner} {prefix:14} {bar:32} {msg}";
const TICK: Duration = Duration::from_millis(100);
const STAGES: [&str; 3] = ["recording", "transcription", "analysis"];
/// A stage's bar in steps of a thousandth.
const STEPS: u64 = 1000;

/// Shows an upload and then the stages of its session.
#[derive(Debug)]
pub struct PipelineProgress {
    lines: MultiProgress,
    upload: ProgressBar,
    /// None of them where only the upload is of interest.
    stages: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    bar: ProgressBar,
    /// What was shown last.
    shown: String,
}

impl PipelineProgress {
    /// Begins with an upload of so many bytes.
    pub fn start(upload_bytes: u64, with_stages: bool) -> Self {
        let lines = MultiProgress::new();
        let upload = lines.add(ProgressBar::new(upload_bytes));
        upload.set_style(style(UPLOAD));
        upload.set_prefix("upload");
        let names: &[_] = if with_stages { &STAGES } else { &[] };
        let stages = names.iter().map(|name| {
            let bar = lines.add(ProgressBar::new(STEPS));
            bar.set_style(style(STAGE));
            bar.set_prefix(*name);
            bar.set_message("waiting");
            Line {
                name,
                bar,
                shown: String::new(),
            }
        });
        let stages = stages.collect();
        Self {
            lines,
            upload,
            stages,
        }
    }

    /// Takes the bytes that an upload has sent so far, from any thread.
    pub fn upload(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let bar = self.upload.clone();
        move |bytes| bar.set_position(bytes)
    }

    pub fn uploaded(&self) {
        self.upload.finish();
        if self.lines.is_hidden() {
            eprintln!("uploaded");
        }
    }

    pub fn show(&mut self, stages: &Stages) {
        let plain = self.lines.is_hidden();
        let states = [&stages.recording, &stages.transcription, &stages.analysis];
        for (line, state) in self.stages.iter_mut().zip(states) {
            line.show(state, plain);
        }
    }

    /// Leaves the lines as they are.
    pub fn finish(&self) {
        self.upload.abandon();
        for line in &self.stages {
            line.bar.abandon();
        }
        if !self.lines.is_hidden() {
            // The lines end without one.
            eprintln!();
        }
    }
}

impl Line {
    fn show(&mut self, state: &StageState, plain: bool) {
        let text = describe(state);
        if text == self.shown {
            return;
        }
        if plain && state.state != Phase::Pending {
            eprintln!("{}: {text}", self.name);
        }
        self.bar.set_position(steps(state));
        self.bar.set_message(text.clone());
        match state.state {
            Phase::Pending => {}
            Phase::Running => self.bar.enable_steady_tick(TICK),
            Phase::Done | Phase::Failed | Phase::Skipped => {
                self.bar.disable_steady_tick();
                self.bar.tick();
            }
        }
        self.shown = text;
    }
}

fn describe(state: &StageState) -> String {
    let reason = || printable(state.reason.as_deref().unwrap_or_default());
    let text = match (state.state, state.progress) {
        (Phase::Pending, _) => "waiting".to_owned(),
        (Phase::Running, Some(share)) if share > 0.0 => percent(share),
        (Phase::Running, _) => "running".to_owned(),
        (Phase::Done, _) => "done".to_owned(),
        (Phase::Failed, _) => format!("failed: {}", reason()),
        (Phase::Skipped, _) => "skipped".to_owned(),
    };
    if state.attempt > 1 {
        format!("{text}, run {}", state.attempt)
    } else {
        text
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped to the thousand steps of a bar"
)]
fn steps(state: &StageState) -> u64 {
    match (state.state, state.progress) {
        (Phase::Done, _) => STEPS,
        (_, Some(share)) => (share.clamp(0.0, 1.0) * STEPS as f64) as u64,
        _ => 0,
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are written right")
        .progress_chars("=> ")
        .tick_chars("|/-\\ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: Phase, progress: Option<f64>) -> StageState {
        StageState {
            state,
            attempt: 1,
            reason: Some("Nobody\u{1b} answered.".to_owned()),
            progress,
        }
    }

    #[test]
    fn each_phase_is_told_in_a_word_or_a_reason() {
        let told = |phase, progress| describe(&state(phase, progress));
        assert_eq!(told(Phase::Pending, None), "waiting");
        assert_eq!(told(Phase::Running, Some(0.0)), "running");
        assert_eq!(told(Phase::Running, Some(0.421)), "42 %");
        assert_eq!(told(Phase::Done, None), "done");
        assert_eq!(told(Phase::Failed, None), "failed: Nobody  answered.");
        let mut again = state(Phase::Running, None);
        again.attempt = 3;
        assert_eq!(describe(&again), "running, run 3");
    }

    #[test]
    fn a_bar_is_full_only_when_its_stage_is_done() {
        assert_eq!(steps(&state(Phase::Running, Some(0.5))), 500);
        assert_eq!(steps(&state(Phase::Running, Some(7.0))), STEPS);
        assert_eq!(steps(&state(Phase::Done, None)), STEPS);
        assert_eq!(steps(&state(Phase::Failed, None)), 0);
    }
}
