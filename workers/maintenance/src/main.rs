//! Maintenance worker: outbox relay, reconciler, sweeps, provisioning and dead-letter filing
fn main() {}
