//! What was personal data once is so wherever it stands again.
//!
//! A quote of a number lacks the question before it that told what the number is.

use std::collections::{BTreeSet, HashMap};

use super::placeholders::Kind;
use super::spans::Claims;
use super::tokens::{Sort, Text};

/// Bytes of what is worth remembering.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=200;

/// The writings that were replaced so far.
#[derive(Clone, Default)]
pub struct Remembered {
    values: HashMap<String, (Kind, String)>,
    /// Lengths in tokens, by the first one. Few, since a writing has at most 200 bytes.
    lengths: HashMap<String, BTreeSet<usize>>,
}

impl Remembered {
    pub fn note(&mut self, kind: Kind, value: &str, writing: &str, first: &str, tokens: usize) {
        let is_kept =
            !matches!(kind, Kind::Name | Kind::Literal) && LENGTHS.contains(&writing.len());
        let writing = single_spaced(writing);
        if !is_kept || self.values.contains_key(&writing) {
            return;
        }
        self.values.insert(writing, (kind, value.to_owned()));
        self.lengths
            .entry(first.to_owned())
            .or_default()
            .insert(tokens);
    }

    pub fn find(&self, text: &Text<'_>, claims: &mut Claims) {
        let mut at = 0;
        while at < text.tokens.len() {
            at = self.claim_at(text, at, claims).map_or(at, |last| last) + 1;
        }
    }

    /// Claims the longest writing that begins at `first`; answers its last token.
    fn claim_at(&self, text: &Text<'_>, first: usize, claims: &mut Claims) -> Option<usize> {
        let lengths = self.lengths.get(&text.get(first)?.folded)?;
        if first > 0 && goes_on(text, first - 1) {
            return None;
        }
        lengths.iter().rev().find_map(|tokens| {
            let last = first + tokens - 1;
            let writing = text.slice(first, last);
            if writing.len() > *LENGTHS.end() || goes_on(text, last) {
                return None;
            }
            let (kind, value) = self.values.get(&single_spaced(writing))?;
            claims
                .claim(*kind, first, last, value.clone())
                .then_some(last)
        })
    }
}

/// A model that repeats a number changes the space in it.
fn single_spaced(writing: &str) -> String {
    writing.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a word or number goes on after a token.
fn goes_on(text: &Text<'_>, index: usize) -> bool {
    let (Some(one), Some(next)) = (text.get(index), text.get(index + 1)) else {
        return false;
    };
    let are_digits = one.sort == Sort::Digits && next.sort == Sort::Digits;
    let is_glued = text.is_glued(index) && one.sort != Sort::Mark && next.sort != Sort::Mark;
    are_digits || is_glued
}
