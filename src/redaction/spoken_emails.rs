//! E-mail addresses as they are spoken: `john dot doe at example dot com`.
//!
//! The domain gives an address away: an `at` with words and dots after it that end in a known top-level
//! domain. How far the local part reaches to the left is a guess: joined and spelled words belong to it,
//! and where mail was just named also plain words up to one that cannot.

use super::numbers::group_at;
use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::{Sort, Text};
use super::topics::{Topic, Topics};

const TOP_LEVEL: &str = "\
    app at au be biz ca care ch clinic co com cz de dev dk edu es eu example fi fr gov gr \
    health ie in info int io it jp local me mil mx net nhs nl no nz org pl pt ro ru se test uk \
    us za";

/// Words before `at` that end no local part.
const NOT_LOCAL: &str = "\
    a address am an and are arrive available back be call check com contact down email find go \
    have he her here him i information is it just look mail me my of on online or out page \
    read s see send she sign site so start that the them there they this to up us visit was we \
    website with would you your";

/// Words before an address in which mail is named.
const NEAR: usize = 12;
const MAX_PLAIN_WORDS: usize = 3;
const MAX_LOCAL_TOKENS: usize = 64;
const MAX_DOTS: usize = 6;
const MAX_DOMAIN_TOKENS: usize = 48;
/// Words before the first dot: `g mail dot com`, `my own clinic dot org`.
const MAX_LABEL_WORDS: usize = 3;

pub fn find(text: &Text<'_>, topics: &Topics, claims: &mut Claims) {
    for at in 1..text.tokens.len() {
        let is_at = text.word(at) == Some("at") || text.is_mark(at, "@");
        if !is_at || claims.is_taken(at) {
            continue;
        }
        let Some((last, domain)) = domain(text, at + 1) else {
            continue;
        };
        let is_near = topics.is_near(at, Topic::Email, NEAR);
        if let Some((first, local)) = local(text, at, is_near, claims) {
            claims.claim(Kind::Email, first, last, format!("{local}@{domain}"));
        }
    }
}

/// The last token of a domain that begins at `first`, and how it is written.
fn domain(text: &Text<'_>, first: usize) -> Option<(usize, String)> {
    let mut written = String::new();
    let mut found = None;
    let (mut dots, mut words, mut at) = (0, 0, first);
    while let Some(token) = text.get(at).filter(|_| at - first < MAX_DOMAIN_TOKENS) {
        let is_glued = at > first && text.is_glued(at - 1);
        match token.folded.as_str() {
            "dot" if words > 0 => (dots, words) = (dots + 1, 0),
            "." if words > 0 && text.is_glued(at) && is_glued => (dots, words) = (dots + 1, 0),
            "-" | "dash" | "hyphen" if words > 0 => {
                written.push('-');
                at += 1;
                continue;
            }
            _ if token.sort == Sort::Mark || dots > MAX_DOTS => break,
            word => {
                let limit = if dots == 0 { MAX_LABEL_WORDS } else { 1 };
                let goes_on = is_glued || written.ends_with('-');
                if words >= limit && !goes_on {
                    break;
                }
                words += usize::from(!goes_on || words == 0);
                written.push_str(word);
                if dots > 0 && words == 1 && TOP_LEVEL.split(' ').any(|it| it == word) {
                    found = Some((at, written.len()));
                }
            }
        }
        if words == 0 {
            written.push('.');
        }
        at += 1;
    }
    let (last, length) = found?;
    written.truncate(length);
    Some((last, written))
}

