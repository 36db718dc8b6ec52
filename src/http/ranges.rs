//! Which bytes of a representation a request wants
//! ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-14)).

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, header};
use http_range_header::{EndPosition, RangeUnsatisfiableError, StartPosition, parse_range_header};

/// What to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No range, one that is malformed or not for this representation, or several.
    Whole,
    /// Offsets of the first and last byte.
    Part(RangeInclusive<u64>),
    /// A range that begins after the end.
    Outside,
}

/// The wanted bytes of `length`; `etag` is the strong validator of the representation.
pub fn wanted(headers: &HeaderMap, etag: &str, length: u64) -> Wanted {
    let Some(range) = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
    else {
        return Wanted::Whole;
    };
    if headers
        .get(header::IF_RANGE)
        .is_some_and(|known| known.as_bytes() != etag.as_bytes())
    {
        return Wanted::Whole;
    }
    match parse_range_header(range) {
        Ok(parsed) => match parsed.ranges.as_slice() {
            [range] => resolve(range.start, range.end, length),
            _ => Wanted::Whole,
        },
        Err(RangeUnsatisfiableError::ZeroSuffix) => Wanted::Outside,
        Err(_) => Wanted::Whole,
    }
}

/// Whether `If-None-Match` names the representation.
pub fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        known
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*")
    })
}

fn resolve(start: StartPosition, end: EndPosition, length: u64) -> Wanted {
    let first = match start {
        StartPosition::Index(first) => first,
        StartPosition::FromLast(count) => length.saturating_sub(count),
    };
    let last = match end {
        EndPosition::Index(last) if last < first => return Wanted::Whole,
        EndPosition::Index(last) => last.min(length.saturating_sub(1)),
        EndPosition::LastByte => length.saturating_sub(1),
    };
    if first >= length {
        Wanted::Outside
    } else {
        Wanted::Part(first..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn of(range: &str, if_range: Option<&str>) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().expect("a header"));
        if let Some(tag) = if_range {
            headers.insert(header::IF_RANGE, tag.parse().expect("a header"));
        }
        wanted(&headers, ETAG, 100)
    }

    #[test]
    fn one_range_in_its_three_spellings() {
        let cases = [
            ("bytes=0-0", Wanted::Part(0..=0)),
            ("bytes=10-19", Wanted::Part(10..=19)),
            ("bytes=90-1000", Wanted::Part(90..=99)),
            ("bytes=99-", Wanted::Part(99..=99)),
            ("bytes=0-", Wanted::Part(0..=99)),
            ("bytes=-10", Wanted::Part(90..=99)),
            ("bytes=-1000", Wanted::Part(0..=99)),
            ("bytes=100-", Wanted::Outside),
            ("bytes=100-200", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
        ];
        for (range, expected) in cases {
            assert_eq!(of(range, None), expected, "{range}");
        }
    }

    #[test]
    fn what_is_no_single_range_is_the_whole() {
        for range in [
            "bytes=0-1,5-6",
            "bytes=20-10",
            "items=0-1",
            "bytes=a-b",
            "bytes",
            "bytes=-",
        ] {
            assert_eq!(of(range, None), Wanted::Whole, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), ETAG, 100), Wanted::Whole);
    }

    #[test]
    fn a_range_of_another_representation_is_the_whole() {
        assert_eq!(of("bytes=0-1", Some(ETAG)), Wanted::Part(0..=1));
        for other in ["\"abd\"", "W/\"abc\"", "Sat, 21 Nov 2026 00:00:00 GMT"] {
            assert_eq!(of("bytes=0-1", Some(other)), Wanted::Whole);
        }
    }

    #[test]
    fn a_known_representation_is_told() {
        let known = |tags: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, tags.parse().expect("a header"));
            is_known(&headers, ETAG)
        };
        assert!(known(ETAG) && known("\"x\", W/\"abc\"") && known("*"));
        assert!(!known("\"x\"") && !is_known(&HeaderMap::new(), ETAG));
    }
}
