//! The subjects of agents, written once.

use crate::ids::ClientId;

/// Everything that agents publish.
pub const ALL_CALLS: &str = "ingest.v1.*.call-ended";
/// Long enough for the inboxes of any client library.
const MAX_REPLY_BYTES: usize = 256;

/// Where the agent of a client publishes.
pub fn calls_of(client: ClientId) -> String {
    format!("ingest.v1.{client}.call-ended")
}

/// Where the agent of a client listens: everything below.
pub fn inbox_of(client: ClientId) -> String {
    format!("_INBOX.agent.{client}")
}

/// Whose agent published on `subject`.
pub fn client_of(subject: &str) -> Option<ClientId> {
    let id = subject
        .strip_prefix("ingest.v1.")?
        .strip_suffix(".call-ended")?;
    let client: ClientId = id.parse().ok()?;
    // The broker compares text, so only one way to write an id is this client.
    (subject == calls_of(client)).then_some(client)
}

/// Whether an answer may go to `reply`: the broker lets who asks name any subject.
pub fn may_answer(client: ClientId, reply: &str) -> bool {
    let below = reply
        .strip_prefix(&inbox_of(client))
        .and_then(|rest| rest.strip_prefix('.'));
    below.is_some_and(|rest| {
        reply.len() <= MAX_REPLY_BYTES
            && rest.split('.').all(|token| !token.is_empty())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>'))
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const CLIENT: ClientId = ClientId(Uuid::from_u128(0xabcd));

    #[test]
    fn a_subject_names_its_client_in_one_way() {
        assert_eq!(client_of(&calls_of(CLIENT)), Some(CLIENT));
        let id = CLIENT.to_string();
        for wrong in [
            "",
            "ingest.v1..call-ended",
            "ingest.v1.*.call-ended",
            "ingest.v1.call-ended",
            &format!("ingest.v1.{}.call-ended", id.to_uppercase()),
            &format!("ingest.v1.{}.call-ended", CLIENT.0.simple()),
            &format!("ingest.v1.{id}.call-ended.x"),
            &format!("ingest.v2.{id}.call-ended"),
        ] {
            assert_eq!(client_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn answers_go_to_the_inbox_of_who_asked() {
        let inbox = inbox_of(CLIENT);
        assert!(may_answer(CLIENT, &format!("{inbox}.x")));
        assert!(may_answer(CLIENT, &format!("{inbox}.x.7")));
        let other = inbox_of(ClientId(Uuid::from_u128(1)));
        for wrong in [
            "",
            &inbox,
            &format!("{inbox}."),
            &format!("{inbox}.x..y"),
            &format!("{inbox}.*"),
            &format!("{inbox}.>"),
            &format!("{inbox}.a b"),
            &format!("{inbox}.é"),
            &format!("{inbox}x.y"),
            &format!("{inbox}.{}", "x".repeat(300)),
            &format!("{other}.x"),
            &calls_of(ClientId(Uuid::from_u128(1))),
            "_INBOX.agent.>",
            "calls.ended",
            "events.session.ended.1",
        ] {
            assert!(!may_answer(CLIENT, wrong), "{wrong}");
        }
    }
}