/// The first token of a local part that ends before `at`, and how it is written.
fn local(text: &Text<'_>, at: usize, is_near: bool, claims: &Claims) -> Option<(usize, String)> {
    let is_word = |index: usize| {
        let token = text.get(index);
        token.is_some_and(|it| it.sort != Sort::Mark) && !claims.is_taken(index)
    };
    let mut first = at.checked_sub(1).filter(|it| is_word(*it))?;
    let mut parts = vec![atom(text, first)];
    let mut plain = 0;
    while at - first < MAX_LOCAL_TOKENS {
        let Some(before) = first.checked_sub(1) else {
            break;
        };
        if let Some(joint) = joint(text, before) {
            let Some(word) = before.checked_sub(1).filter(|it| is_word(*it)) else {
                break;
            };
            parts.push(joint.to_owned());
            first = word;
        } else if is_word(before) && (is_spelled(text, before) || is_spelled(text, first)) {
            if is_spelled(text, first) && !is_spelled(text, before) && ends(text, before) {
                break;
            }
            first = before;
        } else if is_near && is_word(before) && !ends(text, before) && plain < MAX_PLAIN_WORDS {
            plain += 1;
            first = before;
        } else {
            break;
        }
        parts.push(atom(text, first));
    }
    let is_alone = parts.len() == 1 && ends(text, first);
    parts.reverse();
    (!is_alone).then(|| (first, parts.concat()))
}

fn joint(text: &Text<'_>, at: usize) -> Option<&'static str> {
    let is_tight = at > 0 && text.is_glued(at) && text.is_glued(at - 1);
    match text.get(at)?.folded.as_str() {
        "dot" | "period" => Some("."),
        "underscore" => Some("_"),
        "dash" | "hyphen" | "minus" => Some("-"),
        "plus" => Some("+"),
        "." if is_tight => Some("."),
        "_" if is_tight => Some("_"),
        "-" if is_tight => Some("-"),
        "+" if is_tight => Some("+"),
        _ => None,
    }
}

/// One letter, or digits: `j o h n 4 2`, `smith eighty four`.
fn is_spelled(text: &Text<'_>, at: usize) -> bool {
    let is_letter = text.word(at).is_some_and(|it| it.chars().count() == 1);
    is_letter || group_at(text, at).is_some() || text.digits(at).is_some()
}

fn ends(text: &Text<'_>, at: usize) -> bool {
    text.word(at)
        .is_some_and(|word| NOT_LOCAL.split(' ').any(|it| it == word))
}

fn atom(text: &Text<'_>, at: usize) -> String {
    let word = text
        .get(at)
        .map(|it| it.folded.as_str())
        .unwrap_or_default();
    match group_at(text, at) {
        // An `o` among letters is one.
        Some(group) if group.first == group.last && word != "o" => group.digits,
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::redaction::Redactor;

    #[test]
    fn a_spoken_address_is_the_written_one() {
        for text in [
            "john dot doe at example dot com",
            "john.doe at example.com",
            "John.Doe@example.com",
            "j o h n dot d o e at example dot com",
        ] {
            let mut redactor = Redactor::new([]);
            redactor.redact("So john.doe@example.com");
            let redacted = redactor.redact(&format!("It is {text}."));
            assert!(redacted.starts_with("It is [EMAIL_1"), "{redacted}");
            assert!(redacted.ends_with("]."), "{redacted}");
        }
    }

    #[test]
    fn the_local_part_reaches_as_far_as_it_may() {
        for (text, expected) in [
            (
                "So jane underscore smith at g mail dot com please",
                "So [EMAIL_1] please",
            ),
            (
                "My email is mary jane smith at proton mail dot com.",
                "My email is [EMAIL_1].",
            ),
            (
                "Write to smith 84 at example dot co dot uk",
                "Write to [EMAIL_1]",
            ),
            ("reception at north dash clinic dot org", "[EMAIL_1]"),
            (
                "Look at example dot com, it is at example.com",
                "Look at example dot com, it is at example.com",
            ),
            (
                "We met at noon. Dot com was big.",
                "We met at noon. Dot com was big.",
            ),
            ("Meet me at the dot", "Meet me at the dot"),
        ] {
            assert_eq!(Redactor::new([]).redact(text), expected);
        }
    }
}
