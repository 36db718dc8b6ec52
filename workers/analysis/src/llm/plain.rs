//! Plain text out of what a model wrote: no link and no markup passes on.
//!
//! Whoever speaks in a conversation can make a model repeat an address or a tag, and what reads the
//! analysis may show it as a link. Markup is taken out of a text; a text with a link, and a quote with
//! either, is refused as a whole. An address without a scheme is known by its end: a country's, or one of
//! a list of common ones.

/// Ends of host names that are no words of their own.
const HOST_ENDS: [&str; 76] = [
    "com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "app", "dev",
    "xyz", "site", "online", "club", "shop", "store", "tech", "link", "click", "top", "live",
    "cloud", "page", "web", "blog", "io", "ai", "co", "cc", "tv", "ly", "gl", "gg", "eu", "uk",
    "de", "fr", "ru", "cn", "jp", "ch", "nl", "pl", "br", "example", "art", "bid", "bond", "buzz",
    "cfd", "cyou", "digital", "email", "finance", "fun", "help", "icu", "lol", "loan", "mobi",
    "mov", "news", "rest", "sbs", "space", "support", "vip", "website", "wiki", "win", "work",
    "world", "zip",
];
/// Countries; some are words, so that they count only behind a name of two letters and more.
const COUNTRY_ENDS: &str = "\
    ac ad ae af ag al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo bs bt bw \
    by bz ca cd cf cg ci ck cl cm cr cu cv cw cx cy cz dj dk dm do dz ec ee eg er es et fi fj fk \
    fm fo ga gd ge gf gh gi gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in iq ir \
    is it je jm jo ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ma mc md me mg \
    mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni no np nr nu nz om pa pe \
    pf pg ph pk pm pn pr ps pt pw py qa re ro rs rw sa sb sc sd se sg sh si sk sl sm sn so sr ss \
    st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tw tz ua ug us uy uz va vc ve vg vi \
    vn vu wf ws ye yt za zm zw";
/// Schemes that do something when they are clicked, beside all with `//`.
const SCHEMES: [&str; 6] = [
    "mailto:",
    "javascript:",
    "vbscript:",
    "data:text",
    "data:image",
    "data:application",
];
/// What stands around a word and does not belong to it.
const AROUND: &[char] = &[
    '.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '"', '\'', '<', '>', '“', '”', '‘',
    '’', '…', '*', '_', '`',
];

/// The text on one line without invisible characters and markup; `None` if it holds a link or nothing.
pub fn plain(text: &str, max_chars: usize) -> Option<String> {
    let visible = visible(text);
    if has_link(&visible) {
        return None;
    }
    let bare = without_markup(&visible);
    let bare = unlisted(bare.trim_end_matches(|c: char| c.is_whitespace() || "#-=_".contains(c)));
    let bare: String = bare.chars().take(max_chars).collect();
    let bare = bare.trim();
    // What stood between the letters of a link may be gone now.
    let is_text = bare.chars().any(char::is_alphanumeric) && !has_link(bare);
    is_text.then(|| bare.to_owned())
}

/// Whether a quote may pass on as it is.
pub fn is_plain(quote: &str) -> bool {
    let marks = ["](", "![", "**", "__", "~~"];
    let has_mark = quote.contains(['<', '>', '`', '\0'])
        || marks.iter().any(|mark| quote.contains(mark))
        || entity(quote).is_some()
        || opens_emphasis(quote);
    !has_mark && !has_link(&visible(quote))
}

/// Whether a star or underscore stands before a word: `*so*`, `_so_`, but not `A*` or `snake_case`.
fn opens_emphasis(text: &str) -> bool {
    text.match_indices(['*', '_']).any(|(at, _)| {
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_letter(text[..at].chars().next_back()) && is_letter(text[at + 1..].chars().next())
    })
}

/// Words with single spaces, without characters that show nothing or turn others around.
fn visible(text: &str) -> String {
    let shown = |c: &char| {
        let unseen = matches!(*c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}');
        !unseen && (!c.is_control() || c.is_whitespace())
    };
    let shown: String = text.chars().filter(shown).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without the marks of headings and lists that open a line; the sign of a number stays.
fn unlisted(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || "#=_".contains(c));
        match text.strip_prefix('-') {
            Some(rest) if !rest.starts_with(|c: char| c.is_ascii_digit()) => text = rest,
            _ => return text,
        }
    }
}

fn without_markup(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some((start, end)) = entity(&text) {
        text.replace_range(start..end, " ");
    }
    let mut bare = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '<' | '>' | '`' | '*' | '~' | '|' | '\\' | '{' | '}' | '^' => {}
            '[' => bare.push('('),
            ']' => bare.push(')'),
            // Emphasis, unless it stands within a word.
            '_' if !(bare.ends_with(char::is_alphanumeric)
                && chars.peek().is_some_and(|next| next.is_alphanumeric())) => {}
            c => bare.push(c),
        }
    }
    bare.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the first character reference of HTML stands, such as `&lt;`.
