//! `rp lsp`: the language server, which an editor starts.

use clap::Args;

use super::{Outcome, complain};

#[derive(Debug, Args)]
pub struct Lsp {
    /// Speak over standard input and output: the only way there is, so it need not be said
    #[arg(long)]
    stdio: bool,
}

pub fn execute() -> Outcome {
    match crate::lsp::serve() {
        Ok(()) => Outcome::Clean,
        Err(error) => complain(error),
    }
}
