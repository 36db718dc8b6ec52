//! Questions by two rules: the mark at the end, or an opening that only questions have.

use aftercall::documents::analysis::Question;

use super::text::{Sentence, Word};

pub const METHOD: &str = "rules";

/// Words that may stand before the opening.
const LEAD_INS: &[&str] = &[
    "and", "but", "so", "okay", "ok", "well", "um", "uh", "oh", "then", "now",
];
const QUESTION_WORDS: &[&str] = &[
    "what", "when", "where", "who", "whom", "whose", "which", "why", "how",
];
/// Question words that carry their verb.
const CONTRACTIONS: &[&str] = &["what's", "where's", "who's", "when's", "how's", "why's"];
/// Verbs that come second in a question and not in a subordinate clause ("when I get home").
const AUXILIARIES: &[&str] = &[
    "is", "are", "am", "was", "were", "do", "does", "did", "can", "could", "will", "would",
    "should", "shall", "have", "has", "had", "isn't", "aren't", "don't", "doesn't", "didn't",
    "can't", "won't", "wouldn't",
];
/// Nouns and measures that a question word takes with it.
const MEASURES: &[&str] = &[
    "time", "kind", "day", "date", "much", "many", "long", "far", "often", "old", "about", "soon",
];
const SUBJECTS: &[&str] = &[
    "i", "you", "we", "they", "he", "she", "it", "there", "that", "this",
];

/// The questions among sentences.
pub fn find(sentences: &[Sentence<'_>]) -> Vec<Question> {
    sentences
        .iter()
        .filter_map(|sentence| {
            let rule = rule(sentence)?;
            Some(Question {
                rule: Some(rule.to_owned()),
                quote: sentence.quote(),
            })
        })
        .collect()
}

fn rule(sentence: &Sentence<'_>) -> Option<&'static str> {
    if sentence.ends_with_question_mark() {
        return Some("question_mark");
    }
    opens_as_question(&sentence.words()).then_some("question_opening")
}

fn opens_as_question(words: &[Word]) -> bool {
    let mut words = words
        .iter()
        .map(|word| word.lower.as_str())
        .skip_while(|word| LEAD_INS.contains(word));
    let (Some(first), Some(second)) = (words.next(), words.next()) else {
        return false;
    };
    if CONTRACTIONS.contains(&first) {
        true
    } else if QUESTION_WORDS.contains(&first) {
        AUXILIARIES.contains(&second)
            || MEASURES.contains(&second)
                && words
                    .next()
                    .is_some_and(|third| AUXILIARIES.contains(&third))
    } else {
        AUXILIARIES.contains(&first) && SUBJECTS.contains(&second)
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::local::tests::transcript;
    use crate::local::text::sentences;

    fn rule(text: &str) -> Option<String> {
        let call = transcript(&[("a", 0, 1, text)]);
        find(&sentences(&call.turns))
            .pop()
            .and_then(|question| question.rule)
    }

    #[test]
    fn marked_and_unmarked_questions_are_found() {
        assert_eq!(rule("Tuesday at three?").as_deref(), Some("question_mark"));
        for text in [
            "What time does the office open.",
            "so how much is it",
            "Do you take walk-ins.",
            "Okay, where's the entrance",
        ] {
            assert_eq!(rule(text).as_deref(), Some("question_opening"), "{text}");
        }
    }

    #[test]
    fn clauses_and_exclamations_are_not_questions() {
        for text in [
            "When I get home, I'll call.",
            "What a lovely day!",
            "How nice.",
            "Which we did.",
            "Do call again.",
            "What",
        ] {
            assert_eq!(rule(text), None, "{text}");
        }
    }
}
