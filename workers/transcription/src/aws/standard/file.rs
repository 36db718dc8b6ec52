//! The file as the service writes it.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) results: Results,
}

#[derive(Deserialize)]
pub(super) struct Results {
    #[serde(default)]
    pub(super) transcripts: Vec<Transcript>,
    #[serde(default)]
    pub(super) items: Vec<Item>,
    pub(super) channel_labels: Option<ChannelLabels>,
    #[serde(default)]
    pub(super) speaker_labels: SpeakerLabels,
    /// With alternatives: whole segments, the likeliest first.
    #[serde(default)]
    pub(super) segments: Vec<Segment>,
    pub(super) language_code: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Transcript {
    pub(super) transcript: String,
}

#[derive(Clone, Deserialize)]
pub(super) struct Item {
    pub(super) start_time: Option<Seconds>,
    pub(super) end_time: Option<Seconds>,
    #[serde(rename = "type", default)]
    pub(super) kind: Kind,
    /// The likeliest first.
    #[serde(default)]
    pub(super) alternatives: Vec<Alternative>,
    /// Of a word of an alternative segment, in place of `alternatives`.
    pub(super) content: Option<String>,
    pub(super) confidence: Option<Score>,
    pub(super) channel_label: Option<String>,
    pub(super) speaker_label: Option<String>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Alternative {
    pub(super) content: String,
    pub(super) confidence: Option<Score>,
    #[serde(default)]
    pub(super) redactions: Vec<Redaction>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Redaction {
    pub(super) confidence: Option<Score>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    #[default]
    Pronunciation,
    Punctuation,
}

#[derive(Deserialize)]
pub(super) struct ChannelLabels {
    pub(super) channels: Vec<Channel>,
}

#[derive(Deserialize)]
pub(super) struct Channel {
    pub(super) channel_label: String,
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
pub(super) enum SpeakerLabels {
    One(Labels),
    /// One for each channel.
    Many(Vec<Labels>),
    #[default]
    None,
}

#[derive(Deserialize)]
pub(super) struct Labels {
    pub(super) channel_label: Option<String>,
    #[serde(default)]
    pub(super) segments: Vec<SpeakerSegment>,
}

#[derive(Deserialize)]
pub(super) struct SpeakerSegment {
    pub(super) start_time: Seconds,
    pub(super) end_time: Seconds,
    pub(super) speaker_label: String,
    #[serde(default)]
    pub(super) items: Vec<SpeakerItem>,
}

#[derive(Deserialize)]
pub(super) struct SpeakerItem {
    pub(super) start_time: Seconds,
    pub(super) end_time: Seconds,
    pub(super) speaker_label: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Segment {
    #[serde(default)]
    pub(super) alternatives: Vec<SegmentAlternative>,
    pub(super) channel_label: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct SegmentAlternative {
    #[serde(default)]
    pub(super) items: Vec<Item>,
}

impl Results {
    /// The words of each channel that has any, the channel's number before them.
    pub(super) fn channels(&self) -> Vec<(u16, Vec<Item>)> {
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
    pub(super) fn has_spaces(&self) -> bool {
        let text = self.transcripts.first().map(|it| it.transcript.as_str());
        text.is_none_or(|text| text.is_empty() || text.contains(' ') || self.items.len() < 2)
    }
}

impl Item {
    pub(super) fn content(&self) -> &str {
        let best = self.alternatives.first().map(|it| it.content.as_str());
        best.or(self.content.as_deref()).unwrap_or_default()
    }

    pub(super) fn confidence(&self) -> Option<f64> {
        let Some(best) = self.alternatives.first() else {
            return self.confidence.map(|it| it.0);
        };
        let redacted = best.redactions.first().and_then(|it| it.confidence);
        best.confidence.or(redacted).map(|it| it.0)
    }
}

/// The number in a label such as `ch_0` or `spk_1`.
pub(super) fn number(label: &str) -> u16 {
    let digits = label.rsplit('_').next().unwrap_or_default();
    digits.parse().unwrap_or_default()
}

/// Milliseconds, written as seconds in a text such as `"15.09"`, or as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seconds(pub(super) i64);

/// A number from 0 to 1, written as a text or as a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Score(pub(super) f64);

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
