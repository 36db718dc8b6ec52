//! Which days figures are of.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::days::DayParams;
use super::super::problem::ApiError;
use super::shapes::PeriodShape;
use crate::db::analytics::{Offsets, Range};

/// Where nobody says otherwise.
const DEFAULT_DAYS: i32 = 30;
const MAX_DAYS: i32 = 366;
/// Nobody logged a call before.
const FIRST: Date = date(1970, 1, 1);

/// Which days. Both dates are included; without them it is the last 30 days.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeriodParams {
    /// First day, for example `2026-11-01`: 29 days before the last where it is left out.
    pub start_date: Option<String>,
    /// Last day, at most 366 days in all: today where it is left out.
    pub end_date: Option<String>,
    /// IANA time zone of the days and hours.
    #[param(default = "UTC")]
    pub timezone: Option<String>,
}

/// Days as they were asked for; what was left out moves on with the clock.
#[derive(Clone, Debug)]
pub struct Asked {
    start: Option<Date>,
    end: Option<Date>,
    zone: TimeZone,
}

/// Whole days of a time zone.
#[derive(Clone, Debug)]
pub struct Period {
    start: Date,
    /// Included.
    end: Date,
    zone: TimeZone,
    /// Where each day begins, and at the end where the last one ends.
    midnights: Vec<Timestamp>,
}

impl PeriodParams {
    pub fn asked(&self) -> Result<Asked, ApiError> {
        let days = DayParams {
            start_date: self.start_date.as_deref(),
            end_date: self.end_date.as_deref(),
            timezone: self.timezone.as_deref(),
        };
        let ((start, end), zone) = (days.dates()?, days.zone()?);
        Ok(Asked { start, end, zone })
    }
}

impl Asked {
    /// The days, when it is `now`.
    pub fn at(&self, now: Timestamp) -> Result<Period, ApiError> {
        let end = self
            .end
            .unwrap_or_else(|| now.to_zoned(self.zone.clone()).date());
        let start = match self.start {
            Some(start) => start,
            None => back(end, DEFAULT_DAYS - 1).map_err(|_| out_of_range("end_date"))?,
        };
        if start < FIRST {
            return Err(out_of_range("start_date"));
        }
        if end < start {
            return Err(ApiError::invalid("start_date", "is after the last day"));
        }
        if days(start, end) > MAX_DAYS {
            let message = format!("is more than {MAX_DAYS} days before the last day");
            return Err(ApiError::invalid("start_date", message));
        }
        Period::of(start, end, self.zone.clone()).map_err(|_| out_of_range("end_date"))
    }
}

impl Period {
    fn of(start: Date, end: Date, zone: TimeZone) -> Result<Self, jiff::Error> {
        let after = end.tomorrow()?;
        let mut midnights = Vec::new();
        for day in start.series(1.day()).take_while(|day| *day <= after) {
            midnights.push(day.to_zoned(zone.clone())?.timestamp());
        }
        Ok(Self {
            start,
            end,
            zone,
            midnights,
        })
    }

    /// As many days, just before.
    pub fn previous(&self) -> Result<Self, ApiError> {
        let before = |day| back(day, days(self.start, self.end));
        let period = before(self.start)
            .and_then(|start| Self::of(start, before(self.end)?, self.zone.clone()));
        period.map_err(|_| out_of_range("start_date"))
    }

    pub fn range(&self) -> Range {
        Range {
            from: *self.midnights.first().expect("a period has a day"),
            to: *self.midnights.last().expect("a period has a day"),
        }
    }

    /// Where each day begins, and at the end where the last one ends.
    pub fn midnights(&self) -> &[Timestamp] {
        &self.midnights
    }

    pub fn days(&self) -> impl Iterator<Item = Date> {
        let end = self.end;
        self.start
            .series(1.day())
            .take_while(move |day| *day <= end)
    }

    /// What clocks show there, which changes twice a year in many zones.
    pub fn offsets(&self) -> Offsets {
        let Range { from, to } = self.range();
        let mut offsets = Offsets {
            since: vec![from],
            seconds: vec![self.zone.to_offset(from).seconds()],
        };
        let changes = self.zone.following(from);
        for change in changes.take_while(|change| change.timestamp() < to) {
            offsets.since.push(change.timestamp());
            offsets.seconds.push(change.offset().seconds());
        }
        offsets
    }

    pub fn shape(&self) -> PeriodShape {
        PeriodShape {
            start_date: self.start,
            end_date: self.end,
            timezone: self.zone.iana_name().unwrap_or("UTC").to_owned(),
        }
    }
}

/// Both included.
fn days(start: Date, end: Date) -> i32 {
    (end - start).get_days() + 1
}

fn back(day: Date, days: i32) -> Result<Date, jiff::Error> {
    day.checked_sub(days.days())
}

