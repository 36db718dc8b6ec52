//! An export for people to read.

use std::fmt::Write as _;

use super::document::{Export, Spending};
use super::escape::escape;
use super::pieces::Pieces;
use crate::documents::analysis::{Analysis, Cost, CustomField, Quote, SpeakerTalk, Statement};
use crate::documents::subtitles::time;
use crate::documents::transcript::Turn;

/// Writing to a `String` cannot fail; this says so once.
macro_rules! line {
    ($out:expr, $($text:tt)*) => {
        writeln!($out, $($text)*).expect("a string takes everything")
    };
}

/// The export as Markdown: the session, what the analysis found, figures, lineage, and every turn.
pub fn pieces(mut export: Export) -> Pieces {
    let mut out = String::new();
    session(&mut out, &export);
    match export
        .analysis
        .clone()
        .map(serde_json::from_value::<Analysis>)
    {
        Some(Ok(found)) => analysis(&mut out, &found),
        // Of a version that has fields of other types.
        Some(Err(_)) => line!(
            out,
            "\nThe analysis is in another form; the JSON export has it."
        ),
        None => {}
    }
    spending(&mut out, &export.spending);
    lineage(&mut out, &export);
    let turns = export.transcript.take().map(|transcript| transcript.turns);
    if let Some(turns) = &turns {
        line!(out, "\n## Transcript\n");
        if turns.is_empty() {
            line!(out, "Nobody spoke.");
        }
    }
    Pieces::of(out, turns.unwrap_or_default(), turn, "\n", "")
}

fn turn(out: &mut String, turn: &Turn) {
    let (at, speaker, text) = (
        time(turn.start_ms),
        escape(&turn.speaker),
        escape(&turn.text),
    );
    line!(out, "**\\[{at}\\] {speaker}:** {text}");
}

fn session(out: &mut String, export: &Export) {
    let session = &export.session.session;
    let title = session.title.as_deref().map(escape);
    let title = title.filter(|title| !title.is_empty());
    line!(out, "# {}\n", title.as_deref().unwrap_or("Session"));
    line!(out, "- Session: {}", session.id);
    line!(out, "- Status: {}", session.status);
    line!(out, "- Created: {}", session.created_at);
    for (name, at) in [("Started", session.started_at), ("Ended", session.ended_at)] {
        if let Some(at) = at {
            line!(out, "- {name}: {at}");
        }
    }
    if let Some(customer) = &export.session.customer {
        line!(out, "- Customer: {}", escape(&customer.name));
    }
    if let Some(counselor) = &export.session.counselor {
        line!(out, "- Counsellor: {}", escape(&counselor.name));
    }
    line!(out, "- Exported: {}", export.exported_at);
    if let Some(notes) = session.notes.as_deref().map(escape) {
        line!(out, "\n## Notes\n\n{notes}");
    }
}

fn analysis(out: &mut String, found: &Analysis) {
    section(
        out,
        "Summary",
        found.summary.as_deref(),
        |out, statement: &Statement| {
            line!(
                out,
                "- {}{}",
                escape(&statement.text),
                cited(&statement.quotes)
            );
        },
    );
    section(out, "Topics", found.topics.as_deref(), |out, topic| {
        line!(out, "- {}{}", escape(&topic.name), cited(&topic.quotes));
    });
    section(
        out,
        "Action items",
        found.action_items.as_deref(),
        |out, item| {
            let who = item
                .assignee
                .as_deref()
                .map(|who| format!(" — {}", escape(who)));
            let due = item.due.as_deref().map(|due| format!(", {}", escape(due)));
            let quotes = cited(std::slice::from_ref(&item.quote));
            let (who, due) = (who.unwrap_or_default(), due.unwrap_or_default());
            line!(out, "- {}{who}{due}{quotes}", escape(&item.text));
        },
    );
    section(
        out,
        "Questions",
        found.questions.as_deref(),
        |out, question| {
            let quotes = cited(std::slice::from_ref(&question.quote));
            line!(out, "- {}{quotes}", escape(&question.quote.text));
        },
    );
    if let Some(outcome) = &found.outcome {
        let success = match outcome.success {
            Some(true) => "successful",
            Some(false) => "not successful",
            None => "not judged",
        };
        let rubric = escape(&format!(
            "{} {}",
            outcome.rubric.name, outcome.rubric.version
        ));
        line!(
            out,
            "\n## Outcome\n\n{}{}",
            escape(&outcome.text),
            cited(&outcome.quotes)
        );
        line!(out, "\nSuccess: {success} (by {rubric})");
    }
    section(out, "Risks", found.risk_flags.as_deref(), |out, risk| {
        let (kind, detail) = (escape(&risk.kind), escape(&risk.detail));
        line!(
            out,
            "- {kind}, {:?}: {detail}{}",
            risk.severity,
            cited(&risk.quotes)
        );
    });
    if !found.custom_fields.is_empty() {
        line!(out, "\n## Fields\n");
        for (name, field) in &found.custom_fields {
            line!(out, "- {}: {}", escape(name), value(field));
        }
    }
    metrics(out, found);
    if let Some(cost) = &found.cost {
        costs(out, cost);
    }
}

