//! Text to tree, and back to text.

mod columns;
mod complaint;
pub mod format;
mod glob;
pub mod include;
pub mod parse;
pub mod tree;
mod unclosed;
mod word;

/// How deep blocks may nest, imports included: no reader of the tree needs more stack than that many calls.
pub const DEEPEST: usize = 64;

pub use parse::parse;
