//! Who reads a transcript: the engine that the settings name.

use std::sync::Arc;

use aftercall::config::{self, Redaction};
use aftercall::db::Db;
use aftercall::documents::analysis::Analysis;
use aftercall::providers;
use aftercall::worker::Failure;
use tokio_util::sync::CancellationToken;

use crate::llm::{self, Job, Llm};
use crate::local;

/// One engine; clones share it.
#[derive(Clone, Debug)]
pub enum Engine {
    /// Word list and fixed rules.
    Local,
    /// A language model.
    Llm(Arc<Llm>),
}

impl Engine {
    /// The engine that is set. The process must have a TLS provider (`lifecycle::install_tls`).
    pub fn build(settings: &config::Analysis, redaction: Redaction) -> reqwest::Result<Self> {
        Ok(match settings {
            config::Analysis::Local => Self::Local,
            config::Analysis::Llm(settings) => {
                let http = providers::http_client()?;
                Self::Llm(Arc::new(Llm::new(http, settings, redaction.redact_pii)))
            }
        })
    }

    /// What policies know it by.
    pub fn name(&self) -> &str {
        match self {
            Self::Local => local::NAME,
            Self::Llm(llm) => llm.name(),
        }
    }

    /// Judges a transcript.
    pub async fn analyze(
        &self,
        db: &Db,
        job: Job,
        stopping: &CancellationToken,
    ) -> Result<Analysis, Failure> {
        match self {
            Self::Llm(llm) => llm.analyze(db, job, stopping).await,
            Self::Local => {
                let Job {
                    transcript,
                    custom_fields_schema: schema,
                    ..
                } = job;
                let judge = move || local::analyze(&transcript);
                let mut analysis = tokio::task::spawn_blocking(judge).await?;
                analysis.custom_fields = schema
                    .as_ref()
                    .map(llm::custom::skipped)
                    .unwrap_or_default();
                Ok(analysis)
            }
        }
    }
}
