//! The e-mail address that somebody signs in with.

use std::fmt;
use std::str::FromStr;

use garde::rules::email::parse_email;

/// Longest address that mail carries ([RFC 5321](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3)).
const MAX_CHARS: usize = 254;

/// An e-mail address in lower case: upper and lower case are the same person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email(String);

/// What is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address")]
pub struct NoEmail;

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Email {
    type Err = NoEmail;

    fn from_str(text: &str) -> Result<Self, NoEmail> {
        let address = text.trim().to_lowercase();
        if address.chars().count() > MAX_CHARS || parse_email(&address).is_err() {
            return Err(NoEmail);
        }
        Ok(Self(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_space_do_not_matter() {
        let email: Email = " Ada@Example.ORG\n".parse().unwrap();
        assert_eq!(email.as_str(), "ada@example.org");
        let long = format!("{}@example.org", "a".repeat(300));
        for wrong in ["", "ada", "ada@", "@example.org", "a da@example.org", &long] {
            assert_eq!(wrong.parse::<Email>(), Err(NoEmail), "{wrong}");
        }
    }
}