/// A list, if it was looked for; what was looked for and not found is said.
fn section<T>(out: &mut String, title: &str, items: Option<&[T]>, write: fn(&mut String, &T)) {
    let Some(items) = items else {
        return;
    };
    line!(out, "\n## {title}\n");
    if items.is_empty() {
        line!(out, "None.");
    }
    for item in items {
        write(out, item);
    }
}

/// Where the evidence stands: ` (00:01:02)`.
fn cited(quotes: &[Quote]) -> String {
    let times: Vec<_> = quotes.iter().map(|quote| time(quote.start_ms)).collect();
    if times.is_empty() {
        String::new()
    } else {
        format!(" ({})", times.join(", "))
    }
}

fn value(field: &CustomField) -> String {
    let reason = || field.reason.as_deref().map_or_else(String::new, escape);
    match &field.value {
        Some(serde_json::Value::String(text)) => escape(text),
        Some(value) => escape(&value.to_string()),
        None => format!("— {}", reason()),
    }
}

fn metrics(out: &mut String, found: &Analysis) {
    let talk = &found.talk;
    line!(out, "\n## Figures\n");
    line!(out, "- Length: {}", time(talk.duration_ms));
    line!(out, "- Speech: {}", time(talk.speech_ms));
    line!(out, "- Silence: {}", time(talk.silence_ms));
    if let Some(interruptions) = &talk.interruptions {
        line!(out, "- Interruptions: {}", interruptions.len());
    }
    if let Some(sentiment) = &found.sentiment {
        let overall = sentiment.overall;
        line!(
            out,
            "- Sentiment: {:?} ({:.2})",
            overall.label,
            overall.score
        );
    }
    if talk.speakers.is_empty() {
        return;
    }
    line!(
        out,
        "\n| speaker | turns | talks | listens | words a minute |"
    );
    line!(out, "| --- | ---: | ---: | ---: | ---: |");
    for speaker in &talk.speakers {
        speaker_row(out, speaker);
    }
}

fn speaker_row(out: &mut String, speaker: &SpeakerTalk) {
    let listens = speaker.listen_ms.map_or_else(String::new, time);
    let rate = speaker.words_per_minute;
    let rate = rate.map_or_else(String::new, |rate| format!("{rate:.0}"));
    let (name, talks) = (escape(&speaker.speaker), time(speaker.talk_ms));
    line!(
        out,
        "| {name} | {} | {talks} | {listens} | {rate} |",
        speaker.turns
    );
}

fn costs(out: &mut String, cost: &Cost) {
    line!(out, "\n## Cost\n");
    let number =
        |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    line!(out, "- Tokens in: {}", number(cost.input_tokens));
    line!(out, "- Tokens out: {}", number(cost.output_tokens));
    let amount = amount(cost.amount_micros, cost.currency.as_deref());
    line!(out, "- Amount: {amount}");
    line!(out, "- Requests to the model: {}", cost.attempts.len());
}

/// Of all analyses; the one that is shown may have been the last of many.
fn spending(out: &mut String, spending: &[Spending]) {
    if spending.is_empty() {
        return;
    }
    line!(out, "\n## Cost of all analyses\n");
    for spent in spending {
        let amount = amount(spent.amount_micros, spent.currency.as_deref());
        line!(out, "- Requests to models: {}, {amount}", spent.requests);
    }
}

fn amount(micros: Option<i64>, currency: Option<&str>) -> String {
    let (Some(micros), Some(currency)) = (micros, currency) else {
        return "no price is known".to_owned();
    };
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    let (units, rest) = (micros / 1_000_000, micros % 1_000_000);
    format!("{sign}{units}.{rest:06} {}", escape(currency))
}

fn lineage(out: &mut String, export: &Export) {
    let lineage = &export.lineage;
    line!(out, "\n## Lineage\n");
    for recording in &lineage.recordings {
        let (id, state) = (recording.recording_id, &recording.state);
        line!(
            out,
            "- Recording {id} ({state}): SHA-256 {}",
            recording.sha256
        );
    }
    if let Some(transcript) = &lineage.transcript {
        let (generation, engine) = (transcript.generation, escape(&transcript.engine));
        line!(
            out,
            "- Transcript: generation {generation} of {}, by {engine}",
            transcript.created_at
        );
        if let Some(correction) = &transcript.correction {
            let (corrects, by) = (correction.corrects, correction.by);
            let (turns, speakers) = (
                correction.changes.turns.len(),
                correction.changes.speakers.len(),
            );
            line!(
                out,
                "- Corrected from generation {corrects} by {by}: turns {turns}, speakers {speakers}"
            );
        }
    }
    if let Some(analysis) = &lineage.analysis {
        let word =
            |word: &Option<String>| word.as_deref().map_or_else(|| "none".to_owned(), escape);
        line!(
            out,
            "- Analysis: generation {} of {}, of transcript generation {}",
            analysis.generation,
            analysis.created_at,
            analysis.transcript_generation
        );
        if !analysis.is_of_this_transcript {
            line!(out, "- The transcript has changed since the analysis");
        }
        line!(
            out,
            "- Engine: {} {}",
            word(&analysis.engine),
            word(&analysis.engine_version)
        );
        line!(out, "- Model: {}", word(&analysis.model));
        line!(out, "- Prompt version: {}", word(&analysis.prompt_version));
    }
}
