//! `GET /sessions/{id}/events`: the timeline as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::AppState;
use super::caller::Caller;
use super::extract::{Id, Params};
use super::problem::{ApiError, Problem};
use super::sessions;
use super::wakes::Wake;
use crate::db::is_nobody;
use crate::db::timeline::{self, Entry};
use crate::ids::SessionId;

/// Entries that are read at a time.
const BATCH: i64 = 200;
/// A reader looks again after this long without a wake: the broker may be down, or the reader may no
/// longer look.
const POLL: Duration = Duration::from_secs(4);
/// Comments keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where to begin.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FollowParams {
    /// As the header `Last-Event-ID`, for clients that cannot set it.
    pub last_event_id: Option<i64>,
}

/// The data of one event; its `id` is `seq`, its `event` is `type`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TimelineEvent {
    /// Counts from 1 within the session.
    pub seq: i64,
    /// For example `recording.stored`.
    #[serde(rename = "type")]
    pub event_type: String,
    pub at: Timestamp,
    /// The fact.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// Follow a session: everything that happened and happens to it, in order.
///
/// Resumes after `Last-Event-ID` without gap or repeat. The stream ends when the server stops or the
/// session may no longer be seen; clients connect again.
#[utoipa::path(get, path = "/sessions/{id}/events", tag = "sessions", security(("bearer" = [])),
    params(("id" = SessionId, Path), FollowParams,
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event that was seen")),
    responses(
        (status = 200, body = TimelineEvent, content_type = "text/event-stream"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn follow(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<SessionId>,
    Params(params): Params<FollowParams>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let after = last_event_id(&headers)?
        .or(params.last_event_id)
        .unwrap_or(0);
    let wake = state.session_wakes.subscribe();
    let mut tx = state.db.begin(caller.principal()).await?;
    sessions::read(&mut tx, id).await?;
    tx.commit().await?;
    let reader = Reader {
        state,
        caller,
        id,
        after,
        wake,
        waiting: Vec::new().into_iter(),
    };
    let stream = futures::stream::unfold(reader, |mut reader| async {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let seq = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    seq.filter(|seq| *seq >= 0).map(Some).ok_or_else(|| {
        ApiError::bad_request(
            "malformed_last_event_id",
            "Last-Event-ID is not one of this stream",
        )
    })
}

/// Reads a timeline from its table, and again at each wake.
struct Reader {
    state: AppState,
    caller: Caller,
    id: SessionId,
    after: i64,
    wake: Wake<SessionId>,
    waiting: std::vec::IntoIter<Entry>,
}

impl Reader {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.has_expired() {
                return None;
            }
            if let Some(entry) = self.waiting.next() {
                self.after = entry.seq;
                return Some(event(entry));
            }
            match self.read().await {
                Ok(Some(entries)) if entries.len() > 0 => self.waiting = entries,
                Ok(Some(_)) => self.wait().await?,
                Ok(None) => return None,
                Err(error) => {
                    tracing::warn!(%error, "timeline cannot be read");
                    self.wait().await?;
                }
            }
        }
    }

    /// Entries that follow; `None` when the session may no longer be seen.
    async fn read(&self) -> Result<Option<std::vec::IntoIter<Entry>>, sqlx::Error> {
        let mut tx = match self.state.db.begin(self.caller.principal()).await {
            Err(error) if is_nobody(&error) => return Ok(None),
            begun => begun?,
        };
        if timeline::read(&mut tx, self.id).await?.is_none() {
            return Ok(None);
        }
        let entries = timeline::after(&mut tx, self.id, self.after, BATCH).await?;
        tx.commit().await?;
        Ok(Some(entries.into_iter()))
    }

    /// The stream ends with the credential that opened it; at the latest a poll after.
    fn has_expired(&self) -> bool {
        let expires_at = self.caller.expires_at;
        expires_at.is_some_and(|at| at <= Timestamp::now())
    }

    /// Waits for a wake or the next poll; `None` when the server stops.
    async fn wait(&mut self) -> Option<()> {
        tokio::select! {
            () = self.state.shutdown.soft().cancelled() => None,
            () = self.wake.next(|session| *session == self.id) => Some(()),
            () = tokio::time::sleep(POLL) => Some(()),
        }
    }
}

fn event(entry: Entry) -> Event {
    let id = entry.seq.to_string();
    let data = TimelineEvent {
        seq: entry.seq,
        event_type: entry.event_type.clone(),
        at: entry.at,
        data: entry.data,
    };
    let event = Event::default().id(id).event(entry.event_type);
    event.json_data(data).expect("an entry is plain data")
}
