//! Logs, metrics and trace context.
//!
//! The `install_…` functions set what a process has once; only binaries call them. Not here: what is
//! logged or measured, which stands where it happens.
//!
//! Invariant: no secret, phone number or transcript text is ever given to a log or a metric.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::time::Duration;

pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::{LogFormat, Process};

/// Bounds of every `…_seconds` histogram: from one quick query to an hour of transcription.
const SECONDS_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// How often samples are folded.
const FOLD_EVERY: Duration = Duration::from_secs(1);

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("log level is malformed")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    #[error("logs are set up already")]
    Installed(#[from] TryInitError),
}

/// Writes logs of this process to standard error.
///
/// The level is one word, or directives of [`EnvFilter`] such as `info,aftercall=debug`.
pub fn install_logs(process: &Process) -> Result<(), LogError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&process.log_level)?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match process.log_format {
        LogFormat::Pretty => builder.finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    log_panics();
    Ok(())
}

/// Logs where a panic was, and its message where that is written in the code: one that is made up may
/// quote the text that it stumbled over. `RUST_BACKTRACE=1` adds the way there.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload().downcast_ref::<&'static str>();
        let message = message.copied().unwrap_or("(withheld)");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(place, message, %backtrace, "panicked");
        } else {
            tracing::error!(place, message, "panicked");
        }
    }));
}

/// Collects the metrics of this process; the handle renders them for `/metrics`.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .install_recorder()?;
    crate::worker::describe_metrics();
    Ok(handle)
}

/// Folds the samples of histograms into their buckets every few seconds until the stop. Until somebody
/// does they are kept one by one, and nobody may ever ask for `/metrics`.
pub async fn fold_samples(metrics: PrometheusHandle, stop: CancellationToken) {
    while tokio::time::timeout(FOLD_EVERY, stop.cancelled())
        .await
        .is_err()
    {
        metrics.run_upkeep();
    }
}

/// An error and what caused it, on one line. Of those that quote the value they could not take, which
/// may be what somebody said, only kind and position are told.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = without_values(error);
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&without_values(error));
        source = error.source();
    }
    text
}

fn without_values(error: &(dyn Error + 'static)) -> String {
    if let Some(json) = error.downcast_ref::<serde_json::Error>() {
        let (line, column) = (json.line(), json.column());
        return format!("json: {:?}, line {line} column {column}", json.classify());
    }
    match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Decode(_)) => return "a row cannot be decoded".to_owned(),
        Some(sqlx::Error::ColumnDecode { index, .. }) => {
            return format!("column {index} cannot be decoded");
        }
        _ => {}
    }
    if error.is::<tokio::task::JoinError>() {
        return "a task panicked or was cancelled".to_owned();
    }
    error.to_string()
}

/// Where in a trace this process is, as `traceparent` carries it
/// ([W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// The start of a new trace.
    pub fn start() -> Self {
        Self {
            trace_id: non_zero(rand::random),
            span_id: non_zero(rand::random),
            sampled: true,
        }
    }

    /// A step within the trace of `traceparent`; a new trace when that is absent or malformed, as the
    /// standard asks.
    pub fn following(traceparent: Option<&str>) -> Self {
        traceparent
            .and_then(|text| text.parse().ok())
            .map_or_else(Self::start, Self::child)
    }

    /// The next step in the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span_id: non_zero(rand::random),
            ..self
        }
    }

    /// 32 hexadecimal digits, as logs and dead letters show them.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("traceparent is malformed")]
pub struct MalformedTraceparent;

