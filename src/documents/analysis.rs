//! The analysis of a session.
