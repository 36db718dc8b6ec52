//! aftercall
