//! The streams and consumers that `nats/` declares.
//!
//! The files are what the server's API takes, so that `nats` (the tool) can apply them too. They are
//! part of the program: a worker knows what it needs without a file beside it.

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream;
use rust_embed::RustEmbed;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(RustEmbed)]
#[folder = "nats/"]
struct Files;

/// Everything that `nats/` declares.
#[derive(Debug)]
pub struct Declared {
    pub streams: Vec<stream::Config>,
    pub consumers: Vec<DeclaredConsumer>,
}

/// A file of `nats/consumers/`: the body of the request that makes a consumer.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeclaredConsumer {
    pub stream_name: String,
    pub config: pull::Config,
}

impl DeclaredConsumer {
    /// The durable name, which is the name of the handler.
    pub fn name(&self) -> &str {
        self.config.durable_name.as_deref().unwrap_or_default()
    }
}

/// Reads the declarations of this program.
pub fn declared() -> Declared {
    Declared {
        streams: read("streams/"),
        consumers: read("consumers/"),
    }
}

fn read<T: DeserializeOwned>(folder: &str) -> Vec<T> {
    let mut paths: Vec<_> = Files::iter()
        .filter(|path| path.starts_with(folder) && path.ends_with(".json"))
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let file = Files::get(path).expect("a listed file is there");
            serde_json::from_slice(&file.data).expect("a test has read every declaration")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
    use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy, StorageType};
    use serde_json::Value;

    use super::*;
    use crate::bus::{CALLS, DEAD, EVENTS, subjects};

    /// Every key of a file with its value, as far as it arrives in the parsed configuration.
    fn assert_round_trip<T: Serialize + DeserializeOwned>(folder: &str) {
        for path in Files::iter().filter(|path| path.starts_with(folder)) {
            let file = Files::get(&path).expect("listed").data;
            let written: Value = serde_json::from_slice(&file).expect("json");
            let parsed: T = serde_json::from_value(written.clone()).expect("parses");
            let read = serde_json::to_value(parsed).expect("plain data");
            assert_contains(&path, &read, &written);
        }
    }

    fn assert_contains(path: &str, read: &Value, written: &Value) {
        let Value::Object(keys) = written else {
            assert_eq!(read, written, "{path}");
            return;
        };
        for (key, value) in keys {
            let read = read
                .get(key)
                .unwrap_or_else(|| panic!("{path}: {key} is not understood"));
            assert_contains(&format!("{path}: {key}"), read, value);
        }
    }

    #[test]
    fn no_key_is_misspelt() {
        assert_round_trip::<stream::Config>("streams/");
        assert_round_trip::<DeclaredConsumer>("consumers/");
    }

    #[test]
    #[should_panic(expected = "max_age_typo is not understood")]
    fn a_misspelt_key_would_be_seen() {
        assert_contains(
            "x",
            &serde_json::json!({"max_age": 1}),
            &serde_json::json!({"max_age_typo": 1}),
        );
    }

    #[test]
    fn streams_keep_what_they_accepted() {
        let streams = declared().streams;
        assert_eq!(
            streams.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
            [CALLS, DEAD, EVENTS]
        );
        for stream in streams {
            assert_eq!(stream.retention, RetentionPolicy::Limits);
            assert_eq!(stream.discard, DiscardPolicy::New);
            assert_eq!(stream.storage, StorageType::File);
            assert!(
                stream.max_bytes > 0,
                "a stream without a bound fills the disk"
            );
            assert_eq!(stream.duplicate_window, Duration::from_mins(10));
            let days = if stream.name == EVENTS { 14 } else { 0 };
            assert_eq!(stream.max_age, Duration::from_secs(days * 24 * 3600));
            let dangerous = stream.no_ack
                || stream.allow_rollup
                || stream.allow_message_ttl
                || stream.allow_message_schedules
                || stream.allow_atomic_publish
                || stream.allow_batch_publish
                || stream.allow_message_counter;
            assert!(
                !dangerous,
                "{}: a header could drop or wipe messages",
                stream.name
            );
        }
    }

    #[test]
    fn consumers_redeliver_until_they_are_answered() {
        for consumer in declared().consumers {
            let config = &consumer.config;
            let name = consumer.name().to_owned();
            assert!(
                Files::get(&format!("consumers/{name}.json")).is_some(),
                "the file is called so"
            );
            assert_eq!(config.ack_policy, AckPolicy::Explicit, "{name}");
            // A batch of frames takes a fraction of a second, a message of EVENTS may take minutes.
            let ack_wait_s = if consumer.stream_name == CALLS { 5 } else { 30 };
            assert_eq!(config.ack_wait, Duration::from_secs(ack_wait_s), "{name}");
            assert_eq!(
                config.max_deliver, -1,
                "{name}: past a limit a message vanishes"
            );
            assert!(
                config.backoff.is_empty(),
                "{name}: it would override ack_wait"
            );
            assert_eq!(config.deliver_policy, DeliverPolicy::All, "{name}");
            assert!(config.max_ack_pending > 0, "{name}");
            let first = config.filter_subjects.first().cloned().unwrap_or_default();
            let mut redrives = subjects::redrive(&name, &first);
            redrives.truncate(redrives.len() - first.len());
            let redriven = config.filter_subjects.contains(&format!("{redrives}>"));
            assert_eq!(
                redriven,
                consumer.stream_name != DEAD,
                "{name}: a redrive reaches it"
            );
        }
    }
}
