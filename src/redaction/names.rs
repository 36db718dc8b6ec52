//! Names that a session declares, whole or in part, in any case.

use std::collections::{HashMap, HashSet};

use super::placeholders::{Kind, Placeholders};
use super::spans::Claims;
use super::tokens::{Sort, Text};

/// Parts of names that are no name by themselves.
const PARTICLES: &str = "\
    al and bin da das de del den der di do dos dr du el ibn jr la las le los mr mrs ms of phd \
    prof sir sr st ten ter the van von y zu";

/// Parts of names that are also English words: they count with a capital, and where a sentence begins
/// only beside another part of a name.
const WORDS: &str = "\
    am amber an april are art as at august autumn baker banks be bell best bill bishop black \
    brook brooks brown by carol case chance chase church clay cook cross crystal daisy dale day \
    dawn dean do drew earl early east faith field fields fisher ford fox frank free gene glen go \
    gold good grace grant gray green guy hall hand he head her hi hill ho holiday home hope house \
    how hunt hunter i if in is it ivy jack joy judge june justice kind king knight lane law little \
    long lord love low ma major mark mason max may me merry mike miles miller money moon more my \
    new nick no noble north of oh ok old olive on or our out page park parks pat patience peace \
    pearl penny pierce poor price prince read red rich rob robin rose ruby rush sage see sharp she \
    short sky smart so song south spring star still stone storm street strong sue summer sweet \
    swift temple this to tony too tree trip true up us violet walker wall ward was water waters \
    way we well wells west white who why will winter wise wolf wood woods yes you young";

/// Longest name in words.
const MAX_WORDS: usize = 12;

/// What is looked for: the declared names, and the parts of them that stand for a person.
#[derive(Clone, Default)]
pub struct Names {
    /// Names and parts as sequences of words, by their first word, the longest first.
    by_first: HashMap<String, Vec<Name>>,
    /// Every word of a name, in which a doubtful neighbour finds its proof.
    words: HashSet<String>,
    /// First letters of the words, and bytes of the longest.
    initials: HashSet<char>,
    longest: usize,
}

#[derive(Clone)]
struct Name {
    words: Vec<String>,
    /// The position of the name that it is, or is a part of.
    person: String,
    is_doubtful: bool,
}

impl Names {
    /// Takes the names in their order, which is the order of their placeholders.
    pub fn of<'a>(
        declared: impl IntoIterator<Item = &'a str>,
        placeholders: &mut Placeholders,
    ) -> Self {
        let mut names = Self::default();
        let mut known = HashSet::new();
        let mut declared: Vec<_> = declared.into_iter().collect();
        declared.retain(|name| {
            let words = words_of(name);
            !words.is_empty() && known.insert(words)
        });
        for (position, name) in declared.iter().enumerate() {
            let person = position.to_string();
            placeholders.reserve(Kind::Name, &person);
            names.add(words_of(name), &person);
            for part in name.split_whitespace() {
                // Some people are known by their address alone: its words are nobody's name.
                if part.contains('@') {
                    continue;
                }
                let part = words_of(part);
                for word in &part {
                    names.add(vec![word.clone()], &person);
                }
                names.add(part, &person);
            }
        }
        for candidates in names.by_first.values_mut() {
            // Stable: of equal length the name that was declared first.
            candidates.sort_by_key(|name| std::cmp::Reverse(name.words.len()));
        }
        names
    }

    pub fn find(&self, text: &Text<'_>, claims: &mut Claims) {
        if self.by_first.is_empty() {
            return;
        }
        let mut at = 0;
        while at < text.tokens.len() {
            let found = self.name_at(text, at).or_else(|| self.spelled_at(text, at));
            at = match found {
                Some((last, person)) => {
                    claims.claim(Kind::Name, at, last, person);
                    last + 1
                }
                None => at + 1,
            };
        }
    }

    fn add(&mut self, words: Vec<String>, person: &str) {
        let Some(first) = words.first() else {
            return;
        };
        if let [word] = words.as_slice()
            && (word.chars().count() < 2 || PARTICLES.split(' ').any(|it| it == word))
        {
            return;
        }
        let candidates = self.by_first.entry(first.clone()).or_default();
        if candidates.iter().any(|name| name.words == words) {
            return;
        }
        for word in &words {
            self.initials.extend(word.chars().next());
            self.longest = self.longest.max(word.len());
            self.words.insert(word.clone());
        }
        candidates.push(Name {
            is_doubtful: words.len() == 1 && WORDS.split(' ').any(|it| it == first),
            words,
            person: person.to_owned(),
        });
    }

    /// The longest name that begins at `first`: its last token, and whose it is.
    fn name_at(&self, text: &Text<'_>, first: usize) -> Option<(usize, String)> {
        let candidates = self.by_first.get(text.word(first)?)?;
        candidates.iter().find_map(|name| {
            let last = ends_at(text, first, &name.words)?;
            let is_meant = !name.is_doubtful || self.is_proven(text, first);
            is_meant.then(|| (last, name.person.clone()))
        })
    }

    /// Whether a word that may be no name is one here.
    fn is_proven(&self, text: &Text<'_>, at: usize) -> bool {
        if !text.is_capitalised(at) {
            return false;
        }
        let is_name = |index: usize| {
            text.is_capitalised(index)
                && text.word(index).is_some_and(|word| {
                    self.words.contains(word) || matches!(word, "mr" | "mrs" | "ms" | "dr")
                })
        };
        !text.begins_sentence(at)
            || is_name(at + 1)
            || at.checked_sub(1).is_some_and(is_name)
            // "Dr. Young": the full stop belongs to the title.
            || (at >= 2 && text.is_mark(at - 1, ".") && is_name(at - 2))
    }

    /// A part of a name that is spelled from `first` on: `L-O-P-E-Z`, `l o p e z`.
    fn spelled_at(&self, text: &Text<'_>, first: usize) -> Option<(usize, String)> {
        let is_letter = |index: usize| {
            text.word(index)
                .is_some_and(|word| word.chars().count() == 1)
        };
        let initial = text.word(first)?.chars().next()?;
        if !is_letter(first) || !self.initials.contains(&initial) {
            return None;
        }
        let (mut spelled, mut found, mut at) = (String::new(), None, first);
        while is_letter(at) && spelled.len() < self.longest {
            spelled.push_str(text.word(at)?);
            let names = self.by_first.get(&spelled);
            if let Some(name) = names.and_then(|names| names.iter().find(|it| it.words.len() == 1))
            {
                found = Some((at, name.person.clone()));
            }
            at += 1;
            if text
                .get(at)
                .is_some_and(|it| matches!(it.folded.as_str(), "-" | "." | ","))
            {
                at += 1;
            }
        }
        found
    }
}

