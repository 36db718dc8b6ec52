//! The flow: the README's table is rendered from the handlers, and each has its consumer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use aftercall::bus::{self, CALLS, DEAD, EVENTS};
use aftercall::events::{Publishes, calls_ended};
use aftercall::worker::{BatchHandler, Handler, Incoming};
use aftercall_analysis::AnalyzeSession;
use aftercall_analytics::{AdjustCall, FoldCalls};
use aftercall_maintenance::{EraseSession, FileDeadLetter};
use aftercall_storage::{FetchRecording, StoreRecording};
use aftercall_transcription::{CollectTranscript, TranscribeRecording};

const BEGIN: &str = "<!-- flow:begin -->\n";
const END: &str = "<!-- flow:end -->";

/// What a handler says of itself, and the package it is in.
struct Flow {
    worker: &'static str,
    handler: &'static str,
    stream: &'static str,
    consumes: &'static str,
    publishes: &'static [&'static str],
    fails: &'static [&'static str],
}

impl Flow {
    fn of<H: Handler>(worker: &'static str) -> Self {
        Self {
            worker,
            handler: H::NAME,
            stream: H::Consumes::STREAM,
            consumes: H::Consumes::TYPE,
            publishes: H::Publishes::TYPES,
            fails: H::Fails::TYPES,
        }
    }

    /// A handler of frames, which gives up record by record.
    fn of_batch<B: BatchHandler>(worker: &'static str) -> Self {
        Self {
            worker,
            handler: B::NAME,
            stream: B::Consumes::STREAM,
            consumes: B::Consumes::TYPE,
            publishes: &[],
            fails: &[],
        }
    }

    /// One file a handler, of the same name.
    fn file(&self) -> String {
        let file = self.handler.replace('-', "_");
        format!("workers/{}/src/{file}.rs", self.worker)
    }

    fn row(&self) -> String {
        // A dead letter may have been any message.
        let consumes = if self.stream == DEAD {
            self.consumes.to_owned()
        } else {
            format!("`{}`", self.consumes)
        };
        format!(
            "| [`{}`]({}) | {} | {consumes} | {} | {} |",
            self.handler,
            self.file(),
            self.worker,
            listed(self.publishes),
            listed(self.fails),
        )
    }

    /// What its consumer must let through.
    fn filters(&self) -> Vec<String> {
        if self.stream == EVENTS {
            vec![
                format!("events.{}.*", self.consumes),
                format!("redrive.events.{}.>", self.handler),
            ]
        } else if self.stream == CALLS {
            vec![
                calls_ended::SUBJECT.to_owned(),
                format!("redrive.calls.{}.>", self.handler),
            ]
        } else {
            vec!["dead.>".to_owned()]
        }
    }
}

/// Every handler, in flow order.
fn flows() -> [Flow; 9] {
    [
        Flow::of::<FetchRecording>("storage"),
        Flow::of::<StoreRecording>("storage"),
        Flow::of::<TranscribeRecording>("transcription"),
        Flow::of::<CollectTranscript>("transcription"),
        Flow::of::<AnalyzeSession>("analysis"),
        Flow::of_batch::<FoldCalls>("analytics"),
        Flow::of::<AdjustCall>("analytics"),
        Flow::of::<EraseSession>("maintenance"),
        Flow::of::<FileDeadLetter>("maintenance"),
    ]
}

fn table() -> String {
    let mut table = String::from(
        "| handler | worker | consumes | publishes | publishes when it gives up |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for flow in flows() {
        writeln!(table, "{}", flow.row()).unwrap();
    }
    table
}

fn listed(types: &[&str]) -> String {
    if types.is_empty() {
        return "nothing".to_owned();
    }
    let quoted: Vec<_> = types.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_readme_shows_the_flow_as_it_is() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (before, rest) = readme.split_once(BEGIN).expect("the marker of its begin");
    let (shown, after) = rest.split_once(END).expect("the marker of its end");
    if shown == table() {
        return;
    }
    let correct = Path::new(env!("CARGO_TARGET_TMPDIR")).join("README.md");
    fs::write(&correct, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
    panic!(
        "the flow has changed: cp {} README.md\n{}",
        correct.display(),
        table()
    );
}

#[test]
fn every_handler_has_its_file() {
    for flow in flows() {
        assert!(root().join(flow.file()).is_file(), "{}", flow.file());
    }
}

#[test]
fn every_worker_is_in_the_flow() {
    let shown: BTreeSet<_> = flows().iter().map(|flow| flow.worker.to_owned()).collect();
    let there: BTreeSet<_> = fs::read_dir(root().join("workers"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "all")
        .collect();
    assert_eq!(shown, there);
}

#[test]
fn every_handler_has_its_consumer_and_every_consumer_its_handler() {
    let mut consumers = bus::declared().consumers;
    for flow in flows() {
        let found = consumers.iter().position(|it| it.name() == flow.handler);
        let found = found.unwrap_or_else(|| panic!("no consumer is called {}", flow.handler));
        let consumer = consumers.swap_remove(found);
        assert_eq!(consumer.stream_name, flow.stream, "{}", flow.handler);
        let filters = &consumer.config.filter_subjects;
        assert_eq!(filters, &flow.filters(), "{}", flow.handler);
    }
    let left: Vec<_> = consumers.iter().map(bus::DeclaredConsumer::name).collect();
    assert!(left.is_empty(), "nobody handles {left:?}");
}
