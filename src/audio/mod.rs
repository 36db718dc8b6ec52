//! `audio`
