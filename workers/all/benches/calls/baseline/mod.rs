//! The strongest simple alternative: an axum service that stores a call and counts it in the request.
//!
//! No broker and no worker: what waits is written together by a few writers, and whoever waits gets the
//! answer of the commit. It checks the same keys and records and writes the same rows through the same
//! functions, role and policies as the analytics worker. What it lacks beside the ingress: rate limits,
//! problem documents, metrics, other routes, and anything that goes on while Postgres is down.

mod writer;

use std::sync::Arc;

use aftercall::auth::{PresentedKey, Scope, SecretKey};
use aftercall::calls::check;
use aftercall::config::{self, Env, Environment};
use aftercall::db::api_keys::{self, Credential};
use aftercall::db::provision::Process;
use aftercall::db::{Db, Principal};
use aftercall::embedded::logins;
use aftercall::ids::{ApiKeyId, CallId};
use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use axum::{Json, Router};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, mpsc, oneshot};

use crate::args::BaselineArgs;
use writer::{Call, Outcome, Writers};

/// Calls that may wait.
const QUEUE: usize = 4_096;

#[derive(Clone)]
struct Service(Arc<Shared>);

struct Shared {
    db: Db,
    secret_key: SecretKey,
    environment: Environment,
    /// The one key of the bench: looked up once, compared in every request.
    credential: OnceCell<(ApiKeyId, Credential)>,
    queue: mpsc::Sender<Call>,
}

/// Serves until it is killed.
pub async fn serve(args: BaselineArgs) -> anyhow::Result<()> {
    let env = Env::of_process();
    let database = config::Database::read(&env)?;
    let auth = config::Auth::read(&env)?;
    let writers_url = writers_url(&env, &database.url)?;
    let writers_db = Db::connect_lazy(&writers_url, u32::try_from(args.writers)?)?;
    let (queue, waiting) = mpsc::channel(QUEUE);
    let writers = Writers::start(&writers_db, waiting, args.writers);
    let service = Service(Arc::new(Shared {
        db: Db::connect_lazy(&database.url, 1)?,
        secret_key: SecretKey::new(auth.secret_key),
        environment: auth.environment,
        credential: OnceCell::new(),
        queue,
    }));
    let router = Router::new()
        .route("/ready", get(ready))
        .route("/api/v1/calls", post(create))
        .with_state(service);
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    tokio::select! {
        served = async { axum::serve(listener, router).await } => Ok(served?),
        broken = writers.ended() => broken,
    }
}

/// `DATABASE_URL` is the ingress's, whose role looks up keys; calls are written by the role of the
/// analytics worker.
fn writers_url(env: &Env, keys_url: &SecretString) -> anyhow::Result<SecretString> {
    let keys_url: reqwest::Url = keys_url.expose_secret().parse()?;
    let admin_url = env.optional_secret("DATABASE_ADMIN_URL");
    let admin_url = admin_url.context("DATABASE_ADMIN_URL is not set")?;
    let mut admin_url: reqwest::Url = admin_url.expose_secret().parse()?;
    admin_url.set_path(keys_url.path());
    let admin_url = SecretString::from(String::from(admin_url));
    Ok(logins::login_url(&admin_url, Process::Analytics)?)
}

async fn ready(State(service): State<Service>) -> StatusCode {
    match service.0.db.ping().await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn create(State(service): State<Service>, headers: HeaderMap, body: Bytes) -> Response {
    let credential = match service.credential(&headers).await {
        Ok(credential) => credential,
        Err(status) => return status.into_response(),
    };
    let received_at = Timestamp::now();
    let record = match check(&body, received_at) {
        Ok(record) => record,
        Err(faults) => {
            let errors: Vec<_> = faults.into_iter().map(|fault| fault.field).collect();
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(errors)).into_response();
        }
    };
    let id = record.id.unwrap_or_else(CallId::generate);
    let (answer, stored) = oneshot::channel();
    let call = Call {
        id,
        received_at,
        counted: record.counted(credential.account_id, received_at),
        direction: record.direction,
        has_sentiment: record.sentiment.is_some(),
        record: body.clone(),
        answer,
    };
    if service.0.queue.send(call).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match stored.await {
        Ok(Outcome::Stored) => {
            let accepted = json!({ "id": id, "status": "accepted" });
            (StatusCode::ACCEPTED, Json(accepted)).into_response()
        }
        Ok(Outcome::NoSuchClient) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl Service {
    async fn credential(&self, headers: &HeaderMap) -> Result<&Credential, StatusCode> {
        let shared = &*self.0;
        let text = headers
            .get("x-api-key")
            .and_then(|value| value.to_str().ok());
        let key = text.and_then(|text| PresentedKey::parse(text, shared.environment));
        let key = key.ok_or(StatusCode::UNAUTHORIZED)?;
        let known = shared.credential.get_or_try_init(|| self.look_up(key.id));
        let (id, credential) = known.await?;
        let is_right = *id == key.id
            && key.matches(&shared.secret_key, &credential.secret_hash)
            && credential.scopes.contains(&Scope::WriteCalls);
        if is_right {
            Ok(credential)
        } else {
            Err(StatusCode::UNAUTHORIZED)
        }
    }

    async fn look_up(&self, id: ApiKeyId) -> Result<(ApiKeyId, Credential), StatusCode> {
        let found = async {
            let mut tx = self.0.db.begin(Principal::Auth).await?;
            api_keys::find(&mut tx, id).await
        };
        let found = found.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        found
            .map(|found| (id, found))
            .ok_or(StatusCode::UNAUTHORIZED)
    }
}
