//! Text to tree, and back to text.

pub mod tree;
