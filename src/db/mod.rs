//! Postgres: the pool, the typed transaction, and every SQL statement of the project.
//!
//! One file per table or aggregate, with free functions that take a [`Tx`], so that callers choose
//! the transaction. Not here: HTTP, events on the wire, decisions.
//!
//! Invariant: a query without a principal cannot compile. A [`Tx`] comes only from [`Db::begin`],
//! which sets role and principal; row-level security does the rest.

pub mod analyses;
pub mod analytics;
pub mod api_keys;
pub mod audit;
pub mod call_erasures;
pub mod call_reads;
pub mod call_sessions;
pub mod calls;
pub mod clients;
pub mod clinics;
pub mod customers;
pub mod dead_letters;
pub mod declared_names;
pub mod deliveries;
pub mod erasure_sessions;
pub mod erasures;
pub mod idempotency;
pub mod jobs;
pub mod model_requests;
pub mod oidc;
pub mod outbox;
pub mod people;
pub mod policies;
pub mod provision;
pub mod recording_fetches;
pub mod recordings;
pub mod retention;
pub mod rollups;
pub mod rollups_rebuild;
pub mod sessions;
pub mod sign_ins;
pub mod throttles;
pub mod timeline;
pub mod transcript_search;
pub mod transcriptions;
pub mod transcripts;
pub mod uploads;
pub mod users;

use std::ops::{Deref, DerefMut};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, Postgres};

use crate::auth::Role;
use crate::ids::{AccountId, ApiKeyId, ClientId, SignInId, UserId};

/// SQLSTATE of a principal that may not act (`invalid_authorization_specification`).
const NOBODY: &str = "28000";
/// SQLSTATE of an account that was picked and is not the principal's (`no_data_found`).
const NOT_THEIR_ACCOUNT: &str = "P0002";

/// On whose behalf a transaction runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A signed-in person.
    User(SignedIn),
    /// An API key: acts as its maker within the key's account.
    Key(ApiKeyId),
    /// A worker, in its own database role.
    Worker(WorkerRole),
    /// Nobody is known yet: register, login, refresh, the look-up of a key. Reaches only `auth_…`
    /// functions.
    Auth,
    /// The command line of an operator, who logs in as an administrator: the owner of the tables.
    Operator,
}

/// A signed-in person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignedIn {
    pub user_id: UserId,
    /// What a logout ends. Without it the person acts until deactivated.
    pub sign_in: Option<SignInId>,
    /// The account that was picked, of those the person sees.
    pub account: Option<AccountId>,
}

/// Who acts in a transaction, as Postgres said when it began.
#[derive(Clone, Copy, Debug)]
pub struct Acting {
    pub user_id: UserId,
    /// None for a key, which manages nobody.
    pub role: Option<Role>,
    /// What is made belongs to this account.
    pub account_id: AccountId,
    /// The client that a key is bound to.
    pub client_id: Option<ClientId>,
}

/// The database role of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkerRole {
    Storage,
    Transcription,
    Analysis,
    Analytics,
    Maintenance,
}

impl WorkerRole {
    pub const fn database_role(self) -> &'static str {
        match self {
            Self::Storage => "aftercall_storage",
            Self::Transcription => "aftercall_transcription",
            Self::Analysis => "aftercall_analysis",
            Self::Analytics => "aftercall_analytics",
            Self::Maintenance => "aftercall_maintenance",
        }
    }
}

impl Principal {
    /// A person, whatever they signed in with.
    pub const fn user(user_id: UserId) -> Self {
        Self::User(SignedIn {
            user_id,
            sign_in: None,
            account: None,
        })
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
    /// poison the pooled connection. Both end with the transaction. Whoever may not act any more
    /// (deactivated, signed out, revoked) gets an error that [`is_nobody`].
    pub async fn begin(&self, principal: Principal) -> Result<Tx, sqlx::Error> {
        let mut inner = self.pool.begin().await?;
        let acting = match principal {
            Principal::User(person) => Some(act_as(&mut inner, Some(person), None).await?),
            Principal::Key(key) => Some(act_as(&mut inner, None, Some(key)).await?),
            Principal::Worker(role) => take_role(&mut inner, role.database_role()).await?,
            Principal::Auth => take_role(&mut inner, "aftercall_api").await?,
            Principal::Operator => take_role(&mut inner, "aftercall_owner").await?,
        };
        Ok(Tx { inner, acting })
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
    acting: Option<Acting>,
}

impl Tx {
    /// Who acts. Only a person or a key does: neither a worker nor [`Principal::Auth`].
    pub fn acting(&self) -> Acting {
        self.acting
            .expect("the transaction of a person or a key was begun")
    }

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

/// Whether a transaction was refused because its principal may not act any more.
pub fn is_nobody(error: &sqlx::Error) -> bool {
    has_code(error, NOBODY)
}

/// Whether a transaction was refused because the account that was picked is not the principal's.
pub fn is_not_their_account(error: &sqlx::Error) -> bool {
    has_code(error, NOT_THEIR_ACCOUNT)
}

/// Whether Postgres cannot be reached now: a matter of time, not a fault of the statement.
pub fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Tls(_) => true,
        // The server is starting or shutting down (class 57P), or has too many connections.
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| code.starts_with("57P") || code == "53300"),
        _ => false,
    }
}

/// Whether the principal sees every account, which lists need to know to be answered by an index.
async fn sees_everywhere(tx: &mut Tx) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select app_everywhere() as "everywhere!""#)
        .fetch_one(&mut **tx)
        .await
}

/// The constraint that refused a statement, by its name.
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error
        .as_database_error()
        .and_then(|error| error.constraint())
}

/// Whether the database lacks tables or roles of ours.
pub fn is_not_provisioned(error: &sqlx::Error) -> bool {
    // No such table, function, column or role.
    ["42P01", "42883", "42703", "22023"]
        .iter()
        .any(|code| has_code(error, code))
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    let database = error.as_database_error();
    database.is_some_and(|error| error.code().as_deref() == Some(code))
}

async fn take_role(inner: &mut PgConnection, role: &str) -> Result<Option<Acting>, sqlx::Error> {
    sqlx::query!("select set_config('role', $1, true) as role", role)
        .fetch_one(inner)
        .await
        .map(|_| None)
}

async fn act_as(
    inner: &mut PgConnection,
    person: Option<SignedIn>,
    key: Option<ApiKeyId>,
) -> Result<Acting, sqlx::Error> {
    let row = sqlx::query!(
        r#"select user_id as "user_id!: UserId", role, account_id as "account_id!: AccountId",
            client_id as "client_id: ClientId"
        from act_as($1, $2, $3, $4)"#,
        person.map(|person| person.user_id.0),
        person.and_then(|person| person.sign_in).map(|id| id.0),
        key.map(|key| key.0),
        person.and_then(|person| person.account).map(|id| id.0),
    )
    .fetch_one(inner)
    .await?;
    let role = row.role.as_deref().map(str::parse).transpose();
    Ok(Acting {
        user_id: row.user_id,
        role: role.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        account_id: row.account_id,
        client_id: row.client_id,
    })
}

#[cfg(all(test, feature = "embedded"))]
mod catalogue_tests;
#[cfg(all(test, feature = "embedded"))]
mod rollups_tests;
#[cfg(all(test, feature = "embedded"))]
mod timeline_tests;
