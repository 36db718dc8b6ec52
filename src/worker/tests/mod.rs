//! The runtime against a real nats-server and Postgres, with small handlers.

mod bench;
mod crash;
mod desk;
mod outage;
mod script;
mod settling;
mod stop;
