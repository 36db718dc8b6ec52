//! Fetching recordings: the client against a hostile server, and the handler against real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod handler;
mod server;
