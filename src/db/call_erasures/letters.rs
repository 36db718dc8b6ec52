//! Filed dead letters of the stream CALLS: lines of erased calls go, those of others stay.

use super::messages::note;
use super::{Work, count};
use crate::bus::CALLS;
use crate::db::Tx;
use crate::db::erasure_sessions::Destroyed;
use crate::events::calls_ended::{self, read_line};

/// What is left of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// Its other lines; none when nothing is left.
    pub data: Option<Vec<u8>>,
    /// Lines that are gone.
    pub lines: usize,
}

/// Whether a line of a frame is of an erased call. One that cannot be read is, when it names the ids; but
/// not where only what is old goes, because it does not say when it came.
pub fn is_of(work: &Work, line: &[u8]) -> bool {
    let subject = work.subject;
    if let Ok(line) = read_line(line) {
        return line.account_id == work.account_id
            && line.client_id == subject.client_id
            && subject.call_id.is_none_or(|id| id == line.id)
            && work.made_before.is_none_or(|at| line.received_at < at);
    }
    if work.made_before.is_some() {
        return false;
    }
    let text = String::from_utf8_lossy(line).to_ascii_lowercase();
    text.contains(&subject.client_id.to_string())
        && subject
            .call_id
            .is_none_or(|id| text.contains(&id.to_string()))
}

/// Takes lines out of a frame.
pub fn without(data: &[u8], is_gone: impl Fn(&[u8]) -> bool) -> Struck {
    let (gone, left): (Vec<_>, Vec<_>) = calls_ended::lines(data).partition(|line| is_gone(line));
    Struck {
        data: (!left.is_empty()).then(|| left.join(&b'\n')),
        lines: gone.len(),
    }
}

/// Takes the lines of an erasure out of every filed letter, and notes the messages that brought them; a
/// letter without any line left goes.
pub async fn strike(tx: &mut Tx, work: &Work) -> Result<(), sqlx::Error> {
    let letters = sqlx::query!(
        r#"select id, data, stream, stream_created_at as "stream_created_at: jiff_sqlx::Timestamp",
            stream_sequence
        from dead_letters
        where subject = $1 and position(convert_to($2, 'UTF8') in data) > 0 for update"#,
        calls_ended::SUBJECT,
        work.subject.client_id.to_string(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let (mut lines, mut places) = (0, Vec::new());
    for letter in letters {
        let struck = without(&letter.data, |line| is_of(work, line));
        lines += struck.lines;
        if struck.lines > 0 && letter.stream == CALLS {
            places.push((letter.stream_created_at.to_jiff(), letter.stream_sequence));
        }
        match struck.data {
            _ if struck.lines == 0 => {}
            Some(data) => {
                sqlx::query!(
                    "update dead_letters set data = $2 where id = $1",
                    letter.id,
                    data
                )
                .execute(&mut **tx)
                .await?;
            }
            None => {
                sqlx::query!("delete from dead_letters where id = $1", letter.id)
                    .execute(&mut **tx)
                    .await?;
            }
        }
    }
    note(tx, work, CALLS, &places).await?;
    let destroyed = Destroyed::of("postgres", "calls in dead letters", lines);
    count(tx, work, &[destroyed]).await
}

#[cfg(test)]
mod tests {
    use super::super::Subject;
    use super::*;
    use crate::db::erasure_sessions::Step;
    use crate::events::calls_ended::Arrival;
    use crate::ids::{AccountId, CallId, ClientId, ErasureId};

    fn line(account_id: AccountId, client_id: ClientId, id: CallId) -> Vec<u8> {
        let arrival = Arrival {
            id,
            client_id,
            account_id,
            received_at: jiff::Timestamp::UNIX_EPOCH,
        };
        arrival.line("00-1-2-01", br#"{"notes":"x"}"#)
    }

    #[test]
    fn lines_of_others_are_left() {
        let (account, client, call) = (
            AccountId::generate(),
            ClientId::generate(),
            CallId::generate(),
        );
        let mut work = Work {
            account_id: account,
            erasure_id: ErasureId::generate(),
            subject: Subject {
                client_id: client,
                call_id: Some(call),
            },
            made_before: None,
            step: Step::Requested,
        };
        let (own, same_client) = (
            line(account, client, call),
            line(account, client, CallId::generate()),
        );
        let other = line(account, ClientId::generate(), call);
        let broken = format!("{{\"id\":\"{call}\",\"client_id\":\"{client}\",\"call\":{{secret")
            .into_bytes();
        let frame = [&own[..], &same_client, &other, &broken].join(&b'\n');
        let struck = without(&frame, |line| is_of(&work, line));
        assert_eq!(struck.lines, 2);
        assert_eq!(struck.data, Some([&same_client[..], &other].join(&b'\n')));

        work.subject.call_id = None;
        let struck = without(&frame, |line| is_of(&work, line));
        assert_eq!((struck.lines, struck.data), (3, Some(other)));
        assert_eq!(without(&own, |line| is_of(&work, line)).data, None);

        work.made_before = Some("1970-01-01T00:00:01Z".parse().unwrap());
        let struck = without(&frame, |line| is_of(&work, line));
        assert_eq!(struck.lines, 2, "of all readable lines of the client");
        work.made_before = Some(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(without(&frame, |line| is_of(&work, line)).lines, 0);
        assert_eq!(without(b"", |_| true).lines, 0);
    }
}
