//! `rp validate`: everything that can be known of a configuration before it runs.

use std::path::PathBuf;

use clap::Args;

use super::{Format, Outcome, default_file, findings};
use crate::diagnostic::{Code, Severity};
use crate::server::{Source, judge};

#[derive(Debug, Args)]
pub struct Validate {
    /// The configuration [default: Proxyfile]
    file: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// `--deny warnings` makes every warning an error
    #[arg(long, value_name = "warnings", value_parser = ["warnings"])]
    deny: Option<String>,
    /// Judge the text alone, not the certificates, keys and folders that it names: for a machine that has none of them
    #[arg(long)]
    no_files: bool,
}

impl Validate {
    pub fn execute(self) -> Outcome {
        let path = self.file.unwrap_or_else(default_file);
        let source = Source::File(path.clone());
        let (found, sources) = if self.no_files {
            let checked = source.load();
            (checked.findings, checked.sources)
        } else {
            judge(&source)
        };
        findings::print(&found, &sources, self.format);
        let errors = found.iter().any(|mistake| mistake.severity() == Severity::Error);
        // It may be served while another is on its way; nobody wants to find that out from clients (requirement T11).
        let refused = |code| matches!(code, Code::W0012 | Code::W0013);
        let errors = errors || found.iter().any(|mistake| refused(mistake.code));
        if errors || (self.deny.is_some() && !found.is_empty()) {
            return Outcome::Mistakes;
        }
        if self.format == Format::Text && found.is_empty() {
            eprintln!("{} is valid", path.display());
        }
        Outcome::Clean
    }
}
