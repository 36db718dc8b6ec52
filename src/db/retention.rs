//! What is older than the policy of its account lets it become.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::Tx;
use crate::events::ErasedPart;
use crate::ids::SessionId;

/// Parts of a session of which some are too old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    pub session_id: SessionId,
    pub part: ErasedPart,
    /// What was made before is too old.
    pub made_before: Timestamp,
}

/// What is too old at `now`, at most `limit`. Sessions that are being erased are left out.
pub async fn overdue(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<Overdue>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with kept as (
            select account_id,
                $1::timestamptz - make_interval(days => keep_audio_days) as audio_from,
                $1::timestamptz - make_interval(days => keep_transcripts_days) as transcripts_from,
                $1::timestamptz - make_interval(days => keep_analyses_days) as analyses_from
            from account_policies
        ), old as (
            select k.account_id, r.session_id, 'recording' as part, k.audio_from as made_before
            from kept k join recordings r on r.account_id = k.account_id
            where r.state <> 'erased' and r.created_at < k.audio_from
            union
            select k.account_id, t.session_id, 'transcript', k.transcripts_from
            from kept k join transcripts t on t.account_id = k.account_id
            where t.created_at < k.transcripts_from
            union
            select k.account_id, t.session_id, 'transcript', k.transcripts_from
            from kept k join transcriptions t on t.account_id = k.account_id
            where t.requested_at < k.transcripts_from
                and (t.state = 'requested' or t.updated_at < k.transcripts_from)
            union
            select k.account_id, a.session_id, 'analysis', k.analyses_from
            from kept k join analyses a on a.account_id = k.account_id
            where a.created_at < k.analyses_from
                and (a.state = 'requested' or a.updated_at < k.analyses_from)
        )
        select s.id as "session_id: SessionId", old.part as "part!",
            old.made_before as "made_before!: jiff_sqlx::Timestamp"
        from old join sessions s on s.account_id = old.account_id and s.id = old.session_id
        where s.erased_at is null limit $2"#,
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let part = row.part.parse();
            Ok(Overdue {
                session_id: row.session_id,
                part: part.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
                made_before: row.made_before.to_jiff(),
            })
        })
        .collect()
}
