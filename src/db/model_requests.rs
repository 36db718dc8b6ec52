//! `model_requests`: what language models were asked for an analysis, and what it cost.

use uuid::Uuid;

use super::Tx;
use crate::ids::{AccountId, SessionId};

/// The analysis that a request is for.
#[derive(Clone, Copy, Debug)]
pub struct Analysis {
    pub account_id: AccountId,
    pub session_id: SessionId,
    pub generation: i32,
    pub run: i32,
}

/// A request before it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    pub id: Uuid,
    pub purpose: &'a str,
    pub model: &'a str,
    /// Hash of everything that is asked.
    pub question: &'a [u8],
}

/// How a request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Why the answer cannot be used; `None` when it can.
    pub error: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub price: Option<Price>,
    pub answer: Option<String>,
}

/// What a request cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Millionths of the currency's unit.
    pub amount_micros: i64,
    pub currency: String,
    pub version: String,
}

/// What came of a question in this run, before it is asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Requests that a server put off.
    pub pauses: i64,
    /// The last answer that could not be used.
    pub useless: Option<Useless>,
}

/// An answer that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Useless {
    /// The kind of failure.
    pub error: String,
    pub answer: Option<String>,
}

/// A request as it is kept.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    pub run: i32,
    pub purpose: String,
    /// `sent`, `succeeded` or `failed`.
    pub state: String,
    pub error: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub amount_micros: Option<i64>,
    pub currency: Option<String>,
    pub price_version: Option<String>,
}

/// What requests of one currency have cost together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// None where nobody told what they cost.
    pub currency: Option<String>,
    pub requests: i64,
    /// Of those that were told; none where no integer holds the sum, which servers may make so.
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub amount_micros: Option<i64>,
}

/// Notes a request that is about to be sent.
pub async fn begin(tx: &mut Tx, of: Analysis, sent: Sent<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into model_requests
            (account_id, session_id, generation, id, run, purpose, model, question)
        values ($1, $2, $3, $4, $5, $6, $7, $8)",
        of.account_id.0,
        of.session_id.0,
        of.generation,
        sent.id,
        of.run,
        sent.purpose,
        sent.model,
        sent.question,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// Notes how a request ended. One whose analysis was erased meanwhile is gone, and of one whose analysis
/// was written meanwhile, by another attempt, nothing is kept that was said.
pub async fn end(tx: &mut Tx, of: Analysis, id: Uuid, ended: &Ended) -> Result<(), sqlx::Error> {
    let state = if ended.error.is_none() {
        "succeeded"
    } else {
        "failed"
    };
    let price = ended.price.as_ref();
    sqlx::query!(
        "update model_requests set state = $5, error = $6, input_tokens = $7, output_tokens = $8,
            amount_micros = $9, currency = $10, price_version = $11, ended_at = clock_timestamp(),
            answer = case when exists (
                select from analyses a where a.account_id = $1 and a.session_id = $2
                    and a.generation = $3 and a.state = 'done'
            ) then null else $12::text end
        where account_id = $1 and session_id = $2 and generation = $3 and id = $4",
        of.account_id.0,
        of.session_id.0,
        of.generation,
        id,
        state,
        ended.error,
        ended.input_tokens,
        ended.output_tokens,
        price.map(|price| price.amount_micros),
        price.map(|price| price.currency.as_str()),
        price.map(|price| price.version.as_str()),
        ended.answer,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// The usable answer to a question of this analysis, if there was one.
pub async fn answer(
    tx: &mut Tx,
    of: Analysis,
    question: &[u8],
) -> Result<Option<String>, sqlx::Error> {
    let answer = sqlx::query_scalar!(
        "select answer from model_requests
        where account_id = $1 and session_id = $2 and generation = $3 and question = $4
            and state = 'succeeded' and answer is not null
        order by id limit 1",
        of.account_id.0,
        of.session_id.0,
        of.generation,
        question,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(answer.flatten())
}

/// What came of a question in this run. `useless` and `put_off` are the kinds of failure that count as
/// either.
pub async fn earlier(
    tx: &mut Tx,
    of: Analysis,
    question: &[u8],
    useless: &[String],
    put_off: &[String],
) -> Result<Earlier, sqlx::Error> {
    let last = sqlx::query_as!(
        Useless,
        r#"select error as "error!", answer from model_requests
        where account_id = $1 and session_id = $2 and generation = $3 and question = $4 and run = $5
            and state = 'failed' and error = any($6)
        order by sent_at desc, id desc limit 1"#,
        of.account_id.0,
        of.session_id.0,
        of.generation,
        question,
        of.run,
        useless,
    )
    .fetch_optional(&mut **tx)
    .await?;
    let pauses = sqlx::query_scalar!(
        r#"select count(*) as "count!" from model_requests
        where account_id = $1 and session_id = $2 and generation = $3 and question = $4 and run = $5
            and state = 'failed' and error = any($6)"#,
        of.account_id.0,
        of.session_id.0,
        of.generation,
        question,
        of.run,
        put_off,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Earlier {
        pauses,
        useless: last,
    })
}

/// Every request of an analysis, of all its runs, in their order.
pub async fn of_analysis(tx: &mut Tx, of: Analysis) -> Result<Vec<ModelRequest>, sqlx::Error> {
    sqlx::query_as!(
        ModelRequest,
        "select run, purpose, state, error, input_tokens, output_tokens, amount_micros, currency,
            price_version
        from model_requests where account_id = $1 and session_id = $2 and generation = $3
        order by sent_at, id",
        of.account_id.0,
        of.session_id.0,
        of.generation,
    )
    .fetch_all(&mut **tx)
    .await
}

/// Forgets what the model said: the analysis is written.
pub async fn forget_answers(
    tx: &mut Tx,
    account_id: AccountId,
    session_id: SessionId,
    generation: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update model_requests set answer = null
        where account_id = $1 and session_id = $2 and generation = $3 and answer is not null",
        account_id.0,
        session_id.0,
        generation,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// What all analyses of a session have cost: failed ones, and those that newer ones followed, too.
pub async fn spending(
    tx: &mut Tx,
    account_id: AccountId,
    session_id: SessionId,
) -> Result<Vec<Spending>, sqlx::Error> {
    sqlx::query_as!(
        Spending,
        r#"select case when amount_micros is not null then currency end as currency,
            count(*) as "requests!",
            case when sum(input_tokens) <= 9223372036854775807 then sum(input_tokens)::bigint end as input_tokens,
            case when sum(output_tokens) <= 9223372036854775807 then sum(output_tokens)::bigint end as output_tokens,
            case when sum(amount_micros) <= 9223372036854775807 then sum(amount_micros)::bigint end as amount_micros
        from model_requests where account_id = $1 and session_id = $2 group by 1 order by 1 nulls last"#,
        account_id.0,
        session_id.0,
    )
    .fetch_all(&mut **tx)
    .await
}
