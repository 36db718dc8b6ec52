//! What the runtime measures, by handler.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::verdict::Class;

const HANDLED: &str = "aftercall_handled_messages_total";
const RETURNED: &str = "aftercall_returned_messages_total";
const FAILED: &str = "aftercall_failed_messages_total";
const DURATION: &str = "aftercall_handle_duration_seconds";
const PENDING: &str = "aftercall_pending_messages";

/// Names and units for `/metrics`; called once, after the recorder is installed.
pub fn describe() {
    describe_counter!(HANDLED, Unit::Count, "messages that a handler finished");
    describe_counter!(
        RETURNED,
        Unit::Count,
        "messages that went back to be delivered again"
    );
    describe_counter!(FAILED, Unit::Count, "messages that were given up, by class");
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "from the delivery of a message to its answer"
    );
    describe_gauge!(
        PENDING,
        Unit::Count,
        "messages that wait for their first delivery"
    );
}

pub(super) fn handled(handler: &'static str) {
    counter!(HANDLED, "handler" => handler).increment(1);
}

pub(super) fn returned(handler: &'static str) {
    counter!(RETURNED, "handler" => handler).increment(1);
}

pub(super) fn failed(handler: &'static str, class: Class) {
    counter!(FAILED, "handler" => handler, "class" => class.as_str()).increment(1);
}

pub(super) fn took(handler: &'static str, duration: Duration) {
    histogram!(DURATION, "handler" => handler).record(duration);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; exact up to 2^53 messages"
)]
pub(super) fn pending(handler: &'static str, messages: u64) {
    gauge!(PENDING, "handler" => handler).set(messages as f64);
}
