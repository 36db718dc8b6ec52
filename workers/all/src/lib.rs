//! Everything in one process on the embedded servers: development, demo and end-to-end tests.
//!
//! No logic of its own: it starts what the library and the workers bring.
//!
//! Invariant: a program started here leaves no process and no open port behind, however it ends.

pub mod demo;
pub mod environments;
mod first_words;
pub mod local;
pub mod logs;
pub mod pipeline;
pub mod servers;
pub mod shutdown;
pub mod up;
