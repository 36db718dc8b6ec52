//! Rows that a test begins with, written through the same functions and roles as in production.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::harness::Harness;
use crate::calls::{CallRecord, SentimentBy};
use crate::db::calls::Arrived;
use crate::db::provision::Process;
use crate::db::recordings::{Probed, Upload};
use crate::db::rollups::Hold;
use crate::db::timeline::LockedSession;
use crate::db::{
    Principal, WorkerRole, analyses, calls, clients, policies, recordings, rollups, sessions,
    timeline, transcriptions, transcripts, users,
};
use crate::documents::transcript::{Turn, speaker_of_channel};
use crate::events::calls_ended::{self, Arrival};
use crate::events::{
    AnalysisRequested, Event, Fact, Message, RecordingStored, RecordingTranscribed,
    RecordingUploaded, SessionCreated, TranscriptCompleted, TranscriptionRequested,
};
use crate::ids::{AccountId, CallId, ClientId, RecordingId, SessionId, UserId};
use crate::policy::{Consent, Policy};
use crate::rollups::Deltas;
use crate::telemetry::TraceContext;

/// A user with a session.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    pub user_id: UserId,
    pub session_id: SessionId,
}

/// Makes a user and a session of theirs; everything automatic is on.
pub async fn session(harness: &Harness) -> Seeded {
    let user_id = UserId::generate();
    let mut tx = harness.begin(Process::Ingress, Principal::Auth).await;
    let (account, email) = (AccountId::generate(), format!("{user_id}@example.org"));
    let hash = SecretString::from("none");
    users::register(&mut tx, user_id, account, &email, "Test", &hash)
        .await
        .expect("a user");
    tx.commit().await.expect("commit");

    let session_id = SessionId::generate();
    let created = SessionCreated {
        session_id,
        has_room: false,
        auto_transcribe: true,
        auto_analyze: true,
        auto_complete: true,
    };
    let draft = sessions::Draft {
        auto_transcribe: true,
        auto_analyze: true,
        ..sessions::Draft::default()
    };
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(user_id))
        .await;
    sessions::insert(&mut tx, session_id, &draft)
        .await
        .expect("a session");
    let locked = timeline::lock(&mut tx, session_id)
        .await
        .expect("a lock")
        .expect("a session");
    timeline::record(&mut tx, &locked, &[created.into()])
        .await
        .expect("a fact");
    tx.commit().await.expect("commit");
    Seeded {
        user_id,
        session_id,
    }
}

/// Adds a recording whose upload has finished; `object_key` names its bytes in the object store.
pub async fn recording(
    harness: &Harness,
    seeded: Seeded,
    object_key: &str,
    size_bytes: i64,
    sha256: [u8; 32],
) -> RecordingUploaded {
    let recording_id = RecordingId::generate();
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .expect("a lock")
        .expect("a session");
    let upload = Upload {
        recording_id,
        object_key,
        file_name: Some("call.wav"),
        content_type: "audio/wav",
        size_bytes,
        sha256,
        run: 1,
        late: false,
    };
    recordings::insert(&mut tx, &session, &upload)
        .await
        .expect("a recording");
    let uploaded = RecordingUploaded {
        session_id: seeded.session_id,
        recording_id,
        run: 1,
        late: false,
    };
    timeline::record(&mut tx, &session, &[uploaded.clone().into()])
        .await
        .expect("a fact");
    tx.commit().await.expect("commit");
    uploaded
}

/// Marks a recording stored and asks for its transcription, as the storage worker does.
pub async fn stored(
    harness: &Harness,
    uploaded: &RecordingUploaded,
    probed: Probed,
) -> TranscriptionRequested {
    let (session_id, recording_id) = (uploaded.session_id, uploaded.recording_id);
    let mut tx = harness
        .begin(Process::Storage, Principal::Worker(WorkerRole::Storage))
        .await;
    let session = timeline::lock(&mut tx, session_id)
        .await
        .expect("a lock")
        .expect("a session");
    recordings::mark_stored(&mut tx, session.account_id, recording_id, probed)
        .await
        .expect("stored");
    transcriptions::request(&mut tx, &session, recording_id, 1)
        .await
        .expect("requested");
    let requested = TranscriptionRequested {
        session_id,
        recording_id,
        generation: 1,
        run: 1,
    };
    let facts = [
        RecordingStored {
            session_id,
            recording_id,
            duration_ms: probed.duration_ms,
            channels: probed.channels,
            sample_rate_hz: probed.sample_rate_hz,
        }
        .into(),
        requested.clone().into(),
    ];
    timeline::record(&mut tx, &session, &facts)
        .await
        .expect("facts");
    tx.commit().await.expect("commit");
    requested
}

