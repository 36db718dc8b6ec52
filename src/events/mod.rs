//! The contracts
