//! The environment of each process: the settings of this one, the servers it is to use, and a login
//! to Postgres of its own.

use std::collections::BTreeMap;

use aftercall::bus::{Bus, Parameters};
use aftercall::config::{Env, Maintenance, Nats, Passwords, Provisioning};
use aftercall::db::provision::{self, Process};
use aftercall::embedded::{Servers, logins};
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

/// Made by [`Environments::provision`]: roles, tables, streams and consumers are there.
#[derive(Clone, Debug)]
pub struct Environments {
    env: Env,
    databases: BTreeMap<Process, SecretString>,
}

impl Environments {
    /// Prepares servers, and a login for each process.
    ///
    /// On the embedded Postgres the passwords are derived. On another one, `DATABASE_ADMIN_URL` needs
    /// the password of every process, and a lone `DATABASE_URL` is everybody's, for a Postgres that
    /// `aftercall provision` has prepared.
    pub async fn provision(env: &Env, servers: &Servers) -> anyhow::Result<Self> {
        let env = env.with(servers.environment().clone());
        let databases = if servers.postgres.is_some() {
            let admin_url = env.secret("DATABASE_ADMIN_URL")?;
            provision_postgres(&admin_url, &logins::logins(&admin_url)?).await?
        } else if env.set("DATABASE_ADMIN_URL").is_some() {
            let settings = Provisioning::read(&env)?;
            let logins = chosen(settings.passwords)?;
            provision_postgres(&settings.admin_url, &logins).await?
        } else {
            let url = env.secret("DATABASE_URL")?;
            Process::ALL.map(|process| (process, url.clone())).into()
        };
        provision_nats(&env).await?;
        Ok(Self { env, databases })
    }

    /// What a process finds in its environment.
    pub fn of(&self, process: Process) -> Env {
        let database_url = self.databases[&process].expose_secret();
        // Any port a worker was meant to have can be only one worker's.
        self.env
            .with([("DATABASE_URL", database_url), ("WORKER_PORT", "0")])
    }
}

async fn provision_postgres(
    admin_url: &SecretString,
    logins: &[(Process, SecretString)],
) -> anyhow::Result<BTreeMap<Process, SecretString>> {
    provision::provision(admin_url, logins)
        .await
        .context("Postgres could not be provisioned")?;
    let urls = logins.iter().map(|(process, password)| {
        let url = provision::login_url(admin_url, *process, password)?;
        Ok((*process, url))
    });
    urls.collect()
}

async fn provision_nats(env: &Env) -> anyhow::Result<()> {
    let settings = Maintenance::read(env)?;
    let parameters = Parameters {
        replicas: settings.nats_replicas,
        duplicate_window: settings.nats_duplicate_window,
    };
    let bus = Bus::connect(&Nats::read(env)?, "aftercall provision").await?;
    bus.provision(parameters)
        .await
        .context("NATS could not be provisioned")?;
    Ok(())
}

fn chosen(passwords: Passwords) -> anyhow::Result<Vec<(Process, SecretString)>> {
    let Passwords {
        ingress,
        storage,
        transcription,
        analysis,
        analytics,
        maintenance,
    } = passwords;
    [
        (Process::Ingress, "INGRESS", ingress),
        (Process::Storage, "STORAGE", storage),
        (Process::Transcription, "TRANSCRIPTION", transcription),
        (Process::Analysis, "ANALYSIS", analysis),
        (Process::Analytics, "ANALYTICS", analytics),
        (Process::Maintenance, "MAINTENANCE", maintenance),
    ]
    .into_iter()
    .map(|(process, name, password)| {
        let password = password
            .with_context(|| format!("DATABASE_ADMIN_URL needs DATABASE_PASSWORD_{name} too"))?;
        Ok((process, password))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_made_up_for_a_postgres_of_somebody() {
        let password = || Some(SecretString::from("s3cret"));
        let all = Passwords {
            ingress: password(),
            storage: password(),
            transcription: password(),
            analysis: password(),
            analytics: password(),
            maintenance: password(),
        };
        assert_eq!(chosen(all.clone()).unwrap().len(), Process::ALL.len());
        let one_missing = Passwords {
            analysis: None,
            ..all
        };
        assert_eq!(
            chosen(one_missing).unwrap_err().to_string(),
            "DATABASE_ADMIN_URL needs DATABASE_PASSWORD_ANALYSIS too"
        );
    }
}