/// Writes a transcript of lines spoken in turns on two channels and asks for its analysis, as the
/// transcription worker does.
pub async fn transcript(harness: &Harness, seeded: Seeded, lines: &[&str]) -> AnalysisRequested {
    transcript_in(harness, seeded, Some("en"), lines).await
}

/// The same in another language, or one that nobody knows.
pub async fn transcript_in(
    harness: &Harness,
    seeded: Seeded,
    language: Option<&str>,
    lines: &[&str],
) -> AnalysisRequested {
    let duration_ms = 1_000 * i64::try_from(lines.len()).expect("a few lines");
    let uploaded = recording(harness, seeded, "recordings/none", 1, [0; 32]).await;
    let probed = Probed {
        duration_ms,
        channels: 2,
        sample_rate_hz: 16_000,
    };
    let requested = stored(harness, &uploaded, probed).await;

    let role = Principal::Worker(WorkerRole::Transcription);
    let mut tx = harness.begin(Process::Transcription, role).await;
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .expect("a lock")
        .expect("a session");
    let turns = turns(&requested, lines);
    let outcome = transcriptions::Outcome {
        language,
        engine: "test",
        note: None,
        turns: &turns,
        findings: None,
    };
    let (account, recording_id) = (session.account_id, requested.recording_id);
    transcriptions::finish(&mut tx, account, recording_id, 1, &outcome)
        .await
        .expect("a transcription");
    transcripts::compose(&mut tx, &session, 1)
        .await
        .expect("a query")
        .expect("a transcript");
    let asked = ask_for_analysis(&mut tx, &session).await;
    let session_id = seeded.session_id;
    let facts: [Fact; 3] = [
        RecordingTranscribed {
            session_id,
            recording_id,
            generation: 1,
        }
        .into(),
        TranscriptCompleted {
            session_id,
            generation: 1,
            given: false,
        }
        .into(),
        asked.clone().into(),
    ];
    timeline::record(&mut tx, &session, &facts)
        .await
        .expect("facts");
    tx.commit().await.expect("commit");
    asked
}

