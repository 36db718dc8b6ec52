//! Clinics and roles, as an operator sets them.

use aftercall::embedded::harness::Harness;
use aftercall::ids::{AccountId, UserId};

/// Makes a clinic.
pub async fn found(harness: &Harness) -> AccountId {
    let id = AccountId::generate();
    sqlx::query("insert into accounts (id, kind, name) values ($1, 'clinic', 'Clinic')")
        .bind(id.0)
        .execute(&mut harness.admin().await)
        .await
        .expect("a clinic");
    id
}

/// Gives somebody a role, in a clinic or in none.
pub async fn place(harness: &Harness, user: UserId, clinic: Option<AccountId>, role: &str) {
    sqlx::query("update users set clinic_id = $2, role = $3 where id = $1")
        .bind(user.0)
        .bind(clinic.map(|id| id.0))
        .bind(role)
        .execute(&mut harness.admin().await)
        .await
        .expect("a user");
}

/// Lets somebody in, or no longer.
pub async fn set_active(harness: &Harness, user: UserId, is_active: bool) {
    sqlx::query("update users set is_active = $2 where id = $1")
        .bind(user.0)
        .bind(is_active)
        .execute(&mut harness.admin().await)
        .await
        .expect("a user");
}