/// The last token of these words where they stand from `first` on, with at most a mark between two.
fn ends_at(text: &Text<'_>, first: usize, words: &[String]) -> Option<usize> {
    let mut at = first;
    for (position, word) in words.iter().enumerate() {
        if position > 0 {
            at += 1;
            let is_joint = |index| {
                ["-", ".", "'", "’"]
                    .iter()
                    .any(|it| text.is_mark(index, it))
            };
            if is_joint(at) {
                at += 1;
            }
        }
        if text.word(at)? != word {
            return None;
        }
    }
    // Within a word of letters and digits it is none.
    let is_part = text.is_glued(at) && text.get(at + 1).is_some_and(|it| it.sort == Sort::Digits);
    (!is_part).then_some(at)
}

fn words_of(name: &str) -> Vec<String> {
    let text = Text::of(name);
    let words = text.tokens.into_iter().filter(|it| it.sort == Sort::Word);
    words.map(|it| it.folded).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    fn redacted(names: &[&str], text: &str) -> String {
        let mut redactor = Redactor::new(names.iter().copied());
        let redacted = redactor.redact(text);
        assert_eq!(redactor.restore(&redacted), text);
        redacted
    }

    #[test]
    fn a_name_is_found_whole_in_part_and_in_any_case() {
        let names = ["María López-García", "Dr. Sam O'Brien"];
        for (text, expected) in [
            ("Maria Lopez-Garcia called.", "[NAME_1] called."),
            ("MARIA, and Lopez Garcia", "[NAME_1], and [NAME_1_2]"),
            ("maria's file", "[NAME_1]'s file"),
            ("Mari\u{301}a Lo\u{301}pez-Garci\u{301}a", "[NAME_1]"),
            ("M\u{200b}aria Ｌｏｐｅｚ", "[NAME_1] [NAME_1_2]"),
            ("marianne and garciaz", "marianne and garciaz"),
            (
                "Dr. O'Brien, O Brien, Brien",
                "Dr. [NAME_2], [NAME_2_2], [NAME_2_3]",
            ),
            ("It is L-O-P-E-Z, l o p e z.", "It is [NAME_1], [NAME_1_2]."),
            ("A B C", "A B C"),
        ] {
            assert_eq!(redacted(&names, text), expected);
        }
    }

    #[test]
    fn a_name_that_is_a_word_needs_its_capital() {
        let names = ["Will Young"];
        for (text, expected) in [
            ("Will you wait? I will.", "Will you wait? I will."),
            (
                "Thanks, Will. You are young.",
                "Thanks, [NAME_1]. You are young.",
            ),
            ("Will Young is here.", "[NAME_1] is here."),
            ("Mr. Young is here.", "Mr. [NAME_1] is here."),
        ] {
            assert_eq!(redacted(&names, text), expected);
        }
    }

    #[test]
    fn a_short_name_leaves_the_sentences_whole() {
        let text = "An appointment, so you do want an hour? Ms. Ho, or An Ho, called.";
        assert_eq!(
            redacted(&["An Ho", "You So"], text),
            "An appointment, so you do want an hour? Ms. [NAME_1], or [NAME_1_2], called."
        );
    }

    #[test]
    fn nothing_that_is_a_name_is_declared() {
        assert_eq!(
            redacted(&["ada@example.org"], "For example, ada"),
            "For example, ada"
        );
        assert_eq!(
            redacted(&["", " ", "-", "A"], "A man, a plan"),
            "A man, a plan"
        );
    }
}
