//! One question to the model: each request recorded before it is sent and after it ends, an answer that
//! cannot be used asked for once more, and one that can never paid for twice.

use std::fmt::Write as _;
use std::time::Duration;

use aftercall::config::Prices;
use aftercall::db::model_requests::{self, Analysis, Ended, Sent};
use aftercall::db::{Db, Principal, Tx, WorkerRole, policies};
use aftercall::providers::chat::{Chat, ChatError, ErrorKind, Prompt, Usage};
use aftercall::worker::Failure;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answer::{self, Checked, Invalid};
use super::cost;
use super::prompts;

/// Forms of request that a server may refuse before one is taken.
const MAX_ADAPTATIONS: u32 = 8;
/// Pause when the server is busy and does not say for how long.
const BUSY_PAUSE: Duration = Duration::from_secs(30);
/// Of an answer, what is kept for whoever looks into a failure.
const MAX_KEPT_BYTES: usize = 64 * 1024;
/// Of that, what goes into the dead letter, whose reason is a line.
const MAX_SHOWN_CHARS: usize = 700;

/// What it takes to ask for one analysis.
pub struct Asking<'a> {
    pub chat: &'a Chat,
    pub db: &'a Db,
    pub of: Analysis,
    /// What policies know the engine by.
    pub engine: &'a str,
    pub prices: Option<&'a Prices>,
    pub stopping: &'a CancellationToken,
}

/// What the model is asked.
pub struct Question<'a> {
    /// Which part of the work it is, for the record.
    pub purpose: String,
    pub system: &'static str,
    /// What stands before the data.
    pub ahead: &'a str,
    /// What people said: goes between fences.
    pub data: &'a str,
    pub schema_name: &'static str,
    pub schema: &'a Value,
}

/// Why an answer is of no use.
struct Useless {
    /// One word, for the record.
    kind: &'static str,
    why: Invalid,
    answer: String,
}

impl Asking<'_> {
    /// The model's answer, checked.
    pub async fn ask<T: Checked>(&self, question: &Question<'_>) -> Result<T, Failure> {
        let hash = question.hash(self.chat.model());
        if let Some(kept) = self.kept(&hash).await?
            && let Ok(answer) = answer::read(&kept)
        {
            return Ok(answer);
        }
        let first = match self.try_once(question, &hash, None).await? {
            Ok(answer) => return Ok(answer),
            Err(useless) => useless,
        };
        let useless = match self.try_once(question, &hash, Some(&first.why)).await? {
            Ok(answer) => return Ok(answer),
            Err(useless) => useless,
        };
        let shown: String = useless.answer.chars().take(MAX_SHOWN_CHARS).collect();
        let detail = anyhow::anyhow!(
            "{}: {}; the model answered: {shown}",
            useless.kind,
            useless.why
        );
        Err(Failure::reject_because(
            "The language model gave no answer that can be used.",
            detail,
        ))
    }

    /// Asks until the server takes the form of the request.
    async fn try_once<T: Checked>(
        &self,
        question: &Question<'_>,
        hash: &[u8],
        complaint: Option<&Invalid>,
    ) -> Result<Result<T, Useless>, Failure> {
        let user = question.user(complaint);
        let prompt = Prompt {
            system: question.system,
            user: &user,
            schema_name: question.schema_name,
            schema: question.schema,
        };
        for _ in 0..MAX_ADAPTATIONS {
            if self.stopping.is_cancelled() {
                return Err(Failure::Retry(anyhow::anyhow!("the process stops")));
            }
            let Some(id) = self.begin(question, hash).await? else {
                // What follows from that is decided where the message begins anew.
                return Err(Failure::NotYet(Duration::ZERO));
            };
            let asked = self.chat.ask(prompt).await;
            match self.settle(id, asked).await? {
                Settled::Answered(answer) => return Ok(Ok(answer)),
                Settled::Useless(useless) => return Ok(Err(useless)),
                Settled::Adapted => {}
            }
        }
        Err(Failure::reject(
            "The language model's server does not take our requests.",
        ))
    }

    /// Records how a request ended, and decides what that means.
    async fn settle<T: Checked>(
        &self,
        id: Uuid,
        asked: Result<aftercall::providers::chat::Answer, ChatError>,
    ) -> Result<Settled<T>, Failure> {
        let (usage, text, result) = match asked {
            Ok(answered) => match answer::read::<T>(&answered.text) {
                Ok(answer) => (answered.usage, answered.text, Ok(answer)),
                Err(why) => (
                    answered.usage,
                    answered.text,
                    Err(End::Useless("invalid", why)),
                ),
            },
            Err(ChatError { kind, usage, text }) => (usage, text, Err(End::of(&kind))),
        };
        let error = result.as_ref().err().map(|end| end.name().to_owned());
        self.end(id, usage, error, &text).await?;
        match result {
            Ok(answer) => Ok(Settled::Answered(answer)),
            Err(End::Adapted) => Ok(Settled::Adapted),
            Err(End::Useless(kind, why)) => Ok(Settled::Useless(Useless {
                kind,
                why,
                answer: text,
            })),
            Err(End::Failed(_, failure)) => Err(failure),
        }
    }

    async fn transaction(&self) -> Result<Tx, sqlx::Error> {
        self.db.begin(Principal::Worker(WorkerRole::Analysis)).await
    }

    async fn kept(&self, hash: &[u8]) -> Result<Option<String>, sqlx::Error> {
        let mut tx = self.transaction().await?;
        let kept = model_requests::answer(&mut tx, self.of, hash).await?;
        tx.commit().await?;
        Ok(kept)
    }

    /// Puts a request on record; `None` when it may not be sent any more: consent was withdrawn
    /// meanwhile, or the session erased.
    async fn begin(
        &self,
        question: &Question<'_>,
        hash: &[u8],
    ) -> Result<Option<Uuid>, sqlx::Error> {
        let id = Uuid::now_v7();
        let sent = Sent {
            id,
            purpose: &question.purpose,
            model: self.chat.model(),
            question: hash,
        };
        let mut tx = self.transaction().await?;
        let rules = policies::rules(&mut tx, self.of.session_id).await?;
        if rules.is_none_or(|rules| rules.may_analyze(self.engine).is_err()) {
            return Ok(None);
        }
        model_requests::begin(&mut tx, self.of, sent).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    async fn end(
        &self,
        id: Uuid,
        usage: Usage,
        error: Option<String>,
        text: &str,
    ) -> Result<(), sqlx::Error> {
        let count = |tokens: Option<u64>| tokens.and_then(|tokens| i64::try_from(tokens).ok());
        let ended = Ended {
            error,
            input_tokens: count(usage.input_tokens),
            output_tokens: count(usage.output_tokens),
            price: cost::price(usage, self.prices),
            answer: kept_text(text),
        };
        let mut tx = self.transaction().await?;
        model_requests::end(&mut tx, self.of, id, &ended).await?;
        tx.commit().await
    }
}

