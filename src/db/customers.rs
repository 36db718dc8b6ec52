//! Customers: the people in the sessions of an account.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::Tx;
use crate::ids::{AccountId, CustomerId, UserId};

/// A customer as it is stored.
#[derive(Clone, Debug)]
pub struct Customer {
    pub account_id: AccountId,
    pub id: CustomerId,
    pub name: String,
    pub email: Option<String>,
    pub phone_number: Option<String>,
    pub date_of_birth: Option<Date>,
    pub notes: Option<String>,
    pub metadata: Value,
    pub created_by: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a customer is created with.
#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub email: Option<String>,
    pub phone_number: Option<String>,
    pub date_of_birth: Option<Date>,
    pub notes: Option<String>,
    pub metadata: Option<Value>,
}

/// What changes: `None` leaves a field as it is, `Some(None)` empties it.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    pub email: Option<Option<String>>,
    pub phone_number: Option<Option<String>>,
    pub date_of_birth: Option<Option<Date>>,
    pub notes: Option<Option<String>>,
    pub metadata: Option<Value>,
}

struct Row {
    account_id: AccountId,
    id: CustomerId,
    name: String,
    email: Option<String>,
    phone_number: Option<String>,
    date_of_birth: Option<jiff_sqlx::Date>,
    notes: Option<String>,
    metadata: Value,
    created_by: UserId,
    created_at: jiff_sqlx::Timestamp,
    updated_at: jiff_sqlx::Timestamp,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        Self {
            account_id: row.account_id,
            id: row.id,
            name: row.name,
            email: row.email,
            phone_number: row.phone_number,
            date_of_birth: row.date_of_birth.map(Into::into),
            notes: row.notes,
            metadata: row.metadata,
            created_by: row.created_by,
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        }
    }
}

/// Creates a customer of the account that the principal acts in.
pub async fn insert(tx: &mut Tx, id: CustomerId, draft: &Draft) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into customers
            (account_id, id, name, email, phone_number, date_of_birth, notes, metadata, created_by)
        values (app_account(), $1, $2, $3, $4, $5, $6, coalesce($7, '{}'::jsonb), app_user())",
        id.0,
        draft.name,
        draft.email,
        draft.phone_number,
        draft.date_of_birth.map(jiff_sqlx::Date::from) as _,
        draft.notes,
        draft.metadata,
    )
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

pub async fn get(tx: &mut Tx, id: CustomerId) -> Result<Option<Customer>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select account_id as "account_id: AccountId", id as "id: CustomerId", name, email,
            phone_number, date_of_birth, notes, metadata, created_by as "created_by: UserId",
            created_at, updated_at
        from customers where id = $1"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(Customer::from))
}

/// The account of a customer, who is locked until the end of the transaction: no session can name them
/// meanwhile.
pub async fn lock(tx: &mut Tx, id: CustomerId) -> Result<Option<AccountId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select account_id as "account_id: AccountId" from customers where id = $1 for update"#,
        id.0,
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Whether the principal sees such a customer in this account.
pub async fn is_of_account(
    tx: &mut Tx,
    id: CustomerId,
    account: AccountId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from customers where account_id = $1 and id = $2) as "exists!""#,
        account.0,
        id.0,
    )
    .fetch_one(&mut **tx)
    .await
}

/// One page of customers, newest first, from what `$from` says, which an index answers.
macro_rules! page_of {
    ($from:literal, $tx:expr, $name:expr, $before:expr, $limit:expr) => {
        sqlx::query_as!(
            Row,
            r#"select account_id as "account_id!: AccountId", id as "id!: CustomerId",
                name as "name!", email, phone_number, date_of_birth, notes,
                metadata as "metadata!", created_by as "created_by!: UserId",
                created_at as "created_at!", updated_at as "updated_at!"
            from "#
                + $from
                + r#" where ($1::text is null or position(lower($1) in lower(name)) > 0)
                and ($2::uuid is null or id < $2)
            order by id desc limit $3"#,
            $name,
            $before.map(|id: CustomerId| id.0),
            $limit,
        )
        .fetch_all(&mut **$tx)
        .await
    };
}

/// The customers that the principal sees, newest first, after `before`; of those that contain `name`
/// in their name, in any case.
pub async fn list(
    tx: &mut Tx,
    name: Option<&str>,
    before: Option<CustomerId>,
    limit: i64,
) -> Result<Vec<Customer>, sqlx::Error> {
    let rows = if super::sees_everywhere(tx).await? {
        page_of!("customers", tx, name, before, limit)
    } else {
        page_of!(
            "(select c.* from unnest(app_accounts()) a (account), lateral (
                select * from customers where account_id = a.account
                    and ($1::text is null or position(lower($1) in lower(name)) > 0)
                    and ($2::uuid is null or id < $2)
                order by id desc limit $3) c) c",
            tx,
            name,
            before,
            limit
        )
    };
    Ok(rows?.into_iter().map(Customer::from).collect())
}

/// Changes a customer; `false` where the principal sees none.
pub async fn update(tx: &mut Tx, id: CustomerId, change: &Change) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "update customers set
            name = coalesce($2, name),
            email = case when $3 then $4 else email end,
            phone_number = case when $5 then $6 else phone_number end,
            date_of_birth = case when $7 then $8 else date_of_birth end,
            notes = case when $9 then $10 else notes end,
            metadata = coalesce($11, metadata),
            updated_at = clock_timestamp()
        where id = $1",
        id.0,
        change.name,
        change.email.is_some(),
        change.email.clone().flatten(),
        change.phone_number.is_some(),
        change.phone_number.clone().flatten(),
        change.date_of_birth.is_some(),
        change.date_of_birth.flatten().map(jiff_sqlx::Date::from) as _,
        change.notes.is_some(),
        change.notes.clone().flatten(),
        change.metadata,
    )
    .execute(&mut **tx)
    .await
    .map(|done| done.rows_affected() > 0)
}
