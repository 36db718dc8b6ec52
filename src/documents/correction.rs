//! A correction of a transcript by a person: the text of turns, and names of speakers.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::transcript::{Turn, UNKNOWN_SPEAKER};
use crate::ids::UserId;

/// Who corrected a transcript, and what; the text before is in the generation that was corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Correction {
    /// The generation that was read and corrected.
    pub corrects: i32,
    pub by: UserId,
    pub changes: Changes,
}

/// What a correction changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Changes {
    /// `index` of each turn with another text, in order.
    pub turns: Vec<u32>,
    pub speakers: Vec<Renamed>,
}

/// A speaker who got a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

/// What somebody wants changed.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// Text by `index` of its turn.
    pub texts: BTreeMap<u32, String>,
    /// Name by name of the speaker until now.
    pub speakers: BTreeMap<String, String>,
}

/// Why edits do not fit a transcript.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("the transcript has no turn {0}")]
    NoTurn(u32),
    #[error("the transcript has no such speaker")]
    NoSpeaker(String),
    #[error("two speakers cannot have the same name")]
    SameName(String),
    #[error("`unknown` is everybody on one channel, and nobody's name")]
    Everybody(String),
}

impl Changes {
    pub const fn is_empty(&self) -> bool {
        self.turns.is_empty() && self.speakers.is_empty()
    }
}

impl Edits {
    /// Changes `turns`, and answers what has changed: a value that is there already is no change.
    ///
    /// A turn with another text loses its words and its confidence: both are the engine's, of what it
    /// heard, and there is no telling when a word was said that it did not hear.
    pub fn apply(&self, turns: &mut [Turn]) -> Result<Changes, EditError> {
        let speakers = self.renamed(turns)?;
        let mut changed = Vec::new();
        for (index, text) in &self.texts {
            let place = usize::try_from(*index).ok();
            let turn = place.and_then(|place| turns.get_mut(place));
            let turn = turn.ok_or(EditError::NoTurn(*index))?;
            if turn.text != *text {
                turn.text.clone_from(text);
                turn.words = None;
                turn.confidence = None;
                changed.push(*index);
            }
        }
        for turn in turns {
            if let Some(name) = speakers.iter().find(|name| name.from == turn.speaker) {
                turn.speaker.clone_from(&name.to);
            }
        }
        Ok(Changes {
            turns: changed,
            speakers,
        })
    }

    /// Names that are new. Speakers who are told apart stay so: figures of each depend on it.
    fn renamed(&self, turns: &[Turn]) -> Result<Vec<Renamed>, EditError> {
        let speakers: BTreeSet<&str> = turns.iter().map(|turn| turn.speaker.as_str()).collect();
        let mut renamed = Vec::new();
        for (from, to) in &self.speakers {
            if !speakers.contains(from.as_str()) {
                return Err(EditError::NoSpeaker(from.clone()));
            }
            if from == to {
                continue;
            }
            if [from, to].iter().any(|name| *name == UNKNOWN_SPEAKER) {
                return Err(EditError::Everybody(from.clone()));
            }
            renamed.push(Renamed {
                from: from.clone(),
                to: to.clone(),
            });
        }
        let mut names = BTreeSet::new();
        for speaker in speakers {
            let name = self.speakers.get(speaker).map_or(speaker, String::as_str);
            if !names.insert(name) {
                return Err(EditError::SameName(speaker.to_owned()));
            }
        }
        Ok(renamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::transcript::Word;
    use crate::ids::RecordingId;

    fn turns(said: &[(&str, &str)]) -> Vec<Turn> {
        let turn = |(index, (speaker, text)): (u32, &(&str, &str))| Turn {
            index,
            speaker: (*speaker).to_owned(),
            channel: 0,
            start_ms: 0,
            end_ms: 900,
            text: (*text).to_owned(),
            confidence: Some(0.9),
            words: Some(vec![Word {
                text: (*text).to_owned(),
                start_ms: 0,
                end_ms: 900,
                confidence: None,
            }]),
            recording_id: RecordingId::generate(),
        };
        (0..).zip(said).map(turn).collect()
    }

    fn edits(texts: &[(u32, &str)], speakers: &[(&str, &str)]) -> Edits {
        let own = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
        Edits {
            texts: texts
                .iter()
                .map(|(index, text)| (*index, (*text).to_owned()))
                .collect(),
            speakers: speakers.iter().map(own).collect(),
        }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let mut said = turns(&[("a", "Helo."), ("b", "Hi."), ("a", "Bye.")]);
        let before = said.clone();
        let wanted = edits(
            &[(0, "Hello."), (1, "Hi.")],
            &[("a", "Dr Jones"), ("b", "b")],
        );
        let changes = wanted.apply(&mut said).expect("it fits");
        assert_eq!(changes.turns, [0]);
        assert_eq!(changes.speakers.len(), 1);
        assert_eq!((&*said[0].text, &said[0].words), ("Hello.", &None));
        assert_eq!(said[0].confidence, None);
        assert_eq!(said[1], before[1], "what is unchanged keeps its words");
        assert_eq!(said[2].speaker, "Dr Jones");
        assert!(said[2].words.is_some(), "a name changes no words");
        let again = edits(&[(0, "Hello.")], &[]).apply(&mut said);
        assert!(again.expect("it fits").is_empty());
    }

    #[test]
    fn speakers_stay_apart() {
        let mut said = turns(&[("a", "Hello."), ("b", "Hi.")]);
        let swap = edits(&[], &[("a", "b"), ("b", "a")]);
        swap.apply(&mut said).expect("it fits");
        assert_eq!((&*said[0].speaker, &*said[1].speaker), ("b", "a"));
        let before = said.clone();
        for (wanted, error) in [
            (edits(&[], &[("a", "b")]), EditError::SameName("b".into())),
            (edits(&[], &[("c", "d")]), EditError::NoSpeaker("c".into())),
            (
                edits(&[], &[("a", "unknown")]),
                EditError::Everybody("a".into()),
            ),
            (edits(&[(2, "x")], &[]), EditError::NoTurn(2)),
        ] {
            assert_eq!(wanted.apply(&mut said), Err(error));
        }
        assert_eq!(said, before, "what does not fit changes nothing");
    }
}
