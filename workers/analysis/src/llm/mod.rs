//! The engine with a language model behind any OpenAI-compatible server.
//!
//! The model is asked for what needs understanding: summary, topics, action items, questions, outcome,
//! risk flags, custom fields. What can be computed (talk, sentiment, key phrases) is the local engine's.
//! A transcript that is longer than the model's context is read in parts (`parts`), and their findings
//! are put together (`reduce`). Not here: the protocol (`providers::chat`), and when an analysis runs.
//!
//! # Invariants
//! The transcript is data: it goes between fences that nobody who spoke can guess, the model has no
//! tools, and what it answers is held to a schema (`answer`), to the words that were said (`evidence`)
//! and to plain text (`plain`). Whatever the model does, the document is valid, quotes only what was
//! said, and passes on neither link nor markup. Every request is on record before it is sent (`ask`).

mod answer;
mod ask;
mod cost;
pub mod custom;
mod evidence;
mod parts;
mod plain;
mod prompts;
mod question;
mod quotes;
mod reduce;
mod schema;
mod unique;

use std::collections::HashMap;

use aftercall::config::{self, Prices, RedactPii};
use aftercall::custom_fields::CustomFields;
use aftercall::db::model_requests;
use aftercall::db::{Db, Principal, WorkerRole};
use aftercall::documents::analysis::{Analysis, Dropped, Engine, Provenance, Reason, field};
use aftercall::documents::transcript::Transcript;
use aftercall::providers::chat::{Chat, Limits};
use aftercall::redaction::Redactor;
use aftercall::worker::Failure;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::local;
use answer::Findings;
use ask::{Asking, Question};
use evidence::{Evidence, Found};
use parts::{Labels, estimate};
use quotes::Said;

/// Name of the engine in documents and settings.
pub const NAME: &str = "llm";
/// Counts the changes of what is asked and how answers are judged, beside the prompts.
pub const ENGINE_VERSION: &str = "1";
/// What the engine is, for the people who read its results.
pub const LABEL: &str = "language model, its quotes checked against the transcript; talk, \
    sentiment and key phrases by fixed rules";
/// How its findings are made.
pub const METHOD: &str = "model";

/// Room for fences, headings and the repair note.
const FRAME_TOKENS: u32 = 400;
/// Less is not worth a request.
const LEAST_PART_TOKENS: u32 = 256;
/// Twelve hours of speech in the smallest context.
const MAX_PARTS: usize = 256;

/// A language model, and how it is asked.
#[derive(Debug)]
pub struct Llm {
    chat: Chat,
    context_tokens: u32,
    prices: Option<Prices>,
    redact: RedactPii,
    /// What policies know it by.
    name: String,
}

/// What an analysis is made of.
#[derive(Debug)]
pub struct Job {
    pub of: model_requests::Analysis,
    pub transcript: Transcript,
    /// What the session declares.
    pub names: Vec<String>,
    pub custom_fields_schema: Option<Value>,
}

impl Llm {
    /// The process must have a TLS provider (`lifecycle::install_tls`).
    pub fn new(http: reqwest::Client, settings: &config::Llm, redact: RedactPii) -> Self {
        let limits = Limits {
            max_output_tokens: settings.max_output_tokens,
            idle: settings.idle,
            time_limit: settings.time_limit,
        };
        let (model, key) = (settings.model.clone(), settings.api_key.clone());
        Self {
            chat: Chat::new(http, &settings.base_url, key, model, limits),
            context_tokens: settings.context_tokens,
            prices: settings.prices.clone(),
            redact,
            name: format!("{NAME}/{}", settings.model),
        }
    }

    /// What policies know it by: `llm/` and the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Judges a transcript.
    pub async fn analyze(
        &self,
        db: &Db,
        job: Job,
        stopping: &CancellationToken,
    ) -> Result<Analysis, Failure> {
        let Job {
            of,
            transcript,
            names,
            custom_fields_schema: schema,
        } = job;
        let (computed, transcript) = tokio::task::spawn_blocking(move || {
            let computed = local::analyze(&transcript);
            (computed, transcript)
        })
        .await?;
        let mut analysis = self.begun(computed);
        if let Some(reason) = unreadable(&analysis.provenance) {
            for name in JUDGED {
                without(&mut analysis, name, reason);
            }
            analysis.custom_fields = schema.as_ref().map(custom::not_said).unwrap_or_default();
            return Ok(analysis);
        }
        let fields = schema.as_ref().map(CustomFields::read);
        let asking = Asking {
            chat: &self.chat,
            db,
            of,
            engine: &self.name,
            prices: self.prices.as_ref(),
            stopping,
        };
        let readable = fields.as_ref().and_then(|fields| fields.as_ref().ok());
        let (found, dropped) = self.find(&asking, &transcript, &names, readable).await?;
        fill(&mut analysis, found, dropped);
        if let (Some(Err(_)), Some(schema)) = (&fields, &schema) {
            analysis.custom_fields = custom::unreadable(schema);
        }
        let mut tx = db.begin(Principal::Worker(WorkerRole::Analysis)).await?;
        analysis.cost = cost::total(&model_requests::of_analysis(&mut tx, of).await?);
        tx.commit().await?;
        Ok(analysis)
    }

