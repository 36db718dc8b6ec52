//! Findings of parts put together: lists are joined here, and what needs the whole (summary, topics,
//! outcome) is made by the model from notes, which carry their quotes along.

use std::fmt::Write as _;

use aftercall::documents::analysis::{Quote, Statement, Topic};
use aftercall::worker::Failure;

use super::answer::Reduction;
use super::ask::{Asking, Question};
use super::custom;
use super::evidence::{self, Evidence, Found};
use super::parts::estimate;
use super::{prompts, schema};

/// Of one statement.
const MAX_QUOTES: usize = 3;
/// Each round leaves a small part of the notes.
const MAX_ROUNDS: usize = 6;

/// Something that a part shows, in the model's words.
struct Note {
    kind: &'static str,
    text: String,
    quotes: Vec<Quote>,
}

/// One finding out of those of all parts, in order.
pub async fn reduce(
    asking: &Asking<'_>,
    evidence: &mut Evidence<'_>,
    parts: Vec<Found>,
    budget: u32,
) -> Result<Found, Failure> {
    let mut whole = Found::default();
    let mut notes = Vec::new();
    for part in parts {
        whole.action_items.extend(part.action_items);
        whole.questions.extend(part.questions);
        whole.risk_flags.extend(part.risk_flags);
        custom::merge(&mut whole.custom_fields, part.custom_fields);
        notes.extend(
            part.summary
                .into_iter()
                .map(|it| note("summary", it.text, it.quotes)),
        );
        notes.extend(
            part.topics
                .into_iter()
                .map(|it| note("topic", it.name, it.quotes)),
        );
        notes.extend(
            part.outcome
                .into_iter()
                .map(|it| note("outcome", it.text, it.quotes)),
        );
    }
    for round in 1..=MAX_ROUNDS {
        if notes.is_empty() {
            return Ok(whole);
        }
        let batches = batches(std::mem::take(&mut notes), budget, evidence);
        let count = batches.len();
        for (number, batch) in (1..).zip(batches) {
            let purpose = format!("notes {number} of {count}, round {round}");
            let reduced = ask(asking, &purpose, &batch).await?;
            let found = hold(evidence, reduced, &batch);
            if count == 1 {
                whole.summary = found.summary;
                whole.topics = found.topics;
                whole.outcome = found.outcome;
                return Ok(whole);
            }
            let Found {
                summary,
                topics,
                outcome,
                ..
            } = found;
            notes.extend(
                summary
                    .into_iter()
                    .map(|it| note("summary", it.text, it.quotes)),
            );
            notes.extend(
                topics
                    .into_iter()
                    .map(|it| note("topic", it.name, it.quotes)),
            );
            notes.extend(
                outcome
                    .into_iter()
                    .map(|it| note("outcome", it.text, it.quotes)),
            );
        }
    }
    Err(Failure::reject(
        "The conversation is too long for the language model.",
    ))
}

/// Notes as the model reads them, with what each rests on.
struct Batch {
    data: String,
    notes: Vec<Note>,
}

fn note(kind: &'static str, text: String, quotes: Vec<Quote>) -> Note {
    Note { kind, text, quotes }
}

fn batches(notes: Vec<Note>, budget: u32, evidence: &mut Evidence<'_>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut used = u32::MAX;
    for note in notes {
        // What was restored is not sent.
        let text = evidence.redacted(&note.text);
        let tokens = estimate(&text).saturating_add(12);
        if used.saturating_add(tokens) > budget {
            batches.push(Batch {
                data: String::new(),
                notes: Vec::new(),
            });
            used = 0;
        }
        used += tokens;
        if let Some(batch) = batches.last_mut() {
            let number = batch.notes.len();
            let _ = writeln!(batch.data, "{number} {}: {text}", note.kind);
            batch.notes.push(note);
        }
    }
    batches
}

async fn ask(asking: &Asking<'_>, purpose: &str, batch: &Batch) -> Result<Reduction, Failure> {
    let schema = schema::reduction();
    let question = Question {
        purpose: purpose.to_owned(),
        system: prompts::REDUCE,
        ahead: "These are the notes.",
        data: &batch.data,
        schema_name: schema::REDUCTION,
        schema: &schema,
    };
    asking.ask(&question).await
}

/// What rests on notes that there are.
fn hold(evidence: &mut Evidence<'_>, reduced: Reduction, batch: &Batch) -> Found {
    let mut found = Found::default();
    for sentence in reduced.summary {
        if let Some(quotes) = quotes(evidence, &sentence.notes, batch)
            && let Some(text) = evidence.text(&sentence.text)
        {
            found.summary.push(Statement { text, quotes });
        }
    }
    for topic in reduced.topics {
        if let Some(quotes) = quotes(evidence, &topic.notes, batch)
            && let Some(name) = evidence.short(&topic.name)
        {
            found.topics.push(Topic { name, quotes });
        }
    }
    if let Some(ending) = reduced.outcome
        && let Some(quotes) = quotes(evidence, &ending.notes, batch)
        && let Some(text) = evidence.text(&ending.text)
    {
        found.outcome = Some(evidence::outcome(
            text,
            ending.success,
            ending.confidence,
            quotes,
        ));
    }
    found
}

/// The quotes of notes; a note that does not exist counts as a quote that was dropped.
fn quotes(evidence: &mut Evidence<'_>, notes: &[usize], batch: &Batch) -> Option<Vec<Quote>> {
    let mut quotes: Vec<Quote> = Vec::new();
    for number in notes {
        let Some(note) = batch.notes.get(*number) else {
            evidence.dropped.quotes += 1;
            continue;
        };
        // The first of each note, so that all notes are shown.
        if let Some(quote) = note.quotes.first()
            && quotes.len() < MAX_QUOTES
            && !quotes.contains(quote)
        {
            quotes.push(quote.clone());
        }
    }
    evidence.dropped.findings += u32::from(quotes.is_empty());
    (!quotes.is_empty()).then_some(quotes)
}
