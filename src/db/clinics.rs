//! Clinics: accounts in which several people act.

use jiff::Timestamp;

use super::Tx;
use crate::ids::AccountId;

/// A clinic as it is stored.
#[derive(Clone, Debug)]
pub struct Clinic {
    pub id: AccountId,
    pub name: String,
    pub created_at: Timestamp,
}

struct Row {
    id: AccountId,
    name: String,
    created_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Clinic {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            created_at: row.created_at.into(),
        }
    }
}

pub async fn insert(tx: &mut Tx, id: AccountId, name: &str) -> Result<Clinic, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"insert into accounts (id, kind, name) values ($1, 'clinic', $2)
        returning id as "id: AccountId", name as "name!", created_at"#,
        id.0,
        name,
    )
    .fetch_one(&mut **tx)
    .await
    .map(Clinic::from)
}

pub async fn get(tx: &mut Tx, id: AccountId) -> Result<Option<Clinic>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: AccountId", name as "name!", created_at
        from accounts where id = $1 and kind = 'clinic'"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Clinic::from))
}

/// The clinics that the principal sees, newest first, after `before`.
pub async fn list(
    tx: &mut Tx,
    before: Option<AccountId>,
    limit: i64,
) -> Result<Vec<Clinic>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: AccountId", name as "name!", created_at
        from accounts where kind = 'clinic' and ($1::uuid is null or id < $1)
        order by id desc limit $2"#,
        before.map(|id| id.0),
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(Clinic::from).collect())
}

/// Renames a clinic; `None` where the principal may not, or there is none.
pub async fn rename(tx: &mut Tx, id: AccountId, name: &str) -> Result<Option<Clinic>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"update accounts set name = $2 where id = $1 and kind = 'clinic'
        returning id as "id: AccountId", name as "name!", created_at"#,
        id.0,
        name,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Clinic::from))
}
