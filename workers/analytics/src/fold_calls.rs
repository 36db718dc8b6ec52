//! `fold-calls`: keeps calls, and counts those that are new.

use std::collections::{BTreeSet, HashMap, HashSet};

use aftercall::bus::Bus;
use aftercall::calls::{CallRecord, SentimentBy};
use aftercall::db::calls::{self, Arrived, ClientSettings, Key};
use aftercall::db::rollups::{self, Hold};
use aftercall::db::{Db, Principal, Tx, WorkerRole, call_erasures};
use aftercall::events::calls_ended::{CallLine, read_line};
use aftercall::ids::{AccountId, ClientId};
use aftercall::rollups::Deltas;
use aftercall::worker::{BatchHandler, CallFrame, Class, Context, Failure, Frame, Refused};
use jiff::Timestamp;

use crate::wake::wake;

/// Keeps calls and counts them.
#[derive(Clone, Debug)]
pub struct FoldCalls {
    db: Db,
    bus: Bus,
}

impl FoldCalls {
    pub fn new(db: Db, bus: Bus) -> Self {
        Self { db, bus }
    }
}

impl BatchHandler for FoldCalls {
    const NAME: &'static str = "fold-calls";
    const GAVE_UP: &'static str = "These calls could not be kept.";
    type Consumes = CallFrame;

    async fn handle(
        &self,
        frames: &[CallFrame],
        _context: &Context,
    ) -> Result<Vec<Refused>, Failure> {
        let (read, mut refused) = read(frames);
        let Some(stream_created) = frames.first().map(CallFrame::stream_created) else {
            return Ok(refused);
        };
        let role = Principal::Worker(WorkerRole::Analytics);
        let mut tx = self.db.begin(role).await?;
        let owners = read
            .iter()
            .map(|read| (read.line.account_id, read.line.client_id));
        let clients = calls::clients(&mut tx, &owners.collect()).await?;
        let (arrived, mut of_nobody) = arrivals(&read, &clients);
        let (counted, mut late) = fold(&mut tx, stream_created, &arrived)
            .await
            .map_err(failure)?;
        late.extend(
            of_nobody
                .iter()
                .map(|(key, line)| (*key, line.stream_sequence)),
        );
        let erased = call_erasures::note_late(&mut tx, stream_created, &late).await?;
        tx.commit().await?;
        of_nobody.retain(|(key, _)| !erased.contains(key));
        refused.extend(of_nobody.into_iter().map(|(_, line)| line));
        for account in counted {
            wake(&self.bus, account).await;
        }
        Ok(refused)
    }
}

/// What Postgres will never take is rejected; anything else may work later.
fn failure(error: sqlx::Error) -> Failure {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    // Data exceptions and violated constraints.
    let is_data = code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"));
    if is_data {
        return Failure::reject_because(FoldCalls::GAVE_UP, error);
    }
    error.into()
}

/// A line that is a call.
struct Read<'a> {
    line: CallLine<'a>,
    record: CallRecord<'a>,
    frame: &'a CallFrame,
    number: i32,
    bytes: &'a [u8],
}

impl Read<'_> {
    fn refuse(&self, detail: &str) -> Refused {
        refused(
            self.frame,
            self.number,
            self.bytes,
            Class::Rejected,
            detail.to_owned(),
        )
    }
}

/// Reads every line. What the ingress let through is a call, so a line that is none was damaged, or
/// comes from somebody else.
fn read(frames: &[CallFrame]) -> (Vec<Read<'_>>, Vec<Refused>) {
    let (mut read, mut bad) = (Vec::new(), Vec::new());
    for frame in frames {
        for (number, bytes) in frame.lines() {
            let undecodable = |detail| refused(frame, number, bytes, Class::Undecodable, detail);
            let line = match read_line(bytes) {
                Ok(line) => line,
                Err(_) => {
                    bad.push(undecodable("the line is no call".to_owned()));
                    continue;
                }
            };
            match serde_json::from_str(line.call.get()) {
                Ok(record) => read.push(Read {
                    line,
                    record,
                    frame,
                    number,
                    bytes,
                }),
                // Its message may repeat what was said.
                Err(_) => bad.push(undecodable(
                    "the record is not as it is documented".to_owned(),
                )),
            }
        }
    }
    (read, bad)
}

fn refused(frame: &CallFrame, line: i32, bytes: &[u8], class: Class, detail: String) -> Refused {
    Refused {
        stream_sequence: frame.stream_sequence(),
        line,
        record: frame.slice(bytes),
        class,
        detail,
    }
}

/// What is to be kept, and lines whose client is not there.
fn arrivals<'a>(
    read: &'a [Read<'a>],
    clients: &HashMap<(AccountId, ClientId), ClientSettings>,
) -> (Vec<Arrived<'a>>, Vec<(Key, Refused)>) {
    let (mut arrived, mut of_nobody) = (Vec::with_capacity(read.len()), Vec::new());
    for read in read {
        let line = &read.line;
        let key = (line.account_id, line.id, line.client_id);
        let Some(client) = clients.get(&(line.account_id, line.client_id)) else {
            of_nobody.push((key, read.refuse("its client does not exist")));
            continue;
        };
        if read.record.client_id != line.client_id {
            of_nobody.push((key, read.refuse("the record names another client")));
            continue;
        }
        let counted = read.record.counted(line.account_id, line.received_at);
        let given = read.record.given_sentiment();
        arrived.push(Arrived {
            id: line.id,
            received_at: line.received_at,
            counted,
            direction: read.record.direction,
            sentiment_by: given.map(|_| SentimentBy::Agent),
            client_inactive: !client.is_active,
            session_id: None,
            record: line.call.get(),
            stream_sequence: read.frame.stream_sequence(),
        });
    }
    (arrived, of_nobody)
}

/// Inserts what is new and counts it; answers the accounts whose figures changed, and what was not new
/// with the message that brought it.
async fn fold(
    tx: &mut Tx,
    stream_created: Timestamp,
    arrived: &[Arrived<'_>],
) -> Result<(BTreeSet<AccountId>, Vec<(Key, i64)>), sqlx::Error> {
    let times = arrived.iter().map(|call| call.counted.at);
    rollups::lock_days(tx, times, Hold::Shared).await?;
    let mut keys: HashSet<Key> = HashSet::with_capacity(arrived.len());
    let (first, mut repeats): (Vec<_>, Vec<_>) =
        arrived.iter().partition(|call| keys.insert(call.key()));
    let inserted = calls::insert(tx, stream_created, &first).await?;
    let mut deltas = Deltas::default();
    let mut accounts = BTreeSet::new();
    for call in first {
        if inserted.contains(&call.key()) {
            deltas.add(&call.counted);
            accounts.insert(call.counted.account_id);
        } else {
            repeats.push(call);
        }
    }
    calls::note_repeats(tx, stream_created, &repeats).await?;
    rollups::apply(tx, &deltas).await?;
    let late = repeats
        .iter()
        .map(|call| (call.key(), call.stream_sequence));
    Ok((accounts, late.collect()))
}
