//! `GET /calls`: calls, newest first.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::AppState;
use super::super::caller::Caller;
use super::super::days::DayParams;
use super::super::extract::{Answer, Params};
use super::super::page::{NumberedPage, NumberedPageParams, Page, PageParams};
use super::super::problem::{ApiError, Problem};
use super::shapes::CallSummary;
use crate::calls::{CallRecord, Transcript};
use crate::db::Tx;
use crate::db::call_reads::{self, Candidate, Portion, Position, Range};
use crate::ids::ClientId;
use crate::rollups::Sentiment;

/// A page by cursor looks at no more calls than this for those that match.
const LOOK_AT: usize = 3_000;
/// The same where their text is searched.
const LOOK_INTO: usize = 2_000;
/// Numbered pages reach this far, and so does their total.
const NUMBERED: i64 = 10_000;
/// Numbered pages whose total no rollup knows look at no more calls than this.
const NUMBERED_LOOK_AT: usize = 5_000;
/// What is read of a client at a time, at most. Where calls are filtered it begins with
/// [`FILTERED_OF_EACH`] and grows with what was looked at in vain: few match, or many.
const OF_EACH: i64 = 1_000;
const FILTERED_OF_EACH: i64 = 100;
/// What is read of all clients at a time where calls are filtered; less where that is their text, of which
/// each may have 256 KiB.
const FILTERED_OF_ALL: i64 = 5_000;
const SEARCHED_OF_ALL: i64 = 200;
const MAX_SEARCH_CHARS: usize = 200;

/// Which calls. `page` and `per_page` in the place of `limit` and `cursor` give numbered pages, of the
/// newest 10,000 calls; with `q`, or with `sentiment` and `success` together, of the newest 5,000.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    pub client_id: Option<ClientId>,
    /// First day, for example `2026-11-01`.
    pub start_date: Option<String>,
    /// Last day, included.
    pub end_date: Option<String>,
    /// IANA time zone of the days.
    #[param(default = "UTC")]
    pub timezone: Option<String>,
    /// `positive`, `neutral`, `negative`, `mixed` or `unknown`, in any case.
    pub sentiment: Option<String>,
    pub success: Option<bool>,
    /// Text in the transcript, the caller's name or number, or the notes; in any case.
    ///
    /// A page looks at the next 2,000 calls (3,000 without `q`): one may have few entries, or none,
    /// while `next_cursor` leads on.
    pub q: Option<String>,
    /// Entries of a page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// The number of a page, from 1.
    #[param(minimum = 1)]
    pub page: Option<i64>,
    /// Entries of a numbered page, from 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub per_page: Option<i64>,
}

/// A page of calls, in the form that was asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CallPage {
    Cursor(Page<CallSummary>),
    Numbered(NumberedPage<CallSummary>),
}

