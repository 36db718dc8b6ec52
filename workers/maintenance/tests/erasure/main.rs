//! Erasures against a real Postgres, nats-server and S3.

mod bench;
mod late;
mod parts;
mod retention;
mod whole;
