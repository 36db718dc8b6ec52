//! One file per vendor: wire types, signature checks, clients.
//!
//! Not what is done with the answers: nothing here knows the domain, SQL or the bus.
//!
//! Invariant: a provider's answer is bounded in size and in time, and nothing that was said in a
//! conversation is logged.

pub mod aws;
pub mod chat;
pub mod object_store;
pub mod oidc;
pub mod openai_audio;
pub mod web_file;

use std::time::Duration;

/// A client for providers: connecting is bounded here, answering by each request. It follows no redirect:
/// what was said goes to the server that is set, and to no other that it names.
///
/// The process must have a TLS provider (`lifecycle::install_tls`).
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("aftercall/", env!("CARGO_PKG_VERSION")))
        .build()
}
