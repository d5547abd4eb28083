//! Certificates from an authority that speaks ACME (RFC 8555): asked for when they are missing, shown when they come, and
//! renewed before they end.
//!
//! A name has a [`Slot`](super::Slot) from the moment a configuration names it. What lies in storage is put in at once,
//! else a certificate that nobody trusts, so that the port is open while the authority is asked. Asking is the
//! [`keeper`]'s work, on the control plane's thread.

pub mod account;
pub mod arrival;
pub mod chain;
pub mod challenge;
pub mod client;
pub mod demand;
pub mod dns;
mod elsewhere;
pub mod errand;
pub mod failure;
mod follow;
pub mod holding;
pub mod issuer;
pub mod keeper;
pub mod order;
pub mod permit;
pub mod placeholder;
pub mod private;
pub mod renewal;
pub mod store;
mod together;
pub mod vault;

pub use chain::Preference;
pub use challenge::{Challenges, Kind};
pub use errand::{REASONS, Renew};
pub use failure::{Failure, FailureKind};
pub use follow::follow;
pub use issuer::{Binding, Issuer, KNOWN, Known, LETS_ENCRYPT};
pub use keeper::keep;
pub use permit::Terms;
pub use private::KeyType;
pub use store::Store;
pub use vault::{Status, Stores, Vault, Wishes};

use failure::patiently;
