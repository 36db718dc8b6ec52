//! Chunks and what the engine heard in them, as turns.
//!
//! Pure: no engine, no database. When a turn was is known from the cut, never from the engine,
//! whose segments may straddle a pause.

use aftercall::documents::transcript::{Turn, Word, speaker_of_channel};
use aftercall::ids::RecordingId;
use aftercall::providers::openai_audio::Transcription;

/// Chunks of one speaker are one turn while the pause between them is shorter than this: people
/// pause up to about a second and a half to think, and go on.
pub const TURN_PAUSE_MS: i64 = 1_500;

/// A text that is dropped as invented: the engine itself says that there was probably no speech
/// (Whisper's own limit is 0.6) and that it is not sure of what it wrote (its own limit is a mean
/// log-probability of -1).
/// <https://github.com/openai/whisper/blob/main/whisper/transcribe.py>
const NO_SPEECH_PROBABILITY: f64 = 0.6;
const UNSURE_CONFIDENCE: f64 = 0.368;

/// When a chunk was and what was heard in it.
#[derive(Clone, Debug)]
pub struct HeardChunk {
    pub channel: u16,
    /// Start of the audio that was sent.
    pub start_ms: i64,
    pub speech_start_ms: i64,
    pub speech_end_ms: i64,
    pub heard: Transcription,
}

/// The turns of one recording in the order in which they start.
///
/// `channels` are those that can be told apart: with one, everybody is `unknown`. The order of
/// `chunks` does not matter.
pub fn build_turns(recording_id: RecordingId, channels: u16, chunks: Vec<HeardChunk>) -> Vec<Turn> {
    let mut chunks: Vec<HeardChunk> = chunks
        .into_iter()
        .filter(|chunk| is_speech(&chunk.heard))
        .collect();
    chunks.sort_by_key(|chunk| (chunk.speech_start_ms, chunk.channel));
    let mut open: Vec<OpenTurn> = Vec::new();
    for chunk in chunks {
        match open.last_mut() {
            Some(last) if last.continues_with(&chunk) => last.append(chunk),
            _ => open.push(OpenTurn::new(chunk)),
        }
    }
    let numbered = (0..).zip(open);
    numbered
        .map(|(index, turn)| turn.finish(index, recording_id, channels))
        .collect()
}

fn is_speech(heard: &Transcription) -> bool {
    let invented = heard
        .no_speech_probability
        .is_some_and(|it| it > NO_SPEECH_PROBABILITY)
        && heard.confidence.is_some_and(|it| it < UNSURE_CONFIDENCE);
    !invented && heard.text.chars().any(char::is_alphanumeric)
}

struct OpenTurn {
    channel: u16,
    start_ms: i64,
    end_ms: i64,
    text: String,
    /// Sum of confidence times speech, and the speech that has a confidence, in milliseconds.
    confidence_ms: (f64, f64),
    words: Option<Vec<Word>>,
}

impl OpenTurn {
    fn new(chunk: HeardChunk) -> Self {
        let mut turn = Self {
            channel: chunk.channel,
            start_ms: chunk.speech_start_ms,
            end_ms: chunk.speech_end_ms,
            text: String::new(),
            confidence_ms: (0.0, 0.0),
            words: Some(Vec::new()),
        };
        turn.append(chunk);
        turn
    }

    /// Chunks come in the order of their start, so nobody else started to speak in between.
    fn continues_with(&self, chunk: &HeardChunk) -> bool {
        self.channel == chunk.channel && chunk.speech_start_ms - self.end_ms < TURN_PAUSE_MS
    }

    fn append(&mut self, chunk: HeardChunk) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(chunk.heard.text.trim());
        self.end_ms = self.end_ms.max(chunk.speech_end_ms);
        if let Some(confidence) = chunk.heard.confidence {
            let ms = length_ms(chunk.speech_end_ms - chunk.speech_start_ms);
            self.confidence_ms.0 += confidence * ms;
            self.confidence_ms.1 += ms;
        }
        // A list with the words of some chunks would look as if the others had none.
        self.words = self
            .words
            .take()
            .zip(chunk.heard.words)
            .map(|(mut words, more)| {
                words.extend(more.into_iter().map(|word| Word {
                    start_ms: chunk.start_ms + word.start_ms,
                    end_ms: chunk.start_ms + word.end_ms,
                    ..word
                }));
                words
            });
    }

    fn finish(self, index: u32, recording_id: RecordingId, channels: u16) -> Turn {
        let (sum, ms) = self.confidence_ms;
        Turn {
            index,
            speaker: speaker_of_channel(self.channel, channels),
            channel: self.channel,
            start_ms: self.start_ms,
            end_ms: self.end_ms,
            text: self.text,
            confidence: (ms > 0.0).then(|| sum / ms),
            words: self.words,
            recording_id,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a chunk is at most 28 s")]
fn length_ms(ms: i64) -> f64 {
    ms as f64
}
