//! An export piece by piece: its head, some turns at a time, and what closes it.

use super::document::Export;
use crate::documents::transcript::Turn;

/// Turns of one piece: some 10 KiB, with times of words some 100.
const TURNS: usize = 100;

/// The text of an export, made while it is sent.
pub struct Pieces {
    head: Option<String>,
    turns: std::vec::IntoIter<Turn>,
    write: fn(&mut String, &Turn),
    /// Stands between two turns.
    between: &'static str,
    has_begun: bool,
    tail: Option<&'static str>,
}

impl Pieces {
    pub fn of(
        head: String,
        turns: Vec<Turn>,
        write: fn(&mut String, &Turn),
        between: &'static str,
        tail: &'static str,
    ) -> Self {
        Self {
            head: Some(head),
            turns: turns.into_iter(),
            write,
            between,
            has_begun: false,
            tail: Some(tail),
        }
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        let mut piece = String::new();
        for turn in self.turns.by_ref().take(TURNS) {
            if self.has_begun {
                piece.push_str(self.between);
            }
            self.has_begun = true;
            (self.write)(&mut piece, &turn);
        }
        if piece.is_empty() {
            return self.tail.take().map(str::to_owned);
        }
        Some(piece)
    }
}

/// The export as one JSON object.
pub fn json(mut export: Export) -> Pieces {
    let turns = export
        .transcript
        .as_mut()
        .map(|transcript| std::mem::take(&mut transcript.turns));
    let mut head = serde_json::to_string(&export).expect("an export is plain data");
    let Some(turns) = turns else {
        return Pieces::of(head, Vec::new(), write, ",", "");
    };
    let tail = "]}}";
    assert!(head.ends_with(tail), "turns come last in what comes last");
    head.truncate(head.len() - tail.len());
    Pieces::of(head, turns, write, ",", tail)
}

fn write(out: &mut String, turn: &Turn) {
    out.push_str(&serde_json::to_string(turn).expect("a turn is plain data"));
}
