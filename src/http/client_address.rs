//! The address that a request comes from, through proxies that are trusted.
//!
//! Not here: what is done with it (`limits`, `auth`).
//!
//! Invariant: no client chooses its address. What a header says counts only as far as every hop between
//! it and us is a trusted proxy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::problem::ApiError;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// A provider gives a customer this much of IPv6 at least, so addresses within it are one client.
const IPV6_CLIENT_BITS: u32 = 64;

/// The address of the client; IPv4 in IPv6 is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address behind a request whose connection comes from `peer`.
    ///
    /// Each proxy adds the address of its own client at the right end of `X-Forwarded-For`, so the list
    /// is read from there for as long as it names trusted proxies. What cannot be read was not written
    /// by one: then the peer counts.
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        if !is_trusted(&peer) {
            return Self(peer);
        }
        let mut client = peer;
        for lines in headers.get_all(FORWARDED_FOR).into_iter().rev() {
            for hop in lines.as_bytes().rsplit(|byte| *byte == b',') {
                let Some(address) = parse(hop) else {
                    return Self(peer);
                };
                client = address;
                if !is_trusted(&client) {
                    return Self(client);
                }
            }
        }
        Self(client)
    }

    /// What limits count: of IPv6 the network, as one client has all of it.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let mask = u128::MAX << (128 - IPV6_CLIENT_BITS);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }

    /// The address that [`identify`] has found.
    pub fn in_extensions(extensions: &Extensions) -> Option<Self> {
        extensions.get::<Self>().copied()
    }
}

/// Finds the address out and keeps it with the request.
pub fn identify(request: &mut Request, trusted: &[IpNet]) -> Option<ClientAddress> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let address = ClientAddress::of(peer.ip(), request.headers(), trusted);
    request.extensions_mut().insert(address);
    Some(address)
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::in_extensions(&parts.extensions)
            .ok_or_else(|| ApiError::Internal(anyhow::anyhow!("request without an address")))
    }
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(hop);
    let address = bare
        .parse()
        .or_else(|_| hop.parse().map(|address: SocketAddr| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// What a request counts as when everything in 10.0.0.0/8 and fd00::/8 is trusted.
    fn of(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        let headers = forwarded.iter().map(|line| {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            (FORWARDED_FOR.parse().unwrap(), line)
        });
        ClientAddress::of(peer.parse().unwrap(), &headers.collect(), &trusted)
            .0
            .to_string()
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        for forwarded in [
            &[][..],
            &["192.0.2.7"],
            &["10.0.0.9"],
            &["::1", "192.0.2.7"],
        ] {
            assert_eq!(of("203.0.113.5", forwarded), "203.0.113.5");
        }
        assert_eq!(of("2001:db8::1", &["192.0.2.7"]), "2001:db8::1");
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        let headers = HeaderMap::from_iter([(
            FORWARDED_FOR.parse().unwrap(),
            HeaderValue::from_static("192.0.2.7"),
        )]);
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(ClientAddress::of(peer, &headers, &[]), ClientAddress(peer));
    }

    #[test]
    fn a_proxy_speaks_for_its_client() {
        assert_eq!(of(PROXY, &["192.0.2.7"]), "192.0.2.7");
        assert_eq!(of("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        assert_eq!(of("::ffff:10.0.0.1", &["::ffff:192.0.2.7"]), "192.0.2.7");
        for written in [
            "192.0.2.7:4711",
            " 192.0.2.7 ",
            "192.0.2.7,10.0.0.3",
            "192.0.2.7 , 10.0.0.3:80",
        ] {
            assert_eq!(of(PROXY, &[written]), "192.0.2.7", "{written}");
        }
        for written in [
            "[2001:db8::7]",
            "[2001:db8::7]:443",
            "2001:db8::7, 10.9.9.9",
        ] {
            assert_eq!(of(PROXY, &[written]), "2001:db8::7", "{written}");
        }
    }

    #[test]
    fn what_the_client_itself_wrote_does_not_count() {
        // The proxy adds the true address at the end, be it in the same line or in one of its own.
        assert_eq!(of(PROXY, &["198.51.100.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(of(PROXY, &["198.51.100.1", "192.0.2.7"]), "192.0.2.7");
        assert_eq!(
            of(PROXY, &["10.0.0.8, 198.51.100.1, 192.0.2.7, 10.0.0.2"]),
            "192.0.2.7"
        );
        assert_eq!(of(PROXY, &["garbage, 192.0.2.7"]), "192.0.2.7");
    }

    #[test]
    fn without_anything_to_read_the_proxy_itself_counts() {
        for forwarded in [
            &[][..],
            &[""],
            &["unknown"],
            &["192.0.2.7, "],
            &["192.0.2.7, _hidden"],
            &["192.0.2.7, 10.0.0.300"],
            &["192.0.2.7, fe80::1%eth0"],
            &["192.0.2.7, \u{e9}"],
            &["192.0.2.7", "garbage"],
        ] {
            assert_eq!(of(PROXY, forwarded), PROXY, "{forwarded:?}");
        }
        assert_eq!(
            of(PROXY, &["10.0.0.9, 10.0.0.8"]),
            "10.0.0.9",
            "the farthest"
        );
        let long = "10.0.0.2,".repeat(5_000) + "10.0.0.2";
        assert_eq!(of(PROXY, &[&long]), "10.0.0.2");
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let network = |address: &str| {
            ClientAddress(address.parse().unwrap())
                .network()
                .to_string()
        };
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
    }
}
