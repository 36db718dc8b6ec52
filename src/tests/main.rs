//! The ingress as its callers see it, on real servers.

#![cfg(feature = "embedded")]

mod analysis;
mod api_keys;
mod audit;
mod auth;
mod clients;
mod clinics;
mod consent;
mod customers;
mod erasures;
mod matrix;
mod oidc;
mod operator;
mod people;
mod policy;
mod recordings;
mod sessions;
mod sign_in;
mod stages;
mod support;
mod system;
mod throttling;
mod timeline;
