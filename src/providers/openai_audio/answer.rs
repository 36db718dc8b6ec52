//! The answers of speech servers: one format in many dialects.

use serde::Deserialize;

use super::TranscriptionError;
use crate::documents::transcript::Word;

/// What an engine heard. Times count from the start of the audio that was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcription {
    /// Trimmed, with single spaces.
    pub text: String,
    /// ISO 639 code, where the engine told one.
    pub language: Option<String>,
    /// exp of the mean log-probability of the segments, weighted by their length; from 0 to 1.
    pub confidence: Option<f64>,
    /// The engine's own estimate that there was no speech: the lowest of all segments.
    pub no_speech_probability: Option<f64>,
    pub words: Option<Vec<Word>>,
    pub segments: Vec<Segment>,
}

/// A stretch of text that the engine wrote at once; it may straddle a pause.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub start_ms: i64,
    pub end_ms: i64,
    pub text: String,
    pub mean_log_probability: Option<f64>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    language: Option<String>,
    #[serde(default)]
    segments: Option<Vec<AnswerSegment>>,
    #[serde(default)]
    words: Option<Vec<AnswerWord>>,
}

#[derive(Deserialize)]
struct AnswerSegment {
    #[serde(default)]
    start: f64,
    #[serde(default)]
    end: f64,
    #[serde(default)]
    text: String,
    avg_logprob: Option<f64>,
    no_speech_prob: Option<f64>,
    #[serde(default)]
    words: Option<Vec<AnswerWord>>,
}

#[derive(Deserialize)]
struct AnswerWord {
    word: String,
    start: f64,
    end: f64,
    probability: Option<f64>,
}

/// Reads `verbose_json`, or the plain `json` with nothing but the text.
pub(super) fn parse(body: &[u8]) -> Result<Transcription, TranscriptionError> {
    // The error says where, and never quotes the text.
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        let reason = format!("{:?} error at byte {}", error.classify(), error.column());
        TranscriptionError::Malformed { reason }
    })?;
    let segments = answer.segments.unwrap_or_default();
    let in_segments = segments
        .iter()
        .flat_map(|segment| segment.words.iter().flatten());
    let words: Vec<Word> = match &answer.words {
        Some(words) => words.iter().filter_map(word).collect(),
        None => in_segments.filter_map(word).collect(),
    };
    Ok(Transcription {
        text: single_spaced(&answer.text),
        language: answer.language.as_deref().and_then(language_code),
        confidence: confidence(&segments),
        no_speech_probability: segments
            .iter()
            .map(|segment| segment.no_speech_prob)
            .collect::<Option<Vec<f64>>>()
            .and_then(|all| all.into_iter().min_by(f64::total_cmp)),
        words: (!words.is_empty()).then_some(words),
        segments: segments.into_iter().map(Segment::from).collect(),
    })
}

/// What a server says is wrong: OpenAI's `error.message`, FastAPI's `detail`, else the body.
pub(super) fn error_message(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let told = [
        &value["error"]["message"],
        &value["error"],
        &value["detail"],
    ]
    .into_iter()
    .find_map(|message| message.as_str());
    single_spaced(
        told.map_or_else(|| String::from_utf8_lossy(body), Into::into)
            .as_ref(),
    )
}

impl From<AnswerSegment> for Segment {
    fn from(segment: AnswerSegment) -> Self {
        Self {
            start_ms: milliseconds(segment.start),
            end_ms: milliseconds(segment.end),
            text: single_spaced(&segment.text),
            mean_log_probability: segment.avg_logprob,
        }
    }
}

fn word(word: &AnswerWord) -> Option<Word> {
    let text = word.word.trim();
    (!text.is_empty()).then(|| Word {
        text: text.to_owned(),
        start_ms: milliseconds(word.start),
        end_ms: milliseconds(word.end),
        confidence: word.probability.map(|it| it.clamp(0.0, 1.0)),
    })
}

/// `None` unless every segment has a log-probability: the mean of some would be another figure.
fn confidence(segments: &[AnswerSegment]) -> Option<f64> {
    /// So that a segment without a length counts for something.
    const SHORTEST_SECONDS: f64 = 0.02;
    let mut sum = 0.0;
    let mut seconds = 0.0;
    for segment in segments {
        let length = (segment.end - segment.start).max(SHORTEST_SECONDS);
        sum += segment.avg_logprob.filter(|it| it.is_finite())? * length;
        seconds += length;
    }
    (seconds > 0.0).then(|| (sum / seconds).exp().clamp(0.0, 1.0))
}

