//! `/calls`: what agents send of calls that ended.
//!
//! Sending goes to the log and touches no table; reading comes from the tables that the analytics
//! worker fills.

mod accept;
mod batch;
mod clients;
mod erase;
mod get;
mod lines;
mod list;
mod recent;
mod shapes;

pub use accept::{__path_create, Accepted, accept, create, read};
pub use batch::{__path_create_many, create_many};
pub use clients::ClientsOfCallers;
pub use erase::{__path_delete, delete, erase_client};
pub use get::{__path_get, get};
pub use list::{__path_list, list};
pub use recent::Recent;

use crate::bus::FrameHeaders;
use crate::events::calls_ended;

/// The headers of a frame that this process publishes.
pub fn frame_headers() -> FrameHeaders {
    let envelope = calls_ended::envelope("aftercall/ingress");
    let id = envelope.id.to_string();
    (envelope.headers(), id)
}
