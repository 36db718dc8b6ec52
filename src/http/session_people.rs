//! The people of a session: whom it may name, and how they are shown.

use super::caller::require_role;
use super::problem::ApiError;
use super::shapes::{Person, SessionCustomer};
use crate::auth::Role;
use crate::db::sessions::{self, Session};
use crate::db::{Tx, customers, users};
use crate::ids::{AccountId, CustomerId, UserId};

/// Refuses a customer of another account than the session's.
pub async fn check_customer(
    tx: &mut Tx,
    account: AccountId,
    customer: Option<CustomerId>,
) -> Result<(), ApiError> {
    let Some(id) = customer else {
        return Ok(());
    };
    if customers::is_of_account(tx, id, account).await? {
        return Ok(());
    }
    Err(no_such_customer())
}

/// What the database says of a customer who was removed since [`check_customer`].
pub fn refused_by(error: sqlx::Error) -> ApiError {
    ApiError::on_constraint(error, "sessions_customer_fkey", no_such_customer)
}

/// Refuses a counsellor whom the caller may not name: everybody names themselves, managers and admins
/// whoever acts in the account.
pub async fn check_counselor(tx: &mut Tx, counselor: Option<UserId>) -> Result<(), ApiError> {
    let acting = tx.acting();
    let Some(id) = counselor.filter(|id| *id != acting.user_id) else {
        return Ok(());
    };
    require_role(tx, Role::Manager)?;
    if users::acts_in(tx, id, acting.account_id).await? {
        return Ok(());
    }
    let message = "is no counsellor of this account";
    Err(ApiError::invalid("counselor_id", message))
}

/// The people of a session, as far as the caller sees them.
pub async fn of(
    tx: &mut Tx,
    session: &Session,
) -> Result<(Option<SessionCustomer>, Option<Person>), ApiError> {
    let customer = match session.customer_id {
        Some(id) => customers::get(tx, id).await?,
        None => None,
    };
    let counselor = sessions::counselor(tx, session.id).await?;
    let customer = customer.map(|customer| SessionCustomer {
        id: customer.id,
        name: customer.name,
        email: customer.email,
        phone_number: customer.phone_number,
    });
    let counselor = counselor.map(|(id, name, email)| Person { id, name, email });
    Ok((customer, counselor))
}

fn no_such_customer() -> ApiError {
    ApiError::invalid("customer_id", "is no customer of this account")
}
