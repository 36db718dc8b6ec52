//! What is wrong with a call record.

use jiff::{SignedDuration, Timestamp};
use memchr::memmem;
use serde_json::Value;

use super::record::{CallRecord, Text, Transcript, Turn};

/// Largest record in bytes.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
/// A clock may be ahead of ours by this much.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// 2000-01-01T00:00:00Z, in seconds: no call is older.
const EARLIEST_S: i64 = 946_684_800;
/// A week.
const MAX_DURATION_S: f64 = 604_800.0;
const MAX_DURATION: SignedDuration = SignedDuration::from_hours(7 * 24);
/// An hour.
const MAX_LATENCY_MS: f64 = 3_600_000.0;
const MAX_DURATION_MS: f64 = MAX_DURATION_S * 1_000.0;
const MAX_ITEMS: usize = 10_000;

/// A field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// For example `turns.3.text`; `body` is the record as a whole.
    pub field: String,
    pub message: String,
}

impl FieldFault {
    pub fn of(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Reads a record and checks every field of it, as of `now`.
///
/// The error tells every fault of what could be read, and one where it could not.
pub fn check(bytes: &[u8], now: Timestamp) -> Result<CallRecord<'_>, Vec<FieldFault>> {
    // What is passed over while reading is looked at here too: it is kept as it is.
    let Ok(text) = str::from_utf8(bytes) else {
        return Err(vec![FieldFault::of("body", "is not JSON")]);
    };
    let record: CallRecord = match serde_json::from_str(text) {
        Ok(record) => record,
        Err(error) => return Err(vec![explain(bytes, &error)]),
    };
    let mut faults = Faults(Vec::new());
    if let Some(fault) = strange_escapes(bytes) {
        faults.0.push(fault);
    }
    faults.fields(&record, now);
    if faults.0.is_empty() {
        Ok(record)
    } else {
        Err(faults.0)
    }
}

/// Names the field at which reading stopped. Only for what is refused: it reads everything again.
fn explain(bytes: &[u8], error: &serde_json::Error) -> FieldFault {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(_) => return FieldFault::of("body", "is not JSON"),
    };
    let Value::Object(fields) = &value else {
        return FieldFault::of("body", "is not a JSON object");
    };
    if fields.contains_key("to_number") && !fields.contains_key("client_id") {
        return FieldFault::of(
            "to_number",
            "a call to be made is asked for at /telephony/outbound; this takes calls that ended",
        );
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, CallRecord>(&mut reader) {
        Ok(_) => FieldFault::of("body", error.to_string()),
        Err(located) => {
            let path = located.path().to_string();
            let path = path.replace('[', ".").replace(']', "");
            let field = if path == "." { "body".to_owned() } else { path };
            // Without the position in the text, which is of no use to a program.
            let message = located.into_inner().to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            FieldFault::of(field, message)
        }
    }
}

/// U+0000, which Postgres cannot keep, and halves of surrogate pairs, which are no text. Both can only
/// be written as escapes, which are rare; a text that has some is looked at closely.
fn strange_escapes(bytes: &[u8]) -> Option<FieldFault> {
    let suspicious = memmem::find(bytes, b"\\u").is_some_and(|first| {
        let from = &bytes[first..];
        memmem::find(from, b"\\u0000").is_some()
            || memmem::find(from, b"\\ud").is_some()
            || memmem::find(from, b"\\uD").is_some()
    });
    if !suspicious {
        return None;
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => {
            with_nul(&value, "").map(|field| FieldFault::of(field, "must not contain U+0000"))
        }
        Err(_) => Some(FieldFault::of("body", "has half of a surrogate pair")),
    }
}

fn with_nul(value: &Value, path: &str) -> Option<String> {
    let join = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| with_nul(item, &join(&i.to_string()))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            if name.contains('\0') {
                Some(path.to_owned())
            } else {
                with_nul(field, &join(name))
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

struct Faults(Vec<FieldFault>);

impl Faults {
    fn fields(&mut self, record: &CallRecord<'_>, now: Timestamp) {
        self.length("caller_phone", record.caller_phone.as_ref(), 64);
        self.length("caller_name", record.caller_name.as_ref(), 200);
        self.length("sentiment", record.sentiment.as_ref(), 100);
        self.length("ended_reason_raw", record.ended_reason_raw.as_ref(), 200);
        self.length("language", record.language.as_ref(), 35);
        self.length("notes", record.notes.as_ref(), 20_000);
        self.times(record, now);
        self.within("duration_seconds", record.duration_seconds, MAX_DURATION_S);
        self.within("stt_latency_ms", record.stt_latency_ms, MAX_LATENCY_MS);
        self.within("llm_latency_ms", record.llm_latency_ms, MAX_LATENCY_MS);
        self.within("tts_latency_ms", record.tts_latency_ms, MAX_LATENCY_MS);
        if let Some(Transcript::Turns(turns)) = &record.transcript {
            self.items("transcript", turns.len());
            for (i, turn) in turns.iter().enumerate() {
                self.turn(i, turn);
            }
        }
        self.parts(record);
        if let Some(url) = &record.recording_url {
            self.url(url);
        }
        if record
            .metadata
            .is_some_and(|metadata| !metadata.get().starts_with('{'))
        {
            self.fault("metadata", "is not a JSON object");
        }
    }

    fn times(&mut self, record: &CallRecord<'_>, now: Timestamp) {
        let given = [
            ("started_at", record.started_at),
            ("ended_at", record.ended_at),
        ];
        for (field, at) in given {
            let Some(at) = at else { continue };
            if at.duration_since(now) > CLOCK_SKEW {
                self.fault(field, "is in the future");
            } else if at.as_second() < EARLIEST_S {
                self.fault(field, "is before the year 2000");
            }
        }
        if let (Some(started), Some(ended)) = (record.started_at, record.ended_at) {
            if ended < started {
                self.fault("ended_at", "is before started_at");
            } else if ended.duration_since(started) > MAX_DURATION {
                self.fault("ended_at", "is more than a week after started_at");
            }
        }
    }

    fn turn(&mut self, i: usize, turn: &Turn<'_>) {
        let mut bounded = |name: &str, value, most| {
            if !is_within(value, most) {
                self.0.push(FieldFault::of(
                    format!("transcript.{i}.{name}"),
                    between(most),
                ));
            }
        };
        bounded("start_ms", turn.start_ms, MAX_DURATION_MS);
        bounded("end_ms", turn.end_ms, MAX_DURATION_MS);
        bounded("stt_latency_ms", turn.stt_latency_ms, MAX_LATENCY_MS);
        bounded("llm_latency_ms", turn.llm_latency_ms, MAX_LATENCY_MS);
        bounded("tts_latency_ms", turn.tts_latency_ms, MAX_LATENCY_MS);
        if turn.speaker.chars().count() > 100 {
            self.fault(
                &format!("transcript.{i}.speaker"),
                "is longer than 100 characters",
            );
        }
    }

    fn parts(&mut self, record: &CallRecord<'_>) {
        if let Some(transfer) = &record.transfer {
            self.length("transfer.to", transfer.to.as_ref(), 200);
            self.length("transfer.outcome", transfer.outcome.as_ref(), 200);
        }
        if let Some(agent) = &record.agent {
            self.length("agent.name", agent.name.as_ref(), 200);
            self.length("agent.version", agent.version.as_ref(), 200);
            self.length("agent.prompt_version", agent.prompt_version.as_ref(), 200);
            self.length("agent.model", agent.model.as_ref(), 200);
        }
        let tools = record.tools.as_deref().unwrap_or_default();
        self.items("tools", tools.len());
        for (i, tool) in tools.iter().enumerate() {
            self.length(&format!("tools.{i}.name"), Some(&tool.name), 200);
            self.within(
                &format!("tools.{i}.duration_ms"),
                tool.duration_ms,
                MAX_DURATION_MS,
            );
        }
        let costs = record.costs.as_deref().unwrap_or_default();
        self.items("costs", costs.len());
        for (i, cost) in costs.iter().enumerate() {
            self.length(&format!("costs.{i}.kind"), Some(&cost.kind), 100);
            self.length(&format!("costs.{i}.unit"), cost.unit.as_ref(), 100);
            self.length(&format!("costs.{i}.currency"), cost.currency.as_ref(), 3);
            self.within(&format!("costs.{i}.quantity"), cost.quantity, 1e12);
            if cost.amount_micros.is_some_and(|amount| amount < 0) {
                self.fault(&format!("costs.{i}.amount_micros"), "must not be negative");
            }
        }
    }

    fn url(&mut self, url: &Text<'_>) {
        if url.len() > 2_048 {
            self.fault("recording_url", "is longer than 2048 characters");
        } else if !reqwest::Url::parse(url)
            .is_ok_and(|url| url.scheme() == "https" && url.has_host())
        {
            self.fault("recording_url", "is no https address");
        }
    }

    fn length(&mut self, field: &str, text: Option<&Text<'_>>, most: usize) {
        // Bytes are at least characters, and counting them costs nothing.
        if text.is_some_and(|text| text.len() > most && text.chars().count() > most) {
            self.fault(field, &format!("is longer than {most} characters"));
        }
    }

    fn items(&mut self, field: &str, items: usize) {
        if items > MAX_ITEMS {
            self.fault(field, &format!("has more than {MAX_ITEMS} items"));
        }
    }

    fn within(&mut self, field: &str, value: Option<f64>, most: f64) {
        if !is_within(value, most) {
            self.fault(field, &between(most));
        }
    }

    fn fault(&mut self, field: &str, message: &str) {
        self.0.push(FieldFault::of(field, message));
    }
}

fn is_within(value: Option<f64>, most: f64) -> bool {
    value.is_none_or(|value| (0.0..=most).contains(&value))
}

fn between(most: f64) -> String {
    format!("must be between 0 and {most}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CLIENT: &str = "01980000-0000-7000-8000-000000000001";

    fn now() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    /// The faults of a record with these fields beside `client_id`.
    fn faults(fields: &Value) -> Vec<String> {
        let mut record = json!({ "client_id": CLIENT });
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        of(record.to_string().as_bytes())
    }

    fn of(bytes: &[u8]) -> Vec<String> {
        match check(bytes, now()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| fault.field).collect(),
        }
    }

    #[test]
    fn a_whole_record_is_read_without_copies() {
        let text = json!({
            "client_id": CLIENT, "id": CLIENT, "caller_phone": "+15550100", "caller_name": "Ada",
            "direction": "inbound", "started_at": "2026-11-21T09:00:00Z",
            "ended_at": "2026-11-21T09:00:45.5+00:00", "duration_seconds": 45.5,
            "stt_latency_ms": 100, "llm_latency_ms": 300.5, "tts_latency_ms": 0,
            "transcript": [{ "speaker": "agent", "text": "Hello.", "start_ms": 0, "end_ms": 800, "more": 1 }],
            "sentiment": "Positive", "success": true, "ended_reason": "caller_hangup",
            "ended_reason_raw": "customer-ended-call", "transfer": { "to": "desk", "outcome": "answered" },
            "tools": [{ "name": "calendar", "ok": true, "duration_ms": 120 }],
            "agent": { "name": "Mia", "version": "3", "prompt_version": "7", "model": "m" },
            "costs": [{ "kind": "llm", "quantity": 812, "unit": "token", "amount_micros": 9000, "currency": "USD" }],
            "language": "en-US", "recording_url": "https://example.org/a.wav", "notes": "n",
            "metadata": { "a": [1, null] },
        })
        .to_string();
        let record = check(text.as_bytes(), now()).unwrap();
        assert!(matches!(
            record.caller_name,
            Some(Text(std::borrow::Cow::Borrowed("Ada")))
        ));
        let Some(Transcript::Turns(turns)) = &record.transcript else {
            panic!("{record:?}");
        };
        assert_eq!(&*turns[0].text, "Hello.");
        assert_eq!(record.metadata.unwrap().get(), r#"{"a":[1,null]}"#);
    }

    #[test]
    fn null_is_absent() {
        assert_eq!(
            faults(&json!({ "id": null, "transcript": null, "metadata": null, "tools": null })),
            [""; 0]
        );
    }

    #[test]
    fn every_wrong_field_is_named() {
        for (fields, expected) in [
            (json!({ "duration_seconds": -1 }), "duration_seconds"),
            (json!({ "duration_seconds": 604_801 }), "duration_seconds"),
            (json!({ "stt_latency_ms": "fast" }), "stt_latency_ms"),
            (json!({ "llm_latency_ms": 3_600_001 }), "llm_latency_ms"),
            (
                json!({ "started_at": "2026-11-21T10:05:01Z" }),
                "started_at",
            ),
            (json!({ "started_at": "yesterday" }), "started_at"),
            (json!({ "ended_at": "1999-12-31T23:59:59Z" }), "ended_at"),
            (json!({ "direction": "up" }), "direction"),
            (json!({ "ended_reason": "hung_up" }), "ended_reason"),
            (json!({ "transcript": 7 }), "transcript"),
            (
                json!({ "transcript": [{ "speaker": "a", "text": "b", "start_ms": -1 }] }),
                "transcript.0.start_ms",
            ),
            (
                json!({ "tools": [{ "name": "x".repeat(201) }] }),
                "tools.0.name",
            ),
            (
                json!({ "costs": [{ "kind": "x", "amount_micros": -1 }] }),
                "costs.0.amount_micros",
            ),
            (
                json!({ "recording_url": "file:///etc/passwd" }),
                "recording_url",
            ),
            (
                json!({ "recording_url": "http://example.org/a.wav" }),
                "recording_url",
            ),
            (json!({ "caller_name": "x".repeat(201) }), "caller_name"),
            (json!({ "metadata": [] }), "metadata"),
            (json!({ "notes": "a\u{0}b" }), "notes"),
            (
                json!({ "metadata": { "deep": ["\u{0}"] } }),
                "metadata.deep.0",
            ),
            (json!({ "success": "yes" }), "success"),
            (json!({ "id": "7" }), "id"),
        ] {
            assert_eq!(faults(&fields), [expected], "{fields}");
        }
        let both = json!({ "duration_seconds": -1, "tts_latency_ms": -1 });
        assert_eq!(faults(&both), ["duration_seconds", "tts_latency_ms"]);
        let backwards =
            json!({ "started_at": "2026-11-21T09:00:01Z", "ended_at": "2026-11-21T09:00:00Z" });
        assert_eq!(faults(&backwards), ["ended_at"]);
        let started = "2026-11-14T08:59:59Z";
        let endless = json!({ "started_at": started, "ended_at": "2026-11-21T09:00:00Z" });
        assert_eq!(faults(&endless), ["ended_at"]);
        let longest = json!({ "started_at": started, "ended_at": "2026-11-21T08:59:59Z" });
        assert_eq!(faults(&longest), [""; 0]);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [&b""[..], b"{", b"[]", b"null", b"\xff", b"{}", b"{} {}"] {
            assert_eq!(of(bytes), ["body"], "{bytes:?}");
        }
        let message =
            |fields: Value| check(fields.to_string().as_bytes(), now()).unwrap_err()[0].clone();
        let unknown = message(json!({ "client_id": CLIENT, "cleint": 1 }));
        assert!(
            unknown.message.contains("unknown field `cleint`"),
            "{unknown:?}"
        );
        let outbound = message(json!({ "to_number": "+15550100" }));
        assert!(
            outbound.message.contains("/telephony/outbound"),
            "{outbound:?}"
        );
        let twice = format!(r#"{{"client_id":"{CLIENT}","client_id":"{CLIENT}"}}"#);
        assert_eq!(of(twice.as_bytes()), ["body"]);
    }

    #[test]
    fn what_is_passed_over_is_text_too() {
        let with = |bytes: &[u8]| {
            let start = format!(r#"{{"client_id":"{CLIENT}","agent":{{"other":""#);
            of(&[start.as_bytes(), bytes, br#""}}"#].concat())
        };
        assert_eq!(with("ä".as_bytes()), [""; 0]);
        assert_eq!(with(b"\xff"), ["body"]);
        assert_eq!(with(b"\xed\xa0\x80"), ["body"], "half of a surrogate pair");
    }

    #[test]
    fn escapes_are_told_from_what_only_looks_like_them() {
        let with =
            |text: &str| format!(r#"{{"client_id":"{CLIENT}","metadata":{{"a":"{text}"}}}}"#);
        assert_eq!(of(with(r"\\u0000").as_bytes()), [""; 0]);
        assert_eq!(of(with(r"\ud83d\ude00").as_bytes()), [""; 0]);
        assert_eq!(of(with(r"\u0000").as_bytes()), ["metadata.a"]);
        assert_eq!(of(with(r"\ud83d").as_bytes()), ["body"]);
        assert_eq!(of(with(r"\uDE00").as_bytes()), ["body"]);
    }
}