/// List calls, newest first.
#[utoipa::path(get, path = "/calls", tag = "calls", operation_id = "list_calls", security(("bearer" = [])),
    params(ListParams),
    responses(
        (status = 200, body = CallPage),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> Answer<CallPage> {
    let filter = Filter::of(&params)?;
    if params.page.is_some() || params.per_page.is_some() {
        if params.limit.is_some() || params.cursor.is_some() {
            let message = "cannot be used together with limit or cursor";
            return Err(ApiError::invalid("page", message));
        }
        let page = NumberedPageParams::checked(params.page, params.per_page)?;
        let mut tx = state.db.begin(caller.principal()).await?;
        let answer = numbered(&mut tx, &filter, page).await?;
        tx.commit().await?;
        return Ok(Json(CallPage::Numbered(answer)));
    }
    let page = PageParams {
        limit: params.limit,
        cursor: params.cursor,
    };
    let (limit, after) = (page.limit()?, page.position::<Position>()?);
    if after.is_some_and(|after| after.counted_at < call_reads::FIRST) {
        return Err(ApiError::malformed_cursor());
    }
    let mut tx = state.db.begin(caller.principal()).await?;
    let answer = by_cursor(&mut tx, &filter, after, limit).await?;
    tx.commit().await?;
    Ok(Json(CallPage::Cursor(answer)))
}

/// What a call must be.
struct Filter {
    range: Range,
    sentiment: Option<Sentiment>,
    success: Option<bool>,
    /// In lower case.
    text: Option<String>,
}

impl Filter {
    fn of(params: &ListParams) -> Result<Self, ApiError> {
        let days = DayParams {
            start_date: params.start_date.as_deref(),
            end_date: params.end_date.as_deref(),
            timezone: params.timezone.as_deref(),
        };
        let (from, to) = days.open()?;
        let sentiment = params.sentiment.as_deref().map(|word| {
            let known = word.trim().to_lowercase().parse::<Sentiment>();
            known.map_err(|_| {
                let message = "must be positive, neutral, negative, mixed or unknown";
                ApiError::invalid("sentiment", message)
            })
        });
        let text = params
            .q
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        if text.is_some_and(|text| text.chars().count() > MAX_SEARCH_CHARS) {
            let message = format!("is longer than {MAX_SEARCH_CHARS} characters");
            return Err(ApiError::invalid("q", message));
        }
        Ok(Self {
            range: Range {
                client_id: params.client_id,
                from,
                to,
            },
            sentiment: sentiment.transpose()?,
            success: params.success,
            text: text.map(str::to_lowercase),
        })
    }

    /// Whether every call in the range matches.
    const fn is_open(&self) -> bool {
        self.sentiment.is_none() && self.success.is_none() && self.text.is_none()
    }

    /// What is read next, when so many calls are still wanted and so many were looked at.
    fn portion(&self, want: usize, looked: usize) -> Portion<'_> {
        let want = i64::try_from(want).unwrap_or(NUMBERED);
        let looked = i64::try_from(looked).unwrap_or(NUMBERED);
        let (of_each, of_all) = if self.is_open() {
            (want.min(OF_EACH), want)
        } else if self.text.is_some() {
            (SEARCHED_OF_ALL, SEARCHED_OF_ALL)
        } else {
            let of_each = want.max(looked).clamp(FILTERED_OF_EACH, OF_EACH);
            (of_each, FILTERED_OF_ALL)
        };
        Portion {
            of_each,
            of_all,
            with_record: self.text.is_some(),
            sentiment: self.sentiment.map(Sentiment::as_str),
            success: self.success,
        }
    }

    fn matches(&self, call: &Candidate) -> bool {
        self.sentiment
            .is_none_or(|sentiment| sentiment.as_str() == call.sentiment)
            && self
                .success
                .is_none_or(|success| call.success == Some(success))
            && self.text.as_deref().is_none_or(|text| {
                call.record
                    .as_deref()
                    .is_some_and(|record| says(record, text))
            })
    }

    /// How many match, where that can be told without looking at them all.
    async fn total(&self, tx: &mut Tx) -> Result<Option<i64>, ApiError> {
        if self.text.is_some() || self.sentiment.is_some() && self.success.is_some() {
            return Ok(None);
        }
        let sentiment = self.sentiment.map(Sentiment::as_str);
        let total = call_reads::count(tx, self.range, sentiment, self.success).await?;
        Ok(Some(total))
    }
}

/// Matching calls, and how far was looked for them.
struct Found {
    calls: Vec<Candidate>,
    /// The last that was looked at, where there are more.
    until: Option<Position>,
}

/// Looks for `want` calls that match, at no more than about `look_at`.
async fn find(
    tx: &mut Tx,
    filter: &Filter,
    after: Option<Position>,
    want: usize,
    look_at: usize,
) -> Result<Found, ApiError> {
    let mut found = Found {
        calls: Vec::new(),
        until: after,
    };
    if want == 0 {
        return Ok(found);
    }
    let mut looked = 0;
    loop {
        let portion = filter.portion(want - found.calls.len(), looked);
        let candidates = call_reads::candidates(tx, filter.range, found.until, portion).await?;
        looked += candidates.looked_at;
        for candidate in candidates.calls {
            found.until = Some(candidate.position);
            if filter.matches(&candidate) {
                found.calls.push(candidate);
                if found.calls.len() == want {
                    return Ok(found);
                }
            }
        }
        if !candidates.has_more {
            found.until = None;
            return Ok(found);
        }
        if looked >= look_at {
            return Ok(found);
        }
    }
}

