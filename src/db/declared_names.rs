//! The names to redact in a session, and who reads it unredacted.

use super::Tx;
use crate::documents::transcript::is_anonymous;
use crate::ids::SessionId;

/// The names of a session, in the order of their placeholders: the customer's, the counsellor's, the
/// caller's, those that it declares, and those that corrections gave to its speakers. None where the
/// principal does not see the session.
pub async fn of_session(tx: &mut Tx, session_id: SessionId) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select name as "name!", of_speaker as "of_speaker!" from session_names($1)"#,
        session_id.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    let names = rows.into_iter();
    // `Doctor` is a name that somebody gives to a speaker, and a word that everybody says.
    let names = names.filter(|row| !(row.of_speaker && is_anonymous(&row.name)));
    Ok(names.map(|row| row.name).collect())
}

/// Whether the principal, who sees the session, reads it as it was said.
pub async fn reads_original(tx: &mut Tx, session_id: SessionId) -> Result<bool, sqlx::Error> {
    let reads = sqlx::query_scalar!(
        r#"select app_reads_originals(owner_id) as "reads!" from sessions where id = $1"#,
        session_id.0,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(reads.unwrap_or(false))
}
