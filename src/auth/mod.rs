//! Sign-in: access tokens, passwords, API keys.
//!
//! Not here: who may do what, which is row-level security in the database; the endpoints
//! (`http::auth`).
//!
//! Invariant: a token is believed only if a key of ours signed it as an access token for this
//! service; nothing in the token chooses the algorithm or brings the key.

mod api_key;
mod email;
mod hash;
mod keys;
mod password;
mod pool;
mod refresh_token;
mod role;
mod scope;
mod secret_key;
mod token;

pub use api_key::{PREFIX as API_KEY_PREFIX, PresentedKey, public_part};
pub use email::{Email, NoEmail};
pub use hash::{HashError, Verdict};
pub use keys::{KeyError, PUBLISHED_FOR, Rotation, list as list_keys, rotate as rotate_keys};
pub use password::{PasswordError, Passwords, Turn, UnfitPassword, check_fit};
pub use refresh_token::RefreshToken;
pub use role::{Role, UnknownRole};
pub use scope::{Scope, UnknownScope};
pub use secret_key::SecretKey;
pub use token::{Issued, TokenError, Tokens, Verified};
