//! `aftercall provision`: what Postgres, NATS and S3 need before the first process starts.

use aftercall::bus::{Bus, Parameters};
use aftercall::config::{self, Env, Maintenance, Nats, Passwords, Provisioning};
use aftercall::db::provision::{Process, provision};
use aftercall::providers::object_store::ObjectStore;
use anyhow::Context;
use secrecy::SecretString;

pub async fn run(env: &Env) -> anyhow::Result<()> {
    let settings = Provisioning::read(env)?;
    let nats = Nats::read(env)?;
    let maintenance = Maintenance::read(env)?;
    let object_store = config::ObjectStore::read(env)?;
    let parameters = Parameters {
        replicas: maintenance.nats_replicas,
        duplicate_window: maintenance.nats_duplicate_window,
    };

    let logins = logins(settings.passwords);
    provision(&settings.admin_url, &logins)
        .await
        .context("Postgres could not be provisioned")?;
    println!("Postgres: roles and tables are up to date");
    for (process, _) in &logins {
        println!("Postgres: {} may log in", process.login_role());
    }

    let bus = Bus::connect(&nats, "aftercall provision").await?;
    let done = bus
        .provision(parameters)
        .await
        .context("NATS could not be provisioned")?;
    for name in &done.created {
        println!("NATS: made {name}");
    }
    for name in &done.updated {
        println!("NATS: updated {name}");
    }
    println!("NATS: streams and consumers are up to date");

    let store = ObjectStore::connect(&object_store).await?;
    store
        .ensure_bucket()
        .await
        .context("the bucket could not be made")?;
    println!("S3: the bucket {} is there", object_store.bucket);
    Ok(())
}

/// The login roles that have a password.
fn logins(passwords: Passwords) -> Vec<(Process, SecretString)> {
    let Passwords {
        ingress,
        storage,
        transcription,
        analysis,
        analytics,
        maintenance,
    } = passwords;
    [
        (Process::Ingress, ingress),
        (Process::Storage, storage),
        (Process::Transcription, transcription),
        (Process::Analysis, analysis),
        (Process::Analytics, analytics),
        (Process::Maintenance, maintenance),
    ]
    .into_iter()
    .filter_map(|(process, password)| Some((process, password?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_without_a_password_is_left_alone() {
        assert!(logins(Passwords::default()).is_empty());
        let logins = logins(Passwords {
            storage: Some(SecretString::from("s3cret")),
            ..Passwords::default()
        });
        assert_eq!(logins.len(), 1);
        assert_eq!(logins[0].0, Process::Storage);
    }
}
