//! Words that carry no subject: grammar, the small talk of calls, days, times and numbers.

/// In alphabetical order, for the binary search.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "a.m", "able", "about", "actually", "after", "afternoon", "afternoons", "again", "ah",
    "ahead", "all", "alright", "also", "am", "an", "and", "any", "anything", "are", "aren't",
    "around", "as", "ask", "at", "back", "be", "because", "been", "before", "being", "bit",
    "but", "by", "bye", "call", "called", "calling", "can", "can't", "cannot", "come", "could",
    "couldn't", "day", "days", "did", "didn't", "do", "does", "doesn't", "doing", "don't",
    "done", "down", "dr", "each", "eight", "either", "eleven", "else", "even", "evening",
    "every", "everything", "exactly", "few", "fifty", "fine", "five", "for", "forty", "four",
    "friday", "from", "get", "getting", "give", "go", "going", "gonna", "good", "goodbye",
    "got", "gotta", "great", "guess", "had", "half", "has", "hasn't", "have", "haven't",
    "having", "he", "he's", "hello", "help", "her", "here", "here's", "hey", "hi", "him", "his",
    "hm", "hmm", "hold", "hour", "hours", "how", "huh", "hundred", "i", "i'd", "i'll", "i'm",
    "i've", "if", "in", "into", "is", "isn't", "it", "it'd", "it'll", "it's", "its", "just",
    "kind", "kindly", "know", "last", "let", "let's", "like", "little", "look", "looking",
    "lot", "ma'am", "madam", "made", "make", "may", "maybe", "me", "mean", "mhm", "might",
    "minute", "minutes", "mm", "moment", "monday", "month", "months", "more", "morning", "most",
    "mr", "mrs", "ms", "much", "must", "my", "need", "next", "nice", "night", "nine", "no",
    "not", "nothing", "now", "o'clock", "of", "off", "oh", "ok", "okay", "on", "once", "one",
    "only", "or", "other", "our", "out", "over", "p.m", "perfect", "please", "pm", "possible",
    "probably", "put", "quarter", "quite", "rather", "really", "right", "said", "same",
    "saturday", "say", "second", "seconds", "see", "seven", "she", "should", "shouldn't",
    "since", "sir", "six", "so", "some", "something", "soon", "sorry", "still", "such",
    "sunday", "sure", "take", "tell", "ten", "than", "thank", "thanks", "that", "that'll",
    "that's", "the", "their", "them", "then", "there", "there's", "these", "they", "they'll",
    "they're", "they've", "thing", "things", "think", "thirty", "this", "those", "three",
    "through", "thursday", "time", "to", "today", "tomorrow", "tonight", "too", "try",
    "tuesday", "twelve", "twenty", "two", "uh", "um", "under", "until", "up", "us", "use",
    "very", "wait", "wanna", "want", "was", "wasn't", "way", "we", "we'd", "we'll", "we're",
    "we've", "wednesday", "week", "weekend", "weeks", "welcome", "well", "were", "weren't",
    "what", "what's", "when", "where", "which", "while", "who", "why", "will", "with",
    "without", "won't", "wonderful", "would", "wouldn't", "yeah", "year", "years", "yep", "yes",
    "yesterday", "yet", "you", "you'd", "you'll", "you're", "you've", "your", "yours",
];

/// Whether a word in lower case carries no subject: on the list, one letter, or a bare number.
pub fn is_stop_word(lower: &str) -> bool {
    lower.chars().nth(1).is_none()
        || !lower.chars().any(char::is_alphabetic)
        || STOP_WORDS.binary_search(&lower).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{STOP_WORDS, is_stop_word};

    #[test]
    fn the_list_is_sorted_without_repeats() {
        assert!(STOP_WORDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn subjects_stay() {
        assert!(!is_stop_word("appointment") && !is_stop_word("b12"));
        assert!(is_stop_word("we'll") && is_stop_word("x") && is_stop_word("42"));
    }
}
