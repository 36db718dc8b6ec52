//! `aftercall dead`: the desk of what workers gave up on.

use aftercall::bus::Bus;
use aftercall::client::terminal::{printable, wrap};
use aftercall::config::{Database, Env, Nats};
use aftercall::db::dead_letters::{self, Cursor, Filed};
use aftercall::db::{Db, Principal, WorkerRole};
use aftercall::ids::DeadLetterId;
use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::{redrive, table};

const LABEL_COLUMNS: usize = 16;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the letters, newest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
        limit: i64,
        /// Only those behind this letter: the last one of the page before.
        #[arg(long, value_name = "ID")]
        after: Option<DeadLetterId>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show everything about one letter, its message included.
    Show {
        id: DeadLetterId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Send letters again, each to the one handler that gave it up.
    Redrive {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<DeadLetterId>,
    },
}

pub async fn run(command: Command, env: &Env) -> anyhow::Result<()> {
    let settings = Database::read(env)?;
    let db = Db::connect_lazy(&settings.url, 1)?;
    match command {
        Command::List { limit, after, json } => list(&db, limit, after, json).await,
        Command::Show { id, json } => show(&db, id, json).await,
        Command::Redrive { ids } => {
            let bus = Bus::connect(&Nats::read(env)?, "aftercall dead").await?;
            for id in ids {
                let count = redrive::redrive(&db, &bus, id).await?;
                println!("{id}: sent again, redrive {count}");
            }
            Ok(())
        }
    }
}

async fn list(
    db: &Db,
    limit: i64,
    after: Option<DeadLetterId>,
    as_json: bool,
) -> anyhow::Result<()> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let cursor = match after {
        Some(id) => {
            let filed = dead_letters::get(&mut tx, id).await?;
            let filed_at = filed.with_context(|| absent(id))?.filed_at;
            Some(Cursor { filed_at, id })
        }
        None => None,
    };
    let letters = dead_letters::list(&mut tx, cursor, limit).await?;
    if as_json {
        let letters: Vec<_> = letters.iter().map(as_value).collect();
        println!("{:#}", Value::Array(letters));
    } else {
        print!("{}", page(&letters));
    }
    Ok(())
}

async fn show(db: &Db, id: DeadLetterId, as_json: bool) -> anyhow::Result<()> {
    let mut tx = db.begin(Principal::Worker(WorkerRole::Maintenance)).await?;
    let filed = dead_letters::get(&mut tx, id).await?;
    let filed = filed.with_context(|| absent(id))?;
    if as_json {
        println!("{:#}", as_value(&filed));
    } else {
        print!("{}", sheet(&filed));
    }
    Ok(())
}

fn absent(id: DeadLetterId) -> String {
    format!("there is no dead letter {id}")
}

fn page(letters: &[Filed]) -> String {
    if letters.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let rows: Vec<_> = letters
        .iter()
        .map(
            |Filed {
                 id,
                 letter,
                 redriven_at,
                 ..
             }| {
                let redriven = if redriven_at.is_some() { "yes" } else { "no" };
                [
                    id.to_string(),
                    format!("{:.0}", letter.died_at),
                    letter.handler.clone(),
                    letter.class.clone(),
                    letter.attempts.to_string(),
                    redriven.to_owned(),
                    letter.reason.clone(),
                ]
            },
        )
        .collect();
    let head = [
        "ID", "DIED", "HANDLER", "CLASS", "ATTEMPTS", "REDRIVEN", "REASON",
    ];
    table::render(head, &rows)
}

