//! Everything in one process on the embedded servers: development, demo and end-to-end tests
fn main() {}