/// Asks for the next run of a session's first analysis, as the owner does.
pub async fn analysis_again(harness: &Harness, seeded: Seeded) -> AnalysisRequested {
    let principal = Principal::user(seeded.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .expect("a lock")
        .expect("a session");
    let requested = analyses::retry(&mut tx, session.account_id, session.session_id, 1)
        .await
        .expect("a query")
        .expect("it may run again");
    timeline::record(&mut tx, &session, &[requested.clone().into()])
        .await
        .expect("a fact");
    tx.commit().await.expect("commit");
    requested
}

/// Sets the policy of the account that a session is in.
pub async fn policy(harness: &Harness, seeded: Seeded, policy: &Policy) {
    let principal = Principal::user(seeded.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let session = sessions::get(&mut tx, seeded.session_id)
        .await
        .expect("a query")
        .expect("a session");
    policies::put(&mut tx, session.account_id, policy)
        .await
        .expect("a policy");
    tx.commit().await.expect("commit");
}

/// Notes what the person in a session agrees to.
pub async fn consent(harness: &Harness, seeded: Seeded, recording: bool, ai: bool) {
    let principal = Principal::user(seeded.user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let consent = Consent {
        recording,
        ai,
        at: jiff::Timestamp::now(),
        by: seeded.user_id,
    };
    policies::set_consent(&mut tx, seeded.session_id, Some(consent))
        .await
        .expect("consent");
    tx.commit().await.expect("commit");
}

/// Publishes a fact under an id that the broker has not seen; answers its sequence in the stream.
pub async fn publish<E: Event>(harness: &Harness, fact: &E) -> u64 {
    let message = Message::of(fact, "aftercall/test", jiff::Timestamp::now(), None);
    let id = uuid::Uuid::now_v7().to_string();
    harness
        .bus
        .publish(
            &message.subject,
            message.envelope.headers(),
            message.data,
            &id,
        )
        .await
        .expect("an acknowledgement")
        .sequence
}

async fn ask_for_analysis(tx: &mut crate::db::Tx, session: &LockedSession) -> AnalysisRequested {
    analyses::request(tx, session, 1, 1)
        .await
        .expect("requested");
    AnalysisRequested {
        session_id: session.session_id,
        generation: 1,
        run: 1,
        transcript_generation: 1,
    }
}

fn turns(requested: &TranscriptionRequested, lines: &[&str]) -> Vec<Turn> {
    let turn = |(index, line): (u32, &&str)| {
        let channel = u16::from(index % 2 == 1);
        let start_ms = i64::from(index) * 1_000;
        Turn {
            index,
            speaker: speaker_of_channel(channel, 2),
            channel,
            start_ms,
            end_ms: start_ms + 900,
            text: (*line).to_owned(),
            confidence: Some(0.9),
            words: None,
            recording_id: requested.recording_id,
        }
    };
    (0..).zip(lines).map(turn).collect()
}

/// A user with a client of their account.
#[derive(Clone, Copy, Debug)]
pub struct SeededClient {
    pub user_id: UserId,
    pub account_id: AccountId,
    pub client_id: ClientId,
}

/// Makes a user and a client of theirs.
pub async fn client(harness: &Harness) -> SeededClient {
    let user_id = UserId::generate();
    let (account_id, email) = (AccountId::generate(), format!("{user_id}@example.org"));
    let mut tx = harness.begin(Process::Ingress, Principal::Auth).await;
    let hash = SecretString::from("none");
    users::register(&mut tx, user_id, account_id, &email, "Test", &hash)
        .await
        .expect("a user");
    tx.commit().await.expect("commit");
    let client_id = another_client(harness, user_id).await;
    SeededClient {
        user_id,
        account_id,
        client_id,
    }
}

/// Makes one more client of a user's account.
pub async fn another_client(harness: &Harness, user_id: UserId) -> ClientId {
    let client_id = ClientId::generate();
    let principal = Principal::user(user_id);
    let mut tx = harness.begin(Process::Ingress, principal).await;
    let draft = clients::Draft {
        name: "Practice".to_owned(),
        phone_number: None,
        profession: None,
        voice_id: None,
        voice_name: None,
        system_prompt: None,
        is_active: true,
        fetch_recordings: false,
        analyze_calls: false,
    };
    clients::insert(&mut tx, client_id, &draft)
        .await
        .expect("a client");
    tx.commit().await.expect("commit");
    client_id
}

/// A call of a client, as the ingress writes it into a frame.
pub fn call_line(client: SeededClient, id: CallId, record: &Value) -> Vec<u8> {
    let arrival = Arrival {
        id,
        client_id: client.client_id,
        account_id: client.account_id,
        received_at: Timestamp::now(),
    };
    let trace = TraceContext::start().to_string();
    arrival.line(&trace, record.to_string().as_bytes())
}

/// Keeps and counts calls of a client, as the analytics worker does. The client's id is put into each.
pub async fn counted_calls(
    harness: &Harness,
    client: SeededClient,
    records: &[Value],
) -> Vec<CallId> {
    let (received_at, client_id) = (Timestamp::now(), client.client_id);
    let texts: Vec<String> = records
        .iter()
        .map(|record| {
            let mut record = record.clone();
            record["client_id"] = Value::String(client_id.to_string());
            record.to_string()
        })
        .collect();
    let arrived: Vec<Arrived<'_>> = texts
        .iter()
        .map(|text| {
            let record: CallRecord<'_> = serde_json::from_str(text).expect("a call record");
            Arrived {
                id: record.id.unwrap_or_else(CallId::generate),
                received_at,
                counted: record.counted(client.account_id, received_at),
                direction: record.direction,
                sentiment_by: record.given_sentiment().map(|_| SentimentBy::Agent),
                client_inactive: false,
                session_id: None,
                record: text,
                stream_sequence: 1,
            }
        })
        .collect();
    let mut deltas = Deltas::default();
    for call in &arrived {
        deltas.add(&call.counted);
    }
    let role = Principal::Worker(WorkerRole::Analytics);
    let mut tx = harness.begin(Process::Analytics, role).await;
    let days = arrived.iter().map(|call| call.counted.at);
    rollups::lock_days(&mut tx, days, Hold::Shared)
        .await
        .expect("locks");
    let arrived: Vec<_> = arrived.iter().collect();
    calls::insert(&mut tx, received_at, &arrived)
        .await
        .expect("calls");
    rollups::apply(&mut tx, &deltas).await.expect("rollups");
    tx.commit().await.expect("commit");
    arrived.iter().map(|call| call.id).collect()
}

/// Publishes a frame of such lines under a `Nats-Msg-Id` of its own.
pub async fn frame(harness: &Harness, lines: &[Vec<u8>]) {
    let envelope = calls_ended::envelope("aftercall/test");
    let id = envelope.id.to_string();
    let data = lines.join(&b'\n');
    let published = harness
        .bus
        .publish(calls_ended::SUBJECT, envelope.headers(), data, &id);
    published.await.expect("stored");
}
