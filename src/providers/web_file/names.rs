//! Names that lead nowhere but into the public internet.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::addresses::is_public;

/// A name led, or an address belongs, where nothing is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address of the public internet")]
pub struct PrivateAddress(pub IpAddr);

/// Looks names up, and checks **all** answers before any of them is connected to. The connection goes to
/// what was checked: the client asks here and nowhere else.
pub(super) struct CheckedNames {
    names: Arc<dyn Resolve>,
    /// In lower case.
    allowed: Arc<[String]>,
}

/// The resolver of this machine.
#[derive(Debug)]
pub struct SystemNames;

impl CheckedNames {
    pub fn new(names: Arc<dyn Resolve>, allowed: Arc<[String]>) -> Self {
        Self { names, allowed }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let is_allowed = is_allowed(&self.allowed, name.as_str());
        let answer = self.names.resolve(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = answer.await?.collect();
            let private = addresses.iter().find(|address| !is_public(address.ip()));
            match private.filter(|_| !is_allowed) {
                Some(private) => Err(PrivateAddress(private.ip()).into()),
                None => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<_> = addresses.collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Whether an operator vouches for a host.
pub(super) fn is_allowed(allowed: &[String], host: &str) -> bool {
    allowed.iter().any(|name| name.eq_ignore_ascii_case(host))
}