/// A code as it is, or the code of a name: OpenAI answers `english`, others `en`. Names of rarer
/// languages are left out rather than passed on as if they were codes.
fn language_code(language: &str) -> Option<String> {
    const NAMES: [(&str, &str); 32] = [
        ("arabic", "ar"),
        ("bulgarian", "bg"),
        ("catalan", "ca"),
        ("chinese", "zh"),
        ("croatian", "hr"),
        ("czech", "cs"),
        ("danish", "da"),
        ("dutch", "nl"),
        ("english", "en"),
        ("estonian", "et"),
        ("finnish", "fi"),
        ("french", "fr"),
        ("german", "de"),
        ("greek", "el"),
        ("hebrew", "he"),
        ("hindi", "hi"),
        ("hungarian", "hu"),
        ("indonesian", "id"),
        ("italian", "it"),
        ("japanese", "ja"),
        ("korean", "ko"),
        ("norwegian", "no"),
        ("polish", "pl"),
        ("portuguese", "pt"),
        ("romanian", "ro"),
        ("russian", "ru"),
        ("spanish", "es"),
        ("swedish", "sv"),
        ("turkish", "tr"),
        ("ukrainian", "uk"),
        ("urdu", "ur"),
        ("vietnamese", "vi"),
    ];
    let language = language.trim().to_ascii_lowercase();
    if (2..=3).contains(&language.len()) && language.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Some(language);
    }
    NAMES
        .iter()
        .find(|(name, _)| *name == language)
        .map(|(_, code)| (*code).to_owned())
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and NaN gives 0"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds.max(0.0) * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Transcription {
        parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn verbose_json_of_openai() {
        let heard = parsed(
            r#"{"task":"transcribe","language":"english","duration":3.0,"text":" Hello,\n there. ",
            "words":[{"word":"Hello,","start":0.1,"end":0.5},{"word":"there.","start":0.5,"end":0.9}],
            "segments":[
              {"id":0,"start":0.0,"end":2.0,"text":" Hello,","avg_logprob":-0.1,"no_speech_prob":0.5},
              {"id":1,"start":2.0,"end":3.0,"text":" there.","avg_logprob":-0.4,"no_speech_prob":0.2}]}"#,
        );
        assert_eq!(heard.text, "Hello, there.");
        assert_eq!(heard.language.as_deref(), Some("en"));
        assert!((heard.confidence.unwrap() - (-0.2_f64).exp()).abs() < 1e-9);
        assert_eq!(heard.no_speech_probability, Some(0.2));
        assert_eq!(heard.segments[1].start_ms, 2_000);
        let words = heard.words.unwrap();
        assert_eq!(
            (words[1].text.as_str(), words[1].start_ms, words[1].end_ms),
            ("there.", 500, 900)
        );
    }

    #[test]
    fn words_within_segments_as_whisper_cpp_gives_them() {
        let heard = parsed(
            r#"{"text":"Yes","segments":[{"start":0,"end":1,"text":"Yes",
            "words":[{"word":" Yes","start":0.0,"end":0.4,"probability":0.8}]}]}"#,
        );
        assert_eq!(heard.words.unwrap()[0].confidence, Some(0.8));
        assert_eq!(heard.confidence, None);
    }

    #[test]
    fn a_text_alone_and_nulls_are_fine() {
        assert_eq!(
            parsed(r#"{"text":"Hi"}"#),
            Transcription {
                text: "Hi".into(),
                ..Default::default()
            }
        );
        let nulls = parsed(r#"{"text":"","language":null,"segments":null,"words":null,"more":[]}"#);
        assert_eq!(nulls, Transcription::default());
        assert_eq!(
            parsed(r#"{"text":"x","language":"klingon"}"#).language,
            None
        );
    }

    #[test]
    fn what_is_no_transcription_is_named_without_quoting_it() {
        for body in [
            "",
            "<html>secret</html>",
            "[]",
            r#"{"text":7}"#,
            r#"{"words":[]}"#,
        ] {
            let error = parse(body.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn complaints_of_several_servers() {
        assert_eq!(
            error_message(br#"{"error":{"message":"no such model"}}"#),
            "no such model"
        );
        assert_eq!(error_message(br#"{"detail":"bad file"}"#), "bad file");
        assert_eq!(error_message(b"plain\n words"), "plain words");
    }
}
