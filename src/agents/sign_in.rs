//! Who an agent is: the key that it gives as its password, and the client that it is to act for.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::jwt::{Admitted, Request};
use crate::auth::Scope;
use crate::db::Principal;
use crate::http::AppState;
use crate::http::api_keys;
use crate::http::client_address::ClientAddress;
use crate::http::problem::ApiError;

/// The broker ends a connection then, and the agent signs in again: whatever went wrong with cutting it
/// off, it does not last.
const ADMITTED_FOR: Duration = Duration::from_hours(1);

/// Why an agent is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No key that may act.
    Key,
    /// A key without `calls:write`.
    Scope,
    /// A client that the key does not reach, or none.
    Client,
    /// More attempts than a limit allows.
    Limit,
    /// Nobody can tell now; worth another try.
    Unavailable,
}

impl Refusal {
    /// For the log of the broker and as a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "bad_key",
            Self::Scope => "insufficient_scope",
            Self::Client => "no_such_client",
            Self::Limit => "rate_limited",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Holds an agent's key against what is known of it. The user name is the id of the client; an agent whose
/// key is bound to a client may leave it out.
pub async fn sign_in(state: &AppState, request: &Request) -> Result<Admitted, Refusal> {
    let address: Option<IpAddr> = request.host().parse().ok();
    let address = address.map(|it| ClientAddress(it.to_canonical()));
    let verified = api_keys::verify(state, request.secret(), address).await;
    let (key, credential) = verified.map_err(|error| refusal(&error, Refusal::Key))?;
    state
        .limits
        .check_key(key)
        .map_err(|error| refusal(&error, Refusal::Limit))?;
    if !credential.scopes.contains(&Scope::WriteCalls) {
        return Err(Refusal::Scope);
    }
    let named = match request.user() {
        "" => None,
        user => Some(user.parse().map_err(|_| Refusal::Client)?),
    };
    let client = match (credential.client_id, named) {
        (Some(bound), Some(named)) if bound != named => return Err(Refusal::Client),
        (Some(client), _) | (None, Some(client)) => client,
        (None, None) => return Err(Refusal::Client),
    };
    let found = state
        .clients
        .account(&state.db, Principal::Key(key), client);
    let account = found
        .await
        .map_err(|error| refusal(&error, Refusal::Client))?;
    if account != credential.account_id {
        return Err(Refusal::Client);
    }
    let longest = Timestamp::now() + ADMITTED_FOR;
    Ok(Admitted {
        key,
        client,
        until: credential.expires_at.map_or(longest, |at| at.min(longest)),
    })
}

/// What the caller did wrong is `wrong`; what went wrong here is logged.
fn refusal(error: &ApiError, wrong: Refusal) -> Refusal {
    match error {
        ApiError::Internal(_) | ApiError::Unavailable(_) => {
            error.log();
            Refusal::Unavailable
        }
        ApiError::TooManyRequests { .. } => Refusal::Limit,
        _ => wrong,
    }
}
