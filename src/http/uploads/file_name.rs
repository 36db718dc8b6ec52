//! The name of an uploaded file, as far as it may be kept.

const MAX_CHARS: usize = 255;

/// The last segment of a claimed name without control characters; `None` if nothing is left of it.
///
/// It is only ever shown: keys in the object store are made of ids.
pub(super) fn harmless(claimed: &str) -> Option<String> {
    let segment = claimed.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = segment
        .chars()
        .filter(|c| !is_hidden(*c))
        .take(MAX_CHARS)
        .collect();
    let name = name.trim();
    (!name.is_empty() && name.chars().any(|c| c != '.')).then(|| name.to_owned())
}

/// Control characters, and those that turn the direction of the text around them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_could_do_harm() {
        let cases = [
            ("call.wav", Some("call.wav")),
            ("Anruf Müller 3.wav", Some("Anruf Müller 3.wav")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\calls\\call.wav", Some("call.wav")),
            ("a\r\nSet-Cookie: b.wav", Some("aSet-Cookie: b.wav")),
            ("\u{202e}gpj.wav", Some("gpj.wav")),
            ("..", None),
            ("a/", None),
            (" \u{0} ", None),
            ("", None),
        ];
        for (claimed, name) in cases {
            assert_eq!(harmless(claimed).as_deref(), name, "{claimed:?}");
        }
    }

    #[test]
    fn long_names_are_cut() {
        let name = harmless(&"ä".repeat(10_000)).expect("a name");
        assert_eq!(name.chars().count(), MAX_CHARS);
    }
}
