//! The ingress as its callers see it, on real servers.

#![cfg(feature = "embedded")]

mod analysis;
mod auth;
mod matrix;
mod recordings;
mod sessions;
mod stages;
mod support;
mod system;
mod timeline;
