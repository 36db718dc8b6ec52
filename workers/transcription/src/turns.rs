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

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(channel: u16, start_ms: i64, end_ms: i64, text: &str) -> HeardChunk {
        HeardChunk {
            channel,
            start_ms: start_ms - 160,
            speech_start_ms: start_ms,
            speech_end_ms: end_ms,
            heard: Transcription {
                text: text.to_owned(),
                ..Transcription::default()
            },
        }
    }

    fn turns(channels: u16, chunks: Vec<HeardChunk>) -> Vec<Turn> {
        build_turns(RecordingId::generate(), channels, chunks)
    }

    fn texts(turns: &[Turn]) -> Vec<&str> {
        turns.iter().map(|turn| turn.text.as_str()).collect()
    }

    #[test]
    fn two_channels_are_two_speakers_in_the_order_of_their_start() {
        let found = turns(
            2,
            vec![
                chunk(1, 3_000, 5_000, "Hello."),
                chunk(0, 200, 2_500, "Good morning."),
            ],
        );
        assert_eq!(texts(&found), ["Good morning.", "Hello."]);
        let [first, second] = &found[..] else {
            panic!("two turns, not {}", found.len())
        };
        assert_eq!((first.index, first.speaker.as_str()), (0, "speaker_0"));
        assert_eq!((second.index, second.speaker.as_str()), (1, "speaker_1"));
        assert_eq!((second.start_ms, second.end_ms), (3_000, 5_000));
    }

    #[test]
    fn one_channel_is_unknown() {
        let found = turns(1, vec![chunk(0, 200, 900, "Hm.")]);
        assert_eq!(found[0].speaker, "unknown");
    }

    #[test]
    fn a_short_pause_goes_on_and_a_long_one_ends_a_turn() {
        let found = turns(
            1,
            vec![
                chunk(0, 0, 1_000, "One"),
                chunk(0, 1_000 + TURN_PAUSE_MS - 1, 4_000, "two."),
                chunk(0, 4_000 + TURN_PAUSE_MS, 7_000, "Three."),
            ],
        );
        assert_eq!(texts(&found), ["One two.", "Three."]);
        assert_eq!((found[0].start_ms, found[0].end_ms), (0, 4_000));
    }

    #[test]
    fn who_starts_in_between_ends_a_turn_also_when_speaking_over_it() {
        let found = turns(
            2,
            vec![
                chunk(0, 0, 2_000, "So I"),
                chunk(1, 1_500, 2_300, "Yes?"),
                chunk(0, 2_600, 4_000, "went there."),
            ],
        );
        assert_eq!(texts(&found), ["So I", "Yes?", "went there."]);
    }

    #[test]
    fn what_holds_no_words_vanishes_and_ends_nothing() {
        let found = turns(
            2,
            vec![
                chunk(0, 0, 1_000, "One"),
                chunk(1, 900, 1_200, " ... "),
                chunk(0, 1_600, 2_000, "two."),
                chunk(1, 5_000, 5_400, ""),
            ],
        );
        assert_eq!(texts(&found), ["One two."]);
        assert!(turns(2, Vec::new()).is_empty());
    }

    #[test]
    fn words_that_the_engine_itself_doubts_are_dropped_only_then() {
        let with = |no_speech_probability, confidence| {
            let mut doubtful = chunk(0, 0, 500, "Thank you.");
            doubtful.heard.no_speech_probability = no_speech_probability;
            doubtful.heard.confidence = confidence;
            turns(1, vec![doubtful]).len()
        };
        assert_eq!(with(Some(0.9), Some(0.2)), 0);
        assert_eq!(with(Some(0.9), Some(0.9)), 1);
        assert_eq!(with(Some(0.1), Some(0.2)), 1);
        assert_eq!(with(None, None), 1);
    }

    #[test]
    fn words_are_moved_to_the_time_of_the_recording() {
        let mut first = chunk(0, 1_160, 2_000, "Hi there");
        first.heard.words = Some(vec![Word {
            text: "Hi".to_owned(),
            start_ms: 200,
            end_ms: 400,
            confidence: Some(0.5),
        }]);
        let without = chunk(0, 2_600, 3_000, "you");
        let words = turns(1, vec![first.clone()])[0]
            .words
            .clone()
            .expect("words");
        assert_eq!((words[0].start_ms, words[0].end_ms), (1_200, 1_400));
        assert_eq!(turns(1, vec![first, without])[0].words, None);
    }

    #[test]
    fn confidence_is_weighted_by_length() {
        let mut long = chunk(0, 0, 3_000, "Long");
        long.heard.confidence = Some(0.8);
        let mut short = chunk(0, 3_500, 4_500, "short");
        short.heard.confidence = Some(0.4);
        let unrated = chunk(0, 5_000, 6_000, "unrated.");
        let found = turns(1, vec![long, short, unrated]);
        assert!((found[0].confidence.expect("confidence") - 0.7).abs() < 1e-9);
    }
}
