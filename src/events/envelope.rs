//! The envelope of a message: CloudEvents 1.0 attributes in the headers.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::Event;
use crate::ids::EventId;

/// What `ce-type` starts with.
const TYPE_PREFIX: &str = "aftercall.";
/// How often an operator sent this message again; absent on the first.
const REDRIVE: &str = "aftercall-redrive";

/// Metadata of a message, in its headers
/// ([CloudEvents NATS binding](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `ce-id`: the same for the same fact, however often it is published.
    pub id: EventId,
    /// The type without prefix and version, for example `recording.uploaded`.
    pub event_type: String,
    /// The version of the body, from 1; the end of `ce-type`.
    pub version: u16,
    /// `ce-source`: the process that published it, for example `aftercall/storage`.
    pub source: String,
    /// `ce-time`: when the fact was recorded.
    pub time: Timestamp,
    /// `traceparent`, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it.
    pub traceparent: Option<String>,
    /// How often an operator redrove it: 0 at first.
    pub redrive: u32,
}

impl Envelope {
    /// The headers of this envelope. `Nats-Msg-Id` is not among them: the publisher chooses it.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.id.to_string()),
            (
                "ce-type",
                format!("{TYPE_PREFIX}{}.v{}", self.event_type, self.version),
            ),
            ("ce-source", self.source.clone()),
            ("ce-time", self.time.to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        if let Some(traceparent) = &self.traceparent {
            headers.push(("traceparent", traceparent.clone()));
        }
        if self.redrive > 0 {
            headers.push((REDRIVE, self.redrive.to_string()));
        }
        headers
    }

    /// Reads an envelope from headers; `get` answers a header's value by its name.
    pub fn from_headers<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Self, DecodeError> {
        let required = |name: &'static str| get(name).ok_or(DecodeError::MissingHeader(name));
        let malformed = |name: &'static str| move || DecodeError::MalformedHeader(name);
        let (event_type, version) = required("ce-type")?
            .strip_prefix(TYPE_PREFIX)
            .and_then(|rest| rest.rsplit_once(".v"))
            .and_then(|(name, version)| Some((name.to_owned(), version.parse().ok()?)))
            .ok_or_else(malformed("ce-type"))?;
        Ok(Self {
            id: required("ce-id")?
                .parse::<Uuid>()
                .map(EventId)
                .map_err(|_| malformed("ce-id")())?,
            event_type,
            version,
            source: required("ce-source")?.to_owned(),
            time: required("ce-time")?
                .parse()
                .map_err(|_| malformed("ce-time")())?,
            traceparent: get("traceparent").map(str::to_owned),
            redrive: match get(REDRIVE) {
                Some(count) => count.parse().map_err(|_| malformed(REDRIVE)())?,
                None => 0,
            },
        })
    }
}

/// A message as it is published: subject, envelope and JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub envelope: Envelope,
    pub data: Vec<u8>,
}

impl Message {
    /// The message of a fact, published by `source`.
    pub fn of<E: Event>(
        event: &E,
        source: &str,
        time: Timestamp,
        traceparent: Option<&str>,
    ) -> Self {
        Self {
            subject: event.subject(),
            envelope: Envelope {
                id: event.event_id(),
                event_type: E::TYPE.to_owned(),
                version: E::VERSION,
                source: source.to_owned(),
                time,
                traceparent: traceparent.map(str::to_owned),
                redrive: 0,
            },
            data: serde_json::to_vec(event).expect("a fact is plain data"),
        }
    }
}

/// Why a message is not the fact it should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("header {0} is missing")]
    MissingHeader(&'static str),
    #[error("header {0} is malformed")]
    MalformedHeader(&'static str),
    #[error("expected a {expected}, got a {actual}")]
    WrongType {
        expected: &'static str,
        actual: String,
    },
    /// A later release published it: wait for the rest of the deployment.
    #[error("version {version} of {event_type} is newer than this program knows")]
    NewerVersion {
        event_type: &'static str,
        version: u16,
    },
    #[error("version {version} of {event_type} is not known")]
    UnknownVersion {
        event_type: &'static str,
        version: u16,
    },
    #[error("body is not a {event_type}")]
    Body {
        event_type: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{0} is not a known fact")]
    UnknownFact(String),
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{} {}", self.event_type, self.version, self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn example() -> Envelope {
        Envelope {
            id: EventId::derived("recording.uploaded", "x"),
            event_type: "recording.uploaded".to_owned(),
            version: 2,
            source: "aftercall/ingress".to_owned(),
            time: "2026-11-21T10:00:00.5Z".parse().expect("a time"),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            redrive: 1,
        }
    }

    fn read(headers: &[(&'static str, String)]) -> Result<Envelope, DecodeError> {
        let map: HashMap<_, _> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Envelope::from_headers(|name| map.get(name).copied())
    }

    #[test]
    fn headers_round_trip() {
        assert_eq!(
            read(&example().headers()).expect("valid headers"),
            example()
        );
    }

    #[test]
    fn absent_and_malformed_headers_are_named() {
        for name in ["ce-id", "ce-type", "ce-source", "ce-time"] {
            let mut headers = example().headers();
            headers.retain(|(header, _)| *header != name);
            assert_eq!(
                read(&headers).expect_err("missing").to_string(),
                format!("header {name} is missing")
            );
        }
        for (name, value) in [
            ("ce-id", "7"),
            ("ce-type", "other.x.v1"),
            ("ce-type", "aftercall.x"),
            ("ce-time", "now"),
        ] {
            let mut headers = example().headers();
            for header in headers.iter_mut().filter(|(header, _)| *header == name) {
                header.1 = value.to_owned();
            }
            assert_eq!(
                read(&headers).expect_err("malformed").to_string(),
                format!("header {name} is malformed")
            );
        }
    }
}
