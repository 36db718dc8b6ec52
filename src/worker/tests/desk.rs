//! From a given up message over the desk back to its handler.

use std::convert::Infallible;

use super::bench::Bench;
use super::script::Scripted;
use crate::db::dead_letters::{self, Cursor, Letter};
use crate::db::provision::Process;
use crate::db::{Db, Principal, WorkerRole};
use crate::embedded::harness::eventually;
use crate::events::Fact;
use crate::worker::{Context, Failure, Handler, Settings, Worker, redrive_message};

const MAINTENANCE: Principal = Principal::Worker(WorkerRole::Maintenance);

/// Files what it is given.
struct FileDeadLetter(Db);

impl Handler for FileDeadLetter {
    const NAME: &'static str = "file-dead-letter";
    const ATTEMPTS: u32 = u32::MAX;
    const GAVE_UP: &'static str = "";
    type Consumes = Letter;
    type Publishes = Infallible;
    type Fails = Infallible;

    async fn handle(&self, letter: Letter, _: &Context) -> Result<Vec<Infallible>, Failure> {
        let mut tx = self.0.begin(MAINTENANCE).await?;
        dead_letters::file(&mut tx, &letter).await?;
        tx.commit().await?;
        Ok(Vec::new())
    }

    fn failed(&self, _: &Letter, _: u32, _: String) -> Option<Infallible> {
        None
    }
}

#[tokio::test]
async fn a_redriven_message_reaches_its_handler_once() {
    let bench = Bench::start().await;
    let handler = Scripted::<8>::new(|run| async move {
        match run.context.redrive() {
            0 | 1 => Err(Failure::reject("The file is empty.")),
            _ => run.done(),
        }
    });
    let working = bench.work(handler.clone());
    let db = bench.harness.db(Process::Maintenance);
    let desk = Worker::new(Settings {
        name: "maintenance",
        role: WorkerRole::Maintenance,
        bus: bench.harness.bus.clone(),
        db: db.clone(),
        probes: Vec::new(),
        concurrency: 1,
    });
    let filing = super::bench::Working::start(desk.handler(FileDeadLetter(db.clone())));
    let fact = bench.uploaded();
    bench.publish(&fact).await;

    let filed = async |letters: usize| {
        eventually("filed", || async { listed(&db).await.len() == letters }).await;
        listed(&db).await
    };
    let letter = filed(1).await.remove(0);
    assert_eq!(letter.letter.session_id, Some(fact.session_id));
    assert_eq!(
        (letter.letter.class.as_str(), letter.redriven_at),
        ("rejected", None)
    );

    // The first redrive fails too, and files a letter of its own; the older one is redriven again.
    for expected in [1, 2] {
        let mut tx = db.begin(MAINTENANCE).await.expect("begun");
        let found = dead_letters::get(&mut tx, letter.id)
            .await
            .expect("found")
            .expect("filed");
        let redrive = dead_letters::mark_redriven(&mut tx, letter.id)
            .await
            .expect("counted");
        tx.commit().await.expect("committed");
        assert_eq!(redrive, Some(expected));
        let message = redrive_message(&found.letter, expected);
        message.publish(&bench.harness.bus).await.expect("stored");
        if expected == 1 {
            assert_eq!(filed(2).await[0].letter.redrive, 1);
        }
    }
    bench.harness.idle().await;
    assert_eq!(bench.published("recording.stored").await.len(), 1);
    let failures: Vec<_> = bench.timeline().await;
    let redrives = failures.iter().map(|fact| match fact {
        Fact::RecordingFailed(failed) => failed.redrive,
        other => panic!("{other:?}"),
    });
    assert_eq!(redrives.collect::<Vec<_>>(), [0, 1]);
    working.stop().await;
    filing.stop().await;
    bench.harness.finish_as_it_is().await;
}

#[tokio::test]
async fn the_desk_is_paged_and_files_a_letter_once() {
    let bench = Bench::start().await;
    let db = bench.harness.db(Process::Maintenance);
    let letter = |sequence| Letter {
        handler: "store-recording".to_owned(),
        stream: "EVENTS".to_owned(),
        stream_created_at: "2026-11-21T10:00:00Z".parse().expect("a time"),
        stream_sequence: sequence,
        line: 0,
        class: "undecodable".to_owned(),
        reason: "body is not a recording.uploaded".to_owned(),
        attempts: 1,
        trace_id: None,
        subject: "events.recording.uploaded.x".to_owned(),
        event_id: None,
        event_type: None,
        session_id: None,
        redrive: 0,
        headers: serde_json::json!({}),
        data: vec![0, 159, 146, 150],
        died_at: "2026-11-21T11:00:00Z".parse().expect("a time"),
    };
    let mut tx = db.begin(MAINTENANCE).await.expect("begun");
    for sequence in [1, 2, 3] {
        assert!(
            dead_letters::file(&mut tx, &letter(sequence))
                .await
                .expect("filed")
        );
        assert!(
            !dead_letters::file(&mut tx, &letter(sequence))
                .await
                .expect("known")
        );
    }
    tx.commit().await.expect("committed");

    let mut tx = db.begin(MAINTENANCE).await.expect("begun");
    let first = dead_letters::list(&mut tx, None, 2).await.expect("listed");
    let last = first.last().expect("two");
    let cursor = Cursor {
        filed_at: last.filed_at,
        id: last.id,
    };
    let rest = dead_letters::list(&mut tx, Some(cursor), 2)
        .await
        .expect("listed");
    let listed: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|filed| filed.letter.clone())
        .collect();
    assert_eq!(listed, [letter(3), letter(2), letter(1)]);
    let unknown = crate::ids::DeadLetterId::generate();
    assert_eq!(
        dead_letters::get(&mut tx, unknown)
            .await
            .expect("an answer"),
        None
    );
    assert_eq!(
        dead_letters::mark_redriven(&mut tx, unknown)
            .await
            .expect("an answer"),
        None
    );
    drop(tx);

    let mut tx = bench
        .db()
        .begin(Principal::Worker(WorkerRole::Storage))
        .await
        .expect("begun");
    assert!(
        dead_letters::list(&mut tx, None, 1).await.is_err(),
        "the desk is maintenance's"
    );
    drop(tx);
    bench.harness.finish().await;
}

async fn listed(db: &Db) -> Vec<dead_letters::Filed> {
    let mut tx = db.begin(MAINTENANCE).await.expect("begun");
    dead_letters::list(&mut tx, None, 10).await.expect("listed")
}
