//! Where the time went, by what the timeline of a session says.

use std::time::Duration;

use aftercall::client::TimelineEvent;
use jiff::Timestamp;

/// For each stage what begins it, what ends it, and what happens in between.
const STAGES: [(&str, &str, &str, &str); 3] = [
    (
        "recording",
        "recording.uploaded",
        "recording.stored",
        "checksum, format, length",
    ),
    (
        "transcription",
        "transcription.requested",
        "transcript.completed",
        "speech to text",
    ),
    (
        "analysis",
        "analysis.requested",
        "analysis.completed",
        "what was said",
    ),
];

/// How long one stage took, from the fact that asked for it to the fact that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub stage: &'static str,
    /// What the stage does, in words.
    pub work: &'static str,
    pub took: Duration,
}

/// The stages that are done, in their order.
pub fn by_stage(events: &[TimelineEvent]) -> Vec<Timing> {
    STAGES
        .into_iter()
        .filter_map(|(stage, begin, end, work)| {
            let took = between(first(events, begin)?, last(events, end)?);
            Some(Timing { stage, work, took })
        })
        .collect()
}

/// From the end of the upload to the end of the last stage.
pub fn pipeline(events: &[TimelineEvent]) -> Option<Duration> {
    let (_, begin, _, _) = STAGES[0];
    let (_, _, end, _) = STAGES[2];
    Some(between(first(events, begin)?, last(events, end)?))
}

fn first(events: &[TimelineEvent], event_type: &str) -> Option<Timestamp> {
    let found = events.iter().find(|event| event.event_type == event_type);
    found.map(|event| event.at)
}

fn last(events: &[TimelineEvent], event_type: &str) -> Option<Timestamp> {
    let found = events.iter().rfind(|event| event.event_type == event_type);
    found.map(|event| event.at)
}

/// Zero where the clocks of two processes disagree about the order.
fn between(begin: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(begin)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(event_type: &str, at_ms: i64) -> TimelineEvent {
        TimelineEvent {
            seq: 1,
            event_type: event_type.to_owned(),
            at: Timestamp::from_millisecond(at_ms).unwrap(),
            data: Value::Null,
        }
    }

    #[test]
    fn a_stage_takes_from_its_request_to_its_result() {
        let events = [
            event("session.created", 0),
            event("recording.uploaded", 1_000),
            event("recording.stored", 1_400),
            event("transcription.requested", 1_400),
            event("transcript.progressed", 2_000),
            event("transcript.completed", 5_400),
            event("analysis.requested", 5_400),
            event("analysis.completed", 5_500),
        ];
        let took: Vec<_> = by_stage(&events)
            .iter()
            .map(|timing| (timing.stage, timing.took.as_millis()))
            .collect();
        assert_eq!(
            took,
            [
                ("recording", 400),
                ("transcription", 4_000),
                ("analysis", 100)
            ]
        );
        assert_eq!(pipeline(&events), Some(Duration::from_millis(4_500)));
    }

    #[test]
    fn what_did_not_happen_took_no_time() {
        let events = [
            event("recording.uploaded", 2_000),
            event("recording.stored", 1_999),
        ];
        let timings = by_stage(&events);
        assert_eq!(timings.len(), 1);
        assert_eq!(timings[0].took, Duration::ZERO);
        assert_eq!(pipeline(&events), None);
        assert!(by_stage(&[]).is_empty());
    }
}
