//! `fold-calls`: keeps calls, and counts those that are new.

use std::collections::{BTreeSet, HashMap, HashSet};

use aftercall::bus::Bus;
use aftercall::calls::{CallRecord, Conversation, SentimentBy};
use aftercall::config;
use aftercall::db::call_sessions::{self, Maker, NewCallSession};
use aftercall::db::calls::{self, Arrived, ClientSettings, Key};
use aftercall::db::rollups::{self, Hold};
use aftercall::db::{Db, Principal, Tx, WorkerRole, call_erasures};
use aftercall::events::Message;
use aftercall::events::calls_ended::{CallLine, read_line};
use aftercall::ids::{AccountId, ClientId};
use aftercall::lexicon::Lexicon;
use aftercall::outbox;
use aftercall::rollups::{Deltas, Sentiment};
use aftercall::worker::{BatchHandler, CallFrame, Class, Context, Failure, Frame, Refused};
use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use crate::lexicon::{self, Said};
use crate::wake::wake;

/// What the events of this process name as their source.
const SOURCE: &str = "aftercall/analytics";
/// Batches whose events are published at once.
const PUBLISHERS: usize = 4;
const ROLE: Principal = Principal::Worker(WorkerRole::Analytics);

/// Keeps calls and counts them.
#[derive(Clone, Debug)]
pub struct FoldCalls {
    db: Db,
    bus: Bus,
    lexicon: Lexicon,
    sessions: config::Sessions,
    publishing: TaskTracker,
}

impl FoldCalls {
    /// `sessions` is how those behave that calls become.
    pub fn new(db: Db, bus: Bus, sessions: config::Sessions) -> Self {
        Self {
            db,
            bus,
            lexicon: Lexicon::load(),
            sessions,
            publishing: TaskTracker::new(),
        }
    }

