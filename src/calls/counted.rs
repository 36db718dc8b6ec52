//! What a record contributes to the rollups, as far as the record itself says.

use jiff::Timestamp;

use super::record::{CallRecord, Transcript, Turn};
use crate::ids::AccountId;
use crate::rollups::{Counted, Latencies, Sentiment};

/// Who found the sentiment of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SentimentBy {
    /// The agent that sent it.
    Agent,
    /// The lexicon, from its transcript.
    Lexicon,
    /// The analysis of its session.
    Analysis,
}

impl SentimentBy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Lexicon => "lexicon",
            Self::Analysis => "analysis",
        }
    }

    /// Reads the word that a row has.
    pub fn of(word: &str) -> Option<Self> {
        let all = [Self::Agent, Self::Lexicon, Self::Analysis];
        all.into_iter().find(|by| by.as_str() == word)
    }
}

impl CallRecord<'_> {
    /// What the call counts. A record without `sentiment` counts as unknown here.
    pub fn counted(&self, account_id: AccountId, received_at: Timestamp) -> Counted {
        Counted {
            account_id,
            client_id: self.client_id,
            at: to_microsecond(self.started_at.or(self.ended_at).unwrap_or(received_at)),
            duration_ms: self.duration_ms(),
            success: self.success,
            ended_reason: self.ended_reason,
            sentiment: self.given_sentiment().unwrap_or(Sentiment::Unknown),
            latencies: self.latencies(),
        }
    }

    /// The sentiment that the record brings; text that is none of the known words is unknown.
    pub fn given_sentiment(&self) -> Option<Sentiment> {
        let text = self.sentiment.as_ref()?.trim();
        let known = Sentiment::ALL.iter();
        let word = known
            .copied()
            .find(|word| word.as_str().eq_ignore_ascii_case(text));
        Some(word.unwrap_or(Sentiment::Unknown))
    }

    /// Whole milliseconds: as given, else from start to end.
    pub(super) fn duration_ms(&self) -> Option<i64> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked to be within a week"
        )]
        let given = self.duration_seconds.map(|s| (s * 1_000.0).round() as i64);
        given.or_else(|| {
            let span = self.ended_at?.duration_since(self.started_at?);
            i64::try_from(span.as_millis()).ok()
        })
    }

    /// The call's own, else the mean of those turns that have one.
    fn latencies(&self) -> Latencies {
        let turns = match &self.transcript {
            Some(Transcript::Turns(turns)) => turns.as_slice(),
            _ => &[],
        };
        Latencies {
            stt_ms: self
                .stt_latency_ms
                .or_else(|| mean(turns, |turn| turn.stt_latency_ms)),
            llm_ms: self
                .llm_latency_ms
                .or_else(|| mean(turns, |turn| turn.llm_latency_ms)),
            tts_ms: self
                .tts_latency_ms
                .or_else(|| mean(turns, |turn| turn.tts_latency_ms)),
        }
    }
}

/// As Postgres keeps it, so that the row counts in the same quarter of an hour as the record.
fn to_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).expect("less precise, not further away")
}

fn mean(turns: &[Turn<'_>], of: impl Fn(&Turn<'_>) -> Option<f64>) -> Option<f64> {
    let (sum, count) = turns
        .iter()
        .filter_map(of)
        .fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const RECEIVED: &str = "2026-11-21T10:00:00Z";

    fn counted(fields: &Value) -> Counted {
        let mut record = json!({ "client_id": "01980000-0000-7000-8000-000000000001" });
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        let record = record.to_string();
        let record: CallRecord = serde_json::from_str(&record).unwrap();
        record.counted(AccountId::generate(), RECEIVED.parse().unwrap())
    }

    #[test]
    fn a_call_counts_where_it_began_else_ended_else_arrived() {
        let (start, end) = ("2026-11-21T08:00:00Z", "2026-11-21T08:01:00.5Z");
        let at = |fields| counted(&fields).at.to_string();
        assert_eq!(at(json!({ "started_at": start, "ended_at": end })), start);
        assert_eq!(at(json!({ "ended_at": end })), end);
        assert_eq!(at(json!({})), RECEIVED);
        let both = counted(&json!({ "started_at": start, "ended_at": end }));
        assert_eq!(both.duration_ms, Some(60_500));
        let given = json!({ "started_at": start, "ended_at": end, "duration_seconds": 45.5 });
        assert_eq!(counted(&given).duration_ms, Some(45_500));
    }

    #[test]
    fn sentiments_are_read_in_any_case() {
        for (text, expected) in [
            ("POSITIVE", Sentiment::Positive),
            (" mixed", Sentiment::Mixed),
            ("Frustrated", Sentiment::Unknown),
        ] {
            assert_eq!(counted(&json!({ "sentiment": text })).sentiment, expected);
        }
        assert_eq!(counted(&json!({})).sentiment, Sentiment::Unknown);
    }

    #[test]
    fn latencies_are_the_calls_own_else_the_mean_of_its_turns() {
        let turn = |stt: Value| json!({ "speaker": "a", "text": "b", "stt_latency_ms": stt });
        let turns = json!([turn(json!(100)), turn(json!(300)), turn(Value::Null)]);
        let from_turns = counted(&json!({ "transcript": turns, "llm_latency_ms": 5 }));
        assert_eq!(from_turns.latencies.stt_ms, Some(200.0));
        assert_eq!(from_turns.latencies.llm_ms, Some(5.0));
        assert_eq!(from_turns.latencies.total_ms(), None);
        let own = counted(&json!({ "transcript": turns, "stt_latency_ms": 1 }));
        assert_eq!(own.latencies.stt_ms, Some(1.0));
    }
}
