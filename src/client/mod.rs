//! HTTP client of this project's own API, for the command line and the demo.
//!
//! It sees the program as any caller does: shapes are those of the API, and nothing here reaches the
//! database or the broker. [`terminal`] shows what the client got.
//!
//! Invariant: what the server refuses becomes an error that says why in the server's own words, and
//! following a session neither misses nor repeats an event, however often the connection breaks.

mod error;
mod follow;
mod shapes;
pub mod terminal;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio_util::io::ReaderStream;

use crate::documents::transcript::Transcript;
use crate::ids::{RecordingId, SessionId};

pub use error::{ClientError, FieldError, Problem};
pub use shapes::{
    AnalysisAnswer, Outcome, Session, SessionDraft, SignedIn, TimelineEvent, Uploaded,
};

/// Where the API begins below the address of a server.
const PREFIX: &str = "api/v1";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For an answer to anything but an upload and an event stream.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
/// For an event whose effect on the session was seen already.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);
const READ_BYTES: usize = 64 * 1024;

/// A server, and on whose behalf it is called. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

impl Client {
    /// A client of the server at `address`, for example `http://127.0.0.1:8000`.
    ///
    /// The process must have installed a TLS provider for rustls.
    pub fn of(address: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(address.to_owned());
        let base: Url = address.trim_end_matches('/').parse().map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(wrong());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("aftercall/", env!("CARGO_PKG_VERSION")))
            // A redirected upload would be sent twice, and a token does not belong to another server.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self {
            http,
            base,
            token: None,
        })
    }

    /// This client on behalf of the bearer of `token`.
    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }

    /// Makes a user with a personal account, and signs in.
    pub async fn register(
        &self,
        email: &str,
        name: &str,
        password: &SecretString,
    ) -> Result<SignedIn, ClientError> {
        let password = password.expose_secret();
        let body = serde_json::json!({ "email": email, "name": name, "password": password });
        self.answer(self.request(Method::POST, "auth/register").json(&body))
            .await
    }

    pub async fn login(
        &self,
        email: &str,
        password: &SecretString,
    ) -> Result<SignedIn, ClientError> {
        let body = serde_json::json!({ "email": email, "password": password.expose_secret() });
        self.answer(self.request(Method::POST, "auth/login").json(&body))
            .await
    }

    pub async fn create_session(&self, draft: &SessionDraft) -> Result<Session, ClientError> {
        let request = self
            .request(Method::POST, "sessions")
            .header("idempotency-key", uuid::Uuid::now_v7().to_string())
            .json(draft);
        self.answer(request).await
    }

    pub async fn session(&self, id: SessionId) -> Result<Session, ClientError> {
        self.answer(self.request(Method::GET, &format!("sessions/{id}")))
            .await
    }

    /// Sends a file as a recording of a session, in bounded memory. `sent` is told how many bytes
    /// have left so far.
    ///
    /// The same `idempotency_key` makes a repetition safe.
    pub async fn upload(
        &self,
        session: SessionId,
        file: &Path,
        idempotency_key: &str,
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Uploaded, ClientError> {
        let unreadable = |source| ClientError::File {
            path: file.to_owned(),
            source,
        };
        let open = tokio::fs::File::open(file).await.map_err(unreadable)?;
        let metadata = open.metadata().await.map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a file")));
        }
        let mut total = 0;
        let bytes = ReaderStream::with_capacity(open, READ_BYTES).inspect_ok(move |chunk| {
            total += chunk.len() as u64;
            sent(total);
        });
        let request = self
            .open_ended(
                Method::POST,
                &format!("sessions/{session}/upload-recording"),
            )
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, metadata.len())
            .header("idempotency-key", idempotency_key)
            .body(reqwest::Body::wrap_stream(bytes));
        self.answer(request).await
    }

    /// The timeline of a session after entry `after`, from its beginning with 0, and then live.
    ///
    /// A connection that breaks is made again. The stream ends only with an error.
    pub fn follow(
        &self,
        session: SessionId,
        after: i64,
    ) -> impl Stream<Item = Result<TimelineEvent, ClientError>> + Send + use<> {
        follow::events(self.clone(), session, after)
    }

    /// Follows a session until nothing is left to do, and says how that came out. `observe` is told
    /// each event together with the session as it is then.
    ///
    /// With a `recording`, what happened before its upload is passed over.
    pub async fn follow_to_the_end(
        &self,
        session: SessionId,
        recording: Option<RecordingId>,
        mut observe: impl FnMut(&TimelineEvent, &Session),
    ) -> Result<Outcome, ClientError> {
        let events = self.follow(session, 0);
        tokio::pin!(events);
        let mut begun = recording.is_none();
        let mut outcome: Option<Outcome> = None;
        loop {
            let next = events.try_next();
            let event = if let Some(outcome) = &outcome {
                // The session may be ahead of its events: these are on their way.
                match tokio::time::timeout(CATCH_UP_LIMIT, next).await {
                    Ok(event) => event?,
                    Err(_) => return Ok(outcome.clone()),
                }
            } else {
                next.await?
            };
            let event = event.ok_or(ClientError::StreamEnded)?;
            begun = begun || event.is_upload_of(recording);
            if !begun {
                continue;
            }
            let now = follow::session(self, session).await?;
            observe(&event, &now);
            outcome = Outcome::of(&now.stages);
            if let Some(outcome) = outcome.take_if(|outcome| outcome.is_told_by(&event)) {
                return Ok(outcome);
            }
        }
    }

    /// The newest transcript of a session.
    pub async fn transcript(&self, session: SessionId) -> Result<Transcript, ClientError> {
        let path = format!("sessions/{session}/transcript");
        self.answer(self.request(Method::GET, &path)).await
    }

    /// The newest transcript of a session as plain text.
    pub async fn transcript_text(&self, session: SessionId) -> Result<String, ClientError> {
        let path = format!("sessions/{session}/transcript?format=txt");
        let request = self
            .request(Method::GET, &path)
            .header(ACCEPT, "text/plain");
        let answer = self.send(request).await?;
        answer.text().await.map_err(ClientError::Answer)
    }

    /// The newest analysis of a session, if there is one.
    pub async fn analysis(&self, session: SessionId) -> Result<AnalysisAnswer, ClientError> {
        let path = format!("analysis/{session}/analysis");
        self.answer(self.request(Method::GET, &path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.open_ended(method, path).timeout(ANSWER_LIMIT)
    }

    /// A request that takes as long as it takes.
    fn open_ended(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.base.as_str().trim_end_matches('/');
        let request = self.http.request(method, format!("{base}/{PREFIX}/{path}"));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let answer = self.send(request).await?;
        answer.json().await.map_err(ClientError::Answer)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|source| ClientError::Send {
            address: self.base.to_string(),
            source,
        })?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(ClientError::Refused(Problem::of(answer).await))
        }
    }
}
