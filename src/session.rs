//! `session`
