//! What each kind of caller gets.

use super::callers::Who;

/// What one caller gets from one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The row's status, and the object in the answer.
    Shows,
    /// The row's status, and the object nowhere in the answer.
    Hides,
    /// This status, as a problem document.
    Refused(u16),
}

/// A cell for each of [`Who::ALL`].
#[derive(Clone, Copy, Debug)]
pub struct Cells([Cell; 9]);

impl Cells {
    pub fn iter(&self) -> impl Iterator<Item = (Who, Cell)> + '_ {
        Who::ALL.into_iter().zip(self.0)
    }
}

use Cell::{Hides as H, Refused as R, Shows as S};

// In the order of Who::ALL: nobody, owner, colleague, foreign, manager, other manager, admin, a key
// without the scope, a key of another client.

/// Whoever asks.
pub const EVERYBODY: Cells = Cells([S; 9]);
/// What a counsellor made in the clinic: theirs, their manager's and the admins'.
pub const OWN: Cells = Cells([R(401), S, R(404), R(404), S, R(404), S, R(403), R(404)]);
/// The same where it is changed: a bound key changes nothing.
pub const OWN_CHANGE: Cells = Cells([R(401), S, R(404), R(404), S, R(404), S, R(403), R(403)]);
/// The same as a list.
pub const OWN_LIST: Cells = Cells([R(401), S, H, H, S, H, S, R(403), H]);
/// What belongs to the clinic: everybody's in it.
pub const ACCOUNT: Cells = Cells([R(401), S, S, R(404), S, R(404), S, R(403), R(404)]);
pub const ACCOUNT_CHANGE: Cells = Cells([R(401), S, S, R(404), S, R(404), S, R(403), R(403)]);
pub const ACCOUNT_LIST: Cells = Cells([R(401), S, S, H, S, H, S, R(403), H]);
/// What everybody may read, of what they see.
pub const READ: Cells = Cells([R(401), S, S, S, S, S, S, R(403), S]);
/// What every person may do for themselves, and a key with the scope that is bound to no client.
pub const MAKE: Cells = Cells([R(401), S, S, S, S, S, S, R(403), R(403)]);
/// What every person may do for themselves, and no key.
pub const PEOPLE: Cells = Cells([R(401), S, S, S, S, S, S, R(403), R(403)]);
/// What goes on with a sign-in, which keys have none of.
pub const SIGNED_IN: Cells = Cells([R(401), S, S, S, S, S, S, R(401), R(401)]);
/// What only admins may do.
pub const ADMINS: Cells = Cells([
    R(401),
    R(403),
    R(403),
    R(403),
    R(403),
    R(403),
    S,
    R(403),
    R(403),
]);
/// A counsellor of the clinic as a user: the manager's and the admins'.
pub const USER: Cells = Cells([R(401), R(404), R(404), R(404), S, R(404), S, R(403), R(403)]);
pub const USER_LIST: Cells = Cells([R(401), R(403), R(403), R(403), S, H, S, R(403), R(403)]);
pub const USER_MAKE: Cells = Cells([R(401), R(403), R(403), R(403), S, S, S, R(403), R(403)]);
/// A clinic: its manager may read it.
pub const CLINIC: Cells = Cells([R(401), R(403), R(403), R(403), S, R(404), S, R(403), R(403)]);
/// A key of the owner: theirs to see and revoke, and whoever oversees the account.
pub const KEY: Cells = Cells([R(401), S, R(404), R(404), S, R(404), S, R(403), R(403)]);
pub const KEY_LIST: Cells = Cells([R(401), S, H, H, S, H, S, R(403), R(403)]);
/// The policy of the clinic: read by everybody in it, changed by its manager.
pub const POLICY: Cells = Cells([R(401), S, S, R(404), S, R(404), S, R(403), R(403)]);
pub const POLICY_CHANGE: Cells =
    Cells([R(401), R(403), R(403), R(404), S, R(404), S, R(403), R(403)]);
/// The audit log: an entry of the owner's session.
pub const AUDIT: Cells = Cells([R(401), R(403), R(403), R(403), S, H, S, R(403), R(403)]);
/// A receipt: whoever asked for the erasure, and whoever oversees the account.
pub const ERASURE: Cells = Cells([R(401), S, R(404), R(404), S, R(404), S, R(403), R(403)]);
/// Calls of a client of the clinic: sent by whoever is in it.
pub const SEND: Cells = ACCOUNT;
/// The same, where each line is judged alone.
pub const SEND_MANY: Cells = Cells([R(401), S, S, H, S, H, S, R(403), H]);
