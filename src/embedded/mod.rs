//! `embedded`
