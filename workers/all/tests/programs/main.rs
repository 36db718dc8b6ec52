//! The real `aftercall-all`: its commands as somebody starts them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account;
mod demo;
mod servers;
mod up;