    /// Publishes beside the next batches: each event costs the broker an fsync, and the calls that it is
    /// of are kept. What is not published now, the relay of maintenance publishes.
    fn publish(&self, messages: Vec<(AccountId, Message)>) {
        if messages.is_empty() || self.publishing.len() >= PUBLISHERS {
            return;
        }
        let (db, bus) = (self.db.clone(), self.bus.clone());
        self.publishing.spawn(async move {
            outbox::publish(&db, &bus, ROLE, messages).await;
        });
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
        let said = read.iter().map(|read| Said::unless_judged(&read.record));
        let found = lexicon::sentiments(&self.lexicon, said.collect()).await?;
        let mut tx = self.db.begin(ROLE).await?;
        let owners = read
            .iter()
            .map(|read| (read.line.account_id, read.line.client_id));
        let clients = calls::clients(&mut tx, &owners.collect()).await?;
        let (arrived, mut of_nobody) = arrivals(&read, &found, &clients);
        let mut folded = fold(&mut tx, stream_created, &arrived)
            .await
            .map_err(failure)?;
        let lines = of_nobody.iter();
        folded
            .repeats
            .extend(lines.map(|(key, line)| (*key, line.stream_sequence)));
        let erased = call_erasures::note_late(&mut tx, stream_created, &folded.repeats).await?;
        let maker = Maker {
            source: SOURCE,
            auto_complete: self.sessions.auto_complete,
        };
        let made = call_sessions::make(&mut tx, maker, &folded.sessions).await;
        let messages = made.map_err(failure)?;
        tx.commit().await?;
        of_nobody.retain(|(key, _)| !erased.contains(key));
        refused.extend(of_nobody.into_iter().map(|(_, line)| line));
        self.publish(messages);
        for account in folded.accounts {
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
            let undecodable =
                |detail: &str| refused(frame, number, bytes, Class::Undecodable, detail.to_owned());
            let Ok(line) = read_line(bytes) else {
                bad.push(undecodable("the line is no call"));
                continue;
            };
            // The error may repeat what was said.
            let Ok(record) = serde_json::from_str(line.call.get()) else {
                bad.push(undecodable("the record is not as it is documented"));
                continue;
            };
            read.push(Read {
                line,
                record,
                frame,
                number,
                bytes,
            });
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

/// A call that is to be kept, and the session that it is to become.
struct Arrival<'a> {
    call: Arrived<'a>,
    conversation: Option<Conversation>,
}

/// What came of calls that were folded.
struct Folded<'a> {
    /// Whose figures changed.
    accounts: BTreeSet<AccountId>,
    /// New calls that become sessions.
    sessions: Vec<NewCallSession<'a>>,
    /// What was not new, with the message that brought it.
    repeats: Vec<(Key, i64)>,
}

/// What is to be kept, and lines whose client is not there. `found` is what the lexicon found in each.
fn arrivals<'a>(
    read: &'a [Read<'a>],
    found: &[Option<Sentiment>],
    clients: &HashMap<(AccountId, ClientId), ClientSettings>,
) -> (Vec<Arrival<'a>>, Vec<(Key, Refused)>) {
    let (mut arrived, mut of_nobody) = (Vec::with_capacity(read.len()), Vec::new());
    for (read, found) in read.iter().zip(found) {
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
        let mut counted = read.record.counted(line.account_id, line.received_at);
        let mut sentiment_by = read.record.given_sentiment().map(|_| SentimentBy::Agent);
        if sentiment_by.is_none()
            && let Some(found) = found
        {
            counted.sentiment = *found;
            sentiment_by = Some(SentimentBy::Lexicon);
        }
        let (fetch, analyze) = (client.fetch_recordings, client.analyze_calls);
        let conversation = Conversation::of(&read.record, line.id, fetch, analyze);
        let call = Arrived {
            id: line.id,
            received_at: line.received_at,
            counted,
            direction: read.record.direction,
            sentiment_by,
            client_inactive: !client.is_active,
            session_id: conversation.as_ref().map(|session| session.session_id),
            record: line.call.get(),
            stream_sequence: read.frame.stream_sequence(),
        };
        arrived.push(Arrival { call, conversation });
    }
    (arrived, of_nobody)
}

/// Inserts what is new and counts it.
async fn fold<'a>(
    tx: &mut Tx,
    stream_created: Timestamp,
    arrived: &'a [Arrival<'a>],
) -> Result<Folded<'a>, sqlx::Error> {
    let times = arrived.iter().map(|arrival| arrival.call.counted.at);
    rollups::lock_days(tx, times, Hold::Shared).await?;
    let mut keys: HashSet<Key> = HashSet::with_capacity(arrived.len());
    let (first, mut repeats): (Vec<_>, Vec<_>) = arrived
        .iter()
        .partition(|arrival| keys.insert(arrival.call.key()));
    let calls: Vec<_> = first.iter().map(|arrival| &arrival.call).collect();
    let inserted = calls::insert(tx, stream_created, &calls).await?;
    let mut deltas = Deltas::default();
    let mut folded = Folded {
        accounts: BTreeSet::new(),
        sessions: Vec::new(),
        repeats: Vec::new(),
    };
    for arrival in first {
        let call = &arrival.call;
        if inserted.contains(&call.key()) {
            deltas.add(&call.counted);
            folded.accounts.insert(call.counted.account_id);
            let conversation = arrival.conversation.as_ref();
            let session = conversation.map(|conversation| NewCallSession { call, conversation });
            folded.sessions.extend(session);
        } else {
            repeats.push(arrival);
        }
    }
    let repeats: Vec<_> = repeats.iter().map(|arrival| &arrival.call).collect();
    calls::note_repeats(tx, stream_created, &repeats).await?;
    rollups::apply(tx, &deltas).await?;
    let late = repeats
        .iter()
        .map(|call| (call.key(), call.stream_sequence));
    folded.repeats.extend(late);
    Ok(folded)
}
