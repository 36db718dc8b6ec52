//! What was said: searched, corrected, exported.

mod corrections;
mod export;
mod redaction;
mod search;
