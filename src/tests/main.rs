//! The ingress as its callers see it, on real servers.

#![cfg(feature = "embedded")]

mod auth;
mod recordings;
mod support;
mod system;
