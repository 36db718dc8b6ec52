//! `aftercall rollups`: what dashboards show, recomputed from the calls.

use aftercall::config::{Administration, Env};
use aftercall::db::rollups_rebuild::{self, Rebuilt};
use aftercall::db::{Db, Principal, Tx};
use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use jiff::civil::Date;

use crate::database::explain;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recompute rollups from the calls, compare, and put in order what differs.
    ///
    /// Day by day: calls of the day in hand wait to be counted, those of other days do not, and
    /// dashboards go on. May be stopped and repeated at any point.
    Rebuild {
        #[command(flatten)]
        days: Days,
        /// With --from or --to: compare once more after the rebuild. Alone: only compare, as `verify` does.
        #[arg(long)]
        verify: bool,
    },
    /// Only compare, and print the first difference of each day; ends with 1 when there is one.
    Verify {
        #[command(flatten)]
        days: Days,
    },
}

/// Which days, in UTC; all that have calls or rollups unless said otherwise.
#[derive(Clone, Copy, Debug, Args)]
pub struct Days {
    /// The first day.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// The last day.
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
}

pub async fn run(command: Command, env: &Env) -> anyhow::Result<()> {
    let settings = Administration::read(env)?;
    let db = Db::connect_lazy(&settings.admin_url, 1)?;
    match command {
        Command::Verify { days } => verify(&db, days).await,
        Command::Rebuild { days, verify: true } if days.is_all() => verify(&db, days).await,
        Command::Rebuild {
            days,
            verify: again,
        } => {
            rebuild(&db, days).await?;
            if again {
                verify(&db, days).await
            } else {
                Ok(())
            }
        }
    }
}

async fn rebuild(db: &Db, days: Days) -> anyhow::Result<()> {
    let mut rebuilt = 0_u64;
    let mut mended = 0_u64;
    let mut next = days.first(db).await?;
    while let Some((day, last)) = next {
        let mut tx = begin(db).await?;
        let found = rollups_rebuild::rebuild(&mut tx, day).await;
        let Rebuilt {
            clients,
            mended: differing,
            first,
        } = found.map_err(explain)?;
        tx.commit().await.map_err(explain)?;
        if let Some(difference) = first {
            println!("{day}: mended {differing} of {clients} clients; first {difference}");
        }
        rebuilt += 1;
        mended += u64::from(differing > 0);
        next = following(day, last);
    }
    println!("rebuilt {rebuilt} days, {mended} of which differed from their calls");
    Ok(())
}

async fn verify(db: &Db, days: Days) -> anyhow::Result<()> {
    let mut compared = 0_u64;
    let mut differing = 0_u64;
    let mut next = days.first(db).await?;
    while let Some((day, last)) = next {
        let mut tx = begin(db).await?;
        let found = rollups_rebuild::first_difference(&mut tx, day).await;
        let found = found.map_err(explain)?;
        tx.commit().await.map_err(explain)?;
        if let Some(difference) = &found {
            println!("{day}: {difference}");
        }
        compared += 1;
        differing += u64::from(found.is_some());
        next = following(day, last);
    }
    if differing > 0 {
        bail!("{differing} of {compared} days differ from their calls");
    }
    println!("compared {compared} days, which are as their calls say");
    Ok(())
}

impl Days {
    fn is_all(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// The first day and the last; none where there is nothing to look at.
    async fn first(self, db: &Db) -> anyhow::Result<Option<(Date, Date)>> {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            ensure!(from <= to, "--from is after --to");
        }
        let mut tx = begin(db).await?;
        let extent = rollups_rebuild::extent(&mut tx).await.map_err(explain)?;
        tx.commit().await.map_err(explain)?;
        Ok(extent.and_then(|extent| self.within(extent)))
    }

    fn within(self, (oldest, newest): (Date, Date)) -> Option<(Date, Date)> {
        let from = self.from.map_or(oldest, |from| from.max(oldest));
        let to = self.to.map_or(newest, |to| to.min(newest));
        (from <= to).then_some((from, to))
    }
}

fn following(day: Date, last: Date) -> Option<(Date, Date)> {
    let next = day.tomorrow().ok()?;
    (next <= last).then_some((next, last))
}

async fn begin(db: &Db) -> anyhow::Result<Tx> {
    db.begin(Principal::Operator).await.map_err(explain)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn days(from: Option<Date>, to: Option<Date>) -> Option<(Date, Date)> {
        Days { from, to }.within((date(2026, 3, 1), date(2026, 3, 9)))
    }

    #[test]
    fn days_without_calls_and_rollups_are_left_out() {
        let (first, last) = (date(2026, 3, 1), date(2026, 3, 9));
        assert_eq!(days(None, None), Some((first, last)));
        assert_eq!(
            days(Some(date(1, 1, 1)), Some(date(9999, 12, 31))),
            Some((first, last))
        );
        let within = (date(2026, 3, 4), date(2026, 3, 5));
        assert_eq!(days(Some(within.0), Some(within.1)), Some(within));
        assert_eq!(days(Some(date(2026, 3, 10)), None), None);
        assert_eq!(days(None, Some(date(2026, 2, 28))), None);
    }

    #[test]
    fn a_range_ends_with_its_last_day() {
        let last = date(2026, 3, 1);
        assert_eq!(following(date(2026, 2, 28), last), Some((last, last)));
        assert_eq!(following(last, last), None);
        assert_eq!(following(Date::MAX, Date::MAX), None);
    }
}
