//! The figures as answers.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::super::AppState;
use super::super::caller::Caller;
use super::super::extract::{Answer, Id, Params};
use super::super::problem::Problem;
use super::figures;
use super::period::PeriodParams;
use super::shapes::{CallTotals, CallsPerDay, Dashboard, DayFigures, SentimentFigures};
use crate::db::analytics;
use crate::ids::ClientId;

/// Figures of all calls that the caller sees: totals, latencies, sentiments, the busiest hours, each
/// client, and the same number of days before.
#[utoipa::path(get, path = "/analytics/dashboard", tag = "analytics", security(("bearer" = [])),
    params(PeriodParams),
    responses(
        (status = 200, body = Dashboard),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn dashboard(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<PeriodParams>,
) -> Answer<Dashboard> {
    let asked = params.asked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let of = analytics::seen(&mut tx).await?;
    let dashboard = figures::dashboard(&mut tx, &of, &asked, Timestamp::now()).await?;
    tx.commit().await?;
    Ok(Json(dashboard))
}

/// Calls of each day of the time zone, days without calls too.
#[utoipa::path(get, path = "/analytics/calls-per-day", tag = "analytics", security(("bearer" = [])),
    params(PeriodParams),
    responses(
        (status = 200, body = CallsPerDay),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn calls_per_day(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<PeriodParams>,
) -> Answer<CallsPerDay> {
    let period = params.asked()?.at(Timestamp::now())?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let of = analytics::seen(&mut tx).await?;
    let counts = analytics::by_part(&mut tx, &of, period.midnights()).await?;
    tx.commit().await?;
    let days = period.days().zip(counts).map(|(date, counts)| {
        let totals = CallTotals::from(counts);
        DayFigures {
            date,
            calls: totals.calls,
            successful_calls: totals.successful_calls,
            total_duration_seconds: totals.total_duration_seconds,
        }
    });
    Ok(Json(CallsPerDay {
        period: period.shape(),
        days: days.collect(),
    }))
}

/// Calls by sentiment.
#[utoipa::path(get, path = "/analytics/sentiment", tag = "analytics", security(("bearer" = [])),
    params(PeriodParams),
    responses(
        (status = 200, body = SentimentFigures),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn sentiment(
    State(state): State<AppState>,
    caller: Caller,
    Params(params): Params<PeriodParams>,
) -> Answer<SentimentFigures> {
    let period = params.asked()?.at(Timestamp::now())?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let of = analytics::seen(&mut tx).await?;
    let counts = analytics::total(&mut tx, &of, period.range()).await?;
    tx.commit().await?;
    Ok(Json(SentimentFigures {
        period: period.shape(),
        counts: counts.into(),
        rates: counts.into(),
    }))
}

/// The dashboard of one client, deleted or not.
#[utoipa::path(get, path = "/analytics/client/{id}/stats", tag = "analytics", security(("bearer" = [])),
    params(("id" = ClientId, Path), PeriodParams),
    responses(
        (status = 200, body = Dashboard),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn client_stats(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id<ClientId>,
    Params(params): Params<PeriodParams>,
) -> Answer<Dashboard> {
    let asked = params.asked()?;
    let mut tx = state.db.begin(caller.principal()).await?;
    let of = figures::only(&mut tx, id).await?;
    let dashboard = figures::dashboard(&mut tx, &of, &asked, Timestamp::now()).await?;
    tx.commit().await?;
    Ok(Json(dashboard))
}