fn sheet(filed: &Filed) -> String {
    let Filed {
        id,
        letter,
        filed_at,
        redriven_at,
    } = filed;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let lines = [
        ("id", id.to_string()),
        ("handler", letter.handler.clone()),
        ("class", letter.class.clone()),
        ("reason", letter.reason.clone()),
        ("attempts", letter.attempts.to_string()),
        ("died", letter.died_at.to_string()),
        ("filed", filed_at.to_string()),
        (
            "redriven",
            text(redriven_at.map(|at| format!("{at}, {} times in all", letter.redrive))),
        ),
        ("trace", text(letter.trace_id.clone())),
        ("session", text(letter.session_id.map(|id| id.to_string()))),
        ("event", text(letter.event_type.clone())),
        ("event id", text(letter.event_id.map(|id| id.to_string()))),
        ("subject", letter.subject.clone()),
        (
            "was at",
            format!("{} {}", letter.stream, letter.stream_sequence),
        ),
    ];
    let mut sheet = String::new();
    let mut line = |label, value: &str| {
        sheet.push_str(&wrap(&format!("{label:LABEL_COLUMNS$}"), value));
        sheet.push('\n');
    };
    for (label, value) in lines {
        line(label, &value);
    }
    for (name, value) in letter.headers.as_object().into_iter().flatten() {
        let value = printable(value.as_str().unwrap_or_default());
        let header = format!("{}: {value}", printable(name));
        line("header", &header);
    }
    let body = printable(&String::from_utf8_lossy(&letter.data));
    line("body", &body);
    sheet
}

fn as_value(filed: &Filed) -> Value {
    let Filed {
        id,
        letter,
        filed_at,
        redriven_at,
    } = filed;
    // The body of a fact is JSON; one that is not may be why the letter is here.
    let data = serde_json::from_slice(&letter.data)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&letter.data)));
    json!({
        "id": id,
        "handler": letter.handler,
        "class": letter.class,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "died_at": letter.died_at,
        "filed_at": filed_at,
        "redriven_at": redriven_at,
        "redrive": letter.redrive,
        "trace_id": letter.trace_id,
        "session_id": letter.session_id,
        "event_type": letter.event_type,
        "event_id": letter.event_id,
        "subject": letter.subject,
        "stream": letter.stream,
        "stream_created_at": letter.stream_created_at,
        "stream_sequence": letter.stream_sequence,
        "line": letter.line,
        "headers": letter.headers,
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use aftercall::db::dead_letters::Letter;

    use super::*;

    fn filed() -> Filed {
        let at = |text: &str| text.parse().unwrap();
        Filed {
            id: at_id("01980000-0000-7000-8000-000000000001"),
            filed_at: at("2026-11-21T10:00:02Z"),
            redriven_at: None,
            letter: Letter {
                handler: "store-recording".to_owned(),
                stream: "EVENTS".to_owned(),
                stream_created_at: at("2026-11-20T08:00:00Z"),
                stream_sequence: 42,
                line: 0,
                class: "rejected".to_owned(),
                reason: "the file \u{1b}[2Jis damaged".to_owned(),
                attempts: 1,
                trace_id: None,
                subject: "events.recording.uploaded.x".to_owned(),
                event_id: None,
                event_type: Some("recording.uploaded".to_owned()),
                session_id: None,
                redrive: 0,
                headers: json!({ "ce-specversion": "1.0" }),
                data: b"{\"run\":1}".to_vec(),
                died_at: at("2026-11-21T10:00:01.25Z"),
            },
        }
    }

    fn at_id(text: &str) -> DeadLetterId {
        text.parse().unwrap()
    }

    #[test]
    fn a_page_has_one_line_for_each_letter() {
        assert_eq!(page(&[]), "no dead letters\n");
        insta::assert_snapshot!(page(&[filed(), filed()]));
    }

    #[test]
    fn a_sheet_shows_everything_and_controls_nothing() {
        let sheet = sheet(&filed());
        assert!(!sheet.contains('\u{1b}'));
        insta::assert_snapshot!(sheet);
    }

    #[test]
    fn as_json_a_body_is_what_it_is() {
        assert_eq!(as_value(&filed())["data"], json!({ "run": 1 }));
        let mut broken = filed();
        broken.letter.data = b"{\xff".to_vec();
        assert_eq!(as_value(&broken)["data"], json!("{\u{fffd}"));
    }
}
