//! Who may do what: every route of the OpenAPI document, tried by every kind of caller.
//!
//! [`rows`] has one row a route. A route without a row fails the test, as does a row without a route;
//! each cell gets an object of its own, so that no cell depends on another. Where a cell refuses, the
//! object is read before and after by its owner, and must be the same.

mod callers;
mod cells;
mod objects;
mod rows;

use std::collections::BTreeSet;

use aftercall::embedded::OidcProvider;
use aftercall::embedded::harness::Harness;
use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, TestIngress};
use callers::{Callers, Who};
use cells::Cell;
use objects::{Ids, Object};
use rows::{Body, Row, Shows};

/// Everything that a cell is tried on.
struct World {
    harness: Harness,
    provider: OidcProvider,
    ingress: TestIngress,
    callers: Callers,
}

#[tokio::test]
async fn every_route_answers_each_caller_as_it_should() {
    let world = World::start().await;
    let routes = world.routes().await;
    let rows = rows::all();
    let known: BTreeSet<_> = rows.iter().map(Row::name).collect();
    assert_eq!(known.len(), rows.len(), "a route has two rows");
    let missing: Vec<_> = routes.difference(&known).collect();
    let stale: Vec<_> = known.difference(&routes).collect();
    assert!(missing.is_empty(), "routes without a row: {missing:?}");
    assert!(stale.is_empty(), "rows without a route: {stale:?}");

    let mut wrong = Vec::new();
    for row in &rows {
        assert!(
            row.cells.iter().any(|(_, cell)| cell == Cell::Shows),
            "{}: no cell succeeds on a real object",
            row.name()
        );
        for (who, cell) in row.cells.iter() {
            if let Err(what) = world.attempt(row, who, cell).await {
                wrong.push(format!("{} as {who:?}: {what}", row.name()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    world.ingress.stop().await;
    world.harness.finish_as_it_is().await;
}

impl World {
    async fn start() -> Self {
        let harness = Harness::start().await;
        let provider = harness.oidc_provider(None).await;
        let issuers = crate::oidc::issuers(&provider);
        // Hundreds of requests a second from one address are the point here.
        let settings = [
            ("OIDC_ISSUERS", issuers.as_str()),
            ("RATE_LIMIT_ADDRESS_PER_MINUTE", "0"),
            ("RATE_LIMIT_USER_PER_MINUTE", "0"),
            ("RATE_LIMIT_KEY_PER_MINUTE", "0"),
        ];
        let ingress = TestIngress::start_with(&harness, &settings).await;
        let callers = Callers::make(&harness, &ingress).await;
        Self {
            harness,
            provider,
            ingress,
            callers,
        }
    }

    /// `GET /api/v1/sessions` and so on, as the document lists them.
    async fn routes(&self) -> BTreeSet<String> {
        let document = self.ingress.get("/openapi.json", None).await.json();
        let paths = document["paths"].as_object().expect("paths");
        paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("operations").keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect()
    }

    /// Tries one cell on an object of its own.
    async fn attempt(&self, row: &Row, who: Who, cell: Cell) -> Result<(), String> {
        let ids = objects::make(self, row.object).await;
        let before = self.seen_by_owner(row.object, &ids).await;
        let answer = self.send(row, who, &ids).await;
        let status = answer.status.as_u16();
        let shows = row.shows.is_in(&answer, &ids);
        match cell {
            Cell::Refused(expected) if status == expected => {
                answer.problem(expected);
            }
            Cell::Refused(expected) => return Err(told(expected, &answer)),
            Cell::Shows | Cell::Hides if status != row.ok => return Err(told(row.ok, &answer)),
            Cell::Shows if !shows => {
                return Err(format!("the object is not shown: {}", answer.text()));
            }
            Cell::Hides if shows => {
                return Err(format!("a foreign object is shown: {}", answer.text()));
            }
            Cell::Shows | Cell::Hides => return Ok(()),
        }
        if self.seen_by_owner(row.object, &ids).await != before {
            return Err("it was refused, and changed the object".to_owned());
        }
        Ok(())
    }

    async fn send(&self, row: &Row, who: Who, ids: &Ids) -> Answer {
        let method = Method::from_bytes(row.method.as_bytes()).expect("a method");
        let path = ids.fill(row.path);
        let mut request = self
            .ingress
            .request(method, &format!("{path}{}", ids.fill(row.query)));
        if let Some(cookie) = ids.cookie() {
            request = request.header("cookie", cookie);
        }
        let credential = if row.signs_out {
            self.callers.fresh(&self.ingress, who).await
        } else {
            self.callers.on(row.method, row.path, who).clone()
        };
        request = credential.put_on(request);
        request = match row.body {
            Body::None => request,
            Body::Json(body) => request.json(&body(ids)),
            Body::Line(body) => request
                .header("content-type", "application/x-ndjson")
                .body(body(ids).to_string()),
            Body::Wav => request
                .header("content-type", "audio/wav")
                .body(objects::WAV),
        };
        // An event stream goes on for ever: its head is the answer.
        if row.streams {
            return Answer::head_of(request).await;
        }
        Answer::of(request).await
    }

    /// The object as its owner reads it, where it has an address.
    async fn seen_by_owner(&self, object: Object, ids: &Ids) -> Option<Value> {
        let path = object.address().map(|path| ids.fill(path))?;
        let request = self.ingress.request(Method::GET, &path);
        let reader = if object.is_managed() {
            Who::Admin
        } else {
            Who::Owner
        };
        let answer = Answer::of(self.callers.credential(reader).put_on(request)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Some(answer.json())
    }
}

fn told(expected: u16, answer: &Answer) -> String {
    format!(
        "{expected} expected, {} answered: {}",
        answer.status,
        answer.text()
    )
}

impl Shows {
    fn is_in(self, answer: &Answer, ids: &Ids) -> bool {
        match self {
            Self::Object => answer.text().contains(ids.of_object()),
            Self::Text(text) => answer.text().contains(text),
            Self::Type(essence) => answer
                .header("content-type")
                .is_some_and(|given| given.starts_with(essence)),
            Self::Nothing => answer.body.is_empty(),
        }
    }
}
