//! A transcript of three hours, in a worker process of its own.

use std::process::{Child, Command, Stdio};

use aftercall::db::provision::Process;
use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed;
use aftercall::session::Phase;

use crate::bench::HANDLER;
use crate::stub::{Act, Stub};

const MIB: u64 = 1024 * 1024;
/// One turn a second, of four words: faster than anybody speaks.
const TURNS: usize = 3 * 3_600;

/// Ends with the test.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Worker {
    fn start(harness: &Harness, base_url: &str) -> Self {
        let env = harness.env(Process::Analysis).with([
            ("ANALYSIS_PROVIDER", "llm"),
            ("LLM_BASE_URL", base_url),
            ("LLM_MODEL", "small"),
            ("REDACT_PII", "llm"),
            ("LOG_LEVEL", "warn"),
        ]);
        let child = Command::new(env!("CARGO_BIN_EXE_analysis"))
            .env_clear()
            .envs(env.iter())
            .stdin(Stdio::null())
            .spawn();
        Self(child.expect("the worker starts"))
    }

    /// The most memory that it had resident so far.
    fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        let status = status.expect("it runs");
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
            .expect("Linux tells it");
        kibibytes.trim().parse::<u64>().expect("a number") * 1024
    }
}

#[tokio::test]
async fn three_hours_stay_under_128_mib() {
    let stub = Stub::start([Act::Honest]).await;
    let harness = Harness::start().await;
    let seeded = seed::session(&harness).await;
    let lines: Vec<String> = (0..TURNS).map(|n| format!("So {n} it was.")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let requested = seed::transcript(&harness, seeded, &lines).await;
    // Each word with its time, as some engines write it: most of a transcript's size.
    sqlx::query(
        "update transcripts set turns = (
            select jsonb_agg(turn || jsonb_build_object('words', (
                select jsonb_agg(jsonb_build_object('text', word, 'start_ms', (turn ->> 'start_ms')::bigint,
                    'end_ms', (turn ->> 'end_ms')::bigint, 'confidence', 0.91) order by place)
                from unnest(string_to_array(turn ->> 'text', ' ')) with ordinality words (word, place)))
                order by position)
            from jsonb_array_elements(turns) with ordinality turns (turn, position))",
    )
    .execute(&mut harness.admin().await)
    .await
    .unwrap();
    let worker = Worker::start(&harness, &stub.url());
    seed::publish(&harness, &requested).await;
    harness.idle_of(HANDLER).await;

    let peak = worker.peak_bytes();
    assert_eq!(
        harness.session(seeded).await.stages.analysis.state,
        Phase::Done
    );
    println!("{} requests, {} MiB", stub.bill().requests, peak / MIB);
    assert!(stub.bill().requests > 10);
    assert!(peak < 128 * MIB, "{} MiB", peak / MIB);
    drop(worker);
    harness.finish_of(HANDLER).await;
}
