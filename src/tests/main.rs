//! The ingress as its callers see it, on real servers.

#![cfg(feature = "embedded")]

mod agents;
mod analysis;
mod analytics;
mod analytics_stream;
mod api_keys;
mod audit;
mod auth;
mod call_erasures;
mod calls;
mod clients;
mod clinics;
mod consent;
mod custom_fields;
mod customers;
mod erasures;
mod forged_tokens;
mod key_rotation;
mod matrix;
mod oidc;
mod operator;
mod other_sites;
mod people;
mod policy;
mod recordings;
mod redaction;
mod registering_again;
mod rollups;
mod sessions;
mod sign_in;
mod stages;
mod support;
mod system;
mod throttling;
mod timeline;
mod transcription_options;
mod words;
