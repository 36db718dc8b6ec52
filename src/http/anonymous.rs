//! `ANONYMOUS_USER`: requests without any credential act as one user, for front ends that were written
//! for systems that had no login. Refused in production.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::AppState;
use super::problem::ApiError;
use crate::db::{Principal, users};
use crate::ids::UserId;

/// The user may be made, renamed or removed while we run.
const REMEMBERED: Duration = Duration::from_secs(4);

/// Whom the address named last.
#[derive(Default)]
pub struct Anonymous(Mutex<Option<(Instant, UserId)>>);

impl Anonymous {
    /// The user, if there is one with this address.
    pub async fn find(&self, state: &AppState, email: &str) -> Result<UserId, ApiError> {
        let known = *self.0.lock().expect("nothing panics with the lock");
        if let Some((_, id)) = known.filter(|(at, _)| at.elapsed() < REMEMBERED) {
            return Ok(id);
        }
        let mut tx = state.db.begin(Principal::Auth).await?;
        let login = users::find_login(&mut tx, email).await?;
        tx.commit().await?;
        let login = login.filter(|login| login.is_active);
        let id = login.map(|login| login.id).ok_or(ApiError::Unauthorized)?;
        *self.0.lock().expect("nothing panics with the lock") = Some((Instant::now(), id));
        Ok(id)
    }
}
