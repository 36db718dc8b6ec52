//! How many requests a client may send in a minute.
//!
//! Each process counts for itself: with N of them behind a balancer a client gets up to N times as much.
//! Not here: waits after failed sign-ins, which all processes share (`auth`).
//!
//! Invariant: what is kept of a client is forgotten once it has its full allowance again.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{Extensions, Method};
use governor::clock::Clock as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

use super::client_address::ClientAddress;
use super::problem::ApiError;
use super::scopes::without_prefix;
use crate::config;
use crate::db::Principal;
use crate::ids::{ApiKeyId, ClientId, UserId};

/// Probes, which come from a few addresses for ever.
pub const PROBES: [&str; 3] = ["/health", "/ready", "/metrics"];
/// What agents send of calls, without its prefix; it has a limit of its own.
const CALLS: [&str; 2] = ["/calls", "/calls/batch"];
/// How often idle clients are forgotten. Until then each takes about a hundred bytes.
const FORGET_EVERY: Duration = Duration::from_secs(10);

/// The limits of one process.
pub struct Limits {
    addresses: Limit<IpAddr>,
    users: Limit<UserId>,
    keys: Limit<ApiKeyId>,
    calls: Limit<Principal>,
    agents: Limit<ClientId>,
}

impl Limits {
    pub fn new(config: &config::RateLimits) -> Self {
        Self {
            addresses: Limit::per_minute(config.address_per_minute),
            users: Limit::per_minute(config.user_per_minute),
            keys: Limit::per_minute(config.key_per_minute),
            calls: Limit::per_minute(config.calls_per_minute),
            agents: Limit::per_minute(config.calls_per_minute),
        }
    }

    /// Counts a request from an address.
    pub fn check_address(&self, address: ClientAddress) -> Result<(), ApiError> {
        self.addresses.check(&address.network())
    }

    /// Counts a request of a user who signed in.
    pub fn check_user(&self, id: UserId) -> Result<(), ApiError> {
        self.users.check(&id)
    }

    /// Counts a request with an API key.
    pub fn check_key(&self, id: ApiKeyId) -> Result<(), ApiError> {
        self.keys.check(&id)
    }

    /// Counts a request of a user or a key that brings calls.
    pub fn check_calls(&self, principal: Principal) -> Result<(), ApiError> {
        self.calls.check(&principal)
    }

    /// Counts a call that the agents of a client published.
    pub fn check_agent(&self, client: ClientId) -> Result<(), ApiError> {
        self.agents.check(&client)
    }

    /// Forgets idle clients every few seconds until the stop.
    pub async fn forget_idle(self: Arc<Self>, stop: CancellationToken) {
        while tokio::time::timeout(FORGET_EVERY, stop.cancelled())
            .await
            .is_err()
        {
            self.addresses.forget_idle();
            self.users.forget_idle();
            self.keys.forget_idle();
            self.agents.forget_idle();
            self.calls.forget_idle();
        }
    }
}

/// Whether the route of a request has none of the limits of addresses, users and keys.
pub fn is_unlimited(method: &Method, extensions: &Extensions) -> bool {
    let path = extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let path = path.unwrap_or_default();
    PROBES.contains(&path) || method == Method::POST && CALLS.contains(&without_prefix(path))
}

/// One limit, or none.
struct Limit<K: Hash + Eq + Clone>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Hash + Eq + Clone> Limit<K> {
    /// A client that was idle for a minute may send a minute's requests at once. 0 is no limit.
    fn per_minute(requests: u32) -> Self {
        let quota = NonZeroU32::new(requests).map(Quota::per_minute);
        Self(quota.map(RateLimiter::keyed))
    }

    fn check(&self, key: &K) -> Result<(), ApiError> {
        let Some(limiter) = &self.0 else {
            return Ok(());
        };
        limiter.check_key(key).map_err(|until| {
            let wait = until.wait_time_from(limiter.clock().now());
            ApiError::TooManyRequests {
                retry_after_s: whole_seconds(wait),
            }
        })
    }

    fn forget_idle(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// Rounded up, and at least one: who comes back earlier is refused again.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_minute: u32) -> Limits {
        Limits::new(&config::RateLimits {
            address_per_minute: per_minute,
            user_per_minute: per_minute,
            key_per_minute: per_minute,
            calls_per_minute: per_minute,
        })
    }

    fn address(text: &str) -> ClientAddress {
        ClientAddress(text.parse().unwrap())
    }

    #[test]
    fn each_client_has_its_own_allowance() {
        let limits = limits(3);
        let (mine, theirs) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..3 {
            limits.check_address(mine).unwrap();
        }
        let refused = limits.check_address(mine).unwrap_err();
        let ApiError::TooManyRequests { retry_after_s } = refused else {
            panic!("{refused:?}");
        };
        // A minute's three come back one by one.
        assert!((19..=20).contains(&retry_after_s), "{retry_after_s}");
        limits.check_address(theirs).unwrap();
        let (user, key) = (UserId::generate(), ApiKeyId::generate());
        for _ in 0..3 {
            limits.check_user(user).unwrap();
            limits.check_key(key).unwrap();
        }
        assert!(limits.check_user(user).is_err() && limits.check_key(key).is_err());
        limits.check_user(UserId::generate()).unwrap();
        limits.check_key(ApiKeyId::generate()).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_has_one_allowance() {
        let limits = limits(1);
        limits.check_address(address("2001:db8::1")).unwrap();
        assert!(limits.check_address(address("2001:db8::2")).is_err());
        limits.check_address(address("2001:db8:0:1::1")).unwrap();
    }

    #[test]
    fn nought_is_no_limit() {
        let limits = limits(0);
        for _ in 0..100_000 {
            limits.check_address(address("192.0.2.1")).unwrap();
        }
    }

    #[test]
    fn idle_clients_are_forgotten_and_busy_ones_are_not() {
        let limit = Limit::per_minute(60_000);
        for client in 0..1_000 {
            limit.check(&client).unwrap();
        }
        let busy = Limit::per_minute(1);
        busy.check(&0).unwrap();
        // One request of sixty thousand a minute is made up for in a millisecond.
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(5) {
            std::thread::yield_now();
        }
        limit.forget_idle();
        busy.forget_idle();
        assert_eq!(limit.0.as_ref().map(RateLimiter::len), Some(0));
        assert!(busy.check(&0).is_err());
    }

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
