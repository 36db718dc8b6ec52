//! What a standard job writes, as lines.
//!
//! Words stand in a list with punctuation between them; with channels, each has a list of its own. Who
//! speaks stands in the words, or in a list of segments beside them.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html#how-it-works-output>

use std::collections::HashMap;
use std::fmt;

use aftercall::documents::transcript::Word;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::OutputError;
use super::lines::{Line, Voice};

/// Words of one channel with a shorter pause between them are never parted by what another says
/// meanwhile.
const STRETCH_PAUSE_MS: i64 = 500;

/// What was said, and the language that the service found.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub language: Option<String>,
    pub lines: Vec<Line>,
}

/// Reads the file that a job wrote.
pub fn parse(bytes: &[u8]) -> Result<Output, OutputError> {
    let file: File = serde_json::from_slice(bytes)?;
    let results = file.results;
    let spaced = results.has_spaces();
    let channels = results.channels();
    let voices = Voices::of(&results.speaker_labels);
    let many = u16::try_from(channels.len()).unwrap_or(u16::MAX);
    let mut stretches = Vec::new();
    for (channel, items) in channels {
        stretches.extend(Reader::new(channel, many, spaced, &voices).read(items));
    }
    stretches.sort_by_key(|line| (line.start_ms, line.channel));
    Ok(Output {
        language: results.language_code,
        lines: joined(stretches, spaced),
    })
}

#[derive(Deserialize)]
struct File {
    results: Results,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    transcripts: Vec<Transcript>,
    #[serde(default)]
    items: Vec<Item>,
    channel_labels: Option<ChannelLabels>,
    #[serde(default)]
    speaker_labels: SpeakerLabels,
    /// With alternatives: whole segments, the likeliest first.
    #[serde(default)]
    segments: Vec<Segment>,
    language_code: Option<String>,
}

#[derive(Deserialize)]
struct Transcript {
    transcript: String,
}

#[derive(Clone, Deserialize)]
struct Item {
    start_time: Option<Seconds>,
    end_time: Option<Seconds>,
    #[serde(rename = "type", default)]
    kind: Kind,
    /// The likeliest first.
    #[serde(default)]
    alternatives: Vec<Alternative>,
    /// Of a word of an alternative segment, in place of `alternatives`.
    content: Option<String>,
    confidence: Option<Score>,
    channel_label: Option<String>,
    speaker_label: Option<String>,
}

#[derive(Clone, Deserialize)]
struct Alternative {
    content: String,
    confidence: Option<Score>,
    #[serde(default)]
    redactions: Vec<Redaction>,
}

#[derive(Clone, Deserialize)]
struct Redaction {
    confidence: Option<Score>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Pronunciation,
    Punctuation,
}

#[derive(Deserialize)]
struct ChannelLabels {
    channels: Vec<Channel>,
}

#[derive(Deserialize)]
struct Channel {
    channel_label: String,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum SpeakerLabels {
    One(Labels),
    /// One for each channel.
    Many(Vec<Labels>),
    #[default]
    None,
}

#[derive(Deserialize)]
struct Labels {
    channel_label: Option<String>,
    #[serde(default)]
    segments: Vec<SpeakerSegment>,
}

#[derive(Deserialize)]
struct SpeakerSegment {
    start_time: Seconds,
    end_time: Seconds,
    speaker_label: String,
    #[serde(default)]
    items: Vec<SpeakerItem>,
}

#[derive(Deserialize)]
struct SpeakerItem {
    start_time: Seconds,
    end_time: Seconds,
    speaker_label: Option<String>,
}

#[derive(Deserialize)]
struct Segment {
    #[serde(default)]
    alternatives: Vec<SegmentAlternative>,
    channel_label: Option<String>,
}

#[derive(Deserialize)]
struct SegmentAlternative {
    #[serde(default)]
    items: Vec<Item>,
}

impl Results {
    /// The words of each channel that has any, the channel's number before them.
    fn channels(&self) -> Vec<(u16, Vec<Item>)> {
        let labels = self.channel_labels.as_ref();
        if let Some(labels) = labels.filter(|it| it.channels.iter().any(|it| !it.items.is_empty()))
        {
            let numbered = labels.channels.iter();
            return numbered
                .map(|it| (number(&it.channel_label), it.items.clone()))
                .collect();
        }
        let mut found: Vec<(u16, Vec<Item>)> = Vec::new();
        let mut last = 0;
        for item in self.all_items() {
            // Punctuation may go without a label; it is of the word before.
            let channel = item.channel_label.as_deref().map_or(last, number);
            last = channel;
            match found.iter_mut().find(|(known, _)| *known == channel) {
                Some((_, items)) => items.push(item),
                None => found.push((channel, vec![item])),
            }
        }
        // A channel on which nobody speaks is one all the same.
        let named = labels.into_iter().flat_map(|labels| &labels.channels);
        for channel in named.map(|it| number(&it.channel_label)) {
            if !found.iter().any(|(known, _)| *known == channel) {
                found.push((channel, Vec::new()));
            }
        }
        found
    }

