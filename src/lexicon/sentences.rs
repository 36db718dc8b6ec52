//! Which text the lexicon reads, and its sentences.

use unicode_segmentation::UnicodeSegmentation;

/// Longer sentences are cut: transcripts without punctuation must not become one endless sentence.
const MAX_SENTENCE_BYTES: usize = 600;

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: &[&str] = &["Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "St.", "Mt.", "vs."];

/// Whether text in this language, a BCP 47 tag or an engine's name of it, is English.
///
/// Where no language is given the script decides, so that other alphabets are not judged by chance;
/// another language in Latin letters passes for English.
pub fn reads<'a>(language: Option<&str>, texts: impl Iterator<Item = &'a str>) -> bool {
    match primary(language) {
        Some(tag) => matches!(tag.as_str(), "en" | "eng" | "english"),
        None => mostly_latin(texts),
    }
}

/// The primary subtag in lower case; engines also write names (`english`) and `en_US`.
fn primary(language: Option<&str>) -> Option<String> {
    let tag = language?.split(['-', '_']).next()?.trim();
    (!tag.is_empty() && tag != "und").then(|| tag.to_lowercase())
}

fn mostly_latin<'a>(texts: impl Iterator<Item = &'a str>) -> bool {
    let (mut letters, mut latin) = (0_u64, 0_u64);
    for text in texts {
        if text.is_ascii() {
            let ascii = text.bytes().filter(u8::is_ascii_alphabetic).count() as u64;
            letters += ascii;
            latin += ascii;
            continue;
        }
        for letter in text.chars().filter(|letter| letter.is_alphabetic()) {
            letters += 1;
            // Up to U+024F: Basic Latin, Latin-1, Latin Extended-A and -B.
            latin += u64::from(letter <= '\u{24f}');
        }
    }
    latin * 2 >= letters
}

/// The sentences of a text that have a word, each with the offset where it begins.
pub fn sentences(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (mut start, end) in spans(text) {
        while start < end {
            let cut = start + piece_len(&text[start..end]);
            let piece = &text[start..cut];
            let trimmed = piece.trim();
            if trimmed.unicode_words().next().is_some() {
                let offset = start + piece.len() - piece.trim_start().len();
                found.push((offset, trimmed));
            }
            start = cut;
        }
    }
    found
}

/// Unicode's sentence spans (UAX #29), joined where an abbreviation cut them.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (start, piece) in text.split_sentence_bound_indices() {
        let end = start + piece.len();
        match spans.last_mut() {
            Some(last) if ends_with_abbreviation(&text[last.0..last.1]) => last.1 = end,
            _ => spans.push((start, end)),
        }
    }
    spans
}

fn ends_with_abbreviation(piece: &str) -> bool {
    let last = piece
        .rsplit(char::is_whitespace)
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    let mut letters = last.chars();
    let initial = matches!(
        (letters.next(), letters.next(), letters.next()),
        (Some(letter), Some('.'), None) if letter.is_uppercase() && letter != 'I'
    );
    initial || ABBREVIATIONS.contains(&last)
}

/// Length of the first piece: all of it, or up to the last space before the limit, or up to the
/// limit where there is no space.
fn piece_len(text: &str) -> usize {
    if text.len() <= MAX_SENTENCE_BYTES {
        return text.len();
    }
    let limit = text.floor_char_boundary(MAX_SENTENCE_BYTES);
    match text[..limit].rfind(char::is_whitespace) {
        Some(space) if space > 0 => space,
        _ => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_in_any_spelling_and_unnamed_latin_text_is_read() {
        for language in [
            Some("en"),
            Some("EN_us"),
            Some("english"),
            Some(" "),
            Some("und"),
            None,
        ] {
            assert!(
                reads(language, ["Hello there.", "Ça va?"].into_iter()),
                "{language:?}"
            );
        }
        assert!(!reads(Some("de-DE"), ["Hello there."].into_iter()));
        assert!(!reads(None, ["Καλημέρα σας", "OK"].into_iter()));
    }

    #[test]
    fn sentences_have_words_and_know_where_they_begin() {
        let text = " Dr. Allen is in. Call J. Smith!";
        assert_eq!(
            sentences(text),
            [(1, "Dr. Allen is in."), (18, "Call J. Smith!")]
        );
        assert_eq!(sentences("… \u{0}\n--"), []);
    }
}
