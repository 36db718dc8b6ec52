//! Who may try to sign in or to register now.
//!
//! Failed sign-ins are counted for the e-mail address and for the address of the client, whether the
//! user exists or not; registrations for the address of the client. Beyond what anybody needs there are
//! waits, in which attempts are refused before a password is hashed.
//!
//! Invariant: neither what is refused nor how long the wait is tells whether a user exists.

use std::time::Duration;

use super::AppState;
use super::client_address::ClientAddress;
use super::problem::ApiError;
use crate::db::Principal;
use crate::db::throttles::{self, Rules, Subject};
use crate::db::users::Login;

/// Failed sign-ins: people mistype, and find out within ten which password it was.
const SIGN_INS: Rules = Rules {
    free: 10,
    window: Duration::from_mins(15),
    first_wait: Duration::from_secs(4),
    longest_wait: Duration::from_mins(15),
};
/// Registrations, which all cost a hash: a whole clinic may register from one address.
const REGISTRATIONS: Rules = Rules {
    free: 60,
    ..SIGN_INS
};
/// What the hashes of subjects are keyed for.
const PURPOSE: &str = "throttle";

/// An attempt to sign in that was let through.
pub struct SignInAttempt {
    /// The user with this e-mail address, if there is one.
    pub login: Option<Login>,
    email: Subject,
    address: Subject,
    is_counted: bool,
}

impl SignInAttempt {
    /// Looks up the user; refuses while there is a wait.
    pub async fn begin(
        state: &AppState,
        email: &str,
        address: ClientAddress,
    ) -> Result<Self, ApiError> {
        // In lower case here and not in Postgres, which knows letters with other small forms: each would
        // be the same user and another subject.
        let given = email.trim().to_lowercase();
        let email = subject(state, "e-mail", &given);
        let address = subject(state, "address", &address.network().to_string());
        let mut tx = state.db.begin(Principal::Auth).await?;
        let known = throttles::look_up(&mut tx, &given, [email, address]).await?;
        tx.commit().await?;
        refuse_while(known.wait_s)?;
        Ok(Self {
            login: known.login,
            email,
            address,
            is_counted: known.is_counted,
        })
    }

    /// Counts the failure, before anybody is told of it.
    pub async fn failed(self, state: &AppState) -> Result<(), ApiError> {
        let mut tx = state.db.begin(Principal::Auth).await?;
        throttles::count(&mut tx, &[self.email, self.address], SIGN_INS).await?;
        Ok(tx.commit().await?)
    }

    /// Forgets the failures with this e-mail address. Those of the client's address stay: an attacker may
    /// well have a user of their own.
    pub async fn succeeded(self, state: &AppState) -> Result<(), ApiError> {
        if !self.is_counted {
            return Ok(());
        }
        let mut tx = state.db.begin(Principal::Auth).await?;
        throttles::forget(&mut tx, self.email).await?;
        Ok(tx.commit().await?)
    }
}

/// Counts a registration; refuses while there is a wait.
pub async fn count_registration(state: &AppState, address: ClientAddress) -> Result<(), ApiError> {
    let subject = subject(state, "registration", &address.network().to_string());
    let mut tx = state.db.begin(Principal::Auth).await?;
    refuse_while(throttles::wait_s(&mut tx, subject).await?)?;
    throttles::count(&mut tx, &[subject], REGISTRATIONS).await?;
    Ok(tx.commit().await?)
}

fn refuse_while(wait_s: u32) -> Result<(), ApiError> {
    if wait_s > 0 {
        return Err(ApiError::TooManyAttempts {
            retry_after_s: wait_s,
        });
    }
    Ok(())
}

fn subject(state: &AppState, kind: &str, value: &str) -> Subject {
    let data = format!("{kind}\0{value}");
    Subject(state.auth.secret_key.hash(PURPOSE, data.as_bytes()))
}
