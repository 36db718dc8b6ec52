//! Reads figures within a transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::problem::ApiError;
use super::period::{Asked, Period};
use super::shapes::{CallTotals, ClientFigures, Dashboard, HourCalls, PreviousPeriod};
use crate::db::Tx;
use crate::db::analytics::{self, HourOfClient, Of};
use crate::db::clients;
use crate::ids::ClientId;
use crate::rollups::Counts;

/// The client alone; 404 when the caller may not see it.
pub async fn only(tx: &mut Tx, id: ClientId) -> Result<Vec<Of>, ApiError> {
    let client = clients::get(tx, id).await?;
    let client = client.ok_or(ApiError::CLIENT_NOT_FOUND)?;
    Ok(vec![Of {
        account_id: client.account_id,
        client_id: client.id,
        name: client.name,
    }])
}

/// The dashboard of these clients, when it is `now`.
pub async fn dashboard(
    tx: &mut Tx,
    of: &[Of],
    asked: &Asked,
    now: Timestamp,
) -> Result<Dashboard, ApiError> {
    let period = asked.at(now)?;
    let previous = period.previous()?;
    let offsets = period.offsets();
    let hours = analytics::by_client_and_hour(tx, of, period.range(), &offsets).await?;
    let latencies = analytics::latencies(tx, of, period.range()).await?;
    let before = analytics::total(tx, of, previous.range()).await?;
    let mut total = Counts::default();
    for hour in &hours {
        total += hour.counts;
    }
    Ok(Dashboard {
        period: period.shape(),
        totals: total.into(),
        latency: (&latencies).into(),
        sentiment: total.into(),
        ended_reasons: total.into(),
        busiest_hours: busiest(&hours),
        clients: by_client(&hours, of),
        previous: of_previous(&previous, before),
        as_of: now,
    })
}

fn of_previous(period: &Period, counts: Counts) -> PreviousPeriod {
    PreviousPeriod {
        period: period.shape(),
        totals: counts.into(),
    }
}

fn busiest(hours: &[HourOfClient]) -> Vec<HourCalls> {
    let mut calls: BTreeMap<u8, i64> = BTreeMap::new();
    for hour in hours {
        *calls.entry(hour.hour).or_default() += hour.counts.calls;
    }
    let mut calls: Vec<_> = calls
        .into_iter()
        .map(|(hour, calls)| HourCalls { hour, calls })
        .collect();
    // Stable: hours with as many calls stay in the order of the day.
    calls.sort_by_key(|hour| std::cmp::Reverse(hour.calls));
    calls
}

fn by_client(hours: &[HourOfClient], of: &[Of]) -> Vec<ClientFigures> {
    let mut counts: BTreeMap<usize, Counts> = BTreeMap::new();
    for hour in hours {
        *counts.entry(hour.place).or_default() += hour.counts;
    }
    let mut figures: Vec<_> = counts
        .into_iter()
        .map(|(place, counts)| {
            let (client, totals) = (&of[place], CallTotals::from(counts));
            ClientFigures {
                client_id: client.client_id,
                name: client.name.clone(),
                calls: totals.calls,
                success_rate: totals.success_rate,
                average_duration_seconds: totals.average_duration_seconds,
            }
        })
        .collect();
    figures.sort_by(|one, other| {
        let by_calls = other.calls.cmp(&one.calls);
        by_calls
            .then_with(|| one.name.cmp(&other.name))
            .then(one.client_id.cmp(&other.client_id))
    });
    figures
}
