//! `lifecycle`
