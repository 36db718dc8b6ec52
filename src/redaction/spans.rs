//! Which tokens are personal data: the first detector to claim one has it.

use super::placeholders::Kind;

/// A stretch of tokens that one placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub kind: Kind,
    /// First and last token.
    pub first: usize,
    pub last: usize,
    /// The same for every writing of one thing.
    pub value: String,
}

/// What was claimed in one text.
#[derive(Clone, Debug)]
pub struct Claims {
    taken: Vec<bool>,
    spans: Vec<Span>,
}

impl Claims {
    pub fn of(tokens: usize) -> Self {
        Self {
            taken: vec![false; tokens],
            spans: Vec::new(),
        }
    }

    /// Claims the tokens from `first` to `last` unless one of them is taken.
    pub fn claim(&mut self, kind: Kind, first: usize, last: usize, value: String) -> bool {
        if !self.is_free(first, last) {
            return false;
        }
        self.taken[first..=last].fill(true);
        self.spans.push(Span {
            kind,
            first,
            last,
            value,
        });
        true
    }

    pub fn is_taken(&self, token: usize) -> bool {
        self.taken.get(token).copied().unwrap_or(false)
    }

    pub fn is_free(&self, first: usize, last: usize) -> bool {
        let range = self.taken.get(first..=last);
        range.is_some_and(|range| !range.contains(&true))
    }

    /// In the order of the text.
    pub fn into_spans(mut self) -> Vec<Span> {
        self.spans.sort_by_key(|span| span.first);
        self.spans
    }
}