    fn all_items(&self) -> Vec<Item> {
        if !self.items.is_empty() {
            return self.items.clone();
        }
        let best = |segment: &Segment| {
            let first = segment.alternatives.first();
            let items = first.map(|it| it.items.clone()).unwrap_or_default();
            let label = segment.channel_label.clone();
            items.into_iter().map(move |item| Item {
                channel_label: item.channel_label.clone().or_else(|| label.clone()),
                ..item
            })
        };
        self.segments.iter().flat_map(best).collect()
    }

    /// Whether words are written with spaces between them; Chinese, Japanese and Thai have none.
    fn has_spaces(&self) -> bool {
        let text = self.transcripts.first().map(|it| it.transcript.as_str());
        text.is_none_or(|text| text.is_empty() || text.contains(' ') || self.items.len() < 2)
    }
}

impl Item {
    fn content(&self) -> &str {
        let best = self.alternatives.first().map(|it| it.content.as_str());
        best.or(self.content.as_deref()).unwrap_or_default()
    }

    fn confidence(&self) -> Option<f64> {
        let Some(best) = self.alternatives.first() else {
            return self.confidence.map(|it| it.0);
        };
        let redacted = best.redactions.first().and_then(|it| it.confidence);
        best.confidence.or(redacted).map(|it| it.0)
    }
}

/// Who speaks when, where it does not stand in the words.
#[derive(Default)]
struct Voices {
    /// By channel, start and end of a word.
    words: HashMap<(Option<u16>, i64, i64), u16>,
    /// Channel, start, end and speaker of a segment.
    segments: Vec<(Option<u16>, i64, i64, u16)>,
}

impl Voices {
    fn of(labels: &SpeakerLabels) -> Self {
        let labels = match labels {
            SpeakerLabels::One(labels) => std::slice::from_ref(labels),
            SpeakerLabels::Many(labels) => labels,
            SpeakerLabels::None => &[],
        };
        let mut voices = Self::default();
        for labels in labels {
            let channel = labels.channel_label.as_deref().map(number);
            for segment in &labels.segments {
                let speaker = number(&segment.speaker_label);
                let (start, end) = (segment.start_time.0, segment.end_time.0);
                voices.segments.push((channel, start, end, speaker));
                for word in &segment.items {
                    let speaker = word.speaker_label.as_deref().map_or(speaker, number);
                    let place = (channel, word.start_time.0, word.end_time.0);
                    voices.words.insert(place, speaker);
                }
            }
        }
        voices
    }

    fn at(&self, channel: u16, start_ms: i64, end_ms: i64) -> Option<u16> {
        let in_words = [Some(channel), None]
            .into_iter()
            .find_map(|channel| self.words.get(&(channel, start_ms, end_ms)));
        let within = |(of, start, end, _): &&(Option<u16>, i64, i64, u16)| {
            of.is_none_or(|of| of == channel) && (*start..=*end).contains(&start_ms)
        };
        in_words
            .copied()
            .or_else(|| self.segments.iter().find(within).map(|it| it.3))
    }
}

/// Reads the words of one channel.
struct Reader<'a> {
    channel: u16,
    channels: u16,
    spaced: bool,
    voices: &'a Voices,
    done: Vec<Line>,
    open: Option<Line>,
}

