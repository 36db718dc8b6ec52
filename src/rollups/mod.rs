//! What is counted of calls: counts per client and quarter of an hour, latency sketches per client and
//! hour, both in UTC.
//!
//! Pure code. Not here: where the counts are kept (`db::rollups`), and what a dashboard makes of them.
//!
//! Invariant: everything is a sum of what the calls contribute, so contributions may be added in any
//! order, by any number of workers, and taken away again exactly.

mod counted;
mod deltas;
mod difference;
mod sketch;

pub use counted::{Counted, EndedReason, Latencies, Sentiment};
pub use deltas::{Counts, Deltas, HourKey, LatencySketches, QuarterKey};
pub use difference::{Difference, Differing};
pub use sketch::{DecodeSketchError, RELATIVE_ERROR, Sketch};
