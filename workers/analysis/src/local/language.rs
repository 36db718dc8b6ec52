//! Which findings may read a transcript, by its language.

use aftercall::documents::analysis::Reason;
use aftercall::documents::transcript::Transcript;
use aftercall::lexicon;
use unicode_segmentation::UnicodeSegmentation;

/// Primary language subtags (ISO 639-1) of languages written without spaces between words.
const WITHOUT_SPACES: &[&str] = &["zh", "ja", "th", "lo", "km", "my", "bo", "yue"];

/// Whether lexicon and rules, which are English, can read the transcript.
pub fn readable(transcript: &Transcript) -> Result<(), Reason> {
    if transcript.turns.is_empty() {
        return Err(Reason::NoSpeech);
    }
    let texts = transcript.turns.iter().map(|turn| turn.text.as_str());
    if !lexicon::reads(transcript.language.as_deref(), texts) {
        return Err(Reason::LanguageNotSupported);
    }
    let has_words = transcript
        .turns
        .iter()
        .any(|turn| turn.text.unicode_words().next().is_some());
    if has_words {
        Ok(())
    } else {
        Err(Reason::TooLittleText)
    }
}

/// Whether words can be counted.
pub fn separates_words(transcript: &Transcript) -> bool {
    primary(transcript).is_none_or(|tag| !WITHOUT_SPACES.contains(&tag.as_str()))
}

/// The primary subtag in lower case; engines also write names (`english`) and `en_US`.
fn primary(transcript: &Transcript) -> Option<String> {
    let tag = transcript
        .language
        .as_deref()?
        .split(['-', '_'])
        .next()?
        .trim();
    (!tag.is_empty() && tag != "und").then(|| tag.to_lowercase())
}

#[cfg(test)]
mod tests {
    use aftercall::documents::analysis::Reason;

    use super::{readable, separates_words};
    use crate::local::tests::transcript;

    #[test]
    fn english_in_any_spelling_and_unnamed_latin_text_is_read() {
        for language in [
            Some("en"),
            Some("en-GB"),
            Some("EN_us"),
            Some("english"),
            Some(""),
            None,
        ] {
            let mut call = transcript(&[("speaker_0", 0, 1_000, "Hello there.")]);
            call.language = language.map(str::to_owned);
            assert_eq!(readable(&call), Ok(()), "{language:?}");
        }
    }

    #[test]
    fn other_languages_and_scripts_are_not() {
        let mut german = transcript(&[("speaker_0", 0, 1_000, "Guten Tag.")]);
        german.language = Some("de-DE".into());
        assert_eq!(readable(&german), Err(Reason::LanguageNotSupported));
        let greek = transcript(&[("speaker_0", 0, 1_000, "Καλημέρα σας, OK")]);
        assert_eq!(readable(&greek), Err(Reason::LanguageNotSupported));
    }

    #[test]
    fn nothing_said_and_nothing_readable_differ() {
        assert_eq!(readable(&transcript(&[])), Err(Reason::NoSpeech));
        assert_eq!(
            readable(&transcript(&[("unknown", 0, 1, "… \u{0} --")])),
            Err(Reason::TooLittleText)
        );
    }

    #[test]
    fn words_are_not_counted_where_spaces_do_not_part_them() {
        let mut call = transcript(&[("speaker_0", 0, 1_000, "你好")]);
        call.language = Some("zh-Hant".into());
        assert!(!separates_words(&call));
        call.language = Some("sw".into());
        assert!(separates_words(&call));
    }
}