    /// What the transcript shows, part by part.
    async fn find(
        &self,
        asking: &Asking<'_>,
        transcript: &Transcript,
        names: &[String],
        fields: Option<&CustomFields>,
    ) -> Result<(Found, Dropped), Failure> {
        let turns = &transcript.turns;
        let labels = Labels::of(turns);
        let mut redactor = match self.redact {
            RedactPii::Off => None,
            RedactPii::Llm | RedactPii::Always => {
                Some(Redactor::new(names.iter().map(String::as_str)))
            }
        };
        let asked = question::asked_fields(fields, redactor.as_mut());
        let (schema, asked) = (schema::findings(&asked), question::told(&asked));
        let taken = estimate(prompts::ANALYZE)
            + estimate(&asked)
            + estimate(prompts::REPAIR)
            + estimate(&schema.to_string());
        let budget = self.budget(taken)?;
        let parts = parts::split(turns, &labels, redactor.as_mut(), budget);
        if parts.len() > MAX_PARTS {
            return Err(Failure::reject(
                "The conversation is too long for the language model.",
            ));
        }
        let mut evidence = Evidence {
            said: Said::of(turns),
            labels: &labels,
            redactor,
            fields,
            dropped: Dropped::default(),
            worded: HashMap::new(),
        };
        let count = parts.len();
        let mut found = Vec::with_capacity(count);
        for (number, part) in (1..).zip(parts) {
            let ahead = question::heading(transcript, number, count, &asked);
            let question = Question {
                purpose: format!("part {number} of {count}"),
                system: prompts::ANALYZE,
                ahead: &ahead,
                data: &part,
                schema_name: schema::FINDINGS,
                schema: &schema,
            };
            let findings: Findings = asking.ask(&question).await?;
            found.push(evidence.hold(findings));
        }
        let found = match <[Found; 1]>::try_from(found) {
            Ok([whole]) => whole,
            Err(parts) => {
                let taken = estimate(prompts::REDUCE) + estimate(&schema::reduction().to_string());
                let budget = self.budget(taken + estimate(prompts::REPAIR))?;
                reduce::reduce(asking, &mut evidence, parts, budget).await?
            }
        };
        Ok((found, evidence.dropped))
    }

    /// Tokens that are left for data beside the answer and `taken`.
    fn budget(&self, taken: u32) -> Result<u32, Failure> {
        let taken = taken
            .saturating_add(FRAME_TOKENS)
            .saturating_add(self.chat.limits().max_output_tokens);
        let left = self.context_tokens.saturating_sub(taken);
        if left >= LEAST_PART_TOKENS {
            return Ok(left);
        }
        Err(Failure::reject(
            "The custom fields of this session are too large for the language model.",
        ))
    }

    /// The computed document as one of this engine.
    fn begun(&self, computed: Analysis) -> Analysis {
        Analysis {
            engine: Engine {
                name: NAME.to_owned(),
                version: ENGINE_VERSION.to_owned(),
                model: Some(self.chat.model().to_owned()),
                prompt_version: Some(prompts::VERSION.clone()),
                label: LABEL.to_owned(),
            },
            ..computed
        }
    }
}

/// The fields that the model judges.
const JUDGED: [&str; 6] = [
    field::SUMMARY,
    field::TOPICS,
    field::ACTION_ITEMS,
    field::QUESTIONS,
    field::OUTCOME,
    field::RISK_FLAGS,
];

/// Why there is nothing that a model could read: it reads every language, but not silence.
fn unreadable(provenance: &Provenance) -> Option<Reason> {
    let code = &provenance.unavailable.get(field::KEY_PHRASES)?.code;
    [Reason::NoSpeech, Reason::TooLittleText]
        .into_iter()
        .find(|reason| reason.code() == code)
}

fn without(analysis: &mut Analysis, name: &str, reason: Reason) {
    analysis.provenance.methods.remove(name);
    analysis.provenance.missing(name, reason);
    match name {
        field::SUMMARY => analysis.summary = None,
        field::TOPICS => analysis.topics = None,
        field::ACTION_ITEMS => analysis.action_items = None,
        field::QUESTIONS => analysis.questions = None,
        field::OUTCOME => analysis.outcome = None,
        _ => analysis.risk_flags = None,
    }
}

fn fill(analysis: &mut Analysis, found: Found, dropped: Dropped) {
    let provenance = &mut analysis.provenance;
    for name in JUDGED {
        provenance.unavailable.remove(name);
    }
    let summary = Some(found.summary).filter(|summary| !summary.is_empty());
    analysis.summary = provenance.record(field::SUMMARY, METHOD, summary.ok_or(Reason::NoEvidence));
    analysis.outcome = provenance.record(
        field::OUTCOME,
        METHOD,
        found.outcome.ok_or(Reason::NoEvidence),
    );
    analysis.topics = provenance.record(field::TOPICS, METHOD, Ok(found.topics));
    analysis.action_items = provenance.record(field::ACTION_ITEMS, METHOD, Ok(found.action_items));
    analysis.questions = provenance.record(field::QUESTIONS, METHOD, Ok(found.questions));
    analysis.risk_flags = provenance.record(field::RISK_FLAGS, METHOD, Ok(found.risk_flags));
    // A null has no method.
    for (name, is_null) in [
        (field::SUMMARY, analysis.summary.is_none()),
        (field::OUTCOME, analysis.outcome.is_none()),
    ] {
        if is_null {
            analysis.provenance.methods.remove(name);
        }
    }
    analysis.provenance.dropped = Some(dropped);
    analysis.custom_fields = found.custom_fields;
    // The same holds for what was said often.
    if let Some(phrases) = &mut analysis.key_phrases {
        phrases.retain(|phrase| {
            let text = phrase.text.as_str();
            plain::plain(text, text.len()).as_deref() == Some(text)
        });
    }
}