impl<'a> Reader<'a> {
    fn new(channel: u16, channels: u16, spaced: bool, voices: &'a Voices) -> Self {
        Self {
            channel,
            channels,
            spaced,
            voices,
            done: Vec::new(),
            open: None,
        }
    }

    fn read(mut self, items: Vec<Item>) -> Vec<Line> {
        for item in items {
            match (item.kind, item.start_time, item.end_time) {
                (Kind::Pronunciation, Some(start), Some(end)) => self.word(&item, start.0, end.0),
                _ => self.mark(item.content()),
            }
        }
        self.done.extend(self.open);
        self.done
    }

    fn word(&mut self, item: &Item, start_ms: i64, end_ms: i64) {
        let voice = self.voice(item, start_ms, end_ms);
        let word = Word {
            text: item.content().to_owned(),
            start_ms,
            end_ms,
            confidence: item.confidence(),
        };
        match &mut self.open {
            Some(open) if open.voice == voice && start_ms - open.end_ms < STRETCH_PAUSE_MS => {
                append(&mut open.text, &word.text, self.spaced);
                open.end_ms = open.end_ms.max(end_ms);
                open.words.push(word);
            }
            _ => {
                let next = Line {
                    channel: self.channel,
                    voice,
                    start_ms,
                    end_ms,
                    text: word.text.clone(),
                    words: vec![word],
                };
                self.done.extend(self.open.replace(next));
            }
        }
    }

    /// Punctuation is of the word before; before the first word there is nothing to mark.
    fn mark(&mut self, content: &str) {
        if let Some(open) = &mut self.open {
            open.text.push_str(content);
        }
    }

    fn voice(&self, item: &Item, start_ms: i64, end_ms: i64) -> Voice {
        let labelled = item.speaker_label.as_deref().map(number);
        let speaker = labelled.or_else(|| self.voices.at(self.channel, start_ms, end_ms));
        let speaker = speaker.filter(|_| self.channels < 2);
        let last = self.open.as_ref().map(|open| open.voice);
        match (speaker, last) {
            (Some(speaker), _) => Voice::Speaker(speaker),
            // A word that no segment holds: whoever spoke last goes on.
            (None, Some(last @ Voice::Speaker(_))) => last,
            _ => Voice::OfChannel {
                channels: self.channels,
            },
        }
    }
}

/// Stretches in the order of their start as lines: one voice goes on until it pauses for long or
/// another starts.
fn joined(stretches: Vec<Line>, spaced: bool) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for stretch in stretches {
        match lines.last_mut() {
            Some(last) if last.continues_with(&stretch) => {
                append(&mut last.text, &stretch.text, spaced);
                last.end_ms = last.end_ms.max(stretch.end_ms);
                last.words.extend(stretch.words);
            }
            _ => lines.push(stretch),
        }
    }
    lines
}

fn append(text: &mut String, more: &str, spaced: bool) {
    if spaced && !text.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

/// The number in a label such as `ch_0` or `spk_1`.
fn number(label: &str) -> u16 {
    let digits = label.rsplit('_').next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// Milliseconds, written as seconds in a text such as `"15.09"`, or as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds(i64);

/// A number from 0 to 1, written as a text or as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score(f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = deserializer.deserialize_any(Numeric)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates far beyond any recording"
        )]
        let ms = (seconds * 1000.0).round() as i64;
        Ok(Self(ms))
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Numeric).map(Self)
    }
}

struct Numeric;

impl Visitor<'_> for Numeric {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, perhaps in a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        let finite = text.parse().ok().filter(|it: &f64| it.is_finite());
        finite.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of a recording")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of a recording")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }
}

#[cfg(test)]
#[path = "standard_tests.rs"]
mod tests;