fn out_of_range(field: &str) -> ApiError {
    ApiError::invalid(field, "is out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(start: &str, end: &str, zone: &str) -> Result<Asked, ApiError> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let params = PeriodParams {
            start_date: given(start),
            end_date: given(end),
            timezone: given(zone),
        };
        params.asked()
    }

    fn period(start: &str, end: &str, zone: &str) -> Period {
        let now = "2026-11-21T23:00:00Z".parse().unwrap();
        asked(start, end, zone).unwrap().at(now).unwrap()
    }

    fn hours(period: &Period) -> Vec<i64> {
        let lengths = period.midnights().windows(2);
        lengths
            .map(|day| (day[1] - day[0]).get_seconds() / 3600)
            .collect()
    }

    #[test]
    fn the_last_thirty_days_are_those_of_the_zone() {
        let shape = period("", "", "").shape();
        assert_eq!(shape.start_date, date(2026, 10, 23));
        assert_eq!(
            (shape.end_date, shape.timezone.as_str()),
            (date(2026, 11, 21), "UTC")
        );
        let there = period("", "", "asia/kathmandu");
        assert_eq!(there.shape().timezone, "Asia/Kathmandu");
        assert_eq!(there.shape().end_date, date(2026, 11, 22));
        assert_eq!(there.range().to.to_string(), "2026-11-22T18:15:00Z");
        assert_eq!(there.days().count(), 30);
        let since = period("2026-11-20", "", "").shape();
        assert_eq!(since.end_date, date(2026, 11, 21));
        let until = period("", "2024-03-01", "").shape();
        assert_eq!(until.start_date, date(2024, 2, 1));
    }

    #[test]
    fn days_may_be_longer_or_shorter() {
        let back = period("2026-10-31", "2026-11-02", "America/New_York");
        assert_eq!(hours(&back), [24, 25, 24]);
        assert_eq!(back.offsets().seconds, [-4 * 3600, -5 * 3600]);
        assert_eq!(back.offsets().since[1].to_string(), "2026-11-01T06:00:00Z");
        let forth = period("2026-03-07", "2026-03-09", "America/New_York");
        assert_eq!(hours(&forth), [24, 23, 24]);
        assert_eq!(forth.offsets().seconds, [-5 * 3600, -4 * 3600]);
        // Where clocks go forward at midnight, the day begins at one.
        let cairo = period("2026-04-24", "2026-04-24", "Africa/Cairo");
        assert_eq!(hours(&cairo), [23]);
        assert_eq!(cairo.range().from.to_string(), "2026-04-23T22:00:00Z");
        // Samoa left a day out.
        let apia = period("2011-12-29", "2011-12-31", "Pacific/Apia");
        assert_eq!(hours(&apia), [24, 0, 24]);
    }

    #[test]
    fn the_previous_period_has_as_many_days_and_ends_where_this_begins() {
        for (start, end, before) in [
            ("2026-11-01", "2026-11-30", date(2026, 10, 2)),
            ("2026-11-01", "2026-11-01", date(2026, 10, 31)),
            ("2024-01-01", "2024-12-31", date(2022, 12, 31)),
        ] {
            let this = period(start, end, "America/New_York");
            let previous = this.previous().unwrap();
            assert_eq!(previous.shape().start_date, before);
            assert_eq!(previous.days().count(), this.days().count());
            assert_eq!(previous.range().to, this.range().from);
        }
    }

    #[test]
    fn what_is_no_period_is_refused() {
        let now = "2026-11-21T23:00:00Z".parse().unwrap();
        for (start, end, zone) in [
            ("2026-11-22", "", "UTC"),
            ("2026-11-22", "2026-11-21", "UTC"),
            ("2025-11-20", "2026-11-21", "UTC"),
            ("1969-12-31", "1970-01-02", "UTC"),
            ("", "1970-01-02", "UTC"),
            ("", "-9999-01-01", "UTC"),
            ("9999-12-31", "9999-12-31", "UTC"),
            ("2026-02-29", "2026-03-01", "UTC"),
            ("20260301", "2026-03-02", "UTC"),
            ("2026-11-21T00:00:00Z", "2026-11-21", "UTC"),
            ("2026-11-20", "2026-11-21", "Mars/Olympus"),
            ("2026-11-20", "2026-11-21", "Etc/Unknown"),
            ("2026-11-20", "2026-11-21", "../../etc/passwd"),
        ] {
            let found = asked(start, end, zone).and_then(|asked| asked.at(now));
            let Err(ApiError::Invalid(_)) = found else {
                panic!("{start} {end} {zone}: {found:?}");
            };
        }
        let longest = period("2025-11-21", "2026-11-21", "UTC");
        assert_eq!(longest.days().count(), 366);
    }
}
