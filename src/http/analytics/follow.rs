//! `GET /analytics/stream`: the dashboard as server-sent events, again whenever it changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use jiff::Timestamp;
use tokio::time::Instant;

use super::super::AppState;
use super::super::caller::Caller;
use super::super::extract::Params;
use super::super::problem::{ApiError, Problem};
use super::super::wakes::Wake;
use super::figures;
use super::period::{Asked, PeriodParams};
use super::shapes::Dashboard;
use crate::db::analytics::{self, Sight};
use crate::ids::AccountId;

/// A follower reads at most this often, however many calls come in.
const PACE: Duration = Duration::from_secs(1);
/// It looks again after this long without a wake: the broker may be down, or the follower may no longer
/// look.
const POLL: Duration = Duration::from_secs(10);
/// Comments keep proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Follow the dashboard: an event `dashboard` at once, and another whenever a figure changes, at most
/// once a second.
///
/// Each event is the whole dashboard. The stream ends when the server stops, or when the caller may no
/// longer see it; clients connect again.
#[utoipa::path(get, path = "/analytics/stream", tag = "analytics", security(("bearer" = [])),
    params(PeriodParams),
    responses(
        (status = 200, body = Dashboard, content_type = "text/event-stream"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn follow(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<PeriodParams>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let asked = params.asked()?;
    // Before the first reading, so that nothing falls between.
    let wake = state.account_wakes.subscribe();
    let read_at = Instant::now();
    let (shown, sight) = read(&state, &caller, &asked).await?;
    let follower = Follower {
        first: Some(event(&shown)),
        state,
        caller,
        asked,
        wake,
        sight,
        shown,
        read_at,
    };
    let stream = futures::stream::unfold(follower, |mut follower| async {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Reads a dashboard again at each wake.
struct Follower {
    /// Until it was sent.
    first: Option<Event>,
    state: AppState,
    caller: Caller,
    asked: Asked,
    wake: Wake<AccountId>,
    sight: Sight,
    /// What was sent last.
    shown: Dashboard,
    read_at: Instant,
}

impl Follower {
    /// The next event; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            self.wait().await?;
            if self.has_expired() {
                return None;
            }
            self.read_at = Instant::now();
            match read(&self.state, &self.caller, &self.asked).await {
                Ok((dashboard, sight)) => {
                    self.sight = sight;
                    if !dashboard.says_what(&self.shown) {
                        self.shown = dashboard;
                        return Some(event(&self.shown));
                    }
                }
                Err(error @ (ApiError::Unavailable(_) | ApiError::Internal(_))) => {
                    error.log();
                }
                // Signed out, revoked, or no longer in the account that was picked.
                Err(_) => return None,
            }
        }
    }

    /// Waits for a wake or the next poll; `None` when the server stops.
    async fn wait(&mut self) -> Option<()> {
        let stopped = self.state.shutdown.soft();
        let is_seen = |account: &AccountId| self.sight.covers(*account);
        tokio::select! {
            () = stopped.cancelled() => return None,
            () = self.wake.next(is_seen) => {}
            () = tokio::time::sleep(POLL) => {}
        }
        tokio::select! {
            () = stopped.cancelled() => return None,
            () = tokio::time::sleep_until(self.read_at + PACE) => {}
        }
        self.wake.forget();
        Some(())
    }

    /// The stream ends with the credential that opened it; at the latest a poll after.
    fn has_expired(&self) -> bool {
        let expires_at = self.caller.expires_at;
        expires_at.is_some_and(|at| at <= Timestamp::now())
    }
}

/// The dashboard as the caller sees it now, and whose wakes are to be heeded.
async fn read(
    state: &AppState,
    caller: &Caller,
    asked: &Asked,
) -> Result<(Dashboard, Sight), ApiError> {
    let mut tx = state.db.begin(caller.principal()).await?;
    let sight = analytics::sight(&mut tx).await?;
    let of = analytics::seen(&mut tx).await?;
    let dashboard = figures::dashboard(&mut tx, &of, asked, Timestamp::now()).await?;
    tx.commit().await?;
    Ok((dashboard, sight))
}

fn event(dashboard: &Dashboard) -> Event {
    let event = Event::default().event("dashboard");
    event.json_data(dashboard).expect("figures are plain data")
}
