//! Users for the bench, written straight into Postgres: registering thousands would take minutes.

use aftercall::auth::Passwords;
use aftercall::embedded::harness::Harness;
use secrecy::{ExposeSecret as _, SecretString};

/// The password of all of them.
pub const PASSWORD: &str = "correct horse battery";
/// Enough that nobody is throttled in a run.
const COUNT: i32 = 3_000;

/// Users with the addresses of [`People::email`].
pub struct People {
    count: usize,
}

impl People {
    pub async fn settle(harness: &Harness) -> anyhow::Result<Self> {
        let hash = Passwords::new().hash(SecretString::from(PASSWORD)).await?;
        sqlx::query(
            "with made as (
                insert into accounts (id, kind) select gen_random_uuid(), 'personal'
                from generate_series(1, $1) returning id
            )
            insert into users (account_id, id, email, name, password_hash)
            select id, gen_random_uuid(), 'user' || row_number() over () - 1 || '@example.org', 'U', $2
            from made",
        )
        .bind(COUNT)
        .bind(hash.expose_secret())
        .execute(&mut harness.admin().await)
        .await?;
        let count = usize::try_from(COUNT).expect("positive");
        Ok(Self { count })
    }

    /// The address of somebody; numbers beyond the last begin again.
    pub fn email(&self, number: usize) -> String {
        format!("user{}@example.org", number % self.count)
    }
}
