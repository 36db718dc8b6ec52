//! What others wrote, as text in Markdown.

use crate::documents::subtitles::one_line;

/// Characters that mean something in a line of CommonMark or of GitHub's Markdown, wherever they stand.
const SPECIAL: &str = "\\`*_[]<>&~|$#";

/// The text in one line that a renderer shows as it is: no markup, no HTML, no links, also where it
/// begins a line or a list item.
///
/// `example.org` and `ada@example.org` stay: renderers that make links of them lead nowhere else than
/// they say.
pub fn escape(text: &str) -> String {
    let line = one_line(text);
    let mut out = String::with_capacity(line.len() + 8);
    let mut is_first = true;
    let mut rest = line.as_str();
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let begins_a_block = is_first && (matches!(c, '-' | '+' | '=') || numbers_an_item(rest));
        let begins_a_link =
            (c == ':' && after.starts_with("//")) || (c == '.' && ends_with_www(&out));
        if begins_a_block && c.is_ascii_digit() {
            // `1.` would number an item of a list: what is escaped is what follows the digits.
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            out.push_str(&rest[..digits]);
            out.push('\\');
            rest = &rest[digits..];
            is_first = false;
            continue;
        }
        if c.is_control() {
            // Nobody says it, and terminals obey it.
            out.push('\u{FFFD}');
        } else {
            if begins_a_block || begins_a_link || SPECIAL.contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        is_first = false;
        rest = after;
    }
    out
}

fn numbers_an_item(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < text.len() && rest.starts_with(['.', ')'])
}

/// Whether a link without a scheme would begin here.
fn ends_with_www(before: &str) -> bool {
    let start = before.len().checked_sub(3);
    start
        .and_then(|start| before.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case("www"))
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_was_said_stays_readable() {
        for plain in [
            "Good morning, Mrs. O'Neil - how are you?",
            "It costs 3.50 (plus 20%), doesn't it?",
            "Straße 5; \"quoted\"! 日本語",
            "call me: ada@example.org",
        ] {
            assert_eq!(escape(plain), plain);
        }
    }

    #[test]
    fn nothing_is_markup() {
        for (text, escaped) in [
            ("*bold* _it_ `code`", "\\*bold\\* \\_it\\_ \\`code\\`"),
            ("[x](http://a.b)", "\\[x\\](http\\://a.b)"),
            ("<script>&amp;", "\\<script\\>\\&amp;"),
            ("see www.a.b and WWW.c", "see www\\.a.b and WWW\\.c"),
            ("# head", "\\# head"),
            ("- item", "\\- item"),
            ("1. item", "1\\. item"),
            ("12) item", "12\\) item"),
            ("a\n\n# b\r\n---", "a \\# b ---"),
            ("|a|b|", "\\|a\\|b\\|"),
            ("===", "\\==="),
            ("a\u{1b}[31mb", "a\u{FFFD}\\[31mb"),
            ("\\", "\\\\"),
            ("", ""),
        ] {
            assert_eq!(escape(text), escaped, "{text}");
        }
    }
}
