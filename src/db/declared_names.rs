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
    let names = names.filter(|row| !row.of_speaker || says_who(&row.name));
    Ok(names.map(|row| row.name).collect())
}

/// Whether the name of a speaker has a word that is neither a role nor a number: `Doctor` and `Agent 2`
/// are names that somebody gives to a speaker, and words that everybody says.
fn says_who(name: &str) -> bool {
    name.split(|c: char| !c.is_alphanumeric()).any(|word| {
        let is_number = word.chars().all(char::is_numeric);
        let is_letter = word.len() == 1;
        !is_number && !is_letter && !word.eq_ignore_ascii_case("speaker") && !is_anonymous(word)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_numbers_are_nobody() {
        for name in [
            "Doctor",
            "Agent 2",
            "Speaker 1",
            "Customer A",
            "speaker_0",
            "7",
        ] {
            assert!(!says_who(name), "{name}");
        }
        for name in ["Dr Jones", "Nurse Anna", "Maria", "\u{674e}", "Agent Smith"] {
            assert!(says_who(name), "{name}");
        }
    }
}
