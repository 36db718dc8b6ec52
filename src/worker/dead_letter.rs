//! The hand-over of what a handler gave up on, and the way back.
//!
//! A dead letter is the message itself under `dead.<handler>.<subject>`, with headers that say why it
//! is there. It is stored before the message is terminated, so nothing is lost in between.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::incoming::{Incoming, Received};
use super::verdict::Class;
use crate::bus::{self, Bus, BusError, subjects};
use crate::db::dead_letters::Letter;
use crate::events::DecodeError;
use crate::ids::SessionId;
use crate::telemetry::TraceContext;

const HANDLER: &str = "aftercall-handler";
const CLASS: &str = "aftercall-class";
const REASON: &str = "aftercall-reason";
const ATTEMPTS: &str = "aftercall-attempts";
const STREAM: &str = "aftercall-stream";
const STREAM_CREATED: &str = "aftercall-stream-created";
const SEQUENCE: &str = "aftercall-sequence";
const TRACE_ID: &str = "aftercall-trace-id";
const DIED_AT: &str = "aftercall-died-at";
const LINE: &str = "aftercall-line";
/// What giving up adds to the headers of a message.
const ADDED: [&str; 10] = [
    HANDLER,
    CLASS,
    REASON,
    ATTEMPTS,
    STREAM,
    STREAM_CREATED,
    SEQUENCE,
    TRACE_ID,
    DIED_AT,
    LINE,
];
/// The header that [`Envelope`](crate::events::Envelope) reads as `redrive`.
const REDRIVE: &str = "aftercall-redrive";
/// A reason is a line for people; a whole backtrace belongs into the log.
const REASON_LIMIT: usize = 1_000;

/// Why and where a message was given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death<'a> {
    pub(super) handler: &'static str,
    pub(super) class: Class,
    pub(super) detail: &'a str,
    pub(super) attempts: u32,
    pub(super) stream: &'static str,
    pub(super) stream_created: Timestamp,
    pub(super) stream_sequence: i64,
    /// Which record of the message, from 1, where only that one is given up; 0 is the message.
    pub(super) line: i32,
    pub(super) trace: TraceContext,
}

impl Death<'_> {
    /// Stores the message as a dead letter.
    pub(super) async fn publish(&self, bus: &Bus, message: &Received<'_>) -> Result<(), BusError> {
        let subject = subjects::dead(self.handler, message.subject);
        // Not the id of the message, which the server may remember from when it was published.
        let mut id = format!("{}:{}", self.handler, self.stream_sequence);
        if self.line > 0 {
            id = format!("{id}:{}", self.line);
        }
        bus.publish(
            &subject,
            self.headers(message),
            message.payload.clone(),
            &id,
        )
        .await?;
        Ok(())
    }

    fn headers(&self, message: &Received<'_>) -> Vec<(String, String)> {
        let mut headers = kept_headers(message);
        let added = [
            self.handler.to_owned(),
            self.class.to_string(),
            one_line(self.detail),
            self.attempts.to_string(),
            self.stream.to_owned(),
            self.stream_created.to_string(),
            self.stream_sequence.to_string(),
            self.trace.trace_id(),
            Timestamp::now().to_string(),
            self.line.to_string(),
        ];
        headers.extend(ADDED.map(str::to_owned).into_iter().zip(added));
        headers
    }
}

/// Dead letters are filed whatever they look like: what is absent is left empty, so reading one never
/// fails.
impl Incoming for Letter {
    const STREAM: &'static str = bus::DEAD;
    const TYPE: &'static str = "dead letter";

    fn read(message: &Received<'_>) -> Result<Self, DecodeError> {
        let subject = subjects::original(message.subject).to_owned();
        let envelope = message.envelope().ok();
        let header = |name| message.header(name);
        let parsed = |name| header(name).and_then(|value| value.parse::<Timestamp>().ok());
        let headers = kept_headers(message).into_iter();
        Ok(Self {
            handler: header(HANDLER)
                .or_else(|| subjects::handler(message.subject))
                .unwrap_or_default()
                .to_owned(),
            stream: header(STREAM).unwrap_or(bus::DEAD).to_owned(),
            stream_created_at: parsed(STREAM_CREATED).unwrap_or(message.stream_created),
            stream_sequence: header(SEQUENCE)
                .and_then(|value| value.parse().ok())
                .unwrap_or(message.stream_sequence),
            line: header(LINE)
                .and_then(|value| value.parse().ok())
                .unwrap_or(0),
            class: header(CLASS)
                .unwrap_or(Class::Undecodable.as_str())
                .to_owned(),
            reason: header(REASON).unwrap_or("it does not say").to_owned(),
            attempts: header(ATTEMPTS)
                .and_then(|value| value.parse().ok())
                .unwrap_or(0),
            trace_id: header(TRACE_ID).map(str::to_owned),
            session_id: session_of(&subject),
            subject,
            event_id: envelope.as_ref().map(|envelope| envelope.id),
            redrive: envelope
                .as_ref()
                .map_or(0, |e| i32::try_from(e.redrive).unwrap_or(i32::MAX)),
            event_type: envelope.map(|envelope| envelope.event_type),
            headers: Value::Object(
                headers
                    .map(|(k, v)| (k, Value::String(v)))
                    .collect::<Map<_, _>>(),
            ),
            data: message.payload.to_vec(),
            died_at: parsed(DIED_AT).unwrap_or(message.stream_created),
        })
    }

    fn session_id(&self) -> Option<SessionId> {
        self.session_id
    }
}