impl FromStr for TraceContext {
    type Err = MalformedTraceparent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split('-');
        let mut field = |length: usize| {
            fields
                .next()
                .filter(|field| field.len() == length)
                .filter(|field| {
                    field
                        .bytes()
                        .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                })
                .ok_or(MalformedTraceparent)
        };
        let version = field(2)?;
        let trace_id = u128::from_str_radix(field(32)?, 16).map_err(|_| MalformedTraceparent)?;
        let span_id = u64::from_str_radix(field(16)?, 16).map_err(|_| MalformedTraceparent)?;
        let flags = u8::from_str_radix(field(2)?, 16).map_err(|_| MalformedTraceparent)?;
        // A later version may append fields; version 00 has four, and ff is forbidden.
        let trailing = fields.next().is_some();
        if version == "ff" || (version == "00" && trailing) || trace_id == 0 || span_id == 0 {
            return Err(MalformedTraceparent);
        }
        Ok(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

/// All zeros means "no id".
fn non_zero<T: Default + PartialEq>(mut random: impl FnMut() -> T) -> T {
    loop {
        let id = random();
        if id != T::default() {
            return id;
        }
    }
}

/// What a test logs on its own thread, as text. Nothing else in the process may log before it: what is of
/// interest to nobody is remembered.
#[cfg(test)]
pub mod captured {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::DefaultGuard;

    pub struct Captured {
        written: Written,
        _guard: DefaultGuard,
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub fn start() -> Self {
            let written = Written::default();
            let writer = written.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .finish();
            Self {
                written,
                _guard: tracing::subscriber::set_default(subscriber),
            }
        }

        /// What was logged since this was last asked.
        pub fn take(&self) -> String {
            let written = std::mem::take(&mut *self.written.0.lock().unwrap());
            String::from_utf8(written).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_step_stays_in_its_trace() {
        let parent: TraceContext = PARENT.parse().expect("valid");
        assert_eq!(parent.to_string(), PARENT);
        let child = TraceContext::following(Some(PARENT));
        assert_eq!(child.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(child, parent);
    }

    #[test]
    fn what_is_malformed_starts_a_new_trace() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let upper_case = PARENT.to_uppercase();
        let long = format!("{PARENT}-extra");
        let forbidden = PARENT.replacen("00", "ff", 1);
        for text in [
            "",
            "00",
            zero_trace,
            zero_span,
            &upper_case,
            &long,
            &forbidden,
            &PARENT[..54],
        ] {
            assert_eq!(
                text.parse::<TraceContext>(),
                Err(MalformedTraceparent),
                "{text}"
            );
        }
        assert_ne!(
            TraceContext::following(None).trace_id(),
            TraceContext::following(Some("x")).trace_id()
        );
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("{}-extra", PARENT.replacen("00", "01", 1));
        assert_eq!(
            later.parse::<TraceContext>().expect("readable").to_string(),
            PARENT
        );
    }

    #[test]
    fn an_error_does_not_repeat_what_was_said() {
        let json = serde_json::from_str::<u8>("\"my knee hurts\"").unwrap_err();
        let error = sqlx::Error::Decode(Box::new(json));
        let text = chain(anyhow::Error::from(error).context("transcript").as_ref());
        assert!(!text.contains("knee"), "{text}");
        assert!(text.contains("line 1"), "{text}");
    }

    #[tokio::test]
    async fn a_panic_of_a_task_does_not_repeat_what_was_said() {
        let task = tokio::task::spawn_blocking(|| panic!("my knee hurts"));
        let error = task.await.unwrap_err();
        assert!(!chain(&error).contains("knee"));
    }

    #[test]
    fn a_panic_is_logged_without_what_was_said() {
        let log = captured::Captured::start();
        log_panics();
        for (said, is_told) in [("", true), ("my knee hurts", false)] {
            let ended = std::panic::catch_unwind(|| {
                assert!(said.is_empty(), "no place for {said}");
                panic!("a bug");
            });
            assert!(ended.is_err());
            let logged = log.take();
            assert!(
                logged.contains("panicked") && logged.contains("telemetry.rs"),
                "{logged}"
            );
            assert_eq!(logged.contains("a bug"), is_told, "{logged}");
            assert!(!logged.contains("knee"), "{logged}");
        }
        let _ = std::panic::take_hook();
    }
}
