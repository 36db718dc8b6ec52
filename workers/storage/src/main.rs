//! Storage worker: verifies uploaded recordings and marks them stored
fn main() {}
