//! How fast somebody must be who sends a file.
//!
//! Invariant: only time that was spent waiting for them counts, and not what the object store takes.

use std::time::Duration;

/// The pace of one sender, judged whenever it was waited for as long as a window.
#[derive(Debug)]
pub struct Pace {
    window: Duration,
    min_bytes_per_second: u64,
    waited: Duration,
    brought: u64,
}

impl Pace {
    pub fn new(window: Duration, min_bytes_per_second: u64) -> Self {
        Self {
            window,
            min_bytes_per_second,
            waited: Duration::ZERO,
            brought: 0,
        }
    }

    /// Longest wait for a single frame.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Notes that a frame of `len` bytes was waited for; answers whether that is fast enough.
    pub fn keeps(&mut self, waited: Duration, len: u64) -> bool {
        self.waited += waited;
        self.brought = self.brought.saturating_add(len);
        if self.waited < self.window {
            return true;
        }
        let least = u128::from(self.min_bytes_per_second) * self.waited.as_millis() / 1_000;
        let keeps = u128::from(self.brought) >= least;
        (self.waited, self.brought) = (Duration::ZERO, 0);
        keeps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After how many frames a client is too slow that brings `len` bytes every second.
    fn ends_after(len: u64, min: u64) -> Option<usize> {
        let mut pace = Pace::new(10 * SECOND, min);
        (1..=100).find(|_| !pace.keeps(SECOND, len))
    }

    #[test]
    fn whoever_drips_is_ended_after_a_window() {
        assert_eq!(ends_after(1, 1_000), Some(10));
        assert_eq!(ends_after(999, 1_000), Some(10));
        assert_eq!(ends_after(1_000, 1_000), None);
    }

    #[test]
    fn nought_asks_for_nothing() {
        assert_eq!(ends_after(0, 0), None);
    }

    #[test]
    fn a_slow_start_is_made_up_for_within_the_window() {
        let mut pace = Pace::new(10 * SECOND, 1_000);
        assert!(pace.keeps(9 * SECOND, 0));
        assert!(pace.keeps(SECOND, 10_000));
        // What was too much in one window does not count in the next.
        assert!(pace.keeps(Duration::ZERO, u64::MAX));
        assert!(pace.keeps(10 * SECOND, 0));
        assert!(!pace.keeps(10 * SECOND, 9_999));
    }

    #[test]
    fn time_that_we_took_does_not_count() {
        let mut pace = Pace::new(SECOND, 1_000);
        assert!((0..1_000).all(|_| pace.keeps(Duration::ZERO, 1)));
    }
}
