//! What runs: sites made of steps, found by host.

mod building;
mod program;
mod question;
mod router;

pub use building::{Building, Legacy, Supplies};
pub use program::{Observer, Program};
pub use question::{Doubt, Folded, Question, Stake};
pub use router::{Demands, Router};

use std::sync::Arc;

use crate::diagnostic::Span;
use crate::http::ranges::Ranges;
use crate::upstream::Upstream;

/// One site, ready to take requests.
#[derive(Debug)]
pub struct Site {
    /// Its first address, as the log names it.
    pub name: Box<str>,
    pub at: Span,
    pub program: Program,
    /// Where its access log goes; `None` where it keeps none.
    pub log: Option<usize>,
    /// Where its connections go as they come; then it takes no requests.
    pub passes: Option<Passes>,
}

/// Where connections go as they come, and whose.
#[derive(Debug)]
pub struct Passes {
    pub to: Arc<Upstream>,
    /// Of clients at these addresses; `None`: of all.
    pub of: Option<Ranges>,
}
