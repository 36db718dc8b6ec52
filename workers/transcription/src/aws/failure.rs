//! What a person reads when the service could not do it.

/// Enough of the service's words to act on.
const MAX_REASON_CHARS: usize = 200;

/// One plain sentence of a job's reason. Addresses, names of roles and account numbers are left out:
/// they are the operator's.
pub fn sentence(reason: Option<&str>) -> String {
    let words = reason.unwrap_or_default().split_whitespace();
    let plain: Vec<_> = words.filter(|word| !is_internal(word)).collect();
    let text: String = plain.join(" ").chars().take(MAX_REASON_CHARS).collect();
    let text = text.trim().trim_end_matches('.');
    if text.is_empty() {
        return "Amazon Transcribe could not transcribe the recording.".to_owned();
    }
    format!("Amazon Transcribe could not transcribe the recording: {text}.")
}

/// Addresses, ARNs and the twelve digits of an account.
fn is_internal(word: &str) -> bool {
    const ACCOUNT_DIGITS: usize = 12;
    let digits = word.chars().filter(char::is_ascii_digit).count();
    word.contains("://") || word.contains("arn:") || digits >= ACCOUNT_DIGITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_becomes_one_sentence() {
        assert_eq!(
            sentence(Some("Unsupported media format.")),
            "Amazon Transcribe could not transcribe the recording: Unsupported media format."
        );
        for nothing in [None, Some(""), Some(" . ")] {
            assert_eq!(
                sentence(nothing),
                "Amazon Transcribe could not transcribe the recording."
            );
        }
    }

    #[test]
    fn what_is_the_operators_stays_inside() {
        let told = sentence(Some(
            "The URI s3://bucket/key can't be read with arn:aws:iam::123456789012:role/x\nby 123456789012",
        ));
        for secret in ["bucket", "arn", "123456789012", "\n"] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(sentence(Some(&"long ".repeat(1_000))).len() < 300);
    }
}