impl Question<'_> {
    fn user(&self, complaint: Option<&Invalid>) -> String {
        let fenced = prompts::fenced(self.data);
        let mut user = format!("{}\n\n{fenced}", self.ahead);
        if let Some(complaint) = complaint {
            let _ = write!(user, "\n\n{}{complaint}", prompts::REPAIR);
        }
        user
    }

    /// The same for the same question, whatever its fence.
    fn hash(&self, model: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        let schema = self.schema.to_string();
        for text in [
            prompts::VERSION.as_str(),
            model,
            self.system,
            self.ahead,
            self.data,
            &schema,
        ] {
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
        hash.finalize().into()
    }
}

enum Settled<T> {
    Answered(T),
    Useless(Useless),
    Adapted,
}

/// What the end of a request means.
enum End {
    Adapted,
    Useless(&'static str, Invalid),
    Failed(&'static str, Failure),
}

impl End {
    fn of(kind: &ErrorKind) -> Self {
        let words = kind.to_string();
        let useless = |name| Self::Useless(name, Invalid::new(&words));
        let later = |name, pause: Option<Duration>| match pause {
            Some(pause) => Self::Failed(name, Failure::NotYet(pause)),
            None => Self::Failed(name, Failure::Retry(anyhow::anyhow!(words.clone()))),
        };
        let never = |name, reason: &str| {
            Self::Failed(
                name,
                Failure::reject_because(reason, anyhow::anyhow!(words.clone())),
            )
        };
        match kind {
            ErrorKind::Adapted => Self::Adapted,
            ErrorKind::Truncated => useless("truncated"),
            ErrorKind::TooLarge { .. } => useless("too_large"),
            ErrorKind::Unavailable { retry_after, .. } => later("unavailable", *retry_after),
            ErrorKind::RateLimited { retry_after } => {
                later("rate_limited", Some(retry_after.unwrap_or(BUSY_PAUSE)))
            }
            ErrorKind::Stalled => later("stalled", None),
            ErrorKind::TooSlow => later("too_slow", None),
            ErrorKind::Declined => never(
                "declined",
                "The language model declined to analyse this conversation.",
            ),
            ErrorKind::TooLong { .. } => never(
                "too_long",
                "The conversation is longer than the language model can read at once.",
            ),
            ErrorKind::Rejected { .. } => never(
                "rejected",
                "The language model's server refused the request.",
            ),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Adapted => "adapted",
            Self::Useless(name, _) | Self::Failed(name, _) => name,
        }
    }
}

/// What Postgres takes of an answer: bounded, and without NUL.
fn kept_text(text: &str) -> Option<String> {
    let end = text.floor_char_boundary(MAX_KEPT_BYTES);
    let text = text[..end].replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}
