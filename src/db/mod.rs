//! Postgres: the pool, the typed transaction, and every SQL statement of the project.
//!
//! One file per table or aggregate, with free functions that take a [`Tx`], so that callers choose
//! the transaction. Not here: HTTP, events on the wire, decisions.
//!
//! Invariant: a query without a principal cannot compile. A [`Tx`] comes only from [`Db::begin`],
//! which sets role and principal; row-level security does the rest.

pub mod analyses;
pub mod dead_letters;
pub mod deliveries;
pub mod idempotency;
pub mod jobs;
pub mod outbox;
pub mod provision;
pub mod recordings;
pub mod sessions;
pub mod timeline;
pub mod transcriptions;
pub mod transcripts;
pub mod uploads;
pub mod users;

use std::ops::{Deref, DerefMut};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, Postgres};

use crate::ids::UserId;

/// On whose behalf a transaction runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A signed-in person.
    User(UserId),
    /// A worker, in its own database role.
    Worker(WorkerRole),
    /// Nobody is known yet: register and login. Reaches only `auth_…` functions.
    Auth,
}

/// The database role of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerRole {
    Storage,
    Transcription,
    Analysis,
    Maintenance,
}

impl WorkerRole {
    pub const fn database_role(self) -> &'static str {
        match self {
            Self::Storage => "aftercall_storage",
            Self::Transcription => "aftercall_transcription",
            Self::Analysis => "aftercall_analysis",
            Self::Maintenance => "aftercall_maintenance",
        }
    }
}

impl Principal {
    const fn database_role(self) -> &'static str {
        match self {
            Self::User(_) | Self::Auth => "aftercall_api",
            Self::Worker(role) => role.database_role(),
        }
    }

    fn user(self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::Worker(_) | Self::Auth => String::new(),
        }
    }
}

/// A pool of connections, logged in as the process's own role.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
}

impl Db {
    /// Prepares a pool; connections are made when they are needed, so this does not fail while
    /// Postgres is down.
    pub fn connect_lazy(url: &SecretString, max_connections: u32) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(std::time::Duration::from_secs(5))
            .connect_lazy(url.expose_secret())?;
        Ok(Self { pool })
    }

    /// Begins a transaction on behalf of `principal`.
    ///
    /// Role and principal are set by a statement of their own: inside `BEGIN` a failure would
    /// poison the pooled connection. Both end with the transaction.
    pub async fn begin(&self, principal: Principal) -> Result<Tx, sqlx::Error> {
        let mut inner = self.pool.begin().await?;
        sqlx::query!(
            "select set_config('role', $1, true) as role, set_config('app.user', $2, true) as user",
            principal.database_role(),
            principal.user(),
        )
        .fetch_one(&mut *inner)
        .await?;
        Ok(Tx { inner })
    }

    /// Whether Postgres answers; touches no table.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        sqlx::query!("select 1 as one")
            .fetch_one(&self.pool)
            .await
            .map(|_| ())
    }

    /// The pool itself, to show that a query without a principal is refused.
    #[cfg(test)]
    pub(crate) fn pool_for_tests(&self) -> &PgPool {
        &self.pool
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction of a [`Principal`]; rolled back when dropped.
#[derive(Debug)]
pub struct Tx {
    inner: sqlx::Transaction<'static, Postgres>,
}

impl Tx {
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

#[cfg(all(test, feature = "embedded"))]
mod catalogue_tests;
#[cfg(all(test, feature = "embedded"))]
mod timeline_tests;
