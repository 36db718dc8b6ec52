//! Voice agents that publish over NATS.

use secrecy::SecretString;

use super::{ConfigError, Env};

/// What the ingress needs to serve agents over NATS.
#[derive(Clone, Debug)]
pub struct Agents {
    /// The broker as the user who answers agents, and may write to nobody else.
    pub ingest_url: SecretString,
    /// The broker as a user of its system account, who lets agents in and cuts them off.
    pub system_url: SecretString,
    /// The nkey seed whose public half the broker trusts to let agents in.
    pub issuer_seed: SecretString,
}

impl Agents {
    /// Nothing where none of it is set; a part of it is a mistake.
    pub fn read(env: &Env) -> Result<Option<Self>, ConfigError> {
        let names = [
            "NATS_INGEST_URL",
            "NATS_SYSTEM_URL",
            "NATS_AGENT_ISSUER_SEED",
        ];
        if names.iter().all(|name| env.set(name).is_none()) {
            return Ok(None);
        }
        let [ingest_url, system_url, issuer_seed] = names.map(|name| env.secret(name));
        let issuer_seed = issuer_seed?;
        Ok(Some(Self {
            ingest_url: ingest_url?,
            system_url: system_url?,
            issuer_seed,
        }))
    }
}
