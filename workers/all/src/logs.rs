//! Where the commands write their logs.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Short lines for people, on standard error: standard output is for what callers read.
pub fn to_terminal() {
    tracing_subscriber::registry()
        .with(terminal_layer().with_filter(LevelFilter::INFO))
        .init();
}

/// Everything into a file of `dir`, and on the terminal only what the start of the servers has to
/// say: the rest of it belongs to a display. Answers the file.
pub fn to_file(dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join("aftercall.log");
    let file = std::fs::create_dir_all(dir).and_then(|()| File::create(&path));
    let file = file.with_context(|| format!("could not write {}", path.display()))?;
    let in_file = tracing_subscriber::fmt::layer()
        .with_writer(Arc::new(file))
        .with_ansi(false)
        .with_filter(LevelFilter::INFO);
    let on_terminal = terminal_layer()
        .with_filter(Targets::new().with_target("aftercall::embedded", LevelFilter::INFO));
    tracing_subscriber::registry()
        .with(in_file)
        .with(on_terminal)
        .init();
    Ok(path)
}

fn terminal_layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .compact()
}
