//! Subjects of dead letters and redrives.
//!
//! A fact's own subject comes from the fact. A dead letter and a redrive carry it behind a prefix that
//! names the handler, so that they reach that handler and disturb no other.

/// `dead.<handler>.<original subject>`
pub fn dead(handler: &str, subject: &str) -> String {
    format!("dead.{handler}.{}", original(subject))
}

/// `redrive.<stream>.<handler>.<original subject>`, with `events` or `calls` for the stream: the first
/// word of the original subject.
pub fn redrive(handler: &str, subject: &str) -> String {
    let original = original(subject);
    let stream = original.split('.').next().unwrap_or_default();
    let stream = if stream == "calls" { stream } else { "events" };
    format!("redrive.{stream}.{handler}.{original}")
}

/// The subject that a fact was first published on, whether `subject` is that, a redrive or a dead
/// letter.
pub fn original(subject: &str) -> &str {
    match behind_prefix(subject).and_then(|rest| rest.split_once('.')) {
        Some((_handler, original)) => original,
        None => subject,
    }
}

/// The handler that a dead letter or a redrive names.
pub fn handler(subject: &str) -> Option<&str> {
    behind_prefix(subject)?
        .split_once('.')
        .map(|(handler, _original)| handler)
}

/// `<handler>.<original subject>` of a dead letter or a redrive.
fn behind_prefix(subject: &str) -> Option<&str> {
    ["redrive.events.", "redrive.calls.", "dead."]
        .iter()
        .find_map(|prefix| subject.strip_prefix(prefix))
}

/// Filter for the wakes of every account.
pub const ANALYTICS_WAKES: &str = "wake.analytics.*";

/// `wake.analytics.<account id>`: plain NATS, no stream.
pub fn wake_analytics(account: uuid::Uuid) -> String {
    format!("wake.analytics.{account}")
}

/// Filters for everything in the stream EVENTS that ends with `last`: facts, and redrives of them.
pub fn events_ending_with(last: &str) -> [String; 2] {
    [
        format!("events.*.*.{last}"),
        format!("redrive.events.*.events.*.*.{last}"),
    ]
}

/// Filter for everything in the stream DEAD whose original subject ends with `last`.
pub fn dead_ending_with(last: &str) -> String {
    format!("dead.*.events.*.*.{last}")
}

/// Filter for every frame of calls in the stream DEAD.
pub const DEAD_CALLS: &str = "dead.*.calls.>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_do_not_pile_up() {
        let fact = "events.recording.uploaded.0198";
        let redriven = redrive("store-recording", fact);
        assert_eq!(
            redriven,
            "redrive.events.store-recording.events.recording.uploaded.0198"
        );
        let dead = dead("store-recording", &redriven);
        assert_eq!(dead, "dead.store-recording.events.recording.uploaded.0198");
        assert_eq!(redrive("store-recording", &dead), redriven);
        assert_eq!(
            [original(fact), original(&redriven), original(&dead)],
            [fact; 3]
        );
        assert_eq!(
            [handler(&redriven), handler(&dead)],
            [Some("store-recording"); 2]
        );
        assert_eq!(handler(fact), None);
    }

    #[test]
    fn a_frame_of_calls_goes_back_to_its_own_stream() {
        let redriven = redrive("fold-calls", "dead.fold-calls.calls.ended");
        assert_eq!(redriven, "redrive.calls.fold-calls.calls.ended");
        assert_eq!(original(&redriven), "calls.ended");
        assert_eq!(handler(&redriven), Some("fold-calls"));
        assert_eq!(redrive("fold-calls", &redriven), redriven);
    }

    #[test]
    fn what_is_cut_short_is_left_as_it_is() {
        assert_eq!(original("dead."), "dead.");
        assert_eq!(original(""), "");
        assert_eq!(handler("dead.x"), None);
    }
}
