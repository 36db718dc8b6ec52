//! `aftercall agents`: the key that lets voice agents in.

use clap::Subcommand;
use nkeys::KeyPair;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key: the public half for nats-server, the seed for the ingress.
    ///
    /// To replace one, give the new halves to both and restart the server: agents that are connected then
    /// come back by themselves.
    Issuer,
}

pub fn run(command: &Command) {
    match command {
        Command::Issuer => {
            let pair = KeyPair::new_account();
            let seed = pair.seed().expect("a pair that was made here has its seed");
            println!("NATS_AGENT_ISSUER={}", pair.public_key());
            println!("NATS_AGENT_ISSUER_SEED={seed}");
        }
    }
}
