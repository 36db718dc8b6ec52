//! What an API key may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that a key may do. Writing does not include reading; which route asks for which scope
/// stands in `http::scopes`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub enum Scope {
    /// Read whatever the maker may read.
    #[serde(rename = "read")]
    Read,
    /// Create, change and end sessions, upload recordings, ask for transcripts and analyses.
    #[serde(rename = "sessions:write")]
    WriteSessions,
    /// Create and change customers.
    #[serde(rename = "customers:write")]
    WriteCustomers,
    /// Create, change and delete clients.
    #[serde(rename = "clients:write")]
    WriteClients,
    /// Send call records.
    #[serde(rename = "calls:write")]
    WriteCalls,
}

/// A word that is no scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope: use {}", Scope::ALL.map(Scope::as_str).join(", "))]
pub struct UnknownScope;

impl Scope {
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::WriteSessions,
        Self::WriteCustomers,
        Self::WriteClients,
        Self::WriteCalls,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::WriteSessions => "sessions:write",
            Self::WriteCustomers => "customers:write",
            Self::WriteClients => "clients:write",
            Self::WriteCalls => "calls:write",
        }
    }

    /// Whether it means anything for a key that is bound to a client, which reaches no more than its
    /// client and that client's calls.
    pub const fn is_of_client(self) -> bool {
        matches!(self, Self::Read | Self::WriteCalls)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire_are_those_in_the_database() {
        for scope in Scope::ALL {
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert_eq!("Read".parse::<Scope>(), Err(UnknownScope));
        assert!(UnknownScope.to_string().contains("calls:write"));
    }
}
