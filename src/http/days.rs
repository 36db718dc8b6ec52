//! Days in a caller's time zone, as query parameters.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::problem::ApiError;

/// `start_date`, `end_date` and `timezone`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DayParams<'a> {
    pub start_date: Option<&'a str>,
    /// Included.
    pub end_date: Option<&'a str>,
    pub timezone: Option<&'a str>,
}

impl DayParams<'_> {
    /// The zone; UTC by default.
    pub fn zone(&self) -> Result<TimeZone, ApiError> {
        let name = self.timezone.unwrap_or("UTC");
        // The program brings its zones along: those of the machine may be old, or missing.
        let zone = TimeZoneDatabase::bundled().get(name);
        let zone = zone.ok().filter(|zone| !zone.is_unknown());
        zone.ok_or_else(|| ApiError::invalid("timezone", "is no IANA time zone"))
    }

    /// The days that are given.
    pub fn dates(&self) -> Result<(Option<Date>, Option<Date>), ApiError> {
        let parse = |field: &str, text: Option<&str>| {
            let date = text.map(|text| text.parse::<Date>().ok().filter(|_| text.len() == 10));
            match date {
                Some(None) => Err(ApiError::invalid(field, "is no date like 2026-11-21")),
                date => Ok(date.flatten()),
            }
        };
        let start = parse("start_date", self.start_date)?;
        let end = parse("end_date", self.end_date)?;
        if start.zip(end).is_some_and(|(start, end)| end < start) {
            return Err(ApiError::invalid("end_date", "is before start_date"));
        }
        Ok((start, end))
    }

    /// From the first moment of the first day to the last of the last, each open where no day is given.
    pub fn open(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
        let (zone, (start, end)) = (self.zone()?, self.dates()?);
        let begins = |field: &str, day: Date| {
            let begins = day.to_zoned(zone.clone()).map(|day| day.timestamp());
            begins.map_err(|_| ApiError::invalid(field, "is out of range"))
        };
        let from = start.map(|day| begins("start_date", day)).transpose()?;
        let after = |day: Date| {
            let next = day.tomorrow();
            next.map_err(|_| ApiError::invalid("end_date", "is out of range"))
        };
        let to = end.map(|day| begins("end_date", after(day)?)).transpose()?;
        Ok((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(start: &str, end: &str, zone: &str) -> Result<(String, String), ApiError> {
        let days = DayParams {
            start_date: Some(start),
            end_date: Some(end),
            timezone: Some(zone),
        };
        let (from, to) = days.open()?;
        Ok((from.unwrap().to_string(), to.unwrap().to_string()))
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let expected = (
            "2026-11-20T00:00:00Z".to_owned(),
            "2026-11-22T00:00:00Z".to_owned(),
        );
        assert_eq!(open("2026-11-20", "2026-11-21", "UTC").unwrap(), expected);
        let expected = (
            "2026-11-19T18:15:00Z".to_owned(),
            "2026-11-20T18:15:00Z".to_owned(),
        );
        assert_eq!(
            open("2026-11-20", "2026-11-20", "Asia/Kathmandu").unwrap(),
            expected
        );
        // The day on which clocks go back has 25 hours.
        let expected = (
            "2026-11-01T04:00:00Z".to_owned(),
            "2026-11-02T05:00:00Z".to_owned(),
        );
        assert_eq!(
            open("2026-11-01", "2026-11-01", "America/New_York").unwrap(),
            expected
        );
        assert_eq!(DayParams::default().open().unwrap(), (None, None));
    }

    #[test]
    fn what_is_no_day_or_zone_is_refused() {
        for (start, end, zone) in [
            ("2026-11-31", "2026-11-21", "UTC"),
            ("2026-11-20T00", "2026-11-21", "UTC"),
            ("2026-11-22", "2026-11-21", "UTC"),
            ("2026-11-20", "9999-12-31", "UTC"),
            ("2026-11-20", "2026-11-21", "Mars/Olympus"),
            ("2026-11-20", "2026-11-21", ""),
        ] {
            assert!(open(start, end, zone).is_err(), "{start} {end} {zone}");
        }
    }
}
