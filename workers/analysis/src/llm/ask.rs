//! One question to the model: each request recorded before it is sent and after it ends, an answer that
//! cannot be used asked for once more, and one that can never paid for twice.

use std::fmt::Write as _;
use std::time::Duration;

use aftercall::config::Prices;
use aftercall::db::model_requests::{self, Analysis, Earlier, Ended, Sent};
use aftercall::db::{Db, Principal, Tx, WorkerRole, analyses, policies};
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
/// The first pause at least, whatever a server says; each further one is twice as long at least.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const MAX_DOUBLINGS: u32 = 8;
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
        let (kept, earlier) = self.kept(&hash).await?;
        if let Some(kept) = kept
            && let Ok(answer) = answer::read(&kept)
        {
            return Ok(answer);
        }
        self.repaired(question, &hash, &earlier)
            .await
            .map_err(|failure| not_sooner(failure, earlier.pauses))
    }

    /// The answer, or the one to the complaint about it.
    async fn repaired<T: Checked>(
        &self,
        question: &Question<'_>,
        hash: &[u8],
        earlier: &Earlier,
    ) -> Result<T, Failure> {
        // A delivery that was put off midway has paid for the first answer: what is left is the repair.
        let why = if let Some(useless) = &earlier.useless {
            let text = useless.answer.as_deref().unwrap_or_default();
            let read = answer::read::<T>(text);
            read.err().unwrap_or_else(|| Invalid::new(&useless.error))
        } else {
            match self.try_once(question, hash, None).await? {
                Ok(answer) => return Ok(answer),
                Err(useless) => useless.why,
            }
        };
        let useless = match self.try_once(question, hash, Some(&why)).await? {
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
                    Err(End::Useless(INVALID, why)),
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

    /// The answer that is there already, and what else came of the question.
    async fn kept(&self, hash: &[u8]) -> Result<(Option<String>, Earlier), sqlx::Error> {
        let [useless, put_off] = [&USELESS[..], &PUT_OFF].map(|kinds| {
            let kinds = kinds.iter().map(|kind| (*kind).to_owned());
            kinds.collect::<Vec<String>>()
        });
        let mut tx = self.transaction().await?;
        let kept = model_requests::answer(&mut tx, self.of, hash).await?;
        let earlier = model_requests::earlier(&mut tx, self.of, hash, &useless, &put_off).await?;
        tx.commit().await?;
        Ok((kept, earlier))
    }

    /// Puts a request on record; `None` when it is not to be sent any more: consent was withdrawn
    /// meanwhile, the session erased, or the analysis written by another attempt.
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
        let may = rules.is_some_and(|rules| rules.may_analyze(self.engine).is_ok());
        let generations = analyses::generations(&mut tx, self.of.session_id).await?;
        let mut wanted = generations.iter().filter(|it| it.state != "done");
        if !may || !wanted.any(|it| it.generation == self.of.generation) {
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

/// The names of ends that are a useless answer, and of those that put the question off.
const USELESS: [&str; 3] = [INVALID, TRUNCATED, TOO_LARGE];
const PUT_OFF: [&str; 2] = [UNAVAILABLE, RATE_LIMITED];
const INVALID: &str = "invalid";
const TRUNCATED: &str = "truncated";
const TOO_LARGE: &str = "too_large";
const UNAVAILABLE: &str = "unavailable";
const RATE_LIMITED: &str = "rate_limited";

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
            ErrorKind::Truncated => useless(TRUNCATED),
            ErrorKind::TooLarge { .. } => useless(TOO_LARGE),
            ErrorKind::Unavailable { retry_after, .. } => later(UNAVAILABLE, *retry_after),
            ErrorKind::RateLimited { retry_after } => {
                later(RATE_LIMITED, Some(retry_after.unwrap_or(BUSY_PAUSE)))
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

/// A server that says `Retry-After: 0` for ever is not asked for ever without a pause.
fn not_sooner(failure: Failure, pauses: i64) -> Failure {
    let doublings = u32::try_from(pauses).unwrap_or(u32::MAX).min(MAX_DOUBLINGS);
    match failure {
        Failure::NotYet(pause) => Failure::NotYet(pause.max(LEAST_PAUSE * (1 << doublings))),
        failure => failure,
    }
}

/// What Postgres takes of an answer: bounded, and without NUL.
fn kept_text(text: &str) -> Option<String> {
    let end = text.floor_char_boundary(MAX_KEPT_BYTES);
    let text = text[..end].replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_whatever_a_server_says() {
        let pause = |asked: u64, pauses| match not_sooner(
            Failure::NotYet(Duration::from_secs(asked)),
            pauses,
        ) {
            Failure::NotYet(pause) => pause.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [0, 1, 2, 8, 9, i64::MAX].map(|n| pause(0, n)),
            [1, 2, 4, 256, 256, 256]
        );
        assert_eq!(pause(900, 3), 900);
    }

    #[test]
    fn what_is_kept_is_what_postgres_takes() {
        assert_eq!(kept_text("a\0b").as_deref(), Some("a\u{fffd}b"));
        assert_eq!(kept_text(""), None);
        let long = kept_text(&"ä".repeat(MAX_KEPT_BYTES)).expect("a text");
        assert!(long.len() <= MAX_KEPT_BYTES);
    }
}
