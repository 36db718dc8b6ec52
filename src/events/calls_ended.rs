//! `calls.ended`: a frame of calls that ended, one a line.
//!
//! The one fact that carries text: a call travels as its agent sent it. A message holds as many calls
//! as were waiting, because an fsync is paid a message. Its envelope is that of any event; each line
//! says whose call it is and holds the agent's bytes, with a space in place of each line break between
//! tokens.

use std::fmt::Display;
use std::ops::Deref;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{DecodeError, Envelope};
use crate::ids::{AccountId, CallId, ClientId, EventId};

/// The stream's subject of new frames.
pub const SUBJECT: &str = "calls.ended";
/// What the envelope calls a frame.
pub const TYPE: &str = "calls.ended";
const VERSION: u16 = 1;
/// What the fields before the agent's bytes take at most.
const PREFIX_BYTES: usize = 288;

/// One line of a frame.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CallLine<'a> {
    /// The agent's id of the call, or the one that it was given.
    pub id: CallId,
    pub client_id: ClientId,
    pub account_id: AccountId,
    pub received_at: Timestamp,
    /// As [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it.
    pub traceparent: Option<&'a str>,
    /// The record as the agent sent it.
    #[serde(borrow)]
    #[schemars(with = "serde_json::Value")]
    pub call: &'a RawValue,
}

/// Who a call is from and when it came: what a line says beside the record.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub id: CallId,
    pub client_id: ClientId,
    pub account_id: AccountId,
    pub received_at: Timestamp,
}

/// What stands before a record in its line.
#[derive(Clone, Copy, Debug)]
pub struct LineStart {
    bytes: [u8; PREFIX_BYTES],
    length: usize,
}

/// What stands behind a record in its line.
pub const LINE_END: &[u8] = b"}";

impl Deref for LineStart {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Arrival {
    /// What makes a line of a record whose bytes are known to be one JSON object, together with
    /// [`LINE_END`] behind it. Line breaks in the record are for whoever writes the frame: in JSON they
    /// stand between tokens only.
    pub fn line_start(&self, traceparent: impl Display) -> LineStart {
        use std::io::Write as _;
        let mut bytes = [0; PREFIX_BYTES];
        let mut rest = &mut bytes[..];
        write!(
            rest,
            r#"{{"id":"{}","client_id":"{}","account_id":"{}","received_at":"{}","traceparent":"{traceparent}","call":"#,
            self.id, self.client_id, self.account_id, self.received_at,
        )
        .expect("fields of known lengths");
        let length = PREFIX_BYTES - rest.len();
        LineStart { bytes, length }
    }

    /// The whole line of a record without line breaks.
    #[cfg(any(test, feature = "embedded"))]
    pub fn line(&self, traceparent: &str, record: &[u8]) -> Vec<u8> {
        [&*self.line_start(traceparent), record, LINE_END].concat()
    }
}

/// The envelope of a frame that `source` publishes.
pub fn envelope(source: &str) -> Envelope {
    Envelope {
        id: EventId(Uuid::now_v7()),
        event_type: TYPE.to_owned(),
        version: VERSION,
        source: source.to_owned(),
        time: Timestamp::now(),
        traceparent: None,
        redrive: 0,
    }
}

/// Whether a message with this envelope is a frame that this program can read.
pub fn check_envelope(envelope: &Envelope) -> Result<(), DecodeError> {
    if envelope.event_type != TYPE {
        return Err(DecodeError::WrongType {
            expected: TYPE,
            actual: envelope.event_type.clone(),
        });
    }
    if envelope.version > VERSION {
        return Err(DecodeError::NewerVersion {
            event_type: TYPE,
            version: envelope.version,
        });
    }
    Ok(())
}

/// The lines of a frame. One that is no [`CallLine`] is for the reader to find.
pub fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// Reads one line.
pub fn read_line(line: &[u8]) -> Result<CallLine<'_>, DecodeError> {
    serde_json::from_slice(line).map_err(|source| DecodeError::Body {
        event_type: TYPE,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> Arrival {
        Arrival {
            id: CallId(Uuid::from_u128(1)),
            client_id: ClientId(Uuid::from_u128(2)),
            account_id: AccountId(Uuid::from_u128(3)),
            received_at: "2026-11-21T10:00:00.123456789Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let record = b"{  \"client_id\": \"x\", \"notes\": \"a\\nb \xc3\xa4\"}";
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let line = arrival().line(traceparent, record);
        let frame = [&line[..], b"\n", &line].concat();
        check_envelope(&envelope("aftercall/ingress")).unwrap();
        let read: Vec<_> = lines(&frame).collect();
        assert_eq!(read.len(), 2);
        let call = read_line(read[1]).unwrap();
        assert_eq!(
            (call.id, call.client_id),
            (arrival().id, arrival().client_id)
        );
        assert_eq!(call.received_at, arrival().received_at);
        assert_eq!(call.traceparent, Some(traceparent));
        assert_eq!(call.call.get().as_bytes(), record);
    }

    #[test]
    fn another_type_and_a_newer_version_are_told() {
        let mut newer = envelope("x");
        newer.version = VERSION + 1;
        assert!(matches!(
            check_envelope(&newer),
            Err(DecodeError::NewerVersion { .. })
        ));
        let mut other = envelope("x");
        "session.created".clone_into(&mut other.event_type);
        assert!(matches!(
            check_envelope(&other),
            Err(DecodeError::WrongType { .. })
        ));
        assert!(read_line(b"{}").is_err());
    }
}
