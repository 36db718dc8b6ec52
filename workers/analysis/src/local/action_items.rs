//! Action items by four rules, tried in this order on each sentence: request, commitment,
//! obligation, instruction. A sentence gives one item at most.

use std::collections::BTreeSet;

use aftercall::documents::analysis::ActionItem;
use aftercall::documents::transcript::UNKNOWN_SPEAKER;

use super::due;
use super::text::{Sentence, Word};

pub const METHOD: &str = "rules";

/// Openings of a request; what follows must be a verb that outlives the call.
#[rustfmt::skip]
const REQUESTS: &[&[&str]] = &[
    &["can", "you"], &["could", "you"], &["would", "you", "mind"], &["would", "you"],
    &["will", "you"], &["please"], &["let", "me"], &["let", "us"],
];
#[rustfmt::skip]
const COMMITMENTS: &[&[&str]] = &[
    &["i'll"], &["i", "will"], &["i'm", "going", "to"], &["i", "am", "going", "to"], &["we'll"],
    &["we", "will"], &["we're", "going", "to"], &["we", "are", "going", "to"],
];
#[rustfmt::skip]
const OBLIGATIONS: &[&[&str]] = &[
    &["you", "need", "to"], &["you", "have", "to"], &["you", "must"], &["you", "should"],
    &["make", "sure"], &["don't", "forget", "to"], &["remember", "to"], &["we", "need", "to"],
    &["we", "have", "to"], &["we", "must"], &["we", "should"], &["i", "need", "to"],
    &["i", "have", "to"], &["i", "must"],
];
/// Verbs that open an instruction.
#[rustfmt::skip]
const INSTRUCTIONS: &[&str] = &[
    "arrange", "book", "bring", "call", "cancel", "check", "confirm", "contact", "email", "fax",
    "fill", "forward", "mail", "message", "order", "pay", "pick", "prepare", "print", "remind",
    "reschedule", "review", "schedule", "send", "ship", "sign", "submit", "text", "update",
    "upload",
];
/// Words between an opening and its verb.
const ADVERBS: &[&str] = &[
    "please",
    "just",
    "also",
    "then",
    "definitely",
    "certainly",
    "quickly",
    "kindly",
    "maybe",
];
/// Words before an instruction.
const LEAD_INS: &[&str] = &[
    "and", "so", "then", "okay", "ok", "also", "just", "well", "now", "yes", "yeah", "but",
];
/// What only steers the call, or is no action at all.
#[rustfmt::skip]
const NOT_ACTIONS: &[&str] = &[
    "admit", "be", "bear", "believe", "describe", "ever", "explain", "feel", "give", "go",
    "guess", "have", "hear", "hold", "imagine", "know", "let", "like", "love", "mind", "need", "never",
    "no", "not", "note", "prefer", "rather", "remember", "repeat", "say", "see", "speak",
    "spell", "stay", "tell", "think", "understand", "wait", "want", "worry",
];
/// "I'll take it" accepts an offer.
const NOT_PROMISES: &[&str] = &["take"];
/// Words before an opening that make it a condition or a question.
const CONDITIONS: &[&str] = &[
    "if", "do", "did", "don't", "didn't", "when", "unless", "whether",
];

