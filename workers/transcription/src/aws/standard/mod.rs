//! What a standard job writes, as lines.
//!
//! Words stand in a list with punctuation between them; with channels, each has a list of its own. Who
//! speaks stands in the words, or in a list of segments beside them.
//! <https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html#how-it-works-output>

mod file;

use std::collections::HashMap;

use aftercall::documents::transcript::Word;
use file::{File, Item, Kind, SpeakerLabels, number};

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
    let mut channels = results.channels();
    if let [(_, first), (_, second)] = &channels[..]
        && carry_the_same(first, second)
    {
        channels.truncate(1);
    }
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

/// Whether one microphone was recorded twice: the same words at the same times on both channels.
fn carry_the_same(first: &[Item], second: &[Item]) -> bool {
    let same = |one: &Item, other: &Item| {
        one.content() == other.content() && one.start_time == other.start_time
    };
    let alike = || {
        first
            .iter()
            .zip(second)
            .all(|(one, other)| same(one, other))
    };
    !first.is_empty() && first.len() == second.len() && alike()
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

#[cfg(test)]
mod combination_tests;
#[cfg(test)]
mod tests;