async fn by_cursor(
    tx: &mut Tx,
    filter: &Filter,
    after: Option<Position>,
    limit: i64,
) -> Result<Page<CallSummary>, ApiError> {
    let want = usize::try_from(limit).unwrap_or(1);
    let look_at = if filter.text.is_some() {
        LOOK_INTO
    } else {
        LOOK_AT
    };
    let mut found = find(tx, filter, after, want + 1, look_at).await?;
    // One more than fits shows that the page is full.
    let until = if found.calls.len() > want {
        found.calls.truncate(want);
        found.calls.last().map(|call| call.position)
    } else {
        found.until
    };
    let items = summaries(tx, &found.calls).await?;
    Ok(Page::ending_at(items, until))
}

async fn numbered(
    tx: &mut Tx,
    filter: &Filter,
    page: NumberedPageParams,
) -> Result<NumberedPage<CallSummary>, ApiError> {
    let until = page.offset() + page.per_page;
    if until > NUMBERED {
        let message = format!("numbered pages reach {NUMBERED} calls; go on with a cursor");
        return Err(ApiError::invalid("page", message));
    }
    let counted = filter.total(tx).await?;
    let bound = usize::try_from(NUMBERED).unwrap_or(usize::MAX);
    let found = if let Some(counted) = counted {
        let want = usize::try_from(until.min(counted)).unwrap_or(bound);
        find(tx, filter, None, want, bound).await?
    } else {
        // What cannot be counted otherwise is counted by looking.
        find(tx, filter, None, bound, NUMBERED_LOOK_AT).await?
    };
    let total = counted.or_else(|| {
        let all = found.until.is_none();
        all.then(|| i64::try_from(found.calls.len()).unwrap_or(NUMBERED))
    });
    let offset = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let per_page = usize::try_from(page.per_page).unwrap_or_default();
    let shown: Vec<_> = found
        .calls
        .into_iter()
        .skip(offset)
        .take(per_page)
        .collect();
    let items = summaries(tx, &shown).await?;
    Ok(page.of(items, total.filter(|total| *total <= NUMBERED)))
}

/// The calls in full, in the same order.
async fn summaries(tx: &mut Tx, calls: &[Candidate]) -> Result<Vec<CallSummary>, ApiError> {
    let key = |call: &Candidate| (call.account_id, call.position.id, call.position.client_id);
    let keys: Vec<_> = calls.iter().map(key).collect();
    let rows = call_reads::of_keys(tx, &keys).await?;
    let mut rows: HashMap<_, _> = rows
        .into_iter()
        .map(|row| ((row.account_id, row.id, row.client_id), row))
        .collect();
    Ok(keys
        .iter()
        .filter_map(|key| rows.remove(key))
        .map(CallSummary::from)
        .collect())
}

/// Whether a record says `text`, which is in lower case.
fn says(record: &str, text: &str) -> bool {
    let Ok(record) = serde_json::from_str::<CallRecord>(record) else {
        return false;
    };
    let has = |said: &str| said.to_lowercase().contains(text);
    let of = |said: Option<&crate::calls::Text<'_>>| said.is_some_and(|said| has(said));
    of(record.caller_name.as_ref())
        || of(record.caller_phone.as_ref())
        || of(record.notes.as_ref())
        || match &record.transcript {
            Some(Transcript::Text(said)) => has(said),
            Some(Transcript::Turns(turns)) => turns.iter().any(|turn| has(&turn.text)),
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_said_or_written_is_searched() {
        let record = json!({
            "client_id": ClientId::generate(), "caller_name": "Zoë",
            "transcript": [{ "speaker": "agent", "text": "Good MORNING" }], "metadata": { "x": "hidden" },
        })
        .to_string();
        for text in ["zoë", "morning", "good m"] {
            assert!(says(&record, text), "{text}");
        }
        for text in ["speaker", "agent", "hidden", "client_id"] {
            assert!(!says(&record, text), "{text}");
        }
    }

    #[test]
    fn positions_sort_by_time_first() {
        let at = |second| Position {
            counted_at: jiff::Timestamp::from_second(second).unwrap(),
            id: crate::ids::CallId::generate(),
            client_id: ClientId::generate(),
        };
        assert!(at(2) > at(1));
    }
}
