//! `bus`
