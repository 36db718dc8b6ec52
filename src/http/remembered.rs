//! What this process remembers of Postgres for a few seconds, so that the hot path need not ask it for
//! each request.
//!
//! Invariant: an answer is used for no longer than [`FRESH`], unless Postgres cannot be reached: then
//! what was known goes on for [`WITHOUT_POSTGRES`], and what was not known is unavailable.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::problem::ApiError;
use crate::db::is_unreachable;

/// What was revoked is seen everywhere within 5 s; this leaves two for the look-up.
const FRESH: Duration = Duration::from_secs(3);
/// How long what was known goes on while Postgres cannot be reached.
const WITHOUT_POSTGRES: Duration = Duration::from_mins(10);
/// A Postgres that takes longer than this for something that was known counts as unreachable.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Answers that a process remembers, also that there is none; those that are asked for often stay.
const MAX_REMEMBERED: u64 = 10_000;

/// Answers by key.
#[derive(Clone)]
pub struct Remembered<K: Hash + Eq, V> {
    fresh: Cache<K, V>,
    known: Cache<K, V>,
}

impl<K, V> Remembered<K, V>
where
    K: Hash + Eq + Copy + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub fn new() -> Self {
        let cache = |age| {
            Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(age)
                .build()
        };
        Self {
            fresh: cache(FRESH),
            known: cache(WITHOUT_POSTGRES),
        }
    }

    /// What is remembered of `key`, else what `look_up` finds. Requests that ask for one at the same
    /// time share a look-up.
    pub async fn get<F>(&self, key: K, look_up: impl FnOnce() -> F) -> Result<V, ApiError>
    where
        F: Future<Output = Result<V, sqlx::Error>>,
    {
        if let Some(found) = self.fresh.get(&key).await {
            return Ok(found);
        }
        // Boxed when it is polled, which only the first to ask does: it is large, rarely needed, and would
        // be carried by every request.
        let look_up = async { Box::pin(self.look_up(key, look_up())).await };
        let found = Box::pin(self.fresh.try_get_with(key, look_up)).await;
        found.map_err(|error: Arc<sqlx::Error>| {
            if is_unreachable(&error) {
                ApiError::Unavailable(error.into())
            } else {
                ApiError::Internal(error.into())
            }
        })
    }

    /// Whether an answer is at hand, also that there is none.
    pub fn has(&self, key: K) -> bool {
        self.fresh.contains_key(&key) || self.known.contains_key(&key)
    }

    /// Looks `key` up again when it is next asked for.
    pub async fn forget(&self, key: K) {
        self.known.invalidate(&key).await;
        self.fresh.invalidate(&key).await;
    }

    async fn look_up(
        &self,
        key: K,
        look_up: impl Future<Output = Result<V, sqlx::Error>>,
    ) -> Result<V, sqlx::Error> {
        let Some(known) = self.known.get(&key).await else {
            let found = look_up.await?;
            self.known.insert(key, found.clone()).await;
            return Ok(found);
        };
        match tokio::time::timeout(PATIENCE, look_up).await {
            Ok(Ok(found)) => {
                self.known.insert(key, found.clone()).await;
                Ok(found)
            }
            Ok(Err(error)) if !is_unreachable(&error) => Err(error),
            // It keeps the age that it has: ten minutes count from the last real answer.
            Ok(Err(_)) | Err(_) => Ok(known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(remembered: &Remembered<u8, u8>, answer: Result<u8, sqlx::Error>) -> Option<u8> {
        remembered.get(1, || async { answer }).await.ok()
    }

    #[tokio::test]
    async fn what_is_known_goes_on_while_postgres_is_gone() {
        let remembered = Remembered::<u8, u8>::new();
        let gone = || Err(sqlx::Error::PoolTimedOut);
        assert_eq!(ask(&remembered, gone()).await, None);
        assert_eq!(ask(&remembered, Ok(7)).await, Some(7));
        assert_eq!(ask(&remembered, Ok(8)).await, Some(7), "fresh for a while");
        remembered.fresh.invalidate(&1).await;
        assert_eq!(ask(&remembered, gone()).await, Some(7));
        remembered.fresh.invalidate(&1).await;
        assert_eq!(ask(&remembered, Ok(8)).await, Some(8));
        remembered.forget(1).await;
        assert_eq!(ask(&remembered, gone()).await, None);
    }

    #[tokio::test]
    async fn another_error_is_no_excuse() {
        let remembered = Remembered::<u8, u8>::new();
        assert_eq!(ask(&remembered, Ok(7)).await, Some(7));
        remembered.fresh.invalidate(&1).await;
        assert_eq!(ask(&remembered, Err(sqlx::Error::RowNotFound)).await, None);
    }
}
