//! Failed sign-ins and registrations (`throttles`), counted for all processes together, so that a
//! restart forgets nothing.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use secrecy::SecretString;

use super::Tx;
use super::users::Login;

/// What attempts are counted for: a keyed hash of an e-mail address or a network address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject(pub [u8; 32]);

/// From when on there are waits, and how long they are. Lengths are in whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Attempts in a row that cost no wait, less one: the attempt with this number costs the first.
    pub free: i32,
    /// After this long without an attempt the row ends.
    pub window: Duration,
    /// Doubles with each further attempt.
    pub first_wait: Duration,
    pub longest_wait: Duration,
}

/// What is known at the begin of a sign-in.
#[derive(Debug)]
pub struct Known {
    /// Until the next attempt is taken; 0 is now.
    pub wait_s: u32,
    /// Whether anything is counted for the first subject.
    pub is_counted: bool,
    pub login: Option<Login>,
}

/// Looks up the user and the wait in one round trip, before anybody has signed in.
pub async fn look_up(
    tx: &mut Tx,
    email: &str,
    subjects: [Subject; 2],
) -> Result<Known, sqlx::Error> {
    let row = sqlx::query!(
        r#"select t.wait_s as "wait_s!", t.is_counted as "is_counted!",
            u.id as "id?: crate::ids::UserId", u.password_hash as "password_hash?",
            u.is_active as "is_active?"
        from auth_wait($1) t left join auth_find_user($2) u on true"#,
        &bytes(&subjects),
        email,
    )
    .fetch_one(&mut **tx)
    .await?;
    let login = row.id.map(|id| Login {
        id,
        password_hash: row.password_hash.map(SecretString::from),
        is_active: row.is_active.unwrap_or_default(),
    });
    Ok(Known {
        wait_s: row.wait_s.unsigned_abs(),
        is_counted: row.is_counted,
        login,
    })
}

/// Seconds until an attempt of the subject is taken; 0 is now.
pub async fn wait_s(tx: &mut Tx, subject: Subject) -> Result<u32, sqlx::Error> {
    let wait_s = sqlx::query_scalar!(
        r#"select wait_s as "wait_s!" from auth_wait($1)"#,
        &bytes(&[subject]),
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(wait_s.unsigned_abs())
}

/// Counts one attempt for each subject.
pub async fn count(tx: &mut Tx, subjects: &[Subject], rules: Rules) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"select auth_count($1, $2, $3, $4, $5)::text as "done""#,
        &bytes(subjects),
        rules.free,
        seconds(rules.window),
        seconds(rules.first_wait),
        seconds(rules.longest_wait),
    )
    .fetch_one(&mut **tx)
    .await
    .map(|_| ())
}

/// Forgets what was counted for a subject.
pub async fn forget(tx: &mut Tx, subject: Subject) -> Result<(), sqlx::Error> {
    sqlx::query!(r#"select auth_forget($1)::text as "done""#, &subject.0[..],)
        .fetch_one(&mut **tx)
        .await
        .map(|_| ())
}

/// Deletes what was neither counted nor blocked since `before`; answers how many. For maintenance.
pub async fn sweep(tx: &mut Tx, before: Timestamp) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        "delete from throttles where coalesce(blocked_until, since) < $1",
        before.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(swept.rows_affected())
}

fn bytes(subjects: &[Subject]) -> Vec<Vec<u8>> {
    subjects.iter().map(|subject| subject.0.to_vec()).collect()
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[cfg(all(test, feature = "embedded"))]
#[path = "throttles_tests.rs"]
mod tests;
