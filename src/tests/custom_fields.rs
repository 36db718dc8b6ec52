//! The schema of a session's custom fields: kept, changed, emptied, and refused with the path of what is
//! wrong.

use aftercall::embedded::harness::Harness;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{SignedIn, TestIngress};

#[tokio::test]
async fn a_schema_is_kept_with_its_session_until_it_is_changed() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let schema = json!({"type": "object", "properties": {"insurer": {"type": "string"}}});
    let body = json!({ "custom_fields_schema": schema });
    let created = ada.post_json("/sessions", &body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let created = created.json();
    assert_eq!(created["custom_fields_schema"], schema);
    let path = format!("/sessions/{}", created["id"].as_str().unwrap());

    let other = json!({"properties": {"visits": {"type": "integer", "minimum": 0}}});
    let changed = ada
        .put_json(&path, &json!({ "custom_fields_schema": other }))
        .await;
    assert_eq!(changed.json()["custom_fields_schema"], other);
    let untouched = ada.put_json(&path, &json!({ "title": "A" })).await;
    assert_eq!(untouched.json()["custom_fields_schema"], other);
    let listed = ada.get("/sessions").await.json();
    assert_eq!(listed["items"][0]["custom_fields_schema"], other);
    let emptied = ada
        .put_json(&path, &json!({ "custom_fields_schema": null }))
        .await;
    assert_eq!(emptied.json()["custom_fields_schema"], Value::Null);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_schema_is_told_by_its_path() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let mine = ada.post("/sessions").await.json();
    let path = format!("/sessions/{}", mine["id"].as_str().unwrap());
    let huge = json!({"properties": {"x": {"type": "string", "description": "x".repeat(20_000)}}});
    for (schema, field) in [
        (json!([]), "custom_fields_schema"),
        (json!("{}"), "custom_fields_schema"),
        (json!({}), "custom_fields_schema.properties"),
        (huge, "custom_fields_schema"),
        (
            json!({"properties": {"x": {"type": "string", "pattern": "(a+)+$"}}}),
            "custom_fields_schema.properties.x.pattern",
        ),
        (
            json!({"properties": {"x": {"$ref": "https://example.org/schema"}}}),
            "custom_fields_schema.properties.x.type",
        ),
    ] {
        let body = json!({ "custom_fields_schema": schema });
        for refused in [
            ada.post_json("/sessions", &body).await,
            ada.put_json(&path, &body).await,
        ] {
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            assert_eq!(refused.json()["errors"][0]["field"], field);
        }
    }
    ingress.stop().await;
    harness.finish().await;
}
