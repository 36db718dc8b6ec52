//! Figures of calls, over HTTP.

use aftercall::embedded::harness::Harness;
use aftercall::embedded::seed::{self, SeededClient};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::clinics;
use crate::support::{Answer, SignedIn, TestIngress};

/// A client of a user's account.
pub async fn client(harness: &Harness, user: &SignedIn<'_>, name: &str) -> SeededClient {
    let made = user.post_json("/clients", &json!({ "name": name })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let account: uuid::Uuid = sqlx::query_scalar("select account_id from clients where id = $1")
        .bind(id.parse::<uuid::Uuid>().expect("an id"))
        .fetch_one(&mut harness.admin().await)
        .await
        .expect("the client");
    SeededClient {
        user_id: user.user_id,
        account_id: account.into(),
        client_id: id.parse().expect("an id"),
    }
}

/// A call that tells no more than when it was.
fn at(time: &str) -> Value {
    json!({ "started_at": time })
}

async fn figures(user: &SignedIn<'_>, path: &str) -> Value {
    let answer = user.get(&format!("/analytics/{path}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

/// `(date, calls)` of the days.
fn days(per_day: &Value) -> Vec<(String, i64)> {
    let days = per_day["days"].as_array().expect("days");
    let day = |day: &Value| {
        let date = day["date"].as_str().expect("a date").to_owned();
        (date, day["calls"].as_i64().expect("a count"))
    };
    days.iter().map(day).collect()
}

/// `(hour, calls)` of the busiest hours.
fn hours(dashboard: &Value) -> Vec<(i64, i64)> {
    let hours = dashboard["busiest_hours"].as_array().expect("hours");
    let number = |value: &Value| value.as_i64().expect("a number");
    let hour = |hour: &Value| (number(&hour["hour"]), number(&hour["calls"]));
    hours.iter().map(hour).collect()
}

fn of_days(days: &[(&str, i64)]) -> Vec<(String, i64)> {
    let day = |day: &(&str, i64)| (day.0.to_owned(), day.1);
    days.iter().map(day).collect()
}

#[tokio::test]
async fn a_dashboard_tells_what_was_counted() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let practice = client(&harness, &ada, "Practice").await;
    let bakery = client(&harness, &ada, "Bakery").await;
    let calls = [
        json!({
            "started_at": "2026-11-02T09:10:00Z", "duration_seconds": 60, "success": true,
            "sentiment": "positive", "ended_reason": "caller_hangup",
        }),
        json!({
            "started_at": "2026-11-03T09:59:59Z", "duration_seconds": 30.5, "success": false,
            "sentiment": "negative", "ended_reason": "error",
        }),
        // Neither success nor duration is known.
        json!({ "started_at": "2026-11-03T14:00:00Z", "sentiment": "confused" }),
    ];
    seed::counted_calls(&harness, practice, &calls).await;
    let one =
        json!({ "started_at": "2026-11-30T23:59:59Z", "success": true, "duration_seconds": 10 });
    seed::counted_calls(&harness, bakery, &[one]).await;
    // Outside: the day before, which is in the period before, and the day after.
    let outside = [at("2026-10-31T23:59:59Z"), at("2026-12-01T00:00:00Z")];
    seed::counted_calls(&harness, practice, &outside).await;
    // A deleted client keeps what it counted.
    let path = format!("/clients/{}", bakery.client_id);
    let deleted = Answer::of(ada.request(Method::DELETE, &path)).await;
    assert_eq!(deleted.status, StatusCode::OK);

    let period = "?start_date=2026-11-01&end_date=2026-11-30";
    let found = figures(&ada, &format!("dashboard{period}")).await;
    assert_eq!(
        found["period"],
        json!({ "start_date": "2026-11-01", "end_date": "2026-11-30", "timezone": "UTC" })
    );
    assert_eq!(
        found["totals"],
        json!({
            "calls": 4, "successful_calls": 2, "failed_calls": 1, "success_rate": 2.0 / 3.0,
            "total_duration_seconds": 100.5, "average_duration_seconds": 33.5,
        })
    );
    assert_eq!(
        found["sentiment"],
        json!({ "positive": 1, "neutral": 0, "negative": 1, "mixed": 0, "unknown": 2 })
    );
    let reasons = &found["ended_reasons"];
    assert_eq!(
        (&reasons["caller_hangup"], &reasons["error"]),
        (&json!(1), &json!(1))
    );
    let others = reasons.as_object().expect("reasons").values();
    assert_eq!(others.filter_map(Value::as_i64).sum::<i64>(), 2);
    assert_eq!(hours(&found), [(9, 2), (14, 1), (23, 1)]);
    assert_eq!(
        found["clients"],
        json!([
            {
                "client_id": practice.client_id, "name": "Practice", "calls": 3,
                "success_rate": 0.5, "average_duration_seconds": 45.25,
            },
            {
                "client_id": bakery.client_id, "name": "Bakery", "calls": 1,
                "success_rate": 1.0, "average_duration_seconds": 10.0,
            },
        ])
    );
    let previous = &found["previous"];
    assert_eq!(previous["period"]["start_date"], "2026-10-02");
    assert_eq!(previous["period"]["end_date"], "2026-10-31");
    assert_eq!(previous["totals"]["calls"], 1);
    assert_eq!(previous["totals"]["success_rate"], Value::Null);
    let as_of: jiff::Timestamp = found["as_of"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(as_of).as_secs() < 60);

    let stats = format!("client/{}/stats{period}", bakery.client_id);
    let stats = figures(&ada, &stats).await;
    assert_eq!(
        (&stats["totals"]["calls"], hours(&stats)),
        (&json!(1), vec![(23, 1)])
    );
    assert_eq!(stats["clients"].as_array().unwrap().len(), 1);
    assert_eq!(stats["previous"]["totals"]["calls"], 0);

    let sentiment = figures(&ada, &format!("sentiment{period}")).await;
    assert_eq!(sentiment["counts"], found["sentiment"]);
    assert_eq!(
        sentiment["rates"],
        json!({ "positive": 0.25, "neutral": 0.0, "negative": 0.25, "mixed": 0.0, "unknown": 0.5 })
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_has_no_data_is_null() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let nothing = json!({ "p50": null, "p90": null, "p95": null, "p99": null });
    let totals = json!({
        "calls": 0, "successful_calls": 0, "failed_calls": 0, "success_rate": null,
        "total_duration_seconds": null, "average_duration_seconds": null,
    });
    let practice = client(&harness, &ada, "Practice").await;
    let stats = format!("client/{}/stats", practice.client_id);
    for path in ["dashboard", &stats] {
        let found = figures(&ada, path).await;
        assert_eq!(
            (&found["totals"], &found["previous"]["totals"]),
            (&totals, &totals)
        );
        for of in ["stt_ms", "llm_ms", "tts_ms", "total_ms"] {
            assert_eq!(found["latency"][of], nothing);
        }
        assert_eq!(
            (&found["busiest_hours"], &found["clients"]),
            (&json!([]), &json!([]))
        );
    }
    let per_day = figures(&ada, "calls-per-day").await;
    let days = per_day["days"].as_array().expect("days");
    assert_eq!(days.len(), 30);
    for day in days {
        assert_eq!(
            (&day["calls"], &day["successful_calls"]),
            (&json!(0), &json!(0))
        );
        assert_eq!(day["total_duration_seconds"], Value::Null);
    }
    let sentiment = figures(&ada, "sentiment").await;
    assert_eq!(sentiment["counts"]["unknown"], 0);
    assert_eq!(sentiment["rates"]["unknown"], Value::Null);
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn days_and_hours_are_those_of_the_time_zone() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let practice = client(&harness, &ada, "Practice").await;
    let calls = [
        // Either side of midnight in Kathmandu, which is 5:45 ahead.
        at("2026-06-10T18:14:59Z"),
        at("2026-06-10T18:15:00Z"),
        // New York, 1 November 2026: one o'clock comes twice, at 05:30Z and 06:30Z.
        at("2026-11-01T03:59:59Z"),
        at("2026-11-01T04:00:00Z"),
        at("2026-11-01T05:30:00Z"),
        at("2026-11-01T06:30:00Z"),
        at("2026-11-02T04:59:59Z"),
        at("2026-11-02T05:00:00Z"),
        // New York, 8 March 2026: two o'clock is left out.
        at("2026-03-08T04:59:59Z"),
        at("2026-03-08T05:00:00Z"),
        at("2026-03-08T06:59:00Z"),
        at("2026-03-08T07:00:00Z"),
        at("2026-03-09T03:59:59Z"),
        at("2026-03-09T04:00:00Z"),
    ];
    seed::counted_calls(&harness, practice, &calls).await;
    let there = "?timezone=Asia/Kathmandu&start_date=2026-06-09&end_date=2026-06-12";
    let per_day = figures(&ada, &format!("calls-per-day{there}")).await;
    let expected = [
        ("2026-06-09", 0),
        ("2026-06-10", 1),
        ("2026-06-11", 1),
        ("2026-06-12", 0),
    ];
    assert_eq!(days(&per_day), of_days(&expected));
    assert_eq!(
        hours(&figures(&ada, &format!("dashboard{there}")).await),
        [(0, 1), (23, 1)]
    );

    let back = "?timezone=America/New_York&start_date=2026-10-31&end_date=2026-11-02";
    let per_day = figures(&ada, &format!("calls-per-day{back}")).await;
    let expected = [("2026-10-31", 1), ("2026-11-01", 4), ("2026-11-02", 1)];
    assert_eq!(days(&per_day), of_days(&expected));
    let found = figures(&ada, &format!("dashboard{back}")).await;
    assert_eq!(hours(&found), [(0, 2), (1, 2), (23, 2)]);

    let forth = "?timezone=america/new_york&start_date=2026-03-07&end_date=2026-03-09";
    let per_day = figures(&ada, &format!("calls-per-day{forth}")).await;
    assert_eq!(per_day["period"]["timezone"], "America/New_York");
    let expected = [("2026-03-07", 1), ("2026-03-08", 4), ("2026-03-09", 1)];
    assert_eq!(days(&per_day), of_days(&expected));
    let found = figures(&ada, &format!("dashboard{forth}")).await;
    assert_eq!(hours(&found), [(0, 2), (23, 2), (1, 1), (3, 1)]);
    // The day alone, and the period before it.
    let one = "?timezone=America/New_York&start_date=2026-03-08&end_date=2026-03-08";
    let found = figures(&ada, &format!("dashboard{one}")).await;
    assert_eq!(
        (
            &found["totals"]["calls"],
            &found["previous"]["totals"]["calls"]
        ),
        (&json!(4), &json!(1))
    );
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn percentiles_are_within_two_percent() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let (one, other) = (
        client(&harness, &ada, "One").await,
        client(&harness, &ada, "Other").await,
    );
    // 1 to 1,000 ms, spread over two clients and two days.
    let call = |i: i32| {
        let day = if i % 3 == 0 {
            "2026-11-02"
        } else {
            "2026-11-03"
        };
        json!({
            "started_at": format!("{day}T{:02}:30:00Z", i % 24),
            "stt_latency_ms": i, "llm_latency_ms": 2 * i,
            "tts_latency_ms": (i % 2 == 0).then_some(3 * i),
        })
    };
    let calls: Vec<Value> = (1..=1_000).map(call).collect();
    let (of_one, of_other) = calls.split_at(400);
    seed::counted_calls(&harness, one, of_one).await;
    seed::counted_calls(&harness, other, of_other).await;
    let found = figures(&ada, "dashboard?start_date=2026-11-01&end_date=2026-11-03").await;
    let close = |of: &str, percentile: &str, exact: f64| {
        let value = found["latency"][of][percentile].as_f64().expect("a figure");
        let off = (value - exact).abs() / exact;
        assert!(off <= 0.02 + 1e-9, "{of} {percentile}: {value} for {exact}");
    };
    for (percentile, rank) in [
        ("p50", 500.0),
        ("p90", 900.0),
        ("p95", 950.0),
        ("p99", 990.0),
    ] {
        close("stt_ms", percentile, rank);
        close("llm_ms", percentile, 2.0 * rank);
        close("tts_ms", percentile, 3.0 * rank);
        close("total_ms", percentile, 6.0 * rank);
    }
    let stats = format!(
        "client/{}/stats?start_date=2026-11-01&end_date=2026-11-03",
        one.client_id
    );
    let p50 = figures(&ada, &stats).await["latency"]["stt_ms"]["p50"]
        .as_f64()
        .unwrap();
    assert!((p50 - 200.0).abs() <= 4.0, "{p50}");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn figures_count_what_the_caller_sees() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let eve = SignedIn::new(&ingress, "eve@example.org").await;
    let root = SignedIn::new(&ingress, "root@example.org").await;
    clinics::place(&harness, root.user_id, None, "admin").await;
    let practice = client(&harness, &ada, "Practice").await;
    let bakery = client(&harness, &ada, "Bakery").await;
    let call = json!({ "sentiment": "mixed", "stt_latency_ms": 100 });
    seed::counted_calls(&harness, practice, &[call.clone(), call.clone()]).await;
    seed::counted_calls(&harness, bakery, &[call]).await;
    let calls = |dashboard: Value| dashboard["totals"]["calls"].as_i64();
    assert_eq!(calls(figures(&ada, "dashboard").await), Some(3));
    assert_eq!(calls(figures(&root, "dashboard").await), Some(3));
    let picked = format!("dashboard?account_id={}", practice.account_id);
    assert_eq!(calls(figures(&root, &picked).await), Some(3));
    let nothing = figures(&eve, "dashboard").await;
    assert_eq!(nothing["latency"]["stt_ms"]["p50"], Value::Null);
    assert_eq!(
        (calls(nothing.clone()), &nothing["clients"]),
        (Some(0), &json!([]))
    );
    let foreign = format!("/analytics/client/{}/stats", practice.client_id);
    assert_eq!(eve.get(&foreign).await.problem(404), "client_not_found");
    let unknown = format!("/analytics/client/{}/stats", uuid::Uuid::new_v4());
    assert_eq!(ada.get(&unknown).await.problem(404), "client_not_found");

    // A key that is bound to a client sees that one's calls.
    let body = json!({ "name": "agent", "scopes": ["read"], "client_id": bakery.client_id });
    let made = ada.post_json("/api-keys", &body).await.json();
    let key = made["key"].as_str().expect("a key").to_owned();
    let by_key = async |path: &str| {
        let request = ingress.request(Method::GET, &format!("/api/v1/analytics/{path}"));
        Answer::of(request.header("x-api-key", &key)).await
    };
    let bound = by_key("dashboard").await.json();
    assert_eq!(bound["clients"][0]["name"], "Bakery");
    assert_eq!(calls(bound), Some(1));
    assert_eq!(by_key("sentiment").await.json()["counts"]["mixed"], 1);
    let other = format!("client/{}/stats", practice.client_id);
    assert_eq!(by_key(&other).await.problem(404), "client_not_found");

    // An erased client is gone at once, and its figures with it.
    sqlx::query("update clients set erased_at = now() where id = $1")
        .bind(practice.client_id.0)
        .execute(&mut harness.admin().await)
        .await
        .expect("erased");
    assert_eq!(calls(figures(&ada, "dashboard").await), Some(1));
    assert_eq!(calls(figures(&root, "dashboard").await), Some(1));
    let erased = format!("/analytics/client/{}/stats", practice.client_id);
    assert_eq!(ada.get(&erased).await.problem(404), "client_not_found");
    ingress.stop().await;
    harness.finish().await;
}

#[tokio::test]
async fn periods_that_are_none_are_refused() {
    let harness = Harness::start().await;
    let ingress = TestIngress::start(&harness).await;
    let ada = SignedIn::new(&ingress, "ada@example.org").await;
    let practice = client(&harness, &ada, "Practice").await;
    let stats = format!("client/{}/stats", practice.client_id);
    for path in ["dashboard", "calls-per-day", "sentiment", "stream", &stats] {
        for (query, field) in [
            ("start_date=2026-11-02&end_date=2026-11-01", "end_date"),
            ("start_date=2025-11-01&end_date=2026-11-02", "start_date"),
            ("start_date=2999-01-01", "start_date"),
            ("start_date=01.11.2026", "start_date"),
            ("end_date=2026-02-29", "end_date"),
            ("end_date=9999-12-31", "end_date"),
            ("end_date=", "end_date"),
            ("timezone=Mars/Olympus", "timezone"),
            ("timezone=", "timezone"),
        ] {
            let answer = ada.get(&format!("/analytics/{path}?{query}")).await;
            assert_eq!(answer.wrong_fields(), [field], "{path} {query}");
        }
        let twice = format!("/analytics/{path}?timezone=UTC&timezone=UTC");
        assert_eq!(ada.get(&twice).await.problem(400), "malformed_query");
        assert_eq!(
            ingress
                .get(&format!("/api/v1/analytics/{path}"), None)
                .await
                .problem(401),
            "unauthorized"
        );
    }
    let malformed = ada.get("/analytics/client/x/stats").await;
    assert_eq!(malformed.problem(400), "malformed_id");
    ingress.stop().await;
    harness.finish().await;
}
