#[cfg(feature = "embedded")]
use aftercall::db::provision::Process;
#[cfg(feature = "embedded")]
use aftercall::embedded::{harness::Harness, seed};
#[cfg(feature = "embedded")]
use aftercall::events::RecordingFailed;
use aftercall::ids::{RecordingId, SessionId};
#[cfg(feature = "embedded")]
use aftercall::{db::sessions, session::Phase};
use jiff::Timestamp;
use serde_json::Value;

use super::*;

/// A letter as it is filed for a fact that a handler gave up on.
fn letter<E: Event>(fact: &E, handler: &str) -> Letter {
    let message = Message::of(fact, "aftercall/test", Timestamp::now(), None);
    let headers = message.envelope.headers().into_iter();
    Letter {
        handler: handler.to_owned(),
        stream: "EVENTS".to_owned(),
        stream_created_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        stream_sequence: 7,
        line: 0,
        class: "rejected".to_owned(),
        reason: "it is broken".to_owned(),
        attempts: 1,
        trace_id: None,
        subject: message.subject.clone(),
        event_id: Some(message.envelope.id),
        event_type: Some(message.envelope.event_type.clone()),
        session_id: Some(fact.session_id()),
        redrive: 0,
        headers: headers
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        data: message.data,
        died_at: Timestamp::now(),
    }
}

fn requested() -> TranscriptionRequested {
    TranscriptionRequested {
        session_id: SessionId::generate(),
        recording_id: RecordingId::generate(),
        generation: 2,
        run: 3,
    }
}

#[test]
fn the_message_says_which_stage_runs_again() {
    let fact = requested();
    let stage = redriven_stage(&letter(&fact, "transcribe-recording"), 4).unwrap();
    assert_eq!(
        stage,
        StageRedriven {
            session_id: fact.session_id,
            stage: Stage::Transcription,
            recording_id: Some(fact.recording_id),
            generation: 2,
            run: 3,
            redrive: 4,
        }
    );
}

#[test]
fn a_message_that_cannot_be_read_starts_no_stage() {
    let fact = requested();
    let filed = letter(&fact, "transcribe-recording");
    let broken = [
        Letter {
            data: b"{".to_vec(),
            ..filed.clone()
        },
        Letter {
            headers: Value::Null,
            ..filed.clone()
        },
        Letter {
            event_type: None,
            ..filed.clone()
        },
        Letter {
            event_type: Some("session.created".to_owned()),
            ..filed.clone()
        },
        Letter {
            session_id: Some(SessionId::generate()),
            ..filed
        },
    ];
    for letter in broken {
        assert_eq!(redriven_stage(&letter, 1), None);
    }
}

#[cfg(feature = "embedded")]
#[tokio::test]
async fn a_redrive_lifts_the_failure_and_reaches_one_handler() {
    let harness = Harness::start().await;
    let db = harness.db(Process::Maintenance);
    let seeded = seed::session(&harness).await;
    let uploaded = seed::recording(&harness, seeded, "recordings/none", 1, [0; 32]).await;
    let failed = RecordingFailed {
        session_id: seeded.session_id,
        recording_id: uploaded.recording_id,
        run: 1,
        redrive: 0,
        reason: "The file is damaged.".to_owned(),
    };
    let mut tx = db.begin(MAINTENANCE).await.unwrap();
    let session = timeline::lock(&mut tx, seeded.session_id)
        .await
        .unwrap()
        .unwrap();
    let state = timeline::record(&mut tx, &session, &[failed.into()])
        .await
        .unwrap();
    assert_eq!(state.stages.recording.state, Phase::Failed);
    dead_letters::file(&mut tx, &letter(&uploaded, "store-recording"))
        .await
        .unwrap();
    let id = dead_letters::list(&mut tx, None, 1).await.unwrap()[0].id;
    tx.commit().await.unwrap();

    for count in [1, 2] {
        assert_eq!(redrive(&db, &harness.bus, id).await.unwrap(), count);
    }
    let mut tx = harness
        .begin(Process::Ingress, Principal::user(seeded.user_id))
        .await;
    let session = sessions::get(&mut tx, seeded.session_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(session.stages.recording.state, Phase::Running);
    drop(tx);

    let stream = harness.bus.jetstream().get_stream("EVENTS").await.unwrap();
    let subject = format!(
        "redrive.events.store-recording.events.recording.uploaded.{}",
        seeded.session_id
    );
    let sent = stream
        .get_last_raw_message_by_subject(&subject)
        .await
        .unwrap();
    assert_eq!(
        sent.headers.get("ce-id").unwrap().as_str(),
        uploaded.event_id().to_string()
    );
    assert_eq!(sent.headers.get("aftercall-redrive").unwrap().as_str(), "2");
    // Two messages for the handler, and two announcements for those who watch.
    assert_eq!(stream.cached_info().state.messages, 4);
    let mut tx = db.begin(MAINTENANCE).await.unwrap();
    let waiting = outbox::waiting(&mut tx, Timestamp::now(), 10)
        .await
        .unwrap();
    assert!(waiting.is_empty());

    let unknown = DeadLetterId::generate();
    let error = redrive(&db, &harness.bus, unknown).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("there is no dead letter {unknown}")
    );
    drop(tx);
    harness.finish_as_it_is().await;
}