/// A message that goes back to the one handler that gave it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub data: Bytes,
    pub message_id: String,
}

impl Redrive {
    /// Publishes it and waits until it is stored.
    pub async fn publish(self, bus: &Bus) -> Result<(), BusError> {
        let Self {
            subject,
            headers,
            data,
            message_id,
        } = self;
        bus.publish(&subject, headers, data, &message_id).await?;
        Ok(())
    }
}

/// The message that sends a letter again, for the `redrive`-th time
/// ([`mark_redriven`](crate::db::dead_letters::mark_redriven) counts).
///
/// It keeps its `ce-id`, so that effects stay unique, and has a `Nats-Msg-Id` of its own.
pub fn redrive_message(letter: &Letter, redrive: i32) -> Redrive {
    let mut headers: Vec<(String, String)> = letter
        .headers
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != REDRIVE)
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    headers.push((REDRIVE.to_owned(), redrive.to_string()));
    let message = letter.event_id.map_or_else(
        || format!("{}:{}", letter.stream, letter.stream_sequence),
        |id| id.to_string(),
    );
    Redrive {
        subject: subjects::redrive(&letter.handler, &letter.subject),
        headers,
        data: letter.data.clone().into(),
        message_id: format!("{message}:{}:{redrive}", letter.handler),
    }
}

/// The headers of a message as its publisher wrote them; those of the server stay behind.
fn kept_headers(message: &Received<'_>) -> Vec<(String, String)> {
    message
        .headers
        .iter()
        .filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string())))
        .filter(|(name, _)| !name.starts_with("Nats-") && !ADDED.contains(&name.as_str()))
        .collect()
}

/// The subject of a fact ends with the session.
fn session_of(subject: &str) -> Option<SessionId> {
    subject.rsplit('.').next()?.parse().ok()
}

/// A header is one line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(REASON_LIMIT)
        .collect()
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;
    use crate::events::{Event, Message, RecordingUploaded};
    use crate::ids::RecordingId;

    fn fact() -> RecordingUploaded {
        let (session_id, recording_id) = (SessionId::generate(), RecordingId::generate());
        RecordingUploaded {
            session_id,
            recording_id,
            run: 1,
            late: false,
        }
    }

    fn header_map(headers: &[(String, String)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.as_str(), value.as_str());
        }
        map
    }

    fn received<'a>(subject: &'a str, headers: &'a HeaderMap, payload: &'a Bytes) -> Received<'a> {
        Received {
            subject,
            headers,
            payload,
            stream_sequence: 5,
            stream_created: "2026-11-21T10:00:00Z".parse().expect("a time"),
        }
    }

    fn death(detail: &str) -> Death<'_> {
        Death {
            handler: "store-recording",
            class: Class::Rejected,
            detail,
            attempts: 2,
            stream: bus::EVENTS,
            stream_created: "2026-11-01T10:00:00Z".parse().expect("a time"),
            stream_sequence: 42,
            line: 0,
            trace: TraceContext::start(),
        }
    }

    #[test]
    fn a_letter_goes_there_and_back() {
        let fact = fact();
        let message = Message::of(&fact, "aftercall/test", Timestamp::now(), None);
        let mut headers: Vec<(String, String)> = message
            .envelope
            .headers()
            .into_iter()
            .map(|(n, v)| (n.to_owned(), v))
            .collect();
        headers.push(("Nats-Msg-Id".to_owned(), "x".to_owned()));
        let (headers, payload) = (header_map(&headers), Bytes::from(message.data.clone()));
        let dead = header_map(&death("line one\r\nline two").headers(&received(
            &message.subject,
            &headers,
            &payload,
        )));
        let subject = subjects::dead("store-recording", &message.subject);
        let letter = Letter::read(&received(&subject, &dead, &payload)).expect("never fails");
        assert_eq!(
            (
                letter.class.as_str(),
                letter.attempts,
                letter.stream_sequence
            ),
            ("rejected", 2, 42)
        );
        assert_eq!(letter.reason, "line one  line two");
        assert_eq!(letter.session_id, Some(fact.session_id));
        assert_eq!(letter.event_id, Some(fact.event_id()));

        let again = redrive_message(&letter, 3);
        assert_eq!(
            again.subject,
            format!("redrive.events.store-recording.{}", message.subject)
        );
        assert_eq!(
            again.message_id,
            format!("{}:store-recording:3", fact.event_id())
        );
        let headers = header_map(&again.headers);
        let redriven = received(&again.subject, &headers, &again.data);
        let envelope = redriven.envelope().expect("an envelope");
        assert_eq!((envelope.id, envelope.redrive), (fact.event_id(), 3));
        assert_eq!(
            <RecordingUploaded as Incoming>::read(&redriven).expect("the fact"),
            fact
        );
        assert!(redriven.header(CLASS).is_none() && redriven.header("Nats-Msg-Id").is_none());
    }

    #[test]
    fn a_letter_that_says_nothing_is_read_all_the_same() {
        let (headers, payload) = (HeaderMap::new(), Bytes::from_static(b"\xff"));
        for subject in ["dead.x", "dead.x.events.y.z", "dead."] {
            let letter = Letter::read(&received(subject, &headers, &payload)).expect("never fails");
            assert_eq!((letter.stream_sequence, letter.event_id), (5, None));
            assert_eq!(letter.class, "undecodable");
        }
    }

    #[test]
    fn a_huge_reason_is_cut() {
        assert_eq!(one_line(&"ü".repeat(5_000)).chars().count(), REASON_LIMIT);
    }
}