fn entity(text: &str) -> Option<(usize, usize)> {
    const LONGEST: usize = 32;
    for (start, _) in text.match_indices('&') {
        let name = &text[start + 1..];
        let end = name.bytes().take(LONGEST).position(|byte| byte == b';');
        let Some(end) = end else { continue };
        let name = &name.as_bytes()[..end];
        let fits = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'#');
        if !name.is_empty() && fits {
            return Some((start, start + 1 + end + 1));
        }
    }
    None
}

fn has_link(text: &str) -> bool {
    // Browsers read these as the plain ones.
    let plain = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '。' | '｡' => '.',
        c => c,
    };
    let lower = text.chars().map(plain).collect::<String>().to_lowercase();
    lower.contains("//")
        || lower.contains("www.")
        || SCHEMES.iter().any(|scheme| lower.contains(scheme))
        || lower
            .split(|c: char| c.is_whitespace() || ",;|\"<>()[]{}".contains(c))
            .any(is_address)
        // Whatever it is glued to.
        || lower
            .split(|c: char| !c.is_alphanumeric() && !".-@".contains(c))
            .any(is_address)
}

/// Whether a word is the address of a page: a host name with a known end, or any with a path or port.
fn is_address(word: &str) -> bool {
    let word = word.trim_matches(AROUND);
    if word.contains('@') {
        return false;
    }
    let host_end = word.find(['/', '?', '#', ':']).unwrap_or(word.len());
    let (host, rest) = word.split_at(host_end);
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        let mut chars = label.chars();
        !label.is_empty() && chars.all(|c| c.is_alphanumeric() || c == '-')
    };
    let (Some(last), true) = (labels.last(), labels.len() > 1) else {
        return false;
    };
    if !labels.iter().all(is_label) {
        return false;
    }
    let is_number = labels
        .iter()
        .all(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if is_number {
        return labels.len() == 4 && rest.len() > 1;
    }
    let is_name = last.len() >= 2 && last.chars().all(char::is_alphabetic);
    let before = labels[labels.len() - 2];
    let is_countrys = before.len() >= 2
        && before.contains(char::is_alphabetic)
        && COUNTRY_ENDS.split(' ').any(|end| end == *last);
    let is_host = is_countrys || HOST_ENDS.contains(last);
    is_name && (is_host || rest.starts_with(['/', ':']) && rest.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_refused_in_every_dress() {
        for text in [
            "See https://evil.example/a",
            "See HTTP://EVIL.example",
            "[click here](https://evil.example)",
            "Visit www.evil.test now",
            "Go to evil.com.",
            "Go to evil.com/x?y=1",
            "(evil.org)",
            "bit.ly/abc",
            "intranet.local/secret",
            "10.0.0.1/admin",
            "host.internal:8080",
            "mailto:a@b.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "ht\u{200b}tps://evil.example",
            "evil\u{ad}.com",
            "https:`//evil.example",
            "ev*il*.com",
            "href=evil.com",
            "a:evil.com",
            "<a href=\"//evil.test\">",
            "Go to evil.me or phish.zip",
            "Go to evil。com",
            "Go to ｅｖｉｌ．ｃｏｍ",
            "h_ttps_://evil.test",
        ] {
            assert_eq!(plain(text, 500), None, "{text}");
        }
    }

    #[test]
    fn ordinary_words_pass() {
        for text in [
            "They agreed on 3.30 p.m. on Monday.",
            "Dr. Allen calls back; the number is +49 30 123456.",
            "Version 1.2.3 costs 4.50 euros, i.e. less.",
            "Write to ann@clinic.example about it.",
            "Sie kommt morgen.Danach ruft er an.",
            "What is the data: none.",
            "At 11.am, Ph.D. or Dr. No.",
            "The snake_case is -5 degrees cold.",
            "-5 degrees",
            "你好。我们明天见。",
        ] {
            assert_eq!(plain(text, 500).as_deref(), Some(text));
            assert!(is_plain(text), "{text}");
        }
    }

    #[test]
    fn markup_is_taken_out() {
        for (text, bare) in [
            ("<b>Bold</b> *and* `code`", "bBold/b and code"),
            ("## Title", "Title"),
            ("- one\n- two", "one - two"),
            ("&lt;img&gt; x", "img x"),
            ("&amp;lt;b", "lt;b"),
            ("see [1]", "see (1)"),
            ("a\u{202e}b\u{0}c", "abc"),
            ("__x__", "x"),
            ("say _this_ now_", "say this now"),
            ("- - 5 of them", "5 of them"),
        ] {
            assert_eq!(plain(text, 500).as_deref(), Some(bare), "{text}");
        }
        assert_eq!(plain("***", 500), None);
        assert_eq!(plain("", 500), None);
        assert_eq!(plain("äöü", 2).as_deref(), Some("äö"));
    }

    #[test]
    fn quotes_with_markup_do_not_pass() {
        for quote in [
            "<b>x</b>",
            "`rm`",
            "[a](b)",
            "**x**",
            "&#60;b",
            "go to evil.com",
            "so *very* good",
            "_very_",
        ] {
            assert!(!is_plain(quote), "{quote}");
        }
        assert!(is_plain("an A* in snake_case, 2 * 3"));
    }
}
