//! What requests cost.

use aftercall::config::Prices;
use aftercall::db::model_requests::{ModelRequest, Price};
use aftercall::documents::analysis::{AttemptCost, AttemptOutcome, Cost};
use aftercall::providers::chat::Usage;

const MILLION: u128 = 1_000_000;
/// The version of a price that the server itself told.
const TOLD_BY_SERVER: &str = "provider";
/// What servers that tell a price bill in.
const SERVER_CURRENCY: &str = "USD";

/// The price of one request: what the server says, else by the list, which needs both counts of tokens.
pub fn price(usage: Usage, prices: Option<&Prices>) -> Option<Price> {
    if let Some(amount_micros) = usage.cost_micros {
        return Some(Price {
            amount_micros,
            currency: SERVER_CURRENCY.to_owned(),
            version: TOLD_BY_SERVER.to_owned(),
        });
    }
    let (prices, input, output) = (prices?, usage.input_tokens?, usage.output_tokens?);
    let of = |tokens: u64, micros: u64| u128::from(tokens) * u128::from(micros);
    let of_output = of(output, prices.output_micros_per_million);
    let exact = of(input, prices.input_micros_per_million).checked_add(of_output)?;
    Some(Price {
        // Half a millionth counts as one.
        amount_micros: i64::try_from(exact.checked_add(MILLION / 2)? / MILLION).ok()?,
        currency: prices.currency.clone(),
        version: prices.version.clone(),
    })
}

/// The cost of an analysis, over all of its requests; `None` where there was none.
pub fn total(requests: &[ModelRequest]) -> Option<Cost> {
    if requests.is_empty() {
        return None;
    }
    let sum = |of: fn(&ModelRequest) -> Option<i64>| {
        // What a server tells may be anything: a sum that is too large is none.
        let sum = requests.iter().filter_map(of).map(Some);
        sum.reduce(|sum, more| sum?.checked_add(more?)).flatten()
    };
    let currency = one_of(requests.iter().filter_map(|it| it.currency.as_deref()));
    let mut versions: Vec<_> = requests
        .iter()
        .filter_map(|it| it.price_version.clone())
        .collect();
    versions.sort();
    versions.dedup();
    let attempts = requests.iter().map(|it| AttemptCost {
        outcome: match it.state.as_str() {
            "succeeded" => AttemptOutcome::Succeeded,
            _ => AttemptOutcome::Failed,
        },
        input_tokens: it.input_tokens.map(i64::unsigned_abs),
        output_tokens: it.output_tokens.map(i64::unsigned_abs),
        amount_micros: it.amount_micros,
    });
    Some(Cost {
        input_tokens: sum(|it| it.input_tokens).map(i64::unsigned_abs),
        output_tokens: sum(|it| it.output_tokens).map(i64::unsigned_abs),
        // Sums of different currencies mean nothing; the attempts keep theirs.
        amount_micros: currency.and_then(|_| sum(|it| it.amount_micros)),
        currency: currency.map(str::to_owned),
        price_version: currency.map(|_| versions.join(", ")),
        attempts: attempts.collect(),
    })
}

/// The one value that all name; `None` where there is none, or where they differ.
fn one_of<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        Prices {
            input_micros_per_million: 400_000,
            output_micros_per_million: 1_600_000,
            currency: "EUR".to_owned(),
            version: "2026-11".to_owned(),
        }
    }

    fn usage(input: u64, output: u64, cost_micros: Option<i64>) -> Usage {
        Usage {
            input_tokens: Some(input),
            output_tokens: Some(output),
            cost_micros,
        }
    }

    #[test]
    fn the_server_is_believed_before_the_list() {
        let listed = price(usage(1_000, 250, None), Some(&prices())).expect("a price");
        assert_eq!(
            (listed.amount_micros, listed.currency.as_str()),
            (800, "EUR")
        );
        let told = price(usage(1_000, 250, Some(7)), Some(&prices())).expect("a price");
        assert_eq!((told.amount_micros, told.version.as_str()), (7, "provider"));
        assert_eq!(price(usage(1, 1, None), None), None);
        assert_eq!(price(Usage::default(), Some(&prices())), None);
        assert_eq!(
            price(usage(1, 0, None), Some(&prices())).map(|it| it.amount_micros),
            Some(0)
        );
        assert_eq!(
            price(usage(2, 0, None), Some(&prices())).map(|it| it.amount_micros),
            Some(1)
        );
        assert_eq!(price(usage(0, u64::MAX, None), Some(&prices())), None);
        let dear = Prices {
            input_micros_per_million: u64::MAX,
            output_micros_per_million: u64::MAX,
            ..prices()
        };
        assert_eq!(price(usage(u64::MAX, u64::MAX, None), Some(&dear)), None);
    }

    fn request(state: &str, amount: Option<i64>, currency: Option<&str>) -> ModelRequest {
        ModelRequest {
            run: 1,
            purpose: "whole".to_owned(),
            state: state.to_owned(),
            error: None,
            input_tokens: amount.map(|it| it * 10),
            output_tokens: amount,
            amount_micros: amount,
            currency: currency.map(str::to_owned),
            price_version: currency.map(|_| "v".to_owned()),
        }
    }

    #[test]
    fn failed_requests_count_and_unknown_ones_stay_unknown() {
        assert_eq!(total(&[]), None);
        let requests = [
            request("failed", Some(3), Some("USD")),
            request("sent", None, None),
            request("succeeded", Some(4), Some("USD")),
        ];
        let cost = total(&requests).expect("a cost");
        assert_eq!(
            (cost.input_tokens, cost.output_tokens, cost.amount_micros),
            (Some(70), Some(7), Some(7))
        );
        assert_eq!(cost.price_version.as_deref(), Some("v"));
        let outcomes: Vec<_> = cost.attempts.iter().map(|it| it.outcome).collect();
        let [failed, succeeded] = [AttemptOutcome::Failed, AttemptOutcome::Succeeded];
        assert_eq!(outcomes, [failed, failed, succeeded]);
        let mixed = [
            request("succeeded", Some(3), Some("USD")),
            request("succeeded", Some(4), Some("EUR")),
        ];
        let cost = total(&mixed).expect("a cost");
        assert_eq!((cost.amount_micros, cost.currency), (None, None));
        let mut huge = [
            request("failed", Some(1), Some("USD")),
            request("succeeded", Some(4), Some("USD")),
        ];
        huge[0].input_tokens = Some(i64::MAX);
        huge[0].amount_micros = Some(i64::MAX);
        let cost = total(&huge).expect("a cost");
        assert_eq!(
            (cost.input_tokens, cost.output_tokens, cost.amount_micros),
            (None, Some(5), None)
        );
    }
}