/// The action items among sentences.
pub fn find(sentences: &[Sentence<'_>]) -> Vec<ActionItem> {
    let speakers: BTreeSet<&str> = sentences
        .iter()
        .map(|sentence| sentence.turn.speaker.as_str())
        .collect();
    sentences
        .iter()
        .filter_map(|sentence| {
            let words = sentence.words();
            let (rule, who) = judge(sentence, &words)?;
            Some(ActionItem {
                text: sentence.text.to_owned(),
                assignee: assignee(who, &sentence.turn.speaker, &speakers),
                due: due::find(sentence.text, &words).map(str::to_owned),
                rule: Some(rule.to_owned()),
                quote: sentence.quote(),
            })
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Who {
    Speaker,
    Other,
    Unclear,
}

/// The rule that fits, and who is meant.
fn judge(sentence: &Sentence<'_>, words: &[Word]) -> Option<(&'static str, Who)> {
    if REQUESTS.iter().any(|opening| is_request(words, opening)) {
        return Some(("request", Who::Other));
    }
    if sentence.ends_with_question_mark() {
        return None;
    }
    let found = |openings: &'static [&'static [&'static str]], except: &[&str]| {
        openings.iter().find_map(|opening| {
            let (at, verb) = after(words, opening)?;
            let condition = at > 0 && CONDITIONS.contains(&words[at - 1].lower.as_str());
            let excepted = except.contains(&words.get(verb)?.lower.as_str());
            (!condition && !excepted && is_action(words, verb)).then_some(opening[0])
        })
    };
    if let Some(first) = found(COMMITMENTS, NOT_PROMISES) {
        let who = if first.starts_with('i') {
            Who::Speaker
        } else {
            Who::Unclear
        };
        return Some(("commitment", who));
    }
    if let Some(first) = found(OBLIGATIONS, &[]) {
        let who = match first {
            "i" => Who::Speaker,
            "we" => Who::Unclear,
            _ => Who::Other,
        };
        return Some(("obligation", who));
    }
    let verb = words
        .iter()
        .position(|word| !LEAD_INS.contains(&word.lower.as_str()))?;
    let instructs = INSTRUCTIONS.contains(&words[verb].lower.as_str()) && verb + 1 < words.len();
    instructs.then_some(("instruction", Who::Other))
}

fn is_request(words: &[Word], opening: &[&str]) -> bool {
    let Some((_, verb)) = after(words, opening) else {
        return false;
    };
    match opening[0] {
        // "Let me know" asks for something; "let me look" does not.
        "let" => words.get(verb).is_some_and(|word| word.lower == "know"),
        _ => is_action(words, verb),
    }
}

/// Where the opening begins, and where the word after it and its adverbs stands.
fn after(words: &[Word], opening: &[&str]) -> Option<(usize, usize)> {
    let at = words.windows(opening.len()).position(|window| {
        window
            .iter()
            .zip(opening)
            .all(|(word, part)| word.lower == *part)
    })?;
    let verb = words[at + opening.len()..]
        .iter()
        .position(|word| !ADVERBS.contains(&word.lower.as_str()))?;
    Some((at, at + opening.len() + verb))
}

/// Whether the word can be the verb of an action; "be" can before "sending".
fn is_action(words: &[Word], verb: usize) -> bool {
    let Some(word) = words.get(verb) else {
        return false;
    };
    let sending = word.lower == "be"
        && words
            .get(verb + 1)
            .is_some_and(|next| next.lower.len() > 4 && next.lower.ends_with("ing"));
    sending || !NOT_ACTIONS.contains(&word.lower.as_str())
}

/// The speaker who is meant, where speakers are told apart and the words tell.
fn assignee(who: Who, speaker: &str, speakers: &BTreeSet<&str>) -> Option<String> {
    if speakers.contains(UNKNOWN_SPEAKER) {
        return None;
    }
    match who {
        Who::Speaker => Some(speaker.to_owned()),
        Who::Other if speakers.len() == 2 => speakers
            .iter()
            .find(|other| **other != speaker)
            .map(|other| (*other).to_owned()),
        Who::Other | Who::Unclear => None,
    }
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::local::tests::transcript;
    use crate::local::text::sentences;

    fn judged(text: &str) -> Option<(String, Option<String>)> {
        let call = transcript(&[("a", 0, 1, text), ("b", 1, 2, "Fine.")]);
        let mut items = find(&sentences(&call.turns));
        assert!(items.len() <= 1, "{items:?}");
        items
            .pop()
            .map(|item| (item.rule.expect("a rule"), item.assignee))
    }

    #[test]
    fn each_rule_finds_its_sentences_and_who_is_meant() {
        for (text, rule, assignee) in [
            (
                "Could you please send me the invoice?",
                "request",
                Some("b"),
            ),
            ("Please bring your insurance card.", "request", Some("b")),
            ("Let me know by Friday.", "request", Some("b")),
            ("I'll also email the form.", "commitment", Some("a")),
            ("I’ll be sending it today.", "commitment", Some("a")),
            ("We will call you back.", "commitment", None),
            ("You need to sign page two.", "obligation", Some("b")),
            ("I have to renew the policy.", "obligation", Some("a")),
            ("Make sure the gate is open.", "obligation", Some("b")),
            (
                "Okay, then call the lab before noon.",
                "instruction",
                Some("b"),
            ),
        ] {
            let expected = Some((rule.to_owned(), assignee.map(str::to_owned)));
            assert_eq!(judged(text), expected, "{text}");
        }
    }

    #[test]
    fn steering_conditions_and_wishes_are_no_action_items() {
        for text in [
            "Can you hear me?",
            "Could you spell that for me?",
            "Yes, please.",
            "Would you mind?",
            "Please hold.",
            "I'll be honest.",
            "Perfect, I'll take it.",
            "I will not go.",
            "We'll see.",
            "If you need to cancel, there is a fee.",
            "Do I have to bring anything?",
            "You don't have to pay.",
            "Call.",
            "Let me look.",
        ] {
            assert_eq!(judged(text), None, "{text}");
        }
    }

    #[test]
    fn the_due_words_are_kept_and_nobody_is_named_where_speakers_are_mixed() {
        let call = transcript(&[("unknown", 0, 1, "I'll send it by Friday.")]);
        let items = find(&sentences(&call.turns));
        assert_eq!(items[0].due.as_deref(), Some("Friday"));
        assert_eq!(items[0].assignee, None);
        assert_eq!(items[0].text, items[0].quote.text);
    }
}
