//! The ids that this process accepted in the last seconds.
//!
//! A call is readable once the analytics worker has kept it, which takes a fraction of a second; whoever
//! asks in between waits. Bounded: under a flood the oldest are forgotten first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::ids::CallId;

/// For how long an id is remembered.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_REMEMBERED: usize = 65_536;

/// Ids with the time of their acceptance, oldest first; clones share one.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<VecDeque<(Instant, CallId)>>>);

impl Recent {
    pub fn note(&self, id: CallId) {
        let now = Instant::now();
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while ids.len() >= MAX_REMEMBERED
            || ids
                .front()
                .is_some_and(|(at, _)| now.duration_since(*at) > REMEMBERED)
        {
            ids.pop_front();
        }
        ids.push_back((now, id));
    }

    /// Whether the id was accepted a moment ago: here, or, as the time in an id of ours (UUIDv7) tells,
    /// by another ingress.
    pub fn has(&self, id: CallId) -> bool {
        let now = Instant::now();
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: Instant| now.duration_since(at) <= REMEMBERED;
        let here = ids
            .iter()
            .rev()
            .take_while(|(at, _)| is_recent(*at))
            .any(|(_, of)| *of == id);
        here || is_fresh(id, Timestamp::now())
    }
}

fn is_fresh(id: CallId, now: Timestamp) -> bool {
    let Some((seconds, nanos)) = id.0.get_timestamp().map(|at| at.to_unix()) else {
        return false;
    };
    let made = i64::try_from(seconds).ok().zip(i32::try_from(nanos).ok());
    let made = made.and_then(|(seconds, nanos)| Timestamp::new(seconds, nanos).ok());
    made.is_some_and(|made| made.duration_since(now).unsigned_abs() <= REMEMBERED)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_was_accepted_is_known() {
        let recent = Recent::default();
        let id = CallId(Uuid::new_v4());
        assert!(!recent.has(id));
        recent.note(id);
        assert!(recent.has(id));
    }

    #[test]
    fn the_time_in_an_id_tells_too() {
        assert!(Recent::default().has(CallId::generate()));
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        assert!(!is_fresh(CallId::generate(), now));
        assert!(!is_fresh(CallId(Uuid::nil()), now));
    }

    #[test]
    fn a_flood_forgets_the_oldest() {
        let recent = Recent::default();
        let first = CallId(Uuid::new_v4());
        recent.note(first);
        for _ in 0..MAX_REMEMBERED {
            recent.note(CallId(Uuid::nil()));
        }
        assert!(!recent.has(first));
        assert_eq!(recent.0.lock().unwrap().len(), MAX_REMEMBERED);
    }
}
