//! `/analytics`: figures of calls. What each means is in `docs/analytics.md`.
//!
//! Not here: counting (`rollups`, the analytics worker). Nothing here reads a call, so that what a
//! figure costs does not grow with their number.
//!
//! Invariant: a figure counts exactly the calls that its caller may see.

mod figures;
mod follow;
mod period;
mod reads;
mod shapes;

pub use follow::{__path_follow, follow};
pub use reads::{
    __path_calls_per_day, __path_client_stats, __path_dashboard, __path_sentiment, calls_per_day,
    client_stats, dashboard, sentiment,
};
