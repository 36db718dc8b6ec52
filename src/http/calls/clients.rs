//! Whose client it is that a call names, remembered for seconds.

use crate::db::{Db, Principal, clients};
use crate::http::problem::ApiError;
use crate::http::remembered::Remembered;
use crate::ids::{AccountId, ClientId};

/// Accounts of clients: as far as callers reach them, and of those whom the broker vouches for.
#[derive(Clone)]
pub struct ClientsOfCallers {
    reached: Remembered<(Principal, ClientId), Option<AccountId>>,
    vouched: Remembered<ClientId, Option<AccountId>>,
}

impl ClientsOfCallers {
    pub fn new() -> Self {
        Self {
            reached: Remembered::new(),
            vouched: Remembered::new(),
        }
    }

    /// The account of a client that the principal may send calls for; a 404 where there is none.
    pub async fn account(
        &self,
        db: &Db,
        principal: Principal,
        client: ClientId,
    ) -> Result<AccountId, ApiError> {
        let found = self
            .reached
            .get((principal, client), || find(db, principal, client))
            .await?;
        found.ok_or(ApiError::CLIENT_NOT_FOUND)
    }

    /// The account of a client whose agent the broker let in; a 404 once the client is erased.
    pub async fn account_of(&self, db: &Db, client: ClientId) -> Result<AccountId, ApiError> {
        let found = self
            .vouched
            .get(client, || find_vouched(db, client))
            .await?;
        found.ok_or(ApiError::CLIENT_NOT_FOUND)
    }
}

async fn find_vouched(db: &Db, client: ClientId) -> Result<Option<AccountId>, sqlx::Error> {
    let mut tx = db.begin(Principal::Auth).await?;
    let found = clients::account_of(&mut tx, client).await?;
    tx.commit().await?;
    Ok(found)
}

/// Row-level security decides. Whoever may not act any more reaches no client.
async fn find(
    db: &Db,
    principal: Principal,
    client: ClientId,
) -> Result<Option<AccountId>, sqlx::Error> {
    let mut tx = match db.begin(principal).await {
        Ok(tx) => tx,
        Err(error) if crate::db::is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = clients::get(&mut tx, client).await?;
    tx.commit().await?;
    Ok(found.map(|client| client.account_id))
}
