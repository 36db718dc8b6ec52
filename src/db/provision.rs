//! Roles, login roles and migrations: what `aftercall provision` does to Postgres.
//!
//! Everything here can be repeated; only what is missing is made.

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// The migrations, in order.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// A process that logs in to Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    Ingress,
    Storage,
    Transcription,
    Analysis,
    Analytics,
    Maintenance,
}

/// Why Postgres could not be provisioned.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error("migration")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("the address of the database is malformed")]
    Url,
}

impl Process {
    pub const ALL: [Self; 6] = [
        Self::Ingress,
        Self::Storage,
        Self::Transcription,
        Self::Analysis,
        Self::Analytics,
        Self::Maintenance,
    ];

    /// The role that this process logs in as.
    pub const fn login_role(self) -> &'static str {
        match self {
            Self::Ingress => "aftercall_ingress_login",
            Self::Storage => "aftercall_storage_login",
            Self::Transcription => "aftercall_transcription_login",
            Self::Analysis => "aftercall_analysis_login",
            Self::Analytics => "aftercall_analytics_login",
            Self::Maintenance => "aftercall_maintenance_login",
        }
    }

    /// The role that it acts as, inside its transactions.
    const fn granted_role(self) -> &'static str {
        match self {
            Self::Ingress => "aftercall_api",
            Self::Storage => "aftercall_storage",
            Self::Transcription => "aftercall_transcription",
            Self::Analysis => "aftercall_analysis",
            Self::Analytics => "aftercall_analytics",
            Self::Maintenance => "aftercall_maintenance",
        }
    }
}

/// Makes roles and schema, and the login roles for which there is a password.
pub async fn provision(
    admin_url: &SecretString,
    logins: &[(Process, SecretString)],
) -> Result<(), ProvisionError> {
    // Statements that set passwords hold them: none is logged, however long it takes.
    let options: PgConnectOptions = admin_url.expose_secret().parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    // Roles belong to the cluster: two runs at once would both find one missing.
    sqlx::raw_sql("select pg_advisory_lock(hashtext('aftercall provision'))")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql(include_str!("../../migrations/roles.sql"))
        .execute(&mut connection)
        .await?;
    for (process, password) in logins {
        make_login(&mut connection, *process, password).await?;
    }
    sqlx::raw_sql("grant create on schema public to aftercall_owner; set role aftercall_owner")
        .execute(&mut connection)
        .await?;
    MIGRATIONS.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// The address at which a process logs in, made of the administrator's.
pub fn login_url(
    admin_url: &SecretString,
    process: Process,
    password: &SecretString,
) -> Result<SecretString, ProvisionError> {
    let mut url: reqwest::Url = admin_url
        .expose_secret()
        .parse()
        .map_err(|_| ProvisionError::Url)?;
    url.set_username(process.login_role())
        .map_err(|()| ProvisionError::Url)?;
    url.set_password(Some(password.expose_secret()))
        .map_err(|()| ProvisionError::Url)?;
    Ok(SecretString::from(String::from(url)))
}

async fn make_login(
    connection: &mut PgConnection,
    process: Process,
    password: &SecretString,
) -> Result<(), sqlx::Error> {
    // A role cannot be made with bound values: Postgres quotes them for us.
    let statement = sqlx::query_scalar!(
        r#"select case when exists (select from pg_roles where rolname = $1)
            then format('alter role %I password %L', $1::text, $2::text)
            else format('create role %I login noinherit nobypassrls password %L', $1::text, $2::text)
        end as "statement!""#,
        process.login_role(),
        password.expose_secret(),
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut *connection)
        .await?;
    let grant = format!(
        "grant {} to {}",
        process.granted_role(),
        process.login_role()
    );
    sqlx::raw_sql(AssertSqlSafe(grant))
        .execute(connection)
        .await?;
    Ok(())
}
