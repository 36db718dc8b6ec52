//! What is told of a change of a user: why it was refused, and what the audit log says of it.

use serde_json::{Value, json};

use super::audit::{Object, note};
use super::caller::Caller;
use super::problem::ApiError;
use crate::db::people::{
    Changed, EMAIL_TAKEN, LAST_ADMIN, NO_SUCH_CLINIC, PRESENT_PASSWORD, ROLE_NEEDED,
};
use crate::db::{Tx, constraint};
use crate::ids::AccountId;

/// Why a user could not be made or changed.
pub fn refusal(error: sqlx::Error) -> ApiError {
    match constraint(&error) {
        Some(EMAIL_TAKEN) => {
            ApiError::conflict("email_taken", "somebody has this e-mail address already")
        }
        Some(NO_SUCH_CLINIC) => {
            ApiError::invalid("clinic_id", "is no clinic that you can put somebody into")
        }
        Some(ROLE_NEEDED) => ApiError::Forbidden {
            code: "role_needed",
            detail: "your role does not allow this change".to_owned(),
        },
        Some(LAST_ADMIN) => ApiError::conflict(
            "last_admin",
            "this is the last active admin; make another one first",
        ),
        Some(PRESENT_PASSWORD) => ApiError::conflict(
            "password_changed",
            "the password was changed meanwhile; try again",
        ),
        _ => error.into(),
    }
}

/// Notes each thing that has changed.
pub async fn note_all(
    tx: &mut Tx,
    caller: &Caller,
    changed: &Changed,
    has_new_password: bool,
) -> Result<(), ApiError> {
    let Changed { before, after } = changed;
    let home = if after.id == caller.user_id {
        tx.acting().account_id
    } else {
        before.clinic_id.unwrap_or(before.account_id)
    };
    let object = |account_id: AccountId| Object {
        account_id,
        kind: "user",
        id: after.id.0,
    };
    let mut notes: Vec<(&'static str, Value)> = Vec::new();
    if before.name != after.name {
        notes.push(("user.updated", json!({ "fields": ["name"] })));
    }
    if before.email != after.email {
        notes.push(("user.email_changed", json!({})));
    }
    if before.role != after.role {
        let details = json!({ "from": before.role, "to": after.role });
        notes.push(("user.role_changed", details));
    }
    if has_new_password {
        notes.push(("user.password_changed", json!({})));
    }
    if before.is_active != after.is_active {
        let action = if after.is_active {
            "user.activated"
        } else {
            "user.deactivated"
        };
        notes.push((action, json!({})));
    }
    let moved = json!({ "from": before.clinic_id, "to": after.clinic_id });
    if before.clinic_id != after.clinic_id {
        notes.push(("user.clinic_changed", moved.clone()));
    }
    for (action, details) in notes {
        note(tx, caller, action, object(home), details).await?;
    }
    // Whoever oversees the clinic that they join reads of it too.
    if let Some(joined) = after
        .clinic_id
        .filter(|id| before.clinic_id != Some(*id) && *id != home)
    {
        note(tx, caller, "user.clinic_changed", object(joined), moved).await?;
    }
    Ok(())
}
